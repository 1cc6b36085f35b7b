//! A worker logic that fails ends the run, and the error says where.

use waterwheel::prelude::*;

use super::support::{add, try_run, zero};

/// What a worker does wrong.
#[derive(Clone, Copy)]
enum Mistake {
    PanicsOnAnswer,
    PushesTwoElements,
}

impl WorkerLogic for Mistake {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match self {
            Mistake::PanicsOnAnswer => ps.pull(key),
            Mistake::PushesTwoElements => ps.push(key, [1, 2]),
        }
    }

    fn on_pull_recv(&mut self, key: &u64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        panic!("answer for {key} is not welcome")
    }
}

/// The error that a mistake with key 7 ends a run of `workers` workers with.
fn error_of(mistake: Mistake, workers: usize) -> Error {
    let done = try_run(RuntimeConfig::threads(workers), move |env| {
        let data = env.from_splits(workers, |_split| [7]);
        Ok(ps::transform(data, mistake, SimpleServer::new(zero, add), &PsConfig::new())?.model.collect())
    });
    done.unwrap_err()
}

#[test]
fn t_fps_failure_panic_on_an_answer_names_the_worker_operator() {
    for workers in [1, 2, 4] {
        let error = error_of(Mistake::PanicsOnAnswer, workers);
        assert_eq!(
            error.site().unwrap().operator,
            "parameter server/ps worker",
            "{workers} workers: {error}"
        );
        assert!(error.message().contains("answer for 7 is not welcome"), "{workers} workers: {error}");
        assert_eq!(error.kind(), ErrorKind::Operator, "{workers} workers");
    }
}

#[test]
fn t_fps_failure_push_of_a_wrong_width_names_found_and_expected() {
    for workers in [1, 2, 4] {
        let error = error_of(Mistake::PushesTwoElements, workers);
        assert_eq!(error.message(), "push to 7 has 2 elements, expected 1", "{workers} workers");
        assert_eq!(
            error.site().unwrap().operator,
            "parameter server/ps worker",
            "{workers} workers: {error}"
        );
    }
}

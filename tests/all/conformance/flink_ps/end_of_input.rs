//! T-FPS-18: the end of the input is told once, after the last record of every source.

use std::time::Duration;

use waterwheel::prelude::*;

use super::paced::Paced;
use super::support::run;
use crate::cluster::{everywhere, test_path};

/// Seven splits of five records, each its split's number, and each slower than the one before; three more
/// splits are empty.
fn numbered<'s>(env: &Env<'s>) -> DataStream<'s, u64> {
    env.source("numbered", 10, |split| {
        let (pause, n) = (Duration::from_millis(10 * split as u64), if split < 7 { 5 } else { 0 });
        Ok(Paced::new(std::iter::repeat_n((pause, split as u64), n)))
    })
}

const SUM: u64 = 5 * (1 + 2 + 3 + 4 + 5 + 6);

/// Adds up until the end of the input; a record after it is a failure.
#[derive(Default)]
struct Sum {
    sum: u64,
    n: u64,
    ended: bool,
}

impl Sum {
    fn add(&mut self, number: u64) {
        assert!(!self.ended, "record {number} after the end of the input");
        self.sum += number;
        self.n += 1;
    }

    fn end(&mut self) -> (u64, u64) {
        assert!(!self.ended, "the input has ended twice");
        self.ended = true;
        (self.n, self.sum)
    }
}

impl ProcessFunction<u64> for Sum {
    type Out = (u64, u64);

    fn process(&mut self, number: u64, _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.add(number);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<(u64, u64)>) -> Result<()> {
        out.emit(self.end());
        Ok(())
    }
}

impl WorkerLogic for Sum {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = (u64, u64);

    fn on_recv(&mut self, number: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.add(number);
        ps.push(number, [number])
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output(self.end());
        Ok(())
    }
}

/// One end per worker; only worker 0 had records.
fn assert_one_had_all(ends: Vec<Vec<(u64, u64)>>, shape: &str) {
    let mut ends = ends.concat();
    ends.sort();
    assert_eq!(ends.pop(), Some((35, SUM)), "{shape}");
    assert!(ends.iter().all(|end| *end == (0, 0)), "{shape}: {ends:?}");
}

#[test]
fn t_fps_18_process_function_hears_of_the_end_after_all_records() {
    everywhere(
        test_path!(t_fps_18_process_function_hears_of_the_end_after_all_records),
        |config| {
            run(config, |env| {
                let all = numbered(env).partition_custom(|_number, _workers| 0);
                Ok(all.process_function(Sum::default()).collect())
            })
        },
        assert_one_had_all,
    );
}

/// Sums on the first `workers` workers, or on all.
fn summed_by_workers(config: RuntimeConfig, workers: Option<usize>) -> Vec<Vec<(u64, u64)>> {
    run(config, move |env| {
        let config = PsConfig::new().workers(workers.unwrap_or(env.workers()));
        let add = |row: &mut [u64], delta: &[u64]| row[0] += delta[0];
        let server = SimpleServer::new(|_: &u64, row: &mut Vec<u64>| row.push(0), add);
        Ok(ps::transform(numbered(env), Sum::default(), server, &config)?.output.collect())
    })
}

#[test]
fn t_fps_18_single_worker_logic_hears_of_the_end_after_all_records() {
    everywhere(
        test_path!(t_fps_18_single_worker_logic_hears_of_the_end_after_all_records),
        |config| summed_by_workers(config, Some(1)),
        |ends, shape| assert_eq!(ends.concat(), [(35, SUM)], "{shape}"),
    );
}

#[test]
fn t_fps_18_every_worker_logic_hears_of_the_end_once() {
    everywhere(
        test_path!(t_fps_18_every_worker_logic_hears_of_the_end_once),
        |config| (config.workers(), summed_by_workers(config, None).concat()),
        |(workers, ends), shape| {
            let total = ends.iter().fold((0, 0), |(n, sum), end| (n + end.0, sum + end.1));
            assert_eq!((ends.len(), total), (workers, (35, SUM)), "{shape}");
        },
    );
}

//! T-AD-01: six workers push to one key of 36, and each sees its own pushes at once.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::run;

const RANKS: usize = 6;
const PUSHES: u64 = 100_000;
const KEY: u64 = 9;

/// Pushes (1, 2) and pulls, for each record.
#[derive(Default)]
struct Pusher {
    pushed: i64,
    seen: i64,
    ours: std::collections::VecDeque<i64>,
}

impl WorkerLogic for Pusher {
    type In = ();
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, _record: (), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.pushed += 1;
        self.ours.push_back(self.pushed);
        ps.push(KEY, [1, 2])?;
        ps.pull(KEY)
    }

    fn on_pull_recv(&mut self, _: &u64, row: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        let ours = self.ours.pop_front().unwrap();
        assert!(row[1] == 2 * row[0], "a push is seen whole or not at all: {row:?}");
        assert!(
            row[0] >= ours && row[0] >= self.seen,
            "{row:?} after {ours} pushes of its own and {}",
            self.seen
        );
        self.seen = row[0];
        Ok(())
    }
}

fn assert_exact(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    let pushed = |config| {
        let settings = settings();
        let models = run(config, move |env| {
            let data = env.from_splits(RANKS, |_rank| std::iter::repeat_n((), PUSHES as usize));
            let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<i64>| row.extend([0; 2]), ps::Sum);
            let settings = settings.clone().width(2).placement(Placement::Cyclic(36));
            Ok(ps::transform(data, Pusher::default(), server, &settings)?.model.collect())
        });
        models.concat()
    };
    everywhere(path, pushed, |model, shape| {
        assert_eq!(model, [(KEY, vec![600_000, 1_200_000])], "{shape}");
    });
}

#[test]
fn t_ad_01_pushes_of_all_workers_to_one_key_are_exact() {
    assert_exact(test_path!(t_ad_01_pushes_of_all_workers_to_one_key_are_exact), PsConfig::new);
}

#[test]
fn t_ad_01_pushes_of_all_workers_to_one_key_are_exact_where_its_row_is_kept_at_all_of_them() {
    assert_exact(
        test_path!(t_ad_01_pushes_of_all_workers_to_one_key_are_exact_where_its_row_is_kept_at_all_of_them),
        || PsConfig::new().replicas(4).replica_age(1_000),
    );
}

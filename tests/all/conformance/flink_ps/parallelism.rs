//! Workers and servers in numbers of their own: the sums are exact whatever they are.

use std::collections::{BTreeMap, VecDeque};

use waterwheel::prelude::*;

use super::support::{add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

/// Parameters that records are added to.
const KEYS: i64 = 97;

/// Pulls for each record; when the answer comes, pushes the record and outputs it.
#[derive(Default)]
struct PushOnAnswer {
    waiting: BTreeMap<i64, VecDeque<i64>>,
}

impl WorkerLogic for PushOnAnswer {
    type In = i64;
    type Key = i64;
    type Pull = i64;
    type Push = i64;
    type Out = i64;

    fn on_recv(&mut self, record: i64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.waiting.entry(record % KEYS).or_default().push_back(record);
        ps.pull(record % KEYS)
    }

    fn on_pull_recv(&mut self, key: &i64, _: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let record = self.waiting.get_mut(key).and_then(VecDeque::pop_front);
        let Some(record) = record else { return Err(Error::operator("an answer without a pull")) };
        ps.output(record);
        ps.push(*key, [record])
    }
}

/// What a run has output.
pub(super) struct Trained {
    /// Records whose pull was answered.
    answered: Vec<i64>,
    /// The new value, after each push.
    values: Vec<(i64, Vec<i64>)>,
}

/// Runs [`PushOnAnswer`] on `data`, with the settings that `settings` makes for a number of workers.
pub(super) fn trained(
    config: RuntimeConfig,
    data: impl for<'s> Fn(&Env<'s>) -> DataStream<'s, i64> + Send + Sync + 'static,
    settings: impl Fn(PsConfig<i64>, usize) -> PsConfig<i64> + Send + Sync + 'static,
) -> Trained {
    let results = run(config, move |env| {
        let server = SimpleServer::new(zero, add).emit(Emit::EveryPush);
        let config = settings(PsConfig::new(), env.workers());
        let out = ps::transform(data(env), PushOnAnswer::default(), server, &config)?;
        Ok((out.output.collect(), out.model.collect()))
    });
    let (answered, values): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    Trained { answered: sorted(answered), values: values.concat() }
}

/// Checks that each of the records `0..records` was answered once, pushed once and output once.
pub(super) fn assert_trained(trained: &Trained, records: i64, shape: &str) {
    assert!(trained.answered.iter().copied().eq(0..records), "{shape}: {} answers", trained.answered.len());
    assert_eq!(trained.values.len() as i64, records, "{shape}");
    // Values of one key come in order from its server: the last one stays.
    let last: BTreeMap<i64, i64> = trained.values.iter().map(|(key, row)| (*key, row[0])).collect();
    let mut sums = BTreeMap::new();
    (0..records).for_each(|record| *sums.entry(record % KEYS).or_default() += record);
    assert_eq!(last, sums, "{shape}");
}

const RECORDS: i64 = 10_000;

/// Trains on `workers` workers and `servers` servers, or as many as the job has.
fn trained_on(config: RuntimeConfig, workers: usize, servers: usize) -> Trained {
    trained(
        config,
        |env| env.from_splits(4, |split| (split as i64..RECORDS).step_by(4)),
        move |config, n| config.workers(workers.min(n)).servers(servers.min(n)).credit(100),
    )
}

#[test]
fn t_fps_parallelism_one_worker_and_four_servers_lose_nothing() {
    everywhere(
        test_path!(t_fps_parallelism_one_worker_and_four_servers_lose_nothing),
        |config| trained_on(config, 1, 4),
        |trained, shape| assert_trained(&trained, RECORDS, shape),
    );
}

#[test]
fn t_fps_parallelism_four_workers_and_one_server_lose_nothing() {
    everywhere(
        test_path!(t_fps_parallelism_four_workers_and_one_server_lose_nothing),
        |config| trained_on(config, 4, 1),
        |trained, shape| assert_trained(&trained, RECORDS, shape),
    );
}

#[test]
fn t_fps_parallelism_three_workers_and_two_servers_lose_nothing() {
    everywhere(
        test_path!(t_fps_parallelism_three_workers_and_two_servers_lose_nothing),
        |config| trained_on(config, 3, 2),
        |trained, shape| assert_trained(&trained, RECORDS, shape),
    );
}

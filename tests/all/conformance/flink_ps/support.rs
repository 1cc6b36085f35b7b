//! What the cases share: running a job under a time limit, counters, and a worker that counts.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use waterwheel::engine::started_as;
use waterwheel::prelude::*;

use crate::cluster::everywhere;

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs a job; one that hangs is stopped and fails.
pub(in crate::conformance) fn try_run<O, F>(config: RuntimeConfig, job: F) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    try_run_within(LIMIT, config, job)
}

/// As [`try_run`], with a limit of its own.
pub(super) fn try_run_within<O, F>(limit: Duration, config: RuntimeConfig, job: F) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    let stop = StopHandle::new();
    let (done, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let stopper = stop.clone();
        scope.spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                stopper.stop();
            }
        });
        let values = execute(config.stop_handle(stop), job);
        drop(done);
        values
    })
}

/// Runs a job that must go well.
pub(in crate::conformance) fn run<O, F>(config: RuntimeConfig, job: F) -> Vec<O::Value>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    try_run(config, job).unwrap()
}

/// As [`everywhere`], with all shapes at the same time: for jobs that mostly wait.
pub(super) fn everywhere_at_once<R>(
    path: &str,
    job: impl Fn(RuntimeConfig) -> R + Sync,
    check: impl Fn(R, &str) + Sync,
) {
    let (configs, shapes) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let note_config = |config| configs.borrow_mut().push(config);
    everywhere(path, note_config, |(), shape| shapes.borrow_mut().push(shape.to_string()));
    if started_as().is_some() {
        configs.take().into_iter().for_each(|config| drop(job(config)));
        return;
    }
    let (job, check) = (&job, &check);
    std::thread::scope(|scope| {
        for (config, shape) in configs.take().into_iter().zip(shapes.take()) {
            scope.spawn(move || check(job(config), &shape));
        }
    });
}

/// All records, in order of value.
pub(in crate::conformance) fn sorted<D: Ord>(parts: impl IntoIterator<Item = Vec<D>>) -> Vec<D> {
    let mut all: Vec<D> = parts.into_iter().flatten().collect();
    all.sort();
    all
}

/// A counter that begins at zero, as `init` of a [`SimpleServer`].
pub(super) fn zero<K>(_key: &K, row: &mut Vec<i64>) {
    row.push(0);
}

/// Adds a push to a counter, as `update` of a [`SimpleServer`].
pub(super) fn add(row: &mut [i64], delta: &[i64]) {
    row[0] += delta[0];
}

/// Pulls each record as a key and pushes 1 to it when the answer comes.
pub(super) struct AddOne<K>(PhantomData<K>);

impl<K> AddOne<K> {
    pub(super) fn new() -> Self {
        AddOne(PhantomData)
    }
}

impl<K: Key> WorkerLogic for AddOne<K> {
    type In = K;
    type Key = K;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, key: K, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &K, _: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(key.clone(), [1])
    }
}

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use waterwheel_engine::random::sm;
use waterwheel_engine::*;

use crate::*;

#[derive(Clone)]
pub(crate) struct Fuse(Arc<AtomicI64>);
impl Fuse {
    fn new(n: i64) -> Self {
        Fuse(Arc::new(AtomicI64::new(n)))
    }
    fn burn(&self) -> Result<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Error::operator("burnt")),
            _ => Ok(()),
        }
    }
}
fn config(dir: &Path, workers: usize) -> RuntimeConfig {
    let often = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(1));
    RuntimeConfig::threads(workers).job_name("job").checkpoints(often)
}
fn recover<R>(seed: u64, span: u64, fixed: Option<usize>, job: impl Fn(RuntimeConfig, Fuse) -> Result<R>) -> (R, u64) {
    let dir = tempfile::tempdir().unwrap();
    for attempt in 0..1000 {
        let workers = fixed.unwrap_or([1, 2, 4, 3][(sm(seed, 2 * attempt) % 4) as usize]);
        match job(config(dir.path(), workers), Fuse::new((sm(seed, 2 * attempt + 1) % span) as i64)) {
            Ok(result) => return (result, attempt),
            Err(error) if error.message() == "burnt" => {}
            Err(error) => panic!("seed {seed}, attempt {attempt}, {workers} workers: {}", error.full_message()),
        }
    }
    panic!()
}
const RECORDS: u64 = 60_000;
fn numbers<'s>(env: &Env<'s>, fuse: Fuse) -> DataStream<'s, u64> {
    let all = env.from_splits(5, |split| (0..RECORDS).skip(split).step_by(5));
    all.rebalance().try_map(move |x| fuse.burn().map(|()| x))
}
fn check<R: Ord + std::fmt::Debug>(job: impl Fn(RuntimeConfig, Fuse) -> Result<Vec<R>>) {
    let mut expected = job(RuntimeConfig::threads(1), Fuse::new(-1)).unwrap();
    expected.sort();
    let mut all = 0;
    for seed in 0..5 {
        let (mut found, failures) = recover(seed, RECORDS, None, &job);
        found.sort();
        assert!(found == expected, "seed {seed}: other results after {failures} failures");
        all += failures;
    }
    println!("{all} failures");
}

const KEYS: u64 = 1_000;
struct PullThenPush;
impl WorkerLogic for PullThenPush {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = u64;
    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(x % KEYS)?;
        ps.push(x % KEYS, [x, 1])?;
        ps.output(x);
        Ok(())
    }
    fn on_pull_recv(&mut self, _key: &u64, row: &[u64], _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(row.len(), 2);
        Ok(())
    }
}
fn sums(config: RuntimeConfig, fuse: Fuse, ps: PsConfig<u64>) -> Result<(Vec<u64>, Vec<(u64, Vec<u64>)>)> {
    let results = execute(config, move |env| {
        let server = SimpleServer::new(
            |_key: &u64, row: &mut Vec<u64>| row.extend([0, 0]),
            |row: &mut [u64], delta: &[u64]| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b),
        );
        let config = ps.clone().width(2).credit(200);
        let trained = transform(numbers(env, fuse.clone()), PullThenPush, server, &config)?;
        Ok((trained.output.collect(), trained.model.collect()))
    })?;
    let (outputs, models): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    Ok((outputs.concat(), models.concat()))
}
fn check_sums(ps: impl Fn() -> PsConfig<u64>) {
    check(|config, fuse| {
        let (outputs, mut model) = sums(config, fuse, ps())?;
        model.push((KEYS, vec![outputs.iter().sum(), outputs.len() as u64]));
        Ok(model)
    });
}
#[test]
fn tmp_async() {
    check_sums(PsConfig::new);
}
#[test]
fn tmp_range() {
    check_sums(|| PsConfig::new().placement(Placement::Range(KEYS)));
    check_sums(|| PsConfig::new().placement(Placement::custom(|key, servers| *key as usize % servers)));
    check_sums(|| PsConfig::new().servers(1));
}
#[test]
fn tmp_modes() {
    check_sums(|| PsConfig::new().consistency(Consistency::Serialisable));
    check_sums(|| PsConfig::new().consistency(Consistency::Bounded(0)));
    check_sums(|| PsConfig::new().consistency(Consistency::Bounded(2)).whole_clocks(PushOrder::default()));
}

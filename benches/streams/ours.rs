//! The programs on Waterwheel.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use waterwheel::prelude::*;

use crate::work::{Case, Run, Shape, Side, WINDOW_MS, Work, digest_of, step, window_digest, words};

pub fn run(work: &Work, shape: Shape) -> Run {
    run_with(work, shape, RuntimeConfig::threads(shape.workers))
}

/// The same, where all that can be watched is.
pub fn run_watched(work: &Work, shape: Shape) -> Run {
    let mut config = RuntimeConfig::threads(shape.workers);
    config.handles();
    run_with(work, shape, config)
}

fn run_with(work: &Work, shape: Shape, config: RuntimeConfig) -> Run {
    let config = config.processes(shape.processes);
    let config = config.child_args(work.child_args(Side::Ours));
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let (at_end, job) = (Arc::clone(&took), *work);
    let digests = execute(config, move |env| {
        let start = Instant::now();
        let done = Done { start, took: (env.worker_index() == 0).then(|| Arc::clone(&at_end)), digest: 0 };
        let digests = build(env, job)?.partition_custom(|_, _| 0);
        Ok(digests.process_function(done).collect_local())
    });
    let digest = digests.unwrap().concat().into_iter().fold(0, u64::wrapping_add);
    let took = *took.lock().unwrap();
    work.run(took, digest)
}

/// One digest a worker, or the whole results: few records, whatever the work.
fn build<'s>(env: &Env<'s>, work: Work) -> Result<DataStream<'s, u64>> {
    let splits = env.workers();
    let digests = match work.case {
        Case::Words => {
            let lines = env.from_splits(splits, move |split| work.lines(split, splits));
            lines.flat_map(words).key_by_ref(|word| word).process_function(Count)
        }
        Case::Keys => {
            let numbers = env.from_splits(splits, move |split| work.numbers(split, splits));
            numbers.key_by(|number| *number).process_function(Count)
        }
        Case::Windows => windows(env.from_splits(splits, move |split| work.timed(split, splits)))?,
        Case::Maps => {
            let numbers = env.from_splits(splits, move |split| work.numbers(split, splits));
            (0..10).fold(numbers, |numbers, _| numbers.map(step))
        }
    };
    Ok(digests.process_function(Sum(0)))
}

/// The digest of each key and window.
fn windows(records: DataStream<'_, (u64, u64)>) -> Result<DataStream<'_, u64>> {
    let time = |record: &(u64, u64)| record.1 as i64;
    let timed = records.assign_timestamps_and_watermarks(WatermarkStrategy::monotonous(time));
    let window = Windows::tumbling(Duration::from_millis(WINDOW_MS))?;
    let counts = timed.key_by(|record| record.0).window(window).count().results;
    Ok(counts.map(|count| window_digest(count.key, count.window.end as u64, count.value)).into_stream())
}

/// Counts the records of each key, and tells the digest of all counts at the end.
struct Count;

impl<K: Key> KeyedProcessFunction<K, K> for Count {
    type State = u64;
    type Out = u64;

    #[inline]
    fn process(
        &mut self,
        _key: &K,
        count: &mut u64,
        _record: K,
        _context: &mut KeyedContext,
        _out: &mut Collector<u64>,
    ) -> Result<()> {
        *count += 1;
        Ok(())
    }

    fn end_of_input(&mut self, key: &K, count: &mut u64, out: &mut Collector<u64>) -> Result<()> {
        out.emit(digest_of(key, *count));
        Ok(())
    }
}

/// Adds up the digests of one worker.
struct Sum(u64);

impl ProcessFunction<u64> for Sum {
    type Out = u64;

    #[inline]
    fn process(&mut self, digest: u64, _out: &mut Collector<u64>) -> Result<()> {
        self.0 = self.0.wrapping_add(digest);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<u64>) -> Result<()> {
        out.emit(self.0);
        Ok(())
    }
}

/// Adds up the digests of all workers, on worker 0, and takes the time when there are no more.
struct Done {
    start: Instant,
    took: Option<Arc<Mutex<Duration>>>,
    digest: u64,
}

impl ProcessFunction<u64> for Done {
    type Out = u64;

    fn process(&mut self, digest: u64, _out: &mut Collector<u64>) -> Result<()> {
        self.digest = self.digest.wrapping_add(digest);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<u64>) -> Result<()> {
        out.emit(self.digest);
        if let Some(took) = &self.took {
            *took.lock().unwrap() = self.start.elapsed();
        }
        Ok(())
    }
}

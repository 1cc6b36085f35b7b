//! Sources of batches.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::delta::clock::{BatchClock, BatchNumber};
use crate::edge::Edge;
use crate::env::Env;
use crate::error::Result;
use crate::operator::{Activation, OperatorBuilder, Output, Promise, WakeOn};
use crate::source::{SourceStatus, sooner};
use crate::stream::DataStream;

/// What a source of batches has to say after it was asked for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatus {
    /// The batch goes on: ask again soon.
    Ready,
    /// The batch goes on, but nothing is there now; ask again after this time.
    Idle(Duration),
    /// The batch is complete. What is read next belongs to the next one.
    Complete,
    /// There will be no more records; the batch is complete and the last one.
    Done,
}

/// A reader of records in batches, one instance per split; [`Env::batches`] runs it.
pub trait BatchSource: 'static {
    /// What it reads.
    type Item: 'static;

    /// Appends up to about `limit` records of the current batch to `out`. Must not block.
    ///
    /// # Errors
    /// Ends the run, naming this source.
    fn read(&mut self, limit: usize, out: &mut Vec<Self::Item>) -> Result<BatchStatus>;
}

impl<'s> Env<'s> {
    /// A stream of the batches of `splits` sources. Split `i` is read by worker `i mod workers`.
    ///
    /// Batch *b* of the stream, counted from 0, is batch *b* of all splits together: complete when each split has
    /// completed it or has ended. A split waits while it is more than 32 batches ahead of the slowest one.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{BatchSource, BatchStatus, Result, RuntimeConfig, execute};
    ///
    /// /// In batch `b` the number `b` comes and the one before it goes.
    /// struct Latest(u64);
    /// impl BatchSource for Latest {
    ///     type Item = (u64, i64);
    ///     fn read(&mut self, _limit: usize, out: &mut Vec<(u64, i64)>) -> Result<BatchStatus> {
    ///         out.push((self.0, 1));
    ///         out.extend(self.0.checked_sub(1).map(|last| (last, -1)));
    ///         self.0 += 1;
    ///         Ok(if self.0 == 3 { BatchStatus::Done } else { BatchStatus::Complete })
    ///     }
    /// }
    /// let latest = execute(RuntimeConfig::threads(2), |env| {
    ///     let numbers = env.batches("latest", 1, |_split| Ok(Latest(0))).into_collection();
    ///     Ok(numbers.changes().filter(|change| change.diff > 0).map(|change| (change.batch, change.record)).collect())
    /// })?;
    /// let mut latest = latest.concat();
    /// latest.sort();
    /// assert_eq!(latest, [(0, 0), (1, 1), (2, 2)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn batches<S: BatchSource>(
        &self,
        name: &str,
        splits: usize,
        open: impl Fn(usize) -> Result<S> + 'static,
    ) -> DataStream<'s, S::Item, BatchClock> {
        let location = Location::caller();
        let (mut op, valve) = self.source_operator(self.batch_place(), name, location);
        let (out, edge) = op.output();
        // Nothing is ever sent here: it shows how far all splits have come.
        let (_, clock) = op.output();
        let reads = op.activation();
        let unopened = (self.worker_index()..splits).step_by(self.workers()).collect();
        let limit = self.place().run().ledger().read_limit();
        let complete = Rc::new(Cell::new(0));
        let seen = Rc::clone(&complete);
        op.build(move |promises, activation| {
            let first = <[_; 2]>::try_from(promises).ok();
            let mut reader = Reader { unopened, first, open, splits: Vec::new(), out, limit, complete: seen };
            move |_frontiers| {
                if !valve.lets_read() {
                    // The end of the hold activates the source again.
                    return Ok(());
                }
                match reader.read(|| valve.is_held())? {
                    SourceStatus::Ready => activation.wake(),
                    SourceStatus::Idle(pause) => activation.wake_after(pause),
                    SourceStatus::Done => {}
                }
                Ok(())
            }
        });
        watch(clock, location, complete, reads);
        DataStream::from_edge(edge)
    }

    /// A stream of batches from an iterator over them, read by worker 0.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let sums = execute(RuntimeConfig::threads(1), |env| {
    ///     let batches = env.from_batches([vec![(3u32, 1)], vec![], vec![(4, 1), (3, -1)]]);
    ///     Ok(batches.into_collection().changes().map(|change| (change.batch, change.record)).collect())
    /// })?;
    /// assert_eq!(sums.concat(), [(0, 3), (2, 3), (2, 4)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn from_batches<B, I>(&self, batches: B) -> DataStream<'s, I::Item, BatchClock>
    where
        B: IntoIterator<Item = I, IntoIter: 'static>,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
    {
        let batches = Cell::new(Some(batches.into_iter()));
        self.batches("from_batches", 1, move |_split| {
            let mut batches = batches.take().into_iter().flatten().map(IntoIterator::into_iter);
            let current = batches.next();
            Ok(IterBatches { batches, current })
        })
    }

    /// The records of a plain stream as the first batch, which is complete at the end of the stream: for what stays
    /// the same beside what changes.
    pub fn enter_batches<D: 'static>(&self, stream: DataStream<'s, D>) -> DataStream<'s, D, BatchClock> {
        DataStream::from_edge(self.batch_place().enter(stream.into_edge()))
    }

    /// A plain stream of what a stream of batches carries. A [`Change`](crate::Change) says itself of which batch
    /// it is.
    pub fn leave_batches<D: 'static>(&self, stream: DataStream<'s, D, BatchClock>) -> DataStream<'s, D> {
        DataStream::from_edge(self.place().leave(stream.into_edge()))
    }
}

/// Batches that a split may be ahead of the slowest one of the same source. Nobody else can bound that: a batch which
/// some split has not completed holds no source.
const SPLIT_AHEAD: BatchNumber = 32;

/// Notes in `complete` the first batch that some split of the source has not completed, and wakes the reader, which may
/// be waiting for that.
fn watch(
    clock: Edge<'_, Vec<()>, BatchClock>,
    location: &'static Location<'static>,
    complete: Rc<Cell<BatchNumber>>,
    reader: Activation,
) {
    let mut op = OperatorBuilder::made_at(&clock.place(), "batches complete", location);
    let _clock = op.input(clock, WakeOn::Progress);
    op.build(move |_promises, _activation| {
        move |frontiers| {
            let next = frontiers.next(0).map_or(BatchNumber::MAX, |(_epoch, batch)| batch);
            if complete.replace(next) != next {
                reader.wake();
            }
            Ok(())
        }
    });
}

/// Reads the splits of one worker, each in turn.
struct Reader<S: BatchSource, F> {
    unopened: Vec<usize>,
    /// The right to send the first batch, until the splits are open; and the same for the clock.
    first: Option<[Promise<BatchClock>; 2]>,
    open: F,
    splits: Vec<Split<S>>,
    out: Output<Vec<S::Item>, BatchClock>,
    limit: usize,
    /// The first batch that some split has not completed.
    complete: Rc<Cell<BatchNumber>>,
}

/// A split, and the right to send its current batch; and the same for the clock.
struct Split<S> {
    source: S,
    batch: [Promise<BatchClock>; 2],
}

impl<S: BatchSource, F: Fn(usize) -> Result<S>> Reader<S, F> {
    /// Asks each split once that is not too far ahead.
    fn read(&mut self, is_held: impl Fn() -> bool) -> Result<SourceStatus> {
        if let Some(first) = self.first.take() {
            for split in std::mem::take(&mut self.unopened) {
                self.splits.push(Split { source: (self.open)(split)?, batch: first.clone() });
            }
        }
        let (mut overall, mut waiting) = (SourceStatus::Done, Vec::new());
        let mut next = 0;
        while next < self.splits.len() {
            if is_held() {
                return Ok(SourceStatus::Ready);
            }
            let split = &mut self.splits[next];
            if split.number() > self.complete.get().saturating_add(SPLIT_AHEAD) {
                // The slowest split never waits here, and wakes this one when it goes on.
                next += 1;
                continue;
            }
            let status = split.source.read(self.limit, &mut waiting)?;
            self.out.send_promised(&split.batch[0], [&mut waiting]);
            waiting.clear();
            overall = sooner(overall, split.moved(status)?);
            match status {
                BatchStatus::Done => drop(self.splits.remove(next)),
                _ => next += 1,
            }
        }
        Ok(overall)
    }
}

impl<S> Split<S> {
    /// The batch it is reading.
    fn number(&self) -> BatchNumber {
        self.batch[0].time().1
    }

    /// Goes on to the next batch if this one is complete; when to ask again.
    fn moved(&mut self, status: BatchStatus) -> Result<SourceStatus> {
        Ok(match status {
            BatchStatus::Ready => SourceStatus::Ready,
            BatchStatus::Idle(pause) => SourceStatus::Idle(pause),
            BatchStatus::Complete => {
                let (epoch, batch) = *self.batch[0].time();
                self.batch.iter_mut().try_for_each(|right| right.advance_to(&(epoch, batch + 1)))?;
                SourceStatus::Ready
            }
            BatchStatus::Done => SourceStatus::Done,
        })
    }
}

/// Reads an iterator over batches to its end.
struct IterBatches<B: Iterator> {
    batches: B,
    current: Option<B::Item>,
}

impl<B> BatchSource for IterBatches<B>
where
    B: Iterator<Item: Iterator<Item: 'static> + 'static> + 'static,
{
    type Item = <B::Item as Iterator>::Item;

    fn read(&mut self, limit: usize, out: &mut Vec<Self::Item>) -> Result<BatchStatus> {
        let before = out.len();
        out.extend(self.current.iter_mut().flatten().take(limit));
        if out.len() - before == limit {
            return Ok(BatchStatus::Ready);
        }
        self.current = self.batches.next();
        Ok(if self.current.is_some() { BatchStatus::Complete } else { BatchStatus::Done })
    }
}

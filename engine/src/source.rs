//! Sources: where records enter a job.

mod csv;
mod iter;
mod lines;

use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Epoch;
use crate::edge::Edge;
use crate::env::Env;
use crate::error::Result;
use crate::operator::output::RecordOutput;
use crate::origin::Origin;
use crate::stream::DataStream;

pub use self::csv::{BadRecord, BadRecordPolicy, CsvOptions, CsvRecord, CsvStreams, Delimiter, Header};

/// What a source has to say after it was asked for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Ask again soon.
    Ready,
    /// Nothing now; ask again after this time.
    Idle(Duration),
    /// There will be no more records.
    Done,
}

/// A reader of records, one instance per split.
///
/// [`Env::source`] runs it on the worker that owns the split.
pub trait Source: 'static {
    /// What it reads.
    type Item: 'static;

    /// Appends up to about `limit` records to `out`. Must not block.
    ///
    /// # Errors
    /// Ends the run, naming this source.
    fn read(&mut self, limit: usize, out: &mut Vec<Self::Item>) -> Result<SourceStatus>;
}

impl<'s> Env<'s> {
    /// A stream of the records of `splits` sources. Split `i` is read by worker `i mod workers`, so the
    /// records do not depend on the number of workers.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{Result, RuntimeConfig, Source, SourceStatus, execute};
    ///
    /// struct Countdown(u32);
    /// impl Source for Countdown {
    ///     type Item = u32;
    ///     fn read(&mut self, _limit: usize, out: &mut Vec<u32>) -> Result<SourceStatus> {
    ///         out.push(self.0);
    ///         self.0 -= 1;
    ///         Ok(if self.0 == 0 { SourceStatus::Done } else { SourceStatus::Ready })
    ///     }
    /// }
    /// let all = execute(RuntimeConfig::threads(2), |env| {
    ///     Ok(env.source("countdown", 3, |split| Ok(Countdown(split as u32 + 1))).collect())
    /// })?;
    /// assert_eq!(all.concat().len(), 1 + 2 + 3);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn source<S: Source>(
        &self,
        name: &str,
        splits: usize,
        open: impl Fn(usize) -> Result<S> + 'static,
    ) -> DataStream<'s, S::Item> {
        let mine = (0..splits).filter(|split| split % self.workers() == self.worker_index());
        let unopened: Vec<usize> = mine.rev().collect();
        let limit = self.place().run().ledger().read_limit();
        let pace = Pace { limit, now: 0, was_held: false };
        let reader = SplitReader { unopened, open, current: None, next: 0, pace, waiting: Vec::new() };
        self.add_source(name, Location::caller(), reader)
    }

    fn add_source<S: Source, F: Fn(usize) -> Result<S> + 'static>(
        &self,
        name: &str,
        location: &'static Location<'static>,
        mut reader: SplitReader<S, F>,
    ) -> DataStream<'s, S::Item> {
        use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

        let (scope, run) = (self.place().scope(), self.place().run());
        let origin = Origin::new(name, location, self.worker_index(), run);
        let mut builder = OperatorBuilder::new(name.to_string(), scope);
        let (output, stream) = builder.new_output::<Vec<S::Item>>();
        let mut output = RecordOutput::<S::Item, Epoch>::new(output);
        let index = self.next_source();
        let gate = origin.run().gate(index);
        let address = builder.operator_info().address;
        gate.register(scope.worker().sync_activator_for(address.to_vec()));
        let activator = scope.activator_for(address);
        let guard = Rc::clone(&origin);
        builder.build(move |mut capabilities| {
            let mut capability = capabilities.pop();
            move |_frontiers| {
                if gate.is_held() {
                    reader.pace.was_held = true;
                    // The end of the hold activates the source again.
                    return;
                }
                let Some(now) = &capability else { return };
                let mut status = SourceStatus::Done;
                guard.guard(|| {
                    status = reader.read_into(|| gate.is_held(), |batch| output.send_held(now, batch))?;
                    Ok(())
                });
                match status {
                    SourceStatus::Ready => activator.activate(),
                    SourceStatus::Idle(pause) => activator.activate_after(pause),
                    SourceStatus::Done => capability = None,
                }
            }
        });
        let lineage = Rc::new(std::iter::once(index).collect());
        DataStream::from_edge(Edge { stream, place: self.place().clone(), origin, lineage })
    }
}

/// Splits that are read to the limit in one activation. What is read stays in this worker until the operators
/// behind have had their turn, so it must not grow with the number of splits.
const SPLITS_PER_TURN: usize = 4;

/// Reads the splits of one worker. All are open at once and asked in turn, so that one that pauses does not
/// keep the others waiting.
struct SplitReader<S: Source, F> {
    unopened: Vec<usize>,
    open: F,
    current: Option<Vec<S>>,
    /// The split whose turn it is.
    next: usize,
    pace: Pace,
    waiting: Vec<S::Item>,
}

impl<S: Source, F: Fn(usize) -> Result<S>> SplitReader<S, F> {
    /// Asks each split once; those that are left when the source is held, or has read its share, come first
    /// the next time.
    fn read_into(
        &mut self,
        is_held: impl Fn() -> bool,
        mut send: impl FnMut(&mut Vec<S::Item>),
    ) -> Result<SourceStatus> {
        if self.current.is_none() {
            let opened = std::mem::take(&mut self.unopened).into_iter().rev().map(&self.open);
            self.current = Some(opened.collect::<Result<_>>()?);
        }
        let limit = self.pace.step();
        let mut overall = SourceStatus::Done;
        let mut read = 0;
        for _ in 0..self.current.as_ref().map_or(0, Vec::len) {
            if read >= SPLITS_PER_TURN * limit || is_held() {
                overall = SourceStatus::Ready;
                break;
            }
            let before = self.waiting.len();
            let status = self.read_next(limit);
            read += self.waiting.len() - before;
            if status.is_err() || self.waiting.len() >= limit.div_ceil(2) {
                send(&mut self.waiting);
                self.waiting.clear();
            }
            overall = sooner(overall, status?);
        }
        send(&mut self.waiting);
        self.waiting.clear();
        Ok(overall)
    }

    /// Asks the split whose turn it is, and goes on to the one behind it.
    fn read_next(&mut self, limit: usize) -> Result<SourceStatus> {
        let Some(splits) = self.current.as_mut().filter(|splits| !splits.is_empty()) else {
            return Ok(SourceStatus::Done);
        };
        self.next %= splits.len();
        let status = splits[self.next].read(limit, &mut self.waiting)?;
        match status {
            SourceStatus::Done => drop(splits.remove(self.next)),
            _ => self.next += 1,
        }
        Ok(status)
    }
}

/// How many records a split is asked for at once: one at first, twice as many each time, half as many after a
/// hold. What operators make of a record may be much more than one, and is seen only when it is made.
struct Pace {
    limit: usize,
    now: usize,
    /// Whether the source has been found held since the last step.
    was_held: bool,
}

impl Pace {
    /// The number for this activation.
    fn step(&mut self) -> usize {
        let next = if std::mem::take(&mut self.was_held) { self.now / 2 } else { self.now * 2 };
        self.now = next.clamp(1, self.limit);
        self.now
    }
}

/// When to ask again if one split says `a` and another `b`.
pub(crate) fn sooner(a: SourceStatus, b: SourceStatus) -> SourceStatus {
    match (a, b) {
        (SourceStatus::Ready, _) | (_, SourceStatus::Ready) => SourceStatus::Ready,
        (SourceStatus::Idle(a), SourceStatus::Idle(b)) => SourceStatus::Idle(a.min(b)),
        (SourceStatus::Done, other) | (other, SourceStatus::Done) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_doubles_to_the_limit_and_falls_after_a_hold_but_never_to_nothing() {
        let mut pace = Pace { limit: 100, now: 0, was_held: false };
        assert_eq!(Vec::from_iter((0..9).map(|_| pace.step())), [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        pace.was_held = true;
        assert_eq!([pace.step(), pace.step()], [50, 100]);
        pace.now = 1;
        pace.was_held = true;
        assert_eq!(pace.step(), 1);
    }
}

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
        let reader = SplitReader { unopened, open, current: None, next: 0, limit, waiting: Vec::new() };
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
    /// Records that a split is asked for at once.
    limit: usize,
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
        let mut overall = SourceStatus::Done;
        let mut read = 0;
        for _ in 0..self.current.as_ref().map_or(0, Vec::len) {
            if read >= SPLITS_PER_TURN * self.limit || is_held() {
                overall = SourceStatus::Ready;
                break;
            }
            let before = self.waiting.len();
            let status = self.read_next();
            read += self.waiting.len() - before;
            if status.is_err() || self.waiting.len() >= self.limit.div_ceil(2) {
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
    fn read_next(&mut self) -> Result<SourceStatus> {
        let Some(splits) = self.current.as_mut().filter(|splits| !splits.is_empty()) else {
            return Ok(SourceStatus::Done);
        };
        self.next %= splits.len();
        let status = splits[self.next].read(self.limit, &mut self.waiting)?;
        match status {
            SourceStatus::Done => drop(splits.remove(self.next)),
            _ => self.next += 1,
        }
        Ok(status)
    }
}

/// When to ask again if one split says `a` and another `b`.
fn sooner(a: SourceStatus, b: SourceStatus) -> SourceStatus {
    match (a, b) {
        (SourceStatus::Ready, _) | (_, SourceStatus::Ready) => SourceStatus::Ready,
        (SourceStatus::Idle(a), SourceStatus::Idle(b)) => SourceStatus::Idle(a.min(b)),
        (SourceStatus::Done, other) | (other, SourceStatus::Done) => other,
    }
}

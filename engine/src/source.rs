//! Sources: where records enter a job.

mod channel;
mod csv;
mod iter;
mod lines;
mod ndjson;
mod paths;
mod position;
mod splits;
mod text;

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::AnyClock;
use crate::edge::Place;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::flow::Gate;
use crate::metrics::Gauges;
use crate::operator::OperatorBuilder;
use crate::stream::DataStream;

pub use self::channel::{ChannelRecords, ChannelSender, channel};
pub use self::csv::{BadRecord, CsvEventStreams, CsvOptions, CsvRecord, CsvStreams, Delimiter, Header};
#[cfg(feature = "arrow")]
pub(crate) use self::paths::expand_all;
pub use self::position::SourcePosition;
pub(crate) use self::splits::{Split, SplitReader, Splits, sooner};
pub use self::text::LineError;

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

    /// Where it is: behind the last record that it has read. Default `None`: it can not go back to a position, and so it
    /// can not be used with checkpoints, unless they
    /// [allow that](crate::CheckpointConfig::allow_rereading).
    ///
    /// # Errors
    /// Ends the run, naming this source.
    fn position(&self) -> Result<Option<SourcePosition>> {
        Ok(None)
    }

    /// Goes to a position, perhaps one of an earlier run, before anything is read.
    ///
    /// # Errors
    /// There is no such position any more. Ends the run, naming this source.
    fn seek(&mut self, _position: &SourcePosition) -> Result<()> {
        Err(Error::config("this source can not go back to a position: implement position and seek"))
    }

    /// What is to be done when all that was read up to now is durable: to acknowledge it, or to commit an offset where
    /// others see it. Asked for with each [`position`](Self::position) that goes into a checkpoint, and called on a thread
    /// of its own when that is durable; an error ends the run. That of a checkpoint that fails is dropped, and a later one
    /// stands for it. Without checkpoints it is called at once when records were read. Default: nothing.
    fn when_durable(&mut self) -> Option<WhenDurable> {
        None
    }
}

/// What a source has to do outside of the job when a checkpoint is durable; see [`Source::when_durable`].
pub type WhenDurable = Box<dyn FnOnce() -> Result<()> + Send>;

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
        self.source_of(name, Location::caller(), Splits::Fixed(splits), move |split| open(split.index))
    }

    /// As [`source`](Self::source), for splits that know how many there are.
    pub(crate) fn source_of<S: Source>(
        &self,
        name: &str,
        location: &'static Location<'static>,
        splits: Splits,
        open: impl Fn(Split) -> Result<S> + 'static,
    ) -> DataStream<'s, S::Item> {
        let mut reader = SplitReader::new(self, splits, open);
        let (mut op, valve) = self.source_operator(self.place(), name, location);
        let (mut output, edge) = op.output();
        let mut part = op.source_part(&reader);
        op.build(move |mut promises, activation| {
            let mut promise = promises.pop();
            move |_frontiers| {
                part.begin(&mut reader)?;
                let Some(now) = &mut promise else { return Ok(()) };
                if let Some(next) = part.leave(*now.time(), &mut reader)? {
                    now.advance_to(&next)?;
                }
                if !part.is_open(*now.time()) {
                    // It is woken when the epoch is opened.
                    return Ok(());
                }
                if !valve.lets_read() {
                    // The end of the hold activates the source again.
                    reader.note_hold();
                    return Ok(());
                }
                let status = reader.read(
                    || valve.is_held(),
                    |records, part| {
                        if part.is_enough() {
                            output.send_promised(now, [&mut *records]);
                            records.clear();
                        }
                    },
                )?;
                match status {
                    SourceStatus::Ready => activation.wake(),
                    SourceStatus::Idle(pause) => activation.wake_after(pause),
                    SourceStatus::Done => {
                        part.end(&mut reader)?;
                        promise = None;
                    }
                }
                Ok(())
            }
        });
        DataStream::from_edge(edge)
    }

    /// An operator without inputs, and what holds it when there is too much in flight.
    pub(crate) fn source_operator<T: AnyClock>(
        &self,
        place: &Place<'s, T>,
        name: &str,
        location: &'static Location<'static>,
    ) -> (OperatorBuilder<'s, T>, Valve) {
        let index = self.next_source();
        let mut op = OperatorBuilder::made_at(place, name, location);
        op.descend_from_source(index);
        let gate = place.run().gate(index);
        gate.register(op.sync_activator());
        let gauges = op.origin().gauges();
        (op, Valve { gate, gauges })
    }
}

/// What holds a source on one worker when there is too much in flight.
pub(crate) struct Valve {
    gate: Arc<Gate>,
    gauges: Option<Arc<Gauges>>,
}

impl Valve {
    /// Whether the source is held now.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.gate.is_held()
    }

    /// Whether the source may read in this activation; what it waits is noted.
    pub(crate) fn lets_read(&self) -> bool {
        let is_held = self.gate.is_held();
        if let Some(gauges) = &self.gauges {
            gauges.note_held(is_held);
        }
        !is_held
    }
}

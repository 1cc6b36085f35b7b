//! The reading side of an operator: batches, and the right to send at their time.

use std::sync::Arc;

use timely::communication::Pull;
use timely::dataflow::channels::Message;
use timely::dataflow::operators::generic::InputHandleCore;
use timely::dataflow::operators::{Capability, InputCapability};

use crate::clock::{AnyClock, EventClock, Watermark};
use crate::error::{Error, Result};
use crate::metrics::{Gauges, Volume};
use crate::operator::{Batch, volume_of};

/// An operator's input of batches `C`.
pub struct Input<C, T: AnyClock> {
    pull: Box<dyn PullBatches<C, T>>,
    gauges: Option<Arc<Gauges>>,
}

/// Hides which channel the batches come from.
trait PullBatches<C, T: AnyClock> {
    fn for_each(&mut self, take: &mut dyn FnMut(Token<T>, &mut C));
}

impl<C: Batch, T: AnyClock, P: Pull<Message<T, C>> + 'static> PullBatches<C, T> for InputHandleCore<T, C, P> {
    fn for_each(&mut self, take: &mut dyn FnMut(Token<T>, &mut C)) {
        InputHandleCore::for_each(self, |capability, batch| {
            // A batch sent under no time makes no claims; nothing in this engine sends one.
            if !capability.stamp().is_empty() {
                take(Token { capability }, batch);
            }
        });
    }
}

impl<C: Batch, T: AnyClock> Input<C, T> {
    pub(crate) fn new<P: Pull<Message<T, C>> + 'static>(
        handle: InputHandleCore<T, C, P>,
        gauges: Option<Arc<Gauges>>,
    ) -> Self {
        Input { pull: Box::new(handle), gauges }
    }

    /// Hands every waiting batch to `take`, which may take it or leave it empty.
    #[inline]
    pub fn for_each(&mut self, mut take: impl FnMut(Token<T>, &mut C)) {
        let Some(gauges) = &self.gauges else { return self.pull.for_each(&mut take) };
        let mut read = Volume::default();
        self.pull.for_each(&mut |token, batch| {
            read += volume_of(batch);
            take(token, batch);
        });
        if read.batches > 0 {
            gauges.note_read(read);
        }
    }

    /// As [`for_each`](Self::for_each), up to the first error; what waits behind it is dropped.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn try_for_each(&mut self, mut take: impl FnMut(Token<T>, &mut C) -> Result<()>) -> Result<()> {
        let mut outcome = Ok(());
        self.for_each(|token, batch| {
            if outcome.is_ok() {
                outcome = take(token, batch);
            }
        });
        outcome
    }
}

impl<C, T: AnyClock> std::fmt::Debug for Input<C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

/// The right to send at a batch's time, while the batch is handled.
pub struct Token<T: AnyClock> {
    pub(super) capability: InputCapability<T>,
}

impl<T: AnyClock> Token<T> {
    /// The time of the batch.
    #[inline]
    pub fn time(&self) -> T {
        // An input hands out no token without a time, and every operator sends under one time.
        self.capability.stamp().iter().next().cloned().unwrap_or_else(T::minimum)
    }

    /// The right to send on output `port` later, at the batch's time or after it.
    ///
    /// Time stands still for everything behind the output until the promise is dropped.
    #[inline]
    pub fn promise(&self, port: usize) -> Promise<T> {
        Promise::new(self.capability.delayed(&self.time(), port))
    }
}

impl<T: AnyClock> Token<EventClock<T>> {
    /// The right to send on output `port` at the batch's outer time, behind all event times: where the input says
    /// nothing about these.
    pub(crate) fn silent_promise(&self, port: usize) -> Promise<EventClock<T>> {
        let silent = EventClock::new(self.time().outer, Watermark::SILENT);
        Promise::new(self.capability.delayed(&silent, port))
    }
}

impl<T: AnyClock> std::fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Token").field(&self.capability.stamp()).finish()
    }
}

/// A promise to send on one output: the frontier behind it waits until the promise is dropped or moved on.
#[derive(Clone, Debug)]
pub struct Promise<T: AnyClock> {
    pub(super) capability: Capability<T>,
}

impl<T: AnyClock> Promise<T> {
    pub(crate) fn new(capability: Capability<T>) -> Self {
        Promise { capability }
    }

    /// The earliest time it can still send at.
    #[inline]
    pub fn time(&self) -> &T {
        self.capability.time()
    }

    /// Gives up all times before `time`.
    ///
    /// # Errors
    /// An internal error if `time` is before the promise's time.
    pub fn advance_to(&mut self, time: &T) -> Result<()> {
        let now = self.capability.time().clone();
        self.capability
            .try_downgrade(time)
            .map_err(|_| Error::internal(format!("promise at {now:?} can not go back to {time:?}")))
    }

    /// A second promise at a later time.
    ///
    /// # Errors
    /// An internal error if `time` is before the promise's time.
    pub fn later(&self, time: &T) -> Result<Self> {
        let later = self.capability.try_delayed(time).map(Promise::new);
        later.ok_or_else(|| {
            Error::internal(format!("promise at {:?} has no earlier time {time:?}", self.capability.time()))
        })
    }
}

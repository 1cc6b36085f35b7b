//! The sending side of an operator.

use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pushers::Output as TimelyOutput;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;

use crate::clock::AnyClock;
use crate::operator::{Batch, Promise, Token};

/// An operator's output of batches `C`.
pub struct Output<C: Default + Batch, T: AnyClock> {
    builder: OutputBuilder<T, NoopBuilder<C>>,
}

impl<C: Default + Batch, T: AnyClock> Output<C, T> {
    pub(crate) fn new(output: TimelyOutput<T, C>) -> Self {
        Output { builder: OutputBuilder::from(output) }
    }

    /// Sends whole batches at the token's time; each is left empty, perhaps with a used allocation.
    /// Batches without records are not sent.
    #[inline]
    pub fn send<'b>(&mut self, token: &Token<T>, batches: impl IntoIterator<Item = &'b mut C>) {
        let mut session = self.builder.activate();
        let mut session = session.session_with_builder(&token.capability);
        batches.into_iter().for_each(|batch| {
            if batch.record_count() > 0 {
                session.give_container(batch);
            }
        });
    }

    /// As [`send`](Self::send), at the promise's time.
    #[inline]
    pub fn send_promised<'b>(&mut self, promise: &Promise<T>, batches: impl IntoIterator<Item = &'b mut C>) {
        let mut session = self.builder.activate();
        let mut session = session.session_with_builder(&promise.capability);
        batches.into_iter().for_each(|batch| {
            if batch.record_count() > 0 {
                session.give_container(batch);
            }
        });
    }
}

impl<C: Default + Batch, T: AnyClock> std::fmt::Debug for Output<C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

/// An output that takes records one by one and sends them in batches of about 8 KB.
pub(crate) struct RecordOutput<D: 'static, T: AnyClock> {
    builder: OutputBuilder<T, CapacityContainerBuilder<Vec<D>>>,
}

impl<D: 'static, T: AnyClock> RecordOutput<D, T> {
    pub(crate) fn new(output: TimelyOutput<T, Vec<D>>) -> Self {
        RecordOutput { builder: OutputBuilder::from(output) }
    }

    /// Sends everything in `records` at the token's time.
    #[inline]
    pub(crate) fn send_iter(&mut self, token: &Token<T>, records: impl Iterator<Item = D>) {
        self.builder.activate().session(&token.capability).give_iterator(records);
    }

    /// Sends a whole batch at the token's time.
    #[inline]
    pub(crate) fn send_batch(&mut self, token: &Token<T>, batch: &mut Vec<D>) {
        self.builder.activate().session(&token.capability).give_container(batch);
    }

    /// Sends a whole batch under a capability of the operator's own.
    #[inline]
    pub(crate) fn send_held(&mut self, capability: &Capability<T>, batch: &mut Vec<D>) {
        if !batch.is_empty() {
            self.builder.activate().session(capability).give_container(batch);
        }
    }
}

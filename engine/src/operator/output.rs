//! The sending side of an operator.

use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::channels::pushers::Output as TimelyOutput;
use timely::dataflow::operators::generic::OutputBuilder;

use crate::clock::AnyClock;
use crate::metrics::Gauges;
use crate::operator::{Batch, Promise, Token, volume_of};

/// An operator's output of batches `C`.
pub struct Output<C: Default + Batch, T: AnyClock> {
    builder: OutputBuilder<T, NoopBuilder<C>>,
    gauges: Option<Arc<Gauges>>,
}

impl<C: Default + Batch, T: AnyClock> Output<C, T> {
    pub(crate) fn new(output: TimelyOutput<T, C>, gauges: Option<Arc<Gauges>>) -> Self {
        Output { builder: OutputBuilder::from(output), gauges }
    }

    /// Sends whole batches at the token's time; each is left empty, perhaps with a used allocation.
    /// Batches without records are not sent.
    #[inline]
    pub fn send<'b>(&mut self, token: &Token<T>, batches: impl IntoIterator<Item = &'b mut C>) {
        let mut session = self.builder.activate();
        let mut session = session.session_with_builder(&token.capability);
        batches.into_iter().for_each(|batch| {
            if batch.record_count() > 0 {
                note_sent(&self.gauges, batch);
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
                note_sent(&self.gauges, batch);
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
    builder: OutputBuilder<T, NoopBuilder<Vec<D>>>,
    /// Empty between two calls.
    waiting: Vec<D>,
    gauges: Option<Arc<Gauges>>,
}

impl<D: 'static, T: AnyClock> RecordOutput<D, T> {
    pub(crate) fn new(output: TimelyOutput<T, Vec<D>>, gauges: Option<Arc<Gauges>>) -> Self {
        RecordOutput { builder: OutputBuilder::from(output), waiting: Vec::new(), gauges }
    }

    /// Sends everything in `records` at the token's time.
    #[inline]
    pub(crate) fn send_iter(&mut self, token: &Token<T>, mut records: impl Iterator<Item = D>) {
        let mut session = self.builder.activate();
        let mut session = session.session_with_builder(&token.capability);
        let (waiting, full) = (&mut self.waiting, batch_len::<D>());
        loop {
            waiting.reserve_exact(full);
            waiting.extend(records.by_ref().take(full));
            let is_last = waiting.len() < full;
            if !waiting.is_empty() {
                note_sent(&self.gauges, waiting);
                session.give_container(waiting);
                waiting.clear();
            }
            if is_last {
                return;
            }
        }
    }

    /// Sends what `adapt` makes of the records of a batch, at most one of each, at the token's time.
    ///
    /// Where a result is no larger than a record the results take the place of the records: the batch keeps
    /// its memory, and the loop over it has no checks in it.
    #[inline]
    pub(crate) fn send_each<B, I: Iterator<Item = D>>(
        &mut self,
        token: &Token<T>,
        batch: &mut Vec<B>,
        adapt: impl FnOnce(std::vec::IntoIter<B>) -> I,
    ) {
        let results = adapt(std::mem::take(batch).into_iter());
        if size_of::<D>() <= size_of::<B>() {
            self.send_batch(token, &mut results.collect());
        } else {
            self.send_iter(token, results);
        }
    }

    /// Sends a whole batch at the token's time.
    #[inline]
    pub(crate) fn send_batch(&mut self, token: &Token<T>, batch: &mut Vec<D>) {
        if !batch.is_empty() {
            note_sent(&self.gauges, batch);
            self.builder.activate().session_with_builder(&token.capability).give_container(batch);
        }
    }
}

#[inline]
fn note_sent<C: Batch>(gauges: &Option<Arc<Gauges>>, batch: &C) {
    if let Some(gauges) = gauges {
        gauges.note_sent(volume_of(batch));
    }
}

/// Records of a full batch: 8 KB of them, at least one.
pub(crate) const fn batch_len<D>() -> usize {
    match size_of::<D>() {
        0 => BATCH_BYTES,
        size if size > BATCH_BYTES => 1,
        size => BATCH_BYTES / size,
    }
}

/// What fits the first cache of a processor a few times.
const BATCH_BYTES: usize = 8192;

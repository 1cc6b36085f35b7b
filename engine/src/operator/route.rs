//! Moving records between workers: where each one goes is decided for a whole batch at a time.

use timely::communication::Push;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::progress::Stamp;

use super::output::batch_len;

/// Appends the worker of each record of a batch, in order; each below the number of workers given.
pub(crate) trait Route<D>: 'static {
    fn route(&mut self, records: &[D], workers: usize, to: &mut Vec<usize>);
}

impl<D, F: FnMut(&[D], usize, &mut Vec<usize>) + 'static> Route<D> for F {
    #[inline]
    fn route(&mut self, records: &[D], workers: usize, to: &mut Vec<usize>) {
        self(records, workers, to);
    }
}

/// Collects the records for each worker in a batch of its own.
pub(crate) struct ByRoute<D, R> {
    route: R,
    /// Where the records of the batch at hand go; empty between two batches.
    to: Vec<usize>,
    waiting: Vec<Vec<D>>,
}

impl<D, R> ByRoute<D, R> {
    pub(crate) fn new(route: R, workers: usize) -> Self {
        let waiting = std::iter::repeat_with(Vec::new).take(workers).collect();
        ByRoute { route, to: Vec::new(), waiting }
    }
}

impl<D: 'static, R: Route<D>> Distributor<Vec<D>> for ByRoute<D, R> {
    fn partition<T: Clone, P: Push<Message<T, Vec<D>>>>(
        &mut self,
        batch: &mut Vec<D>,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        self.to.clear();
        self.route.route(batch, pushers.len(), &mut self.to);
        // Progress tracking counts on every record: none may be lost to a route that is too short.
        assert_eq!(self.to.len(), batch.len(), "workers of a batch");
        for (record, to) in batch.drain(..).zip(&self.to) {
            let waiting = &mut self.waiting[*to];
            if waiting.capacity() == 0 {
                waiting.reserve_exact(batch_len::<D>());
            }
            waiting.push(record);
            if waiting.len() >= batch_len::<D>() {
                send(waiting, stamp, &mut pushers[*to]);
            }
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Vec<D>>>>(&mut self, stamp: &Stamp<T>, pushers: &mut [P]) {
        for (waiting, pusher) in self.waiting.iter_mut().zip(pushers) {
            if !waiting.is_empty() {
                send(waiting, stamp, pusher);
            }
        }
    }
}

fn send<D, T: Clone, P: Push<Message<T, Vec<D>>>>(batch: &mut Vec<D>, stamp: &Stamp<T>, pusher: &mut P) {
    Message::push_at(batch, stamp.clone(), pusher);
    // A pusher may hand back a used batch.
    batch.clear();
}

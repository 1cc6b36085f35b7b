//! The channel of records that move between workers one by one: batches on both ends, [`Rows`] in between.

use std::rc::Rc;

use timely::communication::{Pull, Push};
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::{LogPuller, LogPusher, ParallelizationContract};
use timely::dataflow::channels::pushers::Exchange;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::logging::TimelyLogger;
use timely::progress::Timestamp;
use timely::worker::Worker;

use crate::record::Record;
use crate::wire::Rows;

/// Sends the records of a batch where the distributor that `B` makes for a number of workers says.
pub(crate) struct Wired<B>(pub(crate) B);

impl<T, D, B, R> ParallelizationContract<T, Vec<D>> for Wired<B>
where
    T: Timestamp,
    D: Record,
    B: FnOnce(usize) -> R,
    R: Distributor<Vec<D>> + 'static,
{
    type Pusher = Exchange<T, Wiring<LogPusher<Box<dyn Push<Message<T, Rows<D>>>>>>, R>;
    type Puller = Unwiring<T, D, LogPuller<Box<dyn Pull<Message<T, Rows<D>>>>>>;

    fn connect(
        self,
        worker: &Worker,
        identifier: usize,
        address: Rc<[usize]>,
        logging: Option<TimelyLogger>,
    ) -> (Self::Pusher, Self::Puller) {
        let (senders, receiver) = worker.allocate::<Message<T, Rows<D>>>(identifier, address);
        let me = worker.index();
        let senders = senders.into_iter().enumerate();
        let senders = senders.map(|(to, sender)| LogPusher::new(sender, me, to, identifier, logging.clone()));
        let pusher = Exchange::new(senders.map(Wiring).collect(), (self.0)(worker.peers()));
        let puller = LogPuller::new(receiver, me, identifier, logging.clone());
        (pusher, Unwiring { puller, at_hand: None })
    }
}

/// Sends batches as [`Rows`].
pub(crate) struct Wiring<P>(P);

impl<T, D, P: Push<Message<T, Rows<D>>>> Push<Message<T, Vec<D>>> for Wiring<P> {
    #[inline]
    fn push(&mut self, message: &mut Option<Message<T, Vec<D>>>) {
        let mut wired = message.take().map(|message| repack(message, Rows));
        self.0.push(&mut wired);
        // A channel to another process gives the batch back.
        *message = wired.map(|message| repack(message, |rows| rows.0));
    }
}

/// Receives [`Rows`] as batches.
pub(crate) struct Unwiring<T, D, P> {
    puller: P,
    at_hand: Option<Message<T, Vec<D>>>,
}

impl<T, D, P: Pull<Message<T, Rows<D>>>> Pull<Message<T, Vec<D>>> for Unwiring<T, D, P> {
    #[inline]
    fn pull(&mut self) -> &mut Option<Message<T, Vec<D>>> {
        self.at_hand = self.puller.pull().take().map(|message| repack(message, |rows| rows.0));
        &mut self.at_hand
    }
}

fn repack<T, A, B>(message: Message<T, A>, f: impl FnOnce(A) -> B) -> Message<T, B> {
    let Message { stamp, data, from, seq } = message;
    Message { stamp, data: f(data), from, seq }
}

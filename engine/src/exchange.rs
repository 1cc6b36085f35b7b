//! Channels that count what is in flight on them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use timely::Accountable;
use timely::communication::{Pull, Push};
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::logging::TimelyLogger;
use timely::scheduling::Activator;
use timely::worker::Worker;

use crate::flow::{Account, Lineage};
use crate::origin::Origin;

/// A channel as `pact` makes it, whose records in flight are counted and hold the sources of `lineage`.
pub(crate) struct Counted<P> {
    pub(crate) pact: P,
    /// The operator that reads from it.
    pub(crate) reader: Rc<Origin>,
    pub(crate) lineage: Lineage,
    /// Whether the reader may leave it unread until another input has ended.
    pub(crate) may_wait: bool,
    pub(crate) channel: Channel,
}

/// What a counted channel is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// An exchange between workers. What has been read is not counted any more.
    Exchange,
    /// The feedback edge of a loop. What has been read is counted until its worker has had the time to send it
    /// round: taken for gone, it would release the sources just before it is back.
    Feedback,
}

impl<T, C, P> ParallelizationContract<T, C> for Counted<P>
where
    T: 'static,
    C: Accountable + 'static,
    P: ParallelizationContract<T, C>,
{
    type Pusher = CountedPusher<P::Pusher>;
    type Puller = CountedPuller<T, C, P::Puller>;

    fn connect(
        self,
        worker: &Worker,
        identifier: usize,
        address: Rc<[usize]>,
        logging: Option<TimelyLogger>,
    ) -> (Self::Pusher, Self::Puller) {
        let (pusher, puller) = self.pact.connect(worker, identifier, Rc::clone(&address), logging);
        let ledger = self.reader.run().ledger();
        let tally = ledger.counts().then(|| {
            let account = ledger.account(identifier);
            account.set_lineage(&self.lineage, self.may_wait);
            Rc::new(Tally::new(account, Rc::clone(&self.reader), self.channel))
        });
        let turn = if self.channel == Channel::Feedback { usize::MAX } else { ledger.turn() };
        let reader = Reader { again: worker.activator_for(address), turn, left: turn };
        (
            CountedPusher { pusher, tally: tally.clone() },
            CountedPuller { puller, tally, reader, nothing: None },
        )
    }
}

/// What one worker has sent into an exchange less what it has read from it, and not yet added to the account.
struct Tally {
    account: Arc<Account>,
    reader: Rc<Origin>,
    channel: Channel,
    sum: Cell<i64>,
    /// Records that were read from a feedback edge and may be on their way round.
    away: Cell<i64>,
    /// 1 until the account has the name of the reader, which programs set after they have built it.
    add_at: Cell<u64>,
}

impl Tally {
    fn new(account: Arc<Account>, reader: Rc<Origin>, channel: Channel) -> Self {
        Tally { account, reader, channel, sum: Cell::new(0), away: Cell::new(0), add_at: Cell::new(1) }
    }

    #[inline]
    fn sent(&self, records: i64) {
        let back = records.min(self.away.get());
        self.away.set(self.away.get() - back);
        self.note(records - back);
    }

    #[inline]
    fn read(&self, records: i64) {
        match self.channel {
            Channel::Exchange => self.note(-records),
            Channel::Feedback => self.away.set(self.away.get() + records),
        }
    }

    /// Takes what was away, and has not come round while all operators had their turn, for gone.
    #[inline]
    fn settle(&self) {
        self.note(-self.away.take());
    }

    #[inline]
    fn note(&self, change: i64) {
        let sum = self.sum.get() + change;
        if sum.unsigned_abs() < self.add_at.get() {
            self.sum.set(sum);
        } else {
            self.add(sum);
        }
    }

    #[cold]
    fn add(&self, sum: i64) {
        self.account.set_name(|| self.reader.site().operator);
        self.add_at.set(self.account.share());
        self.sum.set(0);
        self.account.add(sum, self.reader.run());
    }
}

/// Counts what is sent.
pub(crate) struct CountedPusher<P> {
    pusher: P,
    tally: Option<Rc<Tally>>,
}

impl<T, C: Accountable, P: Push<Message<T, C>>> Push<Message<T, C>> for CountedPusher<P> {
    #[inline]
    fn push(&mut self, message: &mut Option<Message<T, C>>) {
        if let (Some(tally), Some(message)) = (&self.tally, &message) {
            tally.sent(message.data.record_count());
        }
        self.pusher.push(message);
    }
}

/// Counts what is read, and ends the turn of a reader that has had enough.
pub(crate) struct CountedPuller<T, C, P> {
    puller: P,
    tally: Option<Rc<Tally>>,
    reader: Reader,
    /// Stays `None`: what a reader gets at the end of its turn.
    nothing: Option<Message<T, C>>,
}

/// The operator that reads.
struct Reader {
    again: Activator,
    /// Records it may read in one activation.
    turn: usize,
    left: usize,
}

impl<T, C: Accountable, P: Pull<Message<T, C>>> Pull<Message<T, C>> for CountedPuller<T, C, P> {
    #[inline]
    fn pull(&mut self) -> &mut Option<Message<T, C>> {
        let Some(tally) = &self.tally else { return self.puller.pull() };
        if self.reader.left == 0 {
            self.reader.left = self.reader.turn;
            self.reader.again.activate();
            return &mut self.nothing;
        }
        if self.reader.left == self.reader.turn {
            tally.settle();
        }
        let message = self.puller.pull();
        match message {
            Some(message) => {
                let records = message.data.record_count();
                tally.read(records);
                self.reader.left = self.reader.left.saturating_sub(records.unsigned_abs() as usize);
            }
            None => {
                self.reader.left = self.reader.turn;
                if tally.away.get() > 0 {
                    self.reader.again.activate();
                }
            }
        }
        message
    }
}

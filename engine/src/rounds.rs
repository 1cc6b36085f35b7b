//! What operators inside a loop can ask it for.

use std::cell::RefCell;
use std::rc::Rc;

use crate::clock::{AnyClock, EventClock};
use crate::edge::{Edge, Place};
use crate::feedback::Mark;

/// What a tick says of the round with which the loop leaves its checkpoint epoch.
pub const LEAVES: Mark = 1;

/// What it says of any other round.
pub const STAYS: Mark = 0;

/// What it says, at the first time of a run, where all that has begun goes on in the next checkpoint epoch: more may still
/// come into the loop.
pub const GOES_ON: Mark = 2;

/// The loop around a place, as the operators in its body see it.
pub trait LoopHead<'s, T: AnyClock> {
    /// An edge with one batch on every worker for each round that begins, at its time; but for the first time of
    /// all, which every operator has a promise for. An operator that reads it hears of every round before its
    /// frontier is behind the round. A batch is [`STAYS`], or [`LEAVES`] where the round behind it is in the next checkpoint
    /// epoch, or [`GOES_ON`].
    fn ticks(&self) -> Edge<'s, Vec<Mark>, T>;

    /// Whether operators that are told of rounds handle nothing of a later round before they have been told that
    /// the earlier ones are complete.
    fn in_order(&self) -> bool;

    /// Notes an edge that says [`GOES_ON`], on worker 0, where what comes into the loop goes on in the next epoch.
    fn note_entrance(&self, _told: Edge<'s, Vec<Mark>, T>) {}

    /// Whether the loop, or one around it, goes on over checkpoint epochs: what its operators keep over rounds is then part
    /// of checkpoints.
    fn crosses_epochs(&self) -> bool;
}

/// A loop, as the streams with event time in its body see it.
pub(crate) struct EnteredHead<'s, T: AnyClock> {
    around: Rc<dyn LoopHead<'s, T> + 's>,
    events: Place<'s, EventClock<T>>,
    ticks: RefCell<Option<Edge<'s, Vec<Mark>, EventClock<T>>>>,
}

impl<'s, T: AnyClock> EnteredHead<'s, T> {
    /// The loop `around`, whose streams with event time live in `events`.
    pub(crate) fn new(around: Rc<dyn LoopHead<'s, T> + 's>, events: Place<'s, EventClock<T>>) -> Self {
        EnteredHead { around, events, ticks: RefCell::default() }
    }
}

impl<'s, T: AnyClock> LoopHead<'s, EventClock<T>> for EnteredHead<'s, T> {
    fn ticks(&self) -> Edge<'s, Vec<Mark>, EventClock<T>> {
        let entered = || self.events.enter_event_time(self.around.ticks());
        self.ticks.borrow_mut().get_or_insert_with(entered).clone()
    }

    fn in_order(&self) -> bool {
        self.around.in_order()
    }

    fn crosses_epochs(&self) -> bool {
        self.around.crosses_epochs()
    }
}

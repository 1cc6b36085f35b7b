//! What the futures of a worker ask for, and who waits for which answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Result};

use crate::async_worker::{AsyncWorker, AsyncWorkerLogic};
use crate::worker::ParameterServerClient;

/// Something that a future asked for and that is not issued yet. Rows of pushes stand in the desk.
enum Order<K> {
    Pull(K),
    Push(K, usize),
    PushPull(K, usize),
    PullMany { keys: Vec<K>, snapshot: bool },
    AdvanceClock,
}

/// The desk between the futures of a worker and its client: orders one way, answers the other.
pub(super) struct Desk<A: AsyncWorkerLogic> {
    orders: Vec<Order<A::Key>>,
    /// Rows of the pushes among the orders, one after another.
    deltas: Vec<A::Push>,
    outputs: Vec<A::Out>,
    tickets: Vec<Ticket<A::Pull>>,
    free: Vec<usize>,
    /// Tickets of the unanswered pulls of each key, in order.
    of_key: FxHashMap<A::Key, VecDeque<usize>>,
    /// The same, for pulls of many keys.
    of_keys: FxHashMap<Vec<A::Key>, VecDeque<usize>>,
    clock: u64,
    /// Those that wait for the next clock.
    clock_waiters: Vec<Waker>,
    pool: Pool<A::Pull>,
}

/// Memory of rows, to be used again.
type Pool<E> = Rc<RefCell<Vec<Vec<E>>>>;

/// The state of one pull.
enum Ticket<E> {
    Waiting(Option<Waker>),
    Answered(Row<E>),
    /// Nobody waits for it any more.
    Dropped,
}

/// The row of a pull, `pull_width` elements; of a pull of many keys, all rows in the order of the keys.
pub struct Row<E> {
    elements: Vec<E>,
    pool: Pool<E>,
}

impl<E> Deref for Row<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.elements
    }
}

impl<E> Drop for Row<E> {
    fn drop(&mut self) {
        let mut elements = std::mem::take(&mut self.elements);
        elements.clear();
        self.pool.borrow_mut().push(elements);
    }
}

impl<E: std::fmt::Debug> std::fmt::Debug for Row<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.elements.fmt(f)
    }
}

impl<A: AsyncWorkerLogic> Desk<A> {
    pub(super) fn new() -> Self {
        Desk {
            orders: Vec::new(),
            deltas: Vec::new(),
            outputs: Vec::new(),
            tickets: Vec::new(),
            free: Vec::new(),
            of_key: FxHashMap::default(),
            of_keys: FxHashMap::default(),
            clock: 0,
            clock_waiters: Vec::new(),
            pool: Pool::default(),
        }
    }

    pub(super) fn pull(&mut self, key: A::Key) -> usize {
        let ticket = self.add_ticket();
        self.of_key.entry(key.clone()).or_default().push_back(ticket);
        self.orders.push(Order::Pull(key));
        ticket
    }

    pub(super) fn push_pull(&mut self, key: A::Key, delta: impl IntoIterator<Item = A::Push>) -> usize {
        let (ticket, n) = (self.add_ticket(), self.add_delta(delta));
        self.of_key.entry(key.clone()).or_default().push_back(ticket);
        self.orders.push(Order::PushPull(key, n));
        ticket
    }

    pub(super) fn pull_many(&mut self, keys: Vec<A::Key>, snapshot: bool) -> usize {
        let ticket = self.add_ticket();
        self.of_keys.entry(keys.clone()).or_default().push_back(ticket);
        self.orders.push(Order::PullMany { keys, snapshot });
        ticket
    }

    pub(super) fn push(&mut self, key: A::Key, delta: impl IntoIterator<Item = A::Push>) {
        let n = self.add_delta(delta);
        self.orders.push(Order::Push(key, n));
    }

    fn add_delta(&mut self, delta: impl IntoIterator<Item = A::Push>) -> usize {
        let before = self.deltas.len();
        self.deltas.extend(delta);
        self.deltas.len() - before
    }

    pub(super) fn output(&mut self, out: A::Out) {
        self.outputs.push(out);
    }

    pub(super) fn advance_clock(&mut self) {
        self.orders.push(Order::AdvanceClock);
    }

    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    pub(super) fn go_to_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Tells the futures that wait for it of a clock that has come.
    pub(super) fn set_clock(&mut self, clock: u64) {
        self.clock = clock;
        self.clock_waiters.drain(..).for_each(Waker::wake);
    }

    /// Waits until the clock is not `clock` any more.
    pub(super) fn poll_clock(&mut self, clock: u64, context: &Context<'_>) -> Poll<u64> {
        if self.clock != clock {
            return Poll::Ready(self.clock);
        }
        self.clock_waiters.push(context.waker().clone());
        Poll::Pending
    }

    /// Issues all that was asked for, in order.
    pub(super) fn issue(&mut self, ps: &mut ParameterServerClient<AsyncWorker<A>>) -> Result<()> {
        let mut deltas = self.deltas.drain(..);
        for order in self.orders.drain(..) {
            match order {
                Order::Pull(key) => ps.pull(key)?,
                Order::Push(key, n) => ps.push(key, deltas.by_ref().take(n))?,
                Order::PushPull(key, n) => ps.push_pull(key, deltas.by_ref().take(n))?,
                Order::PullMany { keys, snapshot: false } => ps.pull_many(keys)?,
                Order::PullMany { keys, snapshot: true } => ps.pull_snapshot(keys)?,
                Order::AdvanceClock => ps.advance_clock(),
            }
        }
        self.outputs.drain(..).for_each(|out| ps.output(out));
        Ok(())
    }

    fn add_ticket(&mut self) -> usize {
        match self.free.pop() {
            Some(ticket) => {
                self.tickets[ticket] = Ticket::Waiting(None);
                ticket
            }
            None => {
                self.tickets.push(Ticket::Waiting(None));
                self.tickets.len() - 1
            }
        }
    }

    /// Hands the row of `key` to the oldest pull of it.
    pub(super) fn answer(&mut self, key: &A::Key, row: &[A::Pull]) -> Result<()> {
        let unasked = || Error::operator(format!("a row of {key:?} came that no future has pulled"));
        let tickets = self.of_key.get_mut(key).ok_or_else(unasked)?;
        let ticket = tickets.pop_front().ok_or_else(unasked)?;
        if tickets.is_empty() {
            self.of_key.remove(key);
        }
        self.hand_over(ticket, row);
        Ok(())
    }

    /// Hands the rows of `keys` to the oldest pull of just these.
    pub(super) fn answer_many(&mut self, keys: &[A::Key], rows: &[A::Pull]) -> Result<()> {
        let unasked =
            || Error::internal(format!("rows of {} keys came that no future has pulled", keys.len()));
        let tickets = self.of_keys.get_mut(keys).ok_or_else(unasked)?;
        let ticket = tickets.pop_front().ok_or_else(unasked)?;
        if tickets.is_empty() {
            self.of_keys.remove(keys);
        }
        self.hand_over(ticket, rows);
        Ok(())
    }

    fn hand_over(&mut self, ticket: usize, row: &[A::Pull]) {
        let mut elements = self.pool.borrow_mut().pop().unwrap_or_default();
        elements.extend_from_slice(row);
        let row = Row { elements, pool: Rc::clone(&self.pool) };
        match std::mem::replace(&mut self.tickets[ticket], Ticket::Answered(row)) {
            Ticket::Waiting(waker) => waker.into_iter().for_each(Waker::wake),
            Ticket::Answered(_) | Ticket::Dropped => self.give_back(ticket),
        }
    }

    /// The row of a ticket, if it has come; the ticket is settled then.
    pub(super) fn poll_row(&mut self, ticket: usize, context: &Context<'_>) -> Poll<Row<A::Pull>> {
        match std::mem::replace(&mut self.tickets[ticket], Ticket::Dropped) {
            Ticket::Answered(row) => {
                self.free.push(ticket);
                Poll::Ready(row)
            }
            _ => {
                self.tickets[ticket] = Ticket::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Nobody waits for this ticket any more.
    pub(super) fn drop_ticket(&mut self, ticket: usize) {
        match self.tickets[ticket] {
            Ticket::Answered(_) => self.give_back(ticket),
            Ticket::Waiting(_) | Ticket::Dropped => self.tickets[ticket] = Ticket::Dropped,
        }
    }

    fn give_back(&mut self, ticket: usize) {
        self.tickets[ticket] = Ticket::Dropped;
        self.free.push(ticket);
    }
}

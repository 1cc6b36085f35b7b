//! What futures talk to the parameter server with, and what they await.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::async_worker::AsyncWorkerLogic;
use crate::async_worker::desk::{Desk, Row};

/// What the futures of an [`AsyncWorkerLogic`] talk to the parameter server with.
///
/// An operation is issued when its method is called, in the order of the calls, and not when its future is first
/// polled: two pulls that are called for and then awaited are under way together. An operation that can not be
/// issued (a push of a wrong width, a key that the placement does not know) ends the run.
pub struct PsHandle<A: AsyncWorkerLogic> {
    desk: Rc<RefCell<Desk<A>>>,
}

impl<A: AsyncWorkerLogic> Clone for PsHandle<A> {
    fn clone(&self) -> Self {
        PsHandle { desk: Rc::clone(&self.desk) }
    }
}

impl<A: AsyncWorkerLogic> PsHandle<A> {
    pub(super) fn new(desk: Rc<RefCell<Desk<A>>>) -> Self {
        PsHandle { desk }
    }

    fn pulled(&self, ask: impl FnOnce(&mut Desk<A>) -> usize) -> Pulled<A> {
        let ticket = Some(ask(&mut self.desk.borrow_mut()));
        Pulled { desk: Rc::clone(&self.desk), ticket }
    }

    /// Asks for the row of `key`.
    pub fn pull(&self, key: A::Key) -> Pulled<A> {
        self.pulled(|desk| desk.pull(key))
    }

    /// Asks for the rows of many keys; see [`pull_many`](crate::ParameterServerClient::pull_many).
    pub fn pull_many(&self, keys: impl Into<Vec<A::Key>>) -> Pulled<A> {
        self.pulled(|desk| desk.pull_many(keys.into(), false))
    }

    /// Asks for the rows of many keys as of one version; see
    /// [`pull_snapshot`](crate::ParameterServerClient::pull_snapshot).
    pub fn pull_snapshot(&self, keys: impl Into<Vec<A::Key>>) -> Pulled<A> {
        self.pulled(|desk| desk.pull_many(keys.into(), true))
    }

    /// Sends an update of the row of `key`, `push_width` elements.
    pub fn push(&self, key: A::Key, delta: impl IntoIterator<Item = A::Push>) {
        self.desk.borrow_mut().push(key, delta);
    }

    /// Sends an update and asks for the row after it; see [`push_pull`](crate::ParameterServerClient::push_pull).
    pub fn push_pull(&self, key: A::Key, delta: impl IntoIterator<Item = A::Push>) -> Pulled<A> {
        self.pulled(|desk| desk.push_pull(key, delta))
    }

    /// Emits a result on the worker output stream.
    pub fn output(&self, out: A::Out) {
        self.desk.borrow_mut().output(out);
    }

    /// Says that this worker has done everything of its present clock, up to what is under way; see
    /// [`advance_clock`](crate::ParameterServerClient::advance_clock). The future comes to the new clock.
    pub fn advance_clock(&self) -> ClockAdvanced<A> {
        let mut desk = self.desk.borrow_mut();
        desk.advance_clock();
        ClockAdvanced { desk: Rc::clone(&self.desk), from: desk.clock() }
    }

    /// The present clock of this worker, from 0.
    pub fn clock(&self) -> u64 {
        self.desk.borrow().clock()
    }
}

impl<A: AsyncWorkerLogic> std::fmt::Debug for PsHandle<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PsHandle")
    }
}

/// The answer to a pull, once it has come.
#[must_use = "the pull is under way, but its answer comes to whoever awaits it"]
pub struct Pulled<A: AsyncWorkerLogic> {
    desk: Rc<RefCell<Desk<A>>>,
    /// Until it is answered.
    ticket: Option<usize>,
}

impl<A: AsyncWorkerLogic> Future for Pulled<A> {
    type Output = Row<A::Pull>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Row<A::Pull>> {
        let this = self.get_mut();
        // One that has been answered is not to be polled again; it then waits for ever.
        let Some(ticket) = this.ticket else { return Poll::Pending };
        let row = this.desk.borrow_mut().poll_row(ticket, context);
        if row.is_ready() {
            this.ticket = None;
        }
        row
    }
}

impl<A: AsyncWorkerLogic> Drop for Pulled<A> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.desk.borrow_mut().drop_ticket(ticket);
        }
    }
}

impl<A: AsyncWorkerLogic> std::fmt::Debug for Pulled<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulled").field("answered", &self.ticket.is_none()).finish()
    }
}

/// The next clock of a worker, once it has come.
#[must_use = "the clock moves on, but its coming is told to whoever awaits it"]
pub struct ClockAdvanced<A: AsyncWorkerLogic> {
    desk: Rc<RefCell<Desk<A>>>,
    from: u64,
}

impl<A: AsyncWorkerLogic> Future for ClockAdvanced<A> {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        self.desk.borrow_mut().poll_clock(self.from, context)
    }
}

impl<A: AsyncWorkerLogic> std::fmt::Debug for ClockAdvanced<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClockAdvanced").field("from", &self.from).finish()
    }
}

//! Futures that an operator runs on its own thread: polled when they were woken, and only then.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::runtime::state::lock;

/// Room for futures `R` of one kind. A place, its memory and its waker are used again when its future has come to
/// its result.
///
/// # Examples
/// ```
/// use waterwheel_engine::operator::Futures;
/// let mut futures = Futures::new(|| ());
/// let place = futures.start(std::future::ready(7));
/// assert_eq!(futures.poll(place), Some(7));
/// assert_eq!(futures.n_open(), 0);
/// ```
pub struct Futures<R> {
    slots: Vec<Slot<R>>,
    free: Vec<usize>,
    wakeups: Arc<Wakeups>,
}

struct Slot<R> {
    future: Pin<Box<Option<R>>>,
    waker: Waker,
    flag: Arc<SlotWaker>,
}

/// The slots to poll.
struct Wakeups {
    woken: Mutex<Vec<usize>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Asks, from any thread, that one slot is polled.
struct SlotWaker {
    slot: usize,
    is_queued: AtomicBool,
    wakeups: Arc<Wakeups>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = lock(&self.wakeups.woken);
        let is_first = woken.is_empty();
        woken.push(self.slot);
        drop(woken);
        if is_first {
            (self.wakeups.wake)();
        }
    }
}

impl<R: Future> Futures<R> {
    /// No futures. `wake` is called, from any thread, when the first one is to be polled again.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let wakeups = Arc::new(Wakeups { woken: Mutex::default(), wake: Box::new(wake) });
        Futures { slots: Vec::new(), free: Vec::new(), wakeups }
    }

    /// Adds a future and returns its place. It is not polled yet.
    pub fn start(&mut self, future: R) -> usize {
        let place = self.free.pop().unwrap_or_else(|| self.add_slot());
        self.slots[place].future.set(Some(future));
        place
    }

    fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let flag = SlotWaker { slot, is_queued: AtomicBool::new(false), wakeups: Arc::clone(&self.wakeups) };
        let flag = Arc::new(flag);
        let waker = Waker::from(Arc::clone(&flag));
        self.slots.push(Slot { future: Box::pin(None), waker, flag });
        slot
    }

    /// Number of futures that have not come to their result.
    pub fn n_open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts the places of the futures that were woken into `woken`, in place of what is there.
    pub fn take_woken(&mut self, woken: &mut Vec<usize>) {
        woken.clear();
        std::mem::swap(&mut *lock(&self.wakeups.woken), woken);
    }

    /// Goes on with the future at a place; its result, if it has come to it. One that was woken late may find
    /// another there, or none.
    pub fn poll(&mut self, place: usize) -> Option<R::Output> {
        let slot = self.slots.get_mut(place)?;
        slot.flag.is_queued.store(false, Ordering::Release);
        let future = slot.future.as_mut().as_pin_mut()?;
        let Poll::Ready(result) = future.poll(&mut Context::from_waker(&slot.waker)) else { return None };
        slot.future.set(None);
        self.free.push(place);
        Some(result)
    }
}

impl<R> std::fmt::Debug for Futures<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Futures").field("open", &(self.slots.len() - self.free.len())).finish_non_exhaustive()
    }
}

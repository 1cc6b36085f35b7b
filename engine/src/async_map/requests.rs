//! The requests of one worker: which futures run, which wait, and in which order their answers leave.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use timely::scheduling::activate::SyncActivator;

use crate::async_map::{AsyncOptions, AsyncOrder};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::machine;
use crate::operator::Promise;
use crate::runtime::state::lock;

/// The requests of one worker: futures `R` of records `D`, made by `F`, that come to `E`.
pub(super) struct Requests<D, E, R, F, T: Clock> {
    f: F,
    options: AsyncOptions,
    /// Records beyond the limit, by batch.
    backlog: VecDeque<(Rc<Promise<T>>, std::vec::IntoIter<D>)>,
    slots: Vec<Slot<R, T>>,
    free: Vec<usize>,
    wakeups: Arc<Wakeups>,
    next_number: u64,
    /// Answers that wait for their turn; the first one is that of request `next_number - len`. Ordered only.
    turns: VecDeque<Option<Answer<E, T>>>,
    outbox: VecDeque<Answer<E, T>>,
    deadlines: VecDeque<Deadline>,
    timer: Option<Instant>,
}

/// What a request came to, and the right to send it.
type Answer<E, T> = (Rc<Promise<T>>, E);

/// Room for one future at a time; its memory and its waker are used again.
struct Slot<R, T: Clock> {
    future: Pin<Box<Option<R>>>,
    promise: Option<Rc<Promise<T>>>,
    number: u64,
    waker: Waker,
    flag: Arc<SlotWaker>,
}

/// When a request is to be answered at the latest.
struct Deadline {
    at: Instant,
    slot: usize,
    number: u64,
}

/// The slots to poll.
struct Wakeups {
    woken: Mutex<Vec<usize>>,
    activator: SyncActivator,
}

/// Wakes the operator, from any thread, to poll one slot.
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
            // A worker that has ended can not be woken, and need not be.
            let _ = self.wakeups.activator.activate();
        }
    }
}

impl<D, E, R, F, T> Requests<D, E, R, F, T>
where
    R: Future<Output = Result<E>>,
    F: FnMut(D) -> R,
    T: Clock,
{
    pub(super) fn new(f: F, options: AsyncOptions, activator: SyncActivator) -> Self {
        Requests {
            f,
            options,
            backlog: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            wakeups: Arc::new(Wakeups { woken: Mutex::default(), activator }),
            next_number: 0,
            turns: VecDeque::new(),
            outbox: VecDeque::new(),
            deadlines: VecDeque::new(),
            timer: None,
        }
    }

    /// Adds the records of a batch.
    pub(super) fn add(&mut self, promise: Rc<Promise<T>>, batch: Vec<D>) {
        self.backlog.push_back((promise, batch.into_iter()));
    }

    /// Goes on with the requests that were woken, then starts as many as the limit allows.
    pub(super) fn run(&mut self) -> Result<()> {
        let woken = std::mem::take(&mut *lock(&self.wakeups.woken));
        woken.into_iter().try_for_each(|slot| self.poll(slot))?;
        while self.n_open() < self.options.limit {
            let Some((promise, record)) = self.next_record() else { break };
            self.start(promise, record)?;
        }
        Ok(())
    }

    /// Whether there is no room for another record.
    pub(super) fn is_full(&self) -> bool {
        !self.backlog.is_empty() || self.n_open() >= self.options.limit
    }

    /// Appends to `answers` those that may be sent with the returned promise; `None` if there are none.
    pub(super) fn take_answers(&mut self, answers: &mut Vec<E>) -> Option<Rc<Promise<T>>> {
        let (promise, first) = self.outbox.pop_front()?;
        answers.push(first);
        while let Some((_, answer)) = self.outbox.pop_front_if(|(next, _)| Rc::ptr_eq(next, &promise)) {
            answers.push(answer);
        }
        Some(promise)
    }

    /// When to look for late requests again, unless that is settled.
    ///
    /// # Errors
    /// A request took too long.
    pub(super) fn check_timeout(&mut self) -> Result<Option<Duration>> {
        let slots = &self.slots;
        let is_answered = |due: &mut Deadline| {
            let slot = &slots[due.slot];
            slot.number != due.number || slot.promise.is_none()
        };
        while self.deadlines.pop_front_if(is_answered).is_some() {}
        let (Some(due), Some(timeout)) = (self.deadlines.front(), self.options.timeout) else {
            return Ok(None);
        };
        let now = machine::now();
        if due.at <= now {
            return Err(Error::operator(format!("a request took longer than {timeout:?}")));
        }
        if self.timer.is_some_and(|timer| timer > now) {
            return Ok(None);
        }
        self.timer = Some(due.at);
        Ok(Some(due.at - now))
    }

    /// Records that count against the limit.
    fn n_open(&self) -> usize {
        match self.options.order {
            AsyncOrder::Ordered => self.turns.len(),
            AsyncOrder::Unordered => self.slots.len() - self.free.len(),
        }
    }

    fn next_record(&mut self) -> Option<(Rc<Promise<T>>, D)> {
        loop {
            let (promise, records) = self.backlog.front_mut()?;
            if let Some(record) = records.next() {
                return Some((Rc::clone(promise), record));
            }
            self.backlog.pop_front();
        }
    }

    fn start(&mut self, promise: Rc<Promise<T>>, record: D) -> Result<()> {
        let index = self.free.pop().unwrap_or_else(|| self.add_slot());
        let number = self.next_number;
        self.next_number += 1;
        let slot = &mut self.slots[index];
        slot.future.set(Some((self.f)(record)));
        slot.promise = Some(promise);
        slot.number = number;
        if self.options.order == AsyncOrder::Ordered {
            self.turns.push_back(None);
        }
        if let Some(at) = self.options.timeout.and_then(|timeout| machine::now().checked_add(timeout)) {
            self.deadlines.push_back(Deadline { at, slot: index, number });
        }
        self.poll(index)
    }

    fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let flag = SlotWaker { slot, is_queued: AtomicBool::new(false), wakeups: Arc::clone(&self.wakeups) };
        let flag = Arc::new(flag);
        let waker = Waker::from(Arc::clone(&flag));
        self.slots.push(Slot { future: Box::pin(None), promise: None, number: 0, waker, flag });
        slot
    }

    /// Goes on with the request in a slot. One that was woken late may find another there, or none.
    fn poll(&mut self, index: usize) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.flag.is_queued.store(false, Ordering::Release);
        let Some(future) = slot.future.as_mut().as_pin_mut() else { return Ok(()) };
        let Poll::Ready(answer) = future.poll(&mut Context::from_waker(&slot.waker)) else { return Ok(()) };
        slot.future.set(None);
        self.free.push(index);
        let (number, promise) = (slot.number, slot.promise.take());
        if let Some(promise) = promise {
            self.answered(number, (promise, answer?));
        }
        Ok(())
    }

    fn answered(&mut self, number: u64, answer: Answer<E, T>) {
        if self.options.order == AsyncOrder::Unordered {
            self.outbox.push_back(answer);
            return;
        }
        let first = self.next_number - self.turns.len() as u64;
        self.turns[(number - first) as usize] = Some(answer);
        while let Some(Some(answer)) = self.turns.pop_front_if(|turn| turn.is_some()) {
            self.outbox.push_back(answer);
        }
    }
}

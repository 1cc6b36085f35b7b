//! The requests of one worker: which futures run, which wait, and in which order their answers leave.

use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use timely::scheduling::activate::SyncActivator;

use crate::async_map::{AsyncOptions, AsyncOrder};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::machine;
use crate::operator::{Futures, Promise};

/// The requests of one worker: futures `R` of records `D`, made by `F`, that come to `E`.
pub(super) struct Requests<D, E, R, F, T: Clock> {
    f: F,
    options: AsyncOptions,
    /// Records beyond the limit, by batch.
    backlog: VecDeque<(Rc<Promise<T>>, std::vec::IntoIter<D>)>,
    futures: Futures<R>,
    /// Places of futures to be polled, while they are.
    woken: Vec<usize>,
    /// What each future is for, by its place.
    slots: Vec<Slot<T>>,
    next_number: u64,
    /// Answers that wait for their turn; the first one is that of request `next_number - len`. Ordered only.
    turns: VecDeque<Option<Answer<E, T>>>,
    outbox: VecDeque<Answer<E, T>>,
    deadlines: VecDeque<Deadline>,
    timer: Option<Instant>,
}

/// What a request came to, and the right to send it.
type Answer<E, T> = (Rc<Promise<T>>, E);

/// The request whose future is, or was, at a place.
struct Slot<T: Clock> {
    promise: Option<Rc<Promise<T>>>,
    number: u64,
}

/// When a request is to be answered at the latest.
struct Deadline {
    at: Instant,
    slot: usize,
    number: u64,
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
            // A worker that has ended can not be woken, and need not be.
            futures: Futures::new(move || {
                let _ = activator.activate();
            }),
            woken: Vec::new(),
            slots: Vec::new(),
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
        let mut woken = std::mem::take(&mut self.woken);
        self.futures.take_woken(&mut woken);
        woken.iter().try_for_each(|slot| self.poll(*slot))?;
        self.woken = woken;
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
            AsyncOrder::Unordered => self.futures.n_open(),
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
        let index = self.futures.start((self.f)(record));
        let number = self.next_number;
        self.next_number += 1;
        self.slots.resize_with(self.slots.len().max(index + 1), || Slot { promise: None, number: 0 });
        self.slots[index] = Slot { promise: Some(promise), number };
        if self.options.order == AsyncOrder::Ordered {
            self.turns.push_back(None);
        }
        if let Some(at) = self.options.timeout.and_then(|timeout| machine::now().checked_add(timeout)) {
            self.deadlines.push_back(Deadline { at, slot: index, number });
        }
        self.poll(index)
    }

    /// Goes on with the request in a slot. One that was woken late may find another there, or none.
    fn poll(&mut self, index: usize) -> Result<()> {
        let Some(answer) = self.futures.poll(index) else { return Ok(()) };
        let slot = &mut self.slots[index];
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

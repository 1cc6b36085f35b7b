//! Parts of a stream that are silent: they follow the watermark of the others.
//!
//! Every worker holds the watermark of its own part, and the stream's is the least of them, so a silent part can
//! only give way by moving on. How far, it is told by the others: in this process through a [`Board`], from
//! other processes by notices. What it is told may be old, which makes it follow later but never too far.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock::EventTime;
use crate::machine;
use crate::operator::Activation;
use crate::runtime::state::{RunState, lock};

/// How far a part of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) watermark: EventTime,
    /// Whether others wait for it: it is neither silent nor at its end.
    pub(crate) is_active: bool,
}

/// Where every part is at first, as far as the others know.
const UNHEARD: Part = Part { watermark: EventTime::MIN, is_active: true };

/// How far all workers' parts of one stream are, as far as this process knows.
#[derive(Default)]
pub(crate) struct Board {
    /// By worker.
    parts: Mutex<Vec<Part>>,
}

impl Board {
    /// A worker's part has come so far.
    pub(crate) fn set(&self, worker: usize, now: Part) {
        if let Some(part) = lock(&self.parts).get_mut(worker) {
            *part = now;
        }
    }

    fn open(&self, workers: usize) {
        lock(&self.parts).resize(workers, UNHEARD);
    }

    /// The watermark of a silent part: the least of those that are active, and where all are silent, the
    /// highest that any has come to.
    fn of_silent(&self) -> Option<EventTime> {
        let parts = lock(&self.parts);
        let active = parts.iter().filter(|part| part.is_active).map(|part| part.watermark).min();
        active.or_else(|| parts.iter().map(|part| part.watermark).max())
    }
}

/// One worker's part of a stream: finds out that it is silent.
pub(crate) struct Idleness {
    timeout: Duration,
    stream: usize,
    worker: usize,
    run: Arc<RunState>,
    board: Arc<Board>,
    activation: Activation,
    last_record: Instant,
    /// What other processes were told last, and when.
    told: (Part, Instant),
    /// When the operator runs again even if nothing comes.
    wakes_at: Option<Instant>,
}

/// A worker and its place in a run.
pub(crate) struct Seat {
    pub(crate) run: Arc<RunState>,
    pub(crate) worker: usize,
    pub(crate) workers: usize,
    pub(crate) activation: Activation,
}

impl Idleness {
    /// `stream` is the same number on all workers.
    pub(crate) fn new(timeout: Duration, stream: usize, seat: Seat) -> Self {
        let Seat { run, worker, workers, activation } = seat;
        let (board, now) = (run.board(stream), machine::now());
        board.open(workers);
        let told = (UNHEARD, now);
        let mut idleness = Idleness {
            timeout,
            stream,
            worker,
            run,
            board,
            activation,
            last_record: now,
            told,
            wakes_at: None,
        };
        idleness.wake_later(now);
        idleness
    }

    /// Called whenever the operator runs, with its part's watermark and whether there were records; returns the
    /// watermark that it may move on to.
    pub(crate) fn follow(&mut self, watermark: EventTime, had_records: bool) -> EventTime {
        let now = machine::now();
        if had_records {
            self.last_record = now;
        }
        let is_active = now.duration_since(self.last_record) < self.timeout;
        self.tell(Part { watermark, is_active }, now);
        self.wake_later(now);
        let others = if is_active { None } else { self.board.of_silent() };
        others.map_or(watermark, |others| others.max(watermark))
    }

    /// The part has ended at this watermark; others no longer wait for it.
    pub(crate) fn end(&mut self, watermark: EventTime) {
        self.tell(Part { watermark, is_active: false }, machine::now());
    }

    fn tell(&mut self, part: Part, now: Instant) {
        self.board.set(self.worker, part);
        let (before, when) = self.told;
        let is_due = now.duration_since(when) >= self.timeout / 4;
        if part.is_active != before.is_active || (is_due && part != before) {
            self.told = (part, now);
            self.run.tell_watermark(self.stream, self.worker, part);
        }
    }

    fn wake_later(&mut self, now: Instant) {
        if self.wakes_at.is_none_or(|at| at <= now) {
            let pause = (self.timeout / 4).max(Duration::from_millis(1));
            self.activation.wake_after(pause);
            self.wakes_at = Some(now + pause);
        }
    }
}

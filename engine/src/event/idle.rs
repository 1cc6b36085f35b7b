//! Parts of a stream that are silent: they follow the watermark of the others.
//!
//! Every worker holds the watermark of its own part, and the stream's is the least of them, so a silent part can
//! only give way by moving on. How far, it is told by the others: in this process through a [`Board`], from
//! other processes by notices. What it is told may be old, which makes it follow later but never too far.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock::EventTime;
use crate::machine;
use crate::operator::Activation;
use crate::runtime::state::{RunState, lock};

/// How far a part of a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The numbers of the first round of its loop that is not complete, and of those around it; none outside loops.
    pub(crate) round: Vec<u64>,
    pub(crate) watermark: EventTime,
    /// Whether others wait for it: it is neither silent nor at its end.
    pub(crate) is_active: bool,
}

/// Where every part is at first, as far as the others know.
const UNHEARD: Part = Part { round: Vec::new(), watermark: EventTime::MIN, is_active: true };

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

    /// The watermark of a silent part in `round`: the least of those that are active, and where all are silent, the
    /// highest that any has come to.
    fn of_silent(&self, round: &[u64]) -> Option<EventTime> {
        let parts = lock(&self.parts);
        // Those in an earlier round have not begun with this one, as far as is known; a later one is not theirs.
        let here = parts.iter().filter_map(|part| match part.round.as_slice().cmp(round) {
            Ordering::Less => Some((EventTime::MIN, true)),
            Ordering::Equal => Some((part.watermark, part.is_active)),
            Ordering::Greater => None,
        });
        let active = here.clone().filter(|(_, is_active)| *is_active).map(|(watermark, _)| watermark).min();
        active.or_else(|| here.map(|(watermark, _)| watermark).max())
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
    /// Where this part is.
    now: Part,
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
            now: UNHEARD,
            told,
            wakes_at: None,
        };
        idleness.wake_later(now);
        idleness
    }

    /// Called whenever the operator runs, with its part's watermark in the first round that is not complete, and
    /// whether there were records; returns the watermark that it may move on to.
    pub(crate) fn follow(&mut self, round: Vec<u64>, watermark: EventTime, had_records: bool) -> EventTime {
        let now = machine::now();
        if had_records || round != self.now.round {
            self.last_record = now;
        }
        let is_active = now.duration_since(self.last_record) < self.timeout;
        self.now = Part { round, watermark, is_active };
        self.tell(now);
        self.wake_later(now);
        let others = if is_active { None } else { self.board.of_silent(&self.now.round) };
        others.map_or(watermark, |others| others.max(watermark))
    }

    /// The part has ended where it is, in a loop behind all rounds; others no longer wait for it.
    pub(crate) fn end(&mut self, in_loop: bool) {
        self.now.is_active = false;
        if in_loop {
            self.now.round = vec![u64::MAX];
        }
        self.tell(machine::now());
    }

    fn tell(&mut self, now: Instant) {
        self.board.set(self.worker, self.now.clone());
        let (before, when) = &self.told;
        let is_due = now.duration_since(*when) >= self.timeout / 4;
        if self.now.is_active != before.is_active || (is_due && self.now != *before) {
            self.told = (self.now.clone(), now);
            self.run.tell_watermark(self.stream, self.worker, self.now.clone());
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

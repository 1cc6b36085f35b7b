//! The numbers of one operator on one worker.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::EventTime;
use crate::machine;
use crate::metrics::{StateSize, Volume, WorkerMetrics};

/// What stands for no number of keys, and no size of their state.
const NO_KEYS: u64 = u64::MAX;
/// What stands for no watermark, and for an operator that is not held.
const NONE: i64 = i64::MIN;

/// The numbers of one operator on one worker: written by that worker alone, read by any thread.
///
/// What every activation writes is in one line of the cache, which the records that went by have mostly driven out.
#[repr(C, align(64))]
pub(crate) struct Gauges {
    read: Sums,
    sent: Sums,
    activations: AtomicU64,
    busy_nanos: AtomicU64,
    worker: usize,
    began: Instant,
    /// Nanoseconds that it was held, up to the last release.
    held_nanos: AtomicU64,
    /// Since when it is held, in nanoseconds after `began`.
    held_since: AtomicI64,
    watermark: AtomicI64,
    keys: AtomicU64,
    state_bytes: AtomicU64,
}

/// What went through the inputs or the outputs.
#[derive(Default)]
struct Sums {
    batches: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Sums {
    #[inline]
    fn add(&self, more: Volume) {
        add(&self.batches, more.batches);
        add(&self.records, more.records);
        add(&self.bytes, more.bytes);
    }

    fn get(&self) -> Volume {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Volume { batches: count(&self.batches), records: count(&self.records), bytes: count(&self.bytes) }
    }
}

/// Adds to a number that no other thread writes: no more than a load and a store.
#[inline]
fn add(to: &AtomicU64, n: u64) {
    to.store(to.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl Gauges {
    pub(crate) fn new(worker: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Gauges {
            read: Sums::default(),
            sent: Sums::default(),
            activations: zero(),
            busy_nanos: zero(),
            worker,
            began: machine::now(),
            held_nanos: zero(),
            held_since: AtomicI64::new(NONE),
            watermark: AtomicI64::new(NONE),
            keys: AtomicU64::new(NO_KEYS),
            state_bytes: AtomicU64::new(NO_KEYS),
        }
    }

    #[inline]
    pub(crate) fn note_read(&self, volume: Volume) {
        self.read.add(volume);
    }

    #[inline]
    pub(crate) fn note_sent(&self, volume: Volume) {
        self.sent.add(volume);
    }

    /// Notes an activation that took so long.
    #[inline]
    pub(crate) fn note_run(&self, took: Duration) {
        add(&self.activations, 1);
        add(&self.busy_nanos, took.as_nanos() as u64);
    }

    /// Notes whether its sources may read.
    pub(crate) fn note_held(&self, held: bool) {
        let (since, now) = (self.held_since.load(Ordering::Relaxed), self.began.elapsed().as_nanos() as i64);
        match (since, held) {
            (NONE, true) => self.held_since.store(now, Ordering::Relaxed),
            (NONE, false) | (_, true) => {}
            (since, false) => {
                add(&self.held_nanos, (now - since) as u64);
                self.held_since.store(NONE, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    pub(crate) fn note_watermark(&self, watermark: Option<EventTime>) {
        self.watermark.store(watermark.unwrap_or(NONE), Ordering::Relaxed);
    }

    /// Notes how much state it keeps by key.
    #[inline]
    pub(crate) fn note_state(&self, size: StateSize) {
        self.keys.store(size.keys as u64, Ordering::Relaxed);
        self.state_bytes.store(size.bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> WorkerMetrics {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let since = self.held_since.load(Ordering::Relaxed);
        let (read, sent) = (self.read.get(), self.sent.get());
        let held_now = if since == NONE { 0 } else { self.began.elapsed().as_nanos() as i64 - since };
        WorkerMetrics {
            worker: self.worker,
            records_in: read.records,
            batches_in: read.batches,
            bytes_in: read.bytes,
            records_out: sent.records,
            batches_out: sent.batches,
            bytes_out: sent.bytes,
            activations: count(&self.activations),
            busy: Duration::from_nanos(count(&self.busy_nanos)),
            held: Duration::from_nanos(count(&self.held_nanos) + held_now.max(0) as u64),
            watermark: Some(self.watermark.load(Ordering::Relaxed)).filter(|at| *at != NONE),
            keys: Some(count(&self.keys)).filter(|keys| *keys != NO_KEYS),
            state_bytes: Some(count(&self.state_bytes)).filter(|bytes| *bytes != NO_KEYS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_that_goes_on_is_counted_and_one_that_ended_stays() {
        let gauges = Gauges::new(3);
        assert_eq!(gauges.read().held, Duration::ZERO);
        gauges.note_held(true);
        gauges.note_held(true);
        while gauges.read().held < Duration::from_micros(50) {}
        gauges.note_held(false);
        let held = gauges.read().held;
        gauges.note_held(false);
        assert!(held >= Duration::from_micros(50));
        assert_eq!(gauges.read().held, held);
        assert_eq!((gauges.read().worker, gauges.read().watermark, gauges.read().keys), (3, None, None));
    }
}

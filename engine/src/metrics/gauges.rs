//! The numbers of one operator on one worker.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::EventTime;
use crate::machine;
use crate::metrics::WorkerMetrics;

/// What stands for no number of keys.
const NO_KEYS: u64 = u64::MAX;
/// What stands for no watermark, and for an operator that is not held.
const NONE: i64 = i64::MIN;

/// The numbers of one operator on one worker: written by that worker alone, read by any thread.
pub(crate) struct Gauges {
    worker: usize,
    began: Instant,
    records_in: AtomicU64,
    batches_in: AtomicU64,
    records_out: AtomicU64,
    batches_out: AtomicU64,
    activations: AtomicU64,
    busy_nanos: AtomicU64,
    /// Nanoseconds that it was held, up to the last release.
    held_nanos: AtomicU64,
    /// Since when it is held, in nanoseconds after `began`.
    held_since: AtomicI64,
    watermark: AtomicI64,
    keys: AtomicU64,
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
            worker,
            began: machine::now(),
            records_in: zero(),
            batches_in: zero(),
            records_out: zero(),
            batches_out: zero(),
            activations: zero(),
            busy_nanos: zero(),
            held_nanos: zero(),
            held_since: AtomicI64::new(NONE),
            watermark: AtomicI64::new(NONE),
            keys: AtomicU64::new(NO_KEYS),
        }
    }

    #[inline]
    pub(crate) fn note_read(&self, batches: u64, records: u64) {
        add(&self.batches_in, batches);
        add(&self.records_in, records);
    }

    #[inline]
    pub(crate) fn note_sent(&self, batches: u64, records: u64) {
        add(&self.batches_out, batches);
        add(&self.records_out, records);
    }

    /// Notes an activation that began then and ends now.
    #[inline]
    pub(crate) fn note_run(&self, since: Instant) {
        add(&self.activations, 1);
        add(&self.busy_nanos, since.elapsed().as_nanos() as u64);
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

    /// Notes for how many keys it keeps a state.
    #[inline]
    pub(crate) fn note_keys(&self, keys: usize) {
        self.keys.store(keys as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> WorkerMetrics {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let since = self.held_since.load(Ordering::Relaxed);
        let held_now = if since == NONE { 0 } else { self.began.elapsed().as_nanos() as i64 - since };
        WorkerMetrics {
            worker: self.worker,
            records_in: count(&self.records_in),
            batches_in: count(&self.batches_in),
            records_out: count(&self.records_out),
            batches_out: count(&self.batches_out),
            activations: count(&self.activations),
            busy: Duration::from_nanos(count(&self.busy_nanos)),
            held: Duration::from_nanos(count(&self.held_nanos) + held_now.max(0) as u64),
            watermark: Some(self.watermark.load(Ordering::Relaxed)).filter(|at| *at != NONE),
            keys: Some(count(&self.keys)).filter(|keys| *keys != NO_KEYS),
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

//! Frames of a data connection, counted at both ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::machine;
use crate::runtime::link::ALIVE_INTERVAL;

/// How many frames, and bytes in them, have gone to a peer, and how many have come from it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Traffic {
    /// Notes another frame with so many bytes, and how many frames there were with it.
    pub(crate) fn note_sent(&self, bytes: usize, frames: u64) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.sent.store(frames, Ordering::Relaxed);
    }

    /// As [`note_sent`](Self::note_sent), for one that has come.
    pub(crate) fn note_received(&self, bytes: usize, frames: u64) {
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.received.store(frames, Ordering::Relaxed);
    }

    /// Bytes that were sent, and those that have come.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes_sent.load(Ordering::Relaxed), self.bytes_received.load(Ordering::Relaxed))
    }

    pub(super) fn n_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn n_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// For how long nothing has come of what a peer says that it has sent: a frame that is lost without another behind it is
/// found out by that alone.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    received: u64,
    signs: u128,
    last: Option<Instant>,
}

impl Overdue {
    /// Takes a sign of life with what was sent before it, when so much has come.
    pub(super) fn note(&mut self, sent: u64, received: u64) {
        if received >= sent || received != self.received {
            *self = Overdue { received, signs: 0, last: None };
            return;
        }
        // Signs that were waiting while this process was suspended come at once, and count as one.
        let now = machine::now();
        if self.last.is_none_or(|last| now.duration_since(last) > ALIVE_INTERVAL / 2) {
            (self.signs, self.last) = (self.signs + 1, Some(now));
        }
    }

    /// Signs of life since something has come.
    pub(super) fn signs(&self) -> u128 {
        self.signs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_that_come_at_once_count_as_one_and_any_frame_begins_anew() {
        let mut overdue = Overdue::default();
        (0..5).for_each(|_| overdue.note(7, 0));
        assert_eq!(overdue.signs(), 1);
        overdue.last = overdue.last.and_then(|last| last.checked_sub(ALIVE_INTERVAL));
        overdue.note(9, 0);
        assert_eq!(overdue.signs(), 2);
        overdue.note(9, 3);
        assert_eq!(overdue.signs(), 0);
        overdue.note(9, 3);
        assert_eq!(overdue.signs(), 1);
        overdue.note(9, 9);
        assert_eq!(overdue.signs(), 0);
    }
}

//! The splits of one worker's part of a source.

use crate::env::Env;
use crate::error::Result;
use crate::source::{Source, SourceStatus};

/// How often a source reads to the limit in one activation. What is read stays in this worker until the operators
/// behind have had their turn, so it must not grow with the number of splits.
const READS_PER_TURN: usize = 4;

/// Reads the splits of one worker. All are open at once and asked in turn, so that one that pauses does not
/// keep the others waiting.
pub(crate) struct SplitReader<S: Source, F> {
    /// Numbers of this worker's splits, until they are opened.
    unopened: Vec<usize>,
    open: F,
    /// Those that have not ended, with their places among this worker's splits.
    current: Vec<(usize, S)>,
    /// The split whose turn it is.
    next: usize,
    pace: Pace,
    waiting: Vec<S::Item>,
}

/// What a split has just done for the records that wait to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The split's place among this worker's splits; none at the end of a turn.
    pub(crate) split: Option<usize>,
    /// Whether it has no more.
    pub(crate) has_ended: bool,
    /// Whether what waits is worth a batch.
    enough: bool,
}

impl Part {
    /// Whether what waits should be sent now, for one who does not care which split it is from.
    pub(crate) fn is_enough(&self) -> bool {
        self.enough || self.split.is_none()
    }
}

impl<S: Source, F: Fn(usize) -> Result<S>> SplitReader<S, F> {
    /// Reads those of `splits` splits that belong to this worker.
    pub(crate) fn new(env: &Env<'_>, splits: usize, open: F) -> Self {
        let unopened = (env.worker_index()..splits).step_by(env.workers()).collect();
        let pace = Pace { limit: env.place().run().ledger().read_limit(), now: 0, was_held: false };
        SplitReader { unopened, open, current: Vec::new(), next: 0, pace, waiting: Vec::new() }
    }

    /// Number of splits of this worker, before the first read.
    pub(crate) fn splits(&self) -> usize {
        self.unopened.len()
    }

    /// The source was found held.
    pub(crate) fn note_hold(&mut self) {
        self.pace.was_held = true;
    }

    /// Asks one split after the other, until the source is held, or has read its share, or a whole round has
    /// given less than was asked for. The one behind the last comes first the next time.
    ///
    /// `take` sees the records that wait after each split, and at the end; it takes them or leaves them, but not
    /// at the end.
    pub(crate) fn read(
        &mut self,
        is_held: impl Fn() -> bool,
        mut take: impl FnMut(&mut Vec<S::Item>, Part),
    ) -> Result<SourceStatus> {
        for (place, split) in std::mem::take(&mut self.unopened).into_iter().enumerate() {
            self.current.push((place, (self.open)(split)?));
        }
        let limit = self.pace.step();
        let outcome = self.read_share(limit, is_held, &mut take);
        take(&mut self.waiting, Part { split: None, has_ended: false, enough: true });
        outcome
    }

    fn read_share(
        &mut self,
        limit: usize,
        is_held: impl Fn() -> bool,
        take: &mut impl FnMut(&mut Vec<S::Item>, Part),
    ) -> Result<SourceStatus> {
        let mut share = READS_PER_TURN * limit;
        loop {
            let (mut overall, mut full) = (SourceStatus::Done, false);
            for _ in 0..self.current.len() {
                if share == 0 || is_held() {
                    return Ok(SourceStatus::Ready);
                }
                let before = self.waiting.len();
                let (split, status) = self.read_next(limit);
                let read = self.waiting.len() - before;
                share = share.saturating_sub(read);
                full |= read >= limit;
                let has_ended = matches!(status, Ok(SourceStatus::Done));
                let enough = self.waiting.len() >= limit.div_ceil(2);
                take(&mut self.waiting, Part { split, has_ended, enough });
                overall = sooner(overall, status?);
            }
            if !full {
                return Ok(overall);
            }
        }
    }

    /// Asks the split whose turn it is, and goes on to the one behind it.
    fn read_next(&mut self, limit: usize) -> (Option<usize>, Result<SourceStatus>) {
        self.next %= self.current.len().max(1);
        let Some((place, source)) = self.current.get_mut(self.next) else {
            return (None, Ok(SourceStatus::Done));
        };
        let (place, status) = (*place, source.read(limit, &mut self.waiting));
        match status {
            Ok(SourceStatus::Done) => drop(self.current.remove(self.next)),
            _ => self.next += 1,
        }
        (Some(place), status)
    }
}

/// How many records a split is asked for at once: one at first, twice as many each time, half as many after a
/// hold. What operators make of a record may be much more than one, and is seen only when it is made.
struct Pace {
    limit: usize,
    now: usize,
    /// Whether the source has been found held since the last step.
    was_held: bool,
}

impl Pace {
    /// The number for this activation.
    fn step(&mut self) -> usize {
        let next = if std::mem::take(&mut self.was_held) { self.now / 2 } else { self.now * 2 };
        self.now = next.clamp(1, self.limit);
        self.now
    }
}

/// When to ask again if one split says `a` and another `b`.
pub(crate) fn sooner(a: SourceStatus, b: SourceStatus) -> SourceStatus {
    match (a, b) {
        (SourceStatus::Ready, _) | (_, SourceStatus::Ready) => SourceStatus::Ready,
        (SourceStatus::Idle(a), SourceStatus::Idle(b)) => SourceStatus::Idle(a.min(b)),
        (SourceStatus::Done, other) | (other, SourceStatus::Done) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_doubles_to_the_limit_and_falls_after_a_hold_but_never_to_nothing() {
        let mut pace = Pace { limit: 100, now: 0, was_held: false };
        assert_eq!(Vec::from_iter((0..9).map(|_| pace.step())), [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        pace.was_held = true;
        assert_eq!([pace.step(), pace.step()], [50, 100]);
        pace.now = 1;
        pace.was_held = true;
        assert_eq!(pace.step(), 1);
    }
}

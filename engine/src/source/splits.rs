//! The splits of one worker's part of a source.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Saved, Snapshot, Written};
use crate::clock::EventTime;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::source::{Source, SourcePosition, SourceStatus, WhenDurable};

/// How often a source reads to the limit in one activation. What is read stays in this worker until the operators
/// behind have had their turn, so it must not grow with the number of splits.
const READS_PER_TURN: usize = 4;

/// How many splits a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splits {
    /// So many, whatever happens.
    Fixed(usize),
    /// So many, or as many as there were in the checkpoint that the run goes on from.
    AtFirst(usize),
}

/// One split of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) index: usize,
    /// Number of splits of the source.
    pub(crate) of: usize,
}

/// Where a split is, as checkpoints hold it.
#[derive(Debug, Serialize, Deserialize)]
enum Whereabouts {
    /// It has ended.
    Ended,
    At(SourcePosition),
    /// It can not say.
    Unknown,
}

/// Reads the splits of one worker. All are open at once and asked in turn, so that one that pauses does not
/// keep the others waiting.
pub(crate) struct SplitReader<S: Source, F> {
    splits: Splits,
    n_splits: usize,
    worker: usize,
    workers: usize,
    /// This worker's splits, until they are opened.
    unopened: Vec<Unopened>,
    open: F,
    /// Those that have not ended.
    current: Vec<(OpenSplit, S)>,
    /// Numbers of those that have ended.
    ended: Vec<usize>,
    /// The split whose turn it is.
    next: usize,
    pace: Pace,
    waiting: Vec<S::Item>,
    /// Whether every split must know where it is.
    must_know: bool,
    /// Whether what was read becomes durable by checkpoints.
    has_checkpoints: bool,
    /// What those that have ended since the last checkpoint have to do when the next one is durable.
    farewells: Vec<WhenDurable>,
}

/// A split that is not open yet.
struct Unopened {
    number: usize,
    /// Where it goes on.
    position: Option<SourcePosition>,
    /// The highest event time that it has reached.
    reached: Option<EventTime>,
}

impl Unopened {
    fn new(number: usize) -> Self {
        Unopened { number, position: None, reached: None }
    }
}

/// A split that is open: its number, and its place among this worker's splits.
#[derive(Clone, Copy, Debug)]
struct OpenSplit {
    number: usize,
    place: usize,
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

impl<S: Source, F: Fn(Split) -> Result<S>> SplitReader<S, F> {
    /// Reads those of `splits` splits that belong to this worker.
    pub(crate) fn new(env: &Env<'_>, splits: Splits, open: F) -> Self {
        let (Splits::Fixed(n_splits) | Splits::AtFirst(n_splits)) = splits;
        let run = env.place().run();
        let (worker, workers) = (env.worker_index(), env.workers());
        SplitReader {
            splits,
            n_splits,
            worker,
            workers,
            unopened: of_worker(worker, workers, n_splits).map(Unopened::new).collect(),
            open,
            current: Vec::new(),
            ended: Vec::new(),
            next: 0,
            pace: Pace { limit: run.ledger().read_limit(), now: 0, was_held: false },
            waiting: Vec::new(),
            has_checkpoints: run.checkpoints().is_some(),
            farewells: Vec::new(),
            must_know: run.checkpoints().is_some_and(|checkpoints| !checkpoints.config().allow_rereading),
        }
    }

    /// The highest event time that each split of this worker has reached, before the first read.
    pub(crate) fn reached(&self) -> Vec<Option<EventTime>> {
        self.unopened.iter().map(|split| split.reached).collect()
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
        if !self.unopened.is_empty() {
            self.open_all()?;
        }
        let limit = self.pace.step();
        let outcome = self.read_share(limit, is_held, &mut take);
        take(&mut self.waiting, Part { split: None, has_ended: false, enough: true });
        let status = outcome?;
        if !self.has_checkpoints {
            self.take_hooks().into_iter().try_for_each(|act| act())?;
        }
        Ok(status)
    }

    /// What is to be done when all that was read is durable.
    fn take_hooks(&mut self) -> Vec<WhenDurable> {
        let mut hooks = std::mem::take(&mut self.farewells);
        hooks.extend(self.current.iter_mut().filter_map(|(_split, source)| source.when_durable()));
        hooks
    }

    fn open_all(&mut self) -> Result<()> {
        for (place, Unopened { number, position, .. }) in
            std::mem::take(&mut self.unopened).into_iter().enumerate()
        {
            let mut source = (self.open)(Split { index: number, of: self.n_splits })?;
            if self.must_know && source.position()?.is_none() {
                return Err(Error::config(
                    "this source can not go back to a position, so records would be lost or doubled when the job goes \
                     on from a checkpoint: implement position and seek, or allow it to read again (allow_rereading)",
                ));
            }
            if let Some(position) = position {
                source.seek(&position)?;
            }
            self.current.push((OpenSplit { number, place }, source));
        }
        Ok(())
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
        let Some((split, source)) = self.current.get_mut(self.next) else {
            return (None, Ok(SourceStatus::Done));
        };
        let (split, status) = (*split, source.read(limit, &mut self.waiting));
        match status {
            Ok(SourceStatus::Done) => {
                self.farewells.extend(source.when_durable());
                self.ended.push(split.number);
                self.current.remove(self.next);
            }
            _ => self.next += 1,
        }
        (Some(split.place), status)
    }

    /// Writes where each split of this worker is; all that was read has been sent. `reached` tells the event time of the
    /// split at a place.
    pub(crate) fn write(
        &mut self,
        to: &mut Written,
        reached: impl Fn(usize) -> Option<EventTime>,
    ) -> Result<()> {
        let mut put = |split: usize, at: Whereabouts, reached: Option<EventTime>| {
            to.pooled().put(&(self.n_splits, split, at, reached))
        };
        self.ended.iter().try_for_each(|split| put(*split, Whereabouts::Ended, None))?;
        for (split, source) in &self.current {
            let at = source.position()?.map_or(Whereabouts::Unknown, Whereabouts::At);
            put(split.number, at, reached(split.place))?;
        }
        for Unopened { number, position, reached } in &self.unopened {
            put(*number, position.clone().map_or(Whereabouts::Unknown, Whereabouts::At), *reached)?;
        }
        to.commits.extend(self.take_hooks());
        Ok(())
    }
}

/// The splits of one of several workers.
fn of_worker(worker: usize, workers: usize, n_splits: usize) -> impl Iterator<Item = usize> {
    (worker..n_splits).step_by(workers)
}

impl<S: Source, F: Fn(Split) -> Result<S>> Snapshot for SplitReader<S, F> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.write(to, |_place| None)
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        self.write(to, |_place| None)
    }

    /// Each worker reads where all splits are, and takes those that are its own now.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let mut items = from.pooled()?;
        let mut known = Vec::new();
        while let Some((n_splits, split, at, reached)) =
            items.next_item::<(usize, usize, Whereabouts, Option<EventTime>)>()?
        {
            match self.splits {
                Splits::Fixed(expected) if expected != n_splits => {
                    return Err(Error::config(format!(
                        "this source had {n_splits} splits in the checkpoint, and now has {expected}"
                    )));
                }
                _ => self.n_splits = n_splits,
            }
            known.push((split, at, reached));
        }
        self.unopened = of_worker(self.worker, self.workers, self.n_splits).map(Unopened::new).collect();
        for (split, at, reached) in known {
            let Some(mine) = self.unopened.iter().position(|one| one.number == split) else { continue };
            self.unopened[mine].reached = reached;
            match at {
                Whereabouts::Ended => {
                    self.ended.push(split);
                    self.unopened.remove(mine);
                }
                Whereabouts::At(position) => self.unopened[mine].position = Some(position),
                Whereabouts::Unknown => {}
            }
        }
        Ok(())
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

    /// Golden bytes of docs/formats/checkpoint-state.md.
    #[test]
    fn whereabouts_of_a_split_have_their_golden_bytes() {
        let mut written = Written::default();
        let position = SourcePosition::new(&300u64).unwrap();
        written.pooled().put(&(3usize, 1usize, Whereabouts::At(position), None::<EventTime>)).unwrap();
        assert_eq!(std::mem::take(written.pooled()).into_bytes(), [7, 0, 0, 0, 3, 1, 1, 2, 0xac, 2, 0]);
    }

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

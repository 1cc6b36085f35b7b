//! Data that is delivered again in every round.

use std::collections::BTreeMap;
use std::panic::Location;

use waterwheel_engine::operator::{Activation, Input, OperatorBuilder, Output, Promise, WakeOn};
use waterwheel_engine::{CacheReader, CacheShare, Clock, DataCache, DataStream, Mark, Record, Result, Round};

use crate::frontier::least;

/// Records that are sent in one activation, up to the end of a batch: what follows in the loop gets its turn.
const TURN: usize = 32_768;

/// `data`, which comes in round 0, again in every later round.
pub(crate) fn replay<'i, D: Record, U: Clock>(
    data: DataStream<'i, D, (U, Round)>,
    at: &'static Location<'static>,
) -> DataStream<'i, D, (U, Round)> {
    let data = data.into_edge();
    let mut op = OperatorBuilder::made_at(&data.place(), "replay", at);
    let input = op.input(data, WakeOn::Progress);
    let ticks = op.input_ticks();
    // Only bounded iterations replay, and these are in one checkpoint epoch.
    op.keep_nothing();
    let (out, edge) = op.output::<Vec<D>>();
    let share = op.cache_share();
    op.build(move |_promises, activation| {
        let mut replayer = ticks.map(|(ticks, _in_order)| Replayer {
            input,
            ticks,
            out,
            activation,
            share,
            caches: BTreeMap::new(),
            due: BTreeMap::new(),
        });
        move |frontiers| {
            let Some(replayer) = &mut replayer else { return Ok(()) };
            replayer.run(frontiers.next(0), least(frontiers, 2))
        }
    });
    DataStream::from_edge(edge)
}

struct Replayer<D: Record, U: Clock> {
    input: Input<Vec<D>, (U, Round)>,
    ticks: Input<Vec<Mark>, (U, Round)>,
    out: Output<Vec<D>, (U, Round)>,
    activation: Activation,
    share: CacheShare,
    /// Data by run of the loop.
    caches: BTreeMap<U, DataCache<D>>,
    /// Rounds that have begun and have not got all of their data.
    due: BTreeMap<(U, Round), Due<D, U>>,
}

/// A round that is to get its data.
struct Due<D: Record, U: Clock> {
    promise: Promise<(U, Round)>,
    /// What is left to send; `None` before the first batch.
    left: Option<CacheReader<D>>,
}

impl<D: Record, U: Clock> Replayer<D, U> {
    /// One activation; `data` is the least time that data may still come at, `next` that of a round, too.
    fn run(&mut self, data: Option<(U, Round)>, next: Option<(U, Round)>) -> Result<()> {
        self.read()?;
        let is_complete = |run: &U| data.as_ref().is_none_or(|data| *data > (run.clone(), 0));
        let mut turn = TURN;
        while let Some(mut first) = self.due.first_entry().filter(|first| is_complete(&first.key().0)) {
            if let Some(cache) = self.caches.get_mut(&first.key().0) {
                let Due { promise, left } = first.get_mut();
                let left = match left {
                    Some(left) => left,
                    None => left.insert(cache.reader()?),
                };
                if !send(left, &mut turn, |batch| self.out.send_promised(promise, [batch]))? {
                    self.activation.wake();
                    return Ok(());
                }
            }
            first.remove();
        }
        // What is left to send holds nothing up at this operator's own inputs.
        match self.due.keys().next().cloned().into_iter().chain(next).min() {
            Some((run, _)) => self.caches = self.caches.split_off(&run),
            None => self.caches.clear(),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let Replayer { input, ticks, out, share, caches, due, .. } = self;
        input.try_for_each(|token, batch| {
            let (run, _) = token.time();
            let cache = caches.entry(run).or_insert_with(|| DataCache::new(share));
            cache.append(batch.clone())?;
            out.send(&token, [batch]);
            Ok(())
        })?;
        ticks.for_each(|token, marks| {
            marks.clear();
            if token.time().1 > 0 {
                due.insert(token.time(), Due { promise: token.promise(0), left: None });
            }
        });
        Ok(())
    }
}

/// Sends what is left, for as long as the turn lasts. Whether it was all.
fn send<D: Record>(
    left: &mut CacheReader<D>,
    turn: &mut usize,
    mut out: impl FnMut(&mut Vec<D>),
) -> Result<bool> {
    while *turn > 0 {
        let Some(batch) = left.next() else { return Ok(true) };
        let mut batch = batch?;
        *turn = turn.saturating_sub(batch.len());
        out(&mut batch);
    }
    Ok(false)
}

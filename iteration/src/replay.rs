//! Data that is delivered again in every round.

use std::collections::BTreeMap;

use waterwheel_engine::operator::{Activation, Input, OperatorBuilder, Output, Promise, WakeOn};
use waterwheel_engine::{Clock, DataStream, Mark, Result, Round};

use crate::frontier::least;

/// Records that are sent in one activation, up to the end of a batch: what follows in the loop gets its turn.
const TURN: usize = 32_768;

/// `data`, which comes in round 0, again in every later round.
#[track_caller]
pub(crate) fn replay<'i, D: Clone + 'static, U: Clock>(
    data: DataStream<'i, D, (U, Round)>,
) -> DataStream<'i, D, (U, Round)> {
    let data = data.into_edge();
    let mut op = OperatorBuilder::new(&data.place(), "replay");
    let input = op.input(data, WakeOn::Progress);
    let ticks = op.input_ticks();
    let (out, edge) = op.output::<Vec<D>>();
    op.build(move |_promises, activation| {
        let mut replayer = ticks.map(|(ticks, _in_order)| Replayer {
            input,
            ticks,
            out,
            activation,
            caches: BTreeMap::new(),
            due: BTreeMap::new(),
            next_batch: 0,
        });
        move |frontiers| {
            let Some(replayer) = &mut replayer else { return Ok(()) };
            replayer.run(frontiers.next(0), least(frontiers, 2))
        }
    });
    DataStream::from_edge(edge)
}

struct Replayer<D: 'static, U: Clock> {
    input: Input<Vec<D>, (U, Round)>,
    ticks: Input<Vec<Mark>, (U, Round)>,
    out: Output<Vec<D>, (U, Round)>,
    activation: Activation,
    /// Batches by run of the loop.
    caches: BTreeMap<U, Vec<Vec<D>>>,
    /// Rounds that have begun and have not got all of their data.
    due: BTreeMap<(U, Round), Promise<(U, Round)>>,
    /// Index of the next batch to send in the first round of these.
    next_batch: usize,
}

impl<D: Clone + 'static, U: Clock> Replayer<D, U> {
    /// One activation; `data` is the least time that data may still come at, `next` that of a round, too.
    fn run(&mut self, data: Option<(U, Round)>, next: Option<(U, Round)>) -> Result<()> {
        self.read()?;
        let is_complete = |run: &U| data.as_ref().is_none_or(|data| *data > (run.clone(), 0));
        let mut left = TURN;
        while let Some(first) = self.due.first_entry().filter(|first| is_complete(&first.key().0)) {
            let batches =
                self.caches.get(&first.key().0).map_or(&[][..], |batches| &batches[self.next_batch..]);
            for batch in batches {
                if left == 0 {
                    self.activation.wake();
                    return Ok(());
                }
                left = left.saturating_sub(batch.len());
                self.out.send_promised(first.get(), [&mut batch.clone()]);
                self.next_batch += 1;
            }
            first.remove();
            self.next_batch = 0;
        }
        // What is left to send holds nothing up at this operator's own inputs.
        match self.due.keys().next().cloned().into_iter().chain(next).min() {
            Some((run, _)) => self.caches = self.caches.split_off(&run),
            None => self.caches.clear(),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let Replayer { input, ticks, out, caches, due, .. } = self;
        input.for_each(|token, batch| {
            let (run, _) = token.time();
            caches.entry(run).or_default().push(batch.clone());
            out.send(&token, [batch]);
        });
        ticks.for_each(|token, marks| {
            marks.clear();
            if token.time().1 > 0 {
                due.insert(token.time(), token.promise(0));
            }
        });
        Ok(())
    }
}

//! From collections back to streams.

use std::panic::Location;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use timely::dataflow::Stream;
use timely::dataflow::operators::Concatenate;

use crate::delta::clock::{BatchClock, BatchNumber};
use crate::delta::collection::{Collection, Context, Diff, Updates};
use crate::edge::Edge;
use crate::error::Result;
use crate::flow::SourceHold;
use crate::hash::Key;
use crate::operator::output::RecordOutput;
use crate::operator::{Frontiers, Input, OperatorBuilder, SourcesOf, Token, WakeOn};
use crate::stream::DataStream;

/// How one batch changed how often one record occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<D> {
    /// The batch.
    pub batch: BatchNumber,
    /// The record.
    pub record: D,
    /// By how much: above zero where it comes, below where it goes, never zero.
    pub diff: Diff,
}

/// Batches that may be complete at a collection's inputs and not yet at its end before the sources wait.
const BATCHES_AHEAD: BatchNumber = 32;

impl<'s, D: Key> Collection<'s, D, BatchClock> {
    /// The changes of the collection, batch by batch.
    ///
    /// Those of a batch come when the batch is complete and the collection up to date with it, on the worker that
    /// owns the record; at most one per record and batch. The sum of the changes up to a batch is the collection as
    /// of that batch. A batch that changes nothing has none.
    ///
    /// Sources wait while more than 32 batches are complete and not answered, so that memory is bounded when batches
    /// come faster than they can be worked on. A batch that is not complete holds nobody.
    #[track_caller]
    pub fn changes(self) -> DataStream<'s, Change<D>, BatchClock> {
        self.exit("changes", Location::caller(), |_next| Ok(()))
    }

    /// As [`changes`](Self::changes), and tells `progress` how far the collection has come: the number of the first
    /// batch that is not complete, or `None` when all are. Called on every worker whenever that changes, after the
    /// changes were sent.
    #[track_caller]
    pub fn changes_with_progress(
        self,
        progress: impl FnMut(Option<BatchNumber>) + 'static,
    ) -> DataStream<'s, Change<D>, BatchClock> {
        let mut progress = progress;
        self.exit("changes", Location::caller(), move |next| {
            progress(next);
            Ok(())
        })
    }

    fn exit(
        self,
        name: &str,
        location: &'static Location<'static>,
        progress: impl FnMut(Option<BatchNumber>) -> Result<()> + 'static,
    ) -> DataStream<'s, Change<D>, BatchClock> {
        let (updates, context) = self.consolidate_at(location).into_parts();
        let mut op = OperatorBuilder::made_at(&context.place, name, location);
        let clocks = context.place.scope().concatenate(context.clocks.values().cloned());
        let updates = op.input(edge(updates, &context), WakeOn::Progress);
        let _inputs_clock: Input<Vec<()>, _> = op.input(edge(clocks, &context), WakeOn::Progress);
        let hold = op.source_hold(&SourcesOf(Rc::clone(&context.lineage)), &SourcesOf::default());
        let (out, changes) = op.record_output();
        op.build(move |_promises, _activation| {
            let mut exit = Exit { updates, out, hold, next: Some(0), progress };
            move |frontiers| exit.run(frontiers)
        });
        DataStream::from_edge(changes)
    }
}

fn edge<'s, C>(
    stream: Stream<'s, BatchClock, C>,
    context: &Context<'s, BatchClock>,
) -> Edge<'s, C, BatchClock> {
    let (origin, lineage) = (Rc::clone(&context.origin), Rc::clone(&context.lineage));
    Edge { stream, place: context.place.clone(), origin, lineage }
}

/// Turns consolidated updates into changes, and holds the sources while they are too far ahead.
struct Exit<D: 'static, P> {
    updates: Input<Updates<D, BatchClock>, BatchClock>,
    out: RecordOutput<Change<D>, BatchClock>,
    hold: SourceHold,
    /// The first batch that is not complete.
    next: Option<BatchNumber>,
    progress: P,
}

impl<D: Clone + 'static, P: FnMut(Option<BatchNumber>) -> Result<()>> Exit<D, P> {
    fn run(&mut self, frontiers: &Frontiers<'_, BatchClock>) -> Result<()> {
        let Exit { updates, out, .. } = self;
        updates.try_for_each(|token, batch| send(&token, batch, out))?;
        let [next, opened] = [0, 1].map(|port| frontiers.next(port).map(|(_epoch, batch)| batch));
        // What is complete at the inputs can be finished without another word of the sources, so this hold ends.
        let is_behind = |next: BatchNumber| opened.is_some_and(|opened| opened > next + BATCHES_AHEAD);
        self.hold.set(next.is_some_and(is_behind));
        if next != self.next {
            self.next = next;
            (self.progress)(next)?;
        }
        Ok(())
    }
}

/// Sends each change at its own time: one batch of updates may tell of several batches of changes.
fn send<D: 'static>(
    token: &Token<BatchClock>,
    updates: &mut Updates<D, BatchClock>,
    out: &mut RecordOutput<Change<D>, BatchClock>,
) -> Result<()> {
    let promise = token.promise(0);
    updates.sort_by_key(|(_, time, _)| *time);
    let mut updates = updates.drain(..).peekable();
    while let Some(time) = updates.peek().map(|(_, time, _)| *time) {
        let of_time = std::iter::from_fn(|| updates.next_if(|(_, at, _)| *at == time));
        let changes = of_time.map(|(record, (_epoch, batch), diff)| Change { batch, record, diff });
        out.send_promised(&promise.later(&time)?, &mut changes.collect());
    }
    Ok(())
}

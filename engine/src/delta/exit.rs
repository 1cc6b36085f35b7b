//! From collections back to streams.

use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::lattice::Lattice;
use serde::{Deserialize, Serialize};
use timely::dataflow::Stream;
use timely::dataflow::operators::Concatenate;

use crate::clock::Clock;
use crate::delta::clock::{BatchClock, BatchNumber, DeltaClock};
use crate::delta::collection::{Collection, Context, Diff, Updates};
use crate::edge::Edge;
use crate::error::Result;
use crate::flow::SourceHold;
use crate::hash::Key;
use crate::operator::{Frontiers, Input, OperatorBuilder, Output, SourcesOf, Token, WakeOn};
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
        self.changes_at(Location::caller(), |_next| {})
    }

    /// As [`changes`](Self::changes), and tells `progress` how far the collection has come: the number of the first
    /// batch that is not complete, or `None` when all are. Called on every worker whenever that changes from 0 on,
    /// after the changes were sent.
    #[track_caller]
    pub fn changes_with_progress(
        self,
        progress: impl FnMut(Option<BatchNumber>) + 'static,
    ) -> DataStream<'s, Change<D>, BatchClock> {
        self.changes_at(Location::caller(), progress)
    }

    fn changes_at(
        self,
        location: &'static Location<'static>,
        mut progress: impl FnMut(Option<BatchNumber>) + 'static,
    ) -> DataStream<'s, Change<D>, BatchClock> {
        let mut told = Some(0);
        let change = |(record, (_epoch, batch), diff)| Change { batch, record, diff };
        self.exit("changes", location, change, move |next: Option<BatchClock>, opened: Option<BatchClock>| {
            let first_open = next.map(|(_epoch, batch)| batch);
            if told != first_open {
                told = first_open;
                progress(first_open);
            }
            next.zip(opened).is_some_and(|(next, opened)| opened.1 > next.1 + BATCHES_AHEAD)
        })
    }
}

impl<'s, D: Key, T: Clock + Lattice> Collection<'s, D, T> {
    /// The changes of the collection at each time of its clock, whatever that is: record and difference, when the
    /// time is complete. [`changes`](Self::changes) is for batches, and says of which one.
    ///
    /// # Examples
    /// What a plain stream comes to at its end:
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let counts = execute(RuntimeConfig::threads(2), |env| {
    ///     let words = env.from_iter(["to", "be", "to"].map(|word| (word.to_string(), 1)));
    ///     Ok(words.into_collection().count().updates().collect())
    /// })?;
    /// let mut counts = counts.concat();
    /// counts.sort();
    /// assert_eq!(counts, [(("be".to_string(), 1), 1), (("to".to_string(), 2), 1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn updates(self) -> DataStream<'s, (D, Diff), T> {
        let update = |(record, _time, diff)| (record, diff);
        self.exit("updates", Location::caller(), update, |_next, _opened| false)
    }

    /// Sends what `make` makes of each update. `progress` gets the first time that is not complete, and the first that
    /// is not complete at the inputs, and says whether the sources are to wait.
    fn exit<R: 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        make: impl Fn((D, T, Diff)) -> R + 'static,
        progress: impl FnMut(Option<T>, Option<T>) -> bool + 'static,
    ) -> DataStream<'s, R, T> {
        let (updates, context) = self.consolidate_at(location).into_parts();
        let mut op = OperatorBuilder::made_at(&context.place, name, location);
        let clocks = context.place.scope().concatenate(context.clocks.values().cloned());
        let updates = op.input(edge(updates, &context), WakeOn::Progress);
        let _inputs_clock: Input<Vec<()>, _> = op.input(edge(clocks, &context), WakeOn::Progress);
        let hold = op.source_hold(&SourcesOf(Rc::clone(&context.lineage)), &SourcesOf::default());
        let (out, results) = op.output();
        op.build(move |_promises, _activation| {
            let mut exit = Exit { updates, out, hold, make, progress, seen: None };
            move |frontiers| exit.run(frontiers)
        });
        DataStream::from_edge(results)
    }
}

fn edge<'s, C, T: DeltaClock>(stream: Stream<'s, T, C>, context: &Context<'s, T>) -> Edge<'s, C, T> {
    let (origin, lineage) = (Rc::clone(&context.origin), Rc::clone(&context.lineage));
    Edge { stream, place: context.place.clone(), origin, lineage }
}

/// Turns consolidated updates into records, and holds the sources while they are too far ahead.
struct Exit<D: 'static, R: 'static, T: DeltaClock, M, P> {
    updates: Input<Updates<D, T>, T>,
    out: Output<Vec<R>, T>,
    hold: SourceHold,
    make: M,
    progress: P,
    /// What `progress` was told last.
    seen: Option<[Option<T>; 2]>,
}

impl<D, R, T, M, P> Exit<D, R, T, M, P>
where
    T: Clock + Lattice,
    M: Fn((D, T, Diff)) -> R,
    P: FnMut(Option<T>, Option<T>) -> bool,
{
    fn run(&mut self, frontiers: &Frontiers<'_, T>) -> Result<()> {
        let Exit { updates, out, make, .. } = self;
        updates.try_for_each(|token, batch| send(&token, batch, out, &*make))?;
        let now = [0, 1].map(|port| frontiers.next(port));
        if self.seen.as_ref() != Some(&now) {
            let [next, opened] = now.clone();
            self.seen = Some(now);
            // What is complete at the inputs can be finished without another word of the sources, so this hold ends.
            self.hold.set((self.progress)(next, opened));
        }
        Ok(())
    }
}

/// Sends each update at its own time: one batch may tell of several times.
fn send<D, R: 'static, T: Clock>(
    token: &Token<T>,
    updates: &mut Updates<D, T>,
    out: &mut Output<Vec<R>, T>,
    make: impl Fn((D, T, Diff)) -> R,
) -> Result<()> {
    let promise = token.promise(0);
    updates.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
    let mut updates = updates.drain(..).peekable();
    while let Some(time) = updates.peek().map(|(_, time, _)| time.clone()) {
        let of_time = std::iter::from_fn(|| updates.next_if(|(_, at, _)| *at == time));
        out.send_promised(&promise.later(&time)?, [&mut of_time.map(&make).collect()]);
    }
    Ok(())
}

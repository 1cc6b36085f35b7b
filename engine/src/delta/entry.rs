//! From streams to collections.

use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::lattice::Lattice;

use crate::clock::Clock;
use crate::delta::collection::{Collection, Context, Diff};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::stream::DataStream;

impl<'s, D: 'static, T: Clock + Lattice> DataStream<'s, (D, Diff), T> {
    /// The collection of the records whose comings (+1) and goings (-1) the stream carries, each at its time.
    ///
    /// The collection is complete at a time when the stream can bring nothing more of that time: of a stream of
    /// [batches](crate::Env::batches) when the batch is complete; of one of plain records at the end of the
    /// checkpoint epoch.
    ///
    /// # Examples
    /// How often each word occurs, batch by batch:
    /// ```
    /// # use waterwheel_engine::{execute, Change, RuntimeConfig};
    /// let counts = execute(RuntimeConfig::threads(2), |env| {
    ///     let words = env.from_batches([vec![("a".to_string(), 1), ("b".to_string(), 1)], vec![("a".to_string(), 1)]]);
    ///     Ok(words.into_collection().count().changes().collect())
    /// })?;
    /// let mut counts = counts.concat();
    /// counts.sort();
    /// let change = |batch, word: &str, n, diff| Change { batch, record: (word.to_string(), n), diff };
    /// assert_eq!(counts, [change(0, "a", 1, 1), change(0, "b", 1, 1), change(1, "a", 1, -1), change(1, "a", 2, 1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn into_collection(self) -> Collection<'s, D, T> {
        let edge = self.into_edge();
        let (place, lineage) = (edge.place(), Rc::clone(&edge.lineage));
        let mut op = OperatorBuilder::made_at(&place, "into_collection", Location::caller());
        let mut input = op.input(edge, WakeOn::Records);
        let (mut out, updates) = op.record_output::<(D, T, Diff)>();
        // Nothing is ever sent here: it shows how far the input has come.
        let (_, clock) = op.output::<Vec<()>>();
        let id = op.id();
        op.build(move |_promises, _activation| {
            move |_frontiers| {
                input.try_for_each(|token, batch| {
                    let time = token.time();
                    out.send_iter(&token, batch.drain(..).map(|(record, diff)| (record, time.clone(), diff)));
                    Ok(())
                })
            }
        });
        let clocks = std::iter::once((id, clock.stream)).collect();
        Collection::new(
            updates.stream,
            Context { place, origin: updates.origin, lineage, clocks, settles: true },
        )
    }
}

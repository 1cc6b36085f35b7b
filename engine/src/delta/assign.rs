//! Streams of batches from plain streams.

use std::panic::Location;

use crate::delta::clock::{BatchClock, BatchNumber};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::operator::{Input, OperatorBuilder, Output, Promise, WakeOn};
use crate::record::Record;
use crate::stream::DataStream;

impl<'s> Env<'s> {
    /// Turns a plain stream into one of batches: `batch_of` says of which batch a record is.
    ///
    /// Batches must come in ascending order; the first record of a batch completes all before it, and the end of the
    /// stream the last one. So the stream has to have one order: one split has read it, and nothing has moved its
    /// records between workers. The records pass through worker 0. Many splits, and records in many orders, are
    /// the matter of [`batches`](Self::batches).
    ///
    /// A record of a batch that is complete already ends the run with an
    /// [`ErrorKind::Operator`](crate::ErrorKind::Operator) error that names both batches.
    ///
    /// # Examples
    /// A log of changes, each with the number of its transaction:
    /// ```
    /// # use waterwheel_engine::{execute, Change, RuntimeConfig};
    /// let stock = execute(RuntimeConfig::threads(2), |env| {
    ///     let log = env.from_iter([(0u64, "nails", 1), (0, "screws", 1), (1, "nails", -1)]);
    ///     let changes = env.assign_batches(log.map(|(at, what, n)| (at, what.to_string(), n)), |change| change.0);
    ///     Ok(changes.map(|(_, what, n)| (what, n)).into_collection().changes().collect())
    /// })?;
    /// let mut stock = stock.concat();
    /// stock.sort();
    /// let change = |batch, what: &str, diff| Change { batch, record: what.to_string(), diff };
    /// assert_eq!(stock, [change(0, "nails", 1), change(0, "screws", 1), change(1, "nails", -1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn assign_batches<D: Record>(
        &self,
        stream: DataStream<'s, D>,
        batch_of: impl Fn(&D) -> BatchNumber + 'static,
    ) -> DataStream<'s, D, BatchClock> {
        let place = self.batch_place();
        let mut op = OperatorBuilder::made_at(place, "assign_batches", Location::caller());
        let input = op.input_routed(place.enter(stream.into_edge()), WakeOn::Progress, |_record| 0);
        let (out, edge) = op.detached_output();
        let is_mine = self.worker_index() == 0;
        op.build(move |mut promises, _activation| {
            let promise = promises.pop().filter(|_| is_mine);
            let mut assigner = Assigner { input, out, promise, batch_of };
            move |frontiers| assigner.run(frontiers.next(0))
        });
        DataStream::from_edge(edge)
    }
}

/// Moves the clock on with the batches of the records.
struct Assigner<D: 'static, F> {
    input: Input<Vec<D>, BatchClock>,
    out: Output<Vec<D>, BatchClock>,
    /// At the batch that is open; on worker 0 alone, for all records come there.
    promise: Option<Promise<BatchClock>>,
    batch_of: F,
}

impl<D: 'static, F: Fn(&D) -> BatchNumber> Assigner<D, F> {
    /// One activation; `next` is what may still arrive.
    fn run(&mut self, next: Option<BatchClock>) -> Result<()> {
        let Assigner { input, out, promise, batch_of } = self;
        input.try_for_each(|token, batch| {
            let Some(promise) = promise else {
                return Err(Error::internal("a record came where none is sent"));
            };
            let mut records = batch.drain(..).peekable();
            while let Some(number) = records.peek().map(&*batch_of) {
                let (epoch, open) = *promise.time();
                if number < open {
                    return Err(Error::operator(format!(
                        "a record of batch {number} came after one of batch {open}: batches must ascend; a stream of \
                         several splits or orders needs Env::batches"
                    )));
                }
                promise.advance_to(&(epoch.max(token.time().0), number))?;
                let of_batch = std::iter::from_fn(|| records.next_if(|record| batch_of(record) == number));
                out.send_promised(promise, [&mut of_batch.collect()]);
            }
            Ok(())
        })?;
        match (next, promise.as_mut()) {
            (Some((epoch, _)), Some(open)) if epoch > open.time().0 => {
                open.advance_to(&(epoch, open.time().1))
            }
            (None, _) => {
                *promise = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

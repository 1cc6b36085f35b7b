//! Where the records of a stream are: moving them between workers, and on how many they are handled.

use std::cell::Cell;
use std::panic::Location;

use crate::checkpoint::{Saved, Snapshot, Written};
use crate::clock::{AnyClock, Clock};
use crate::error::{Error, Result};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::origin::Origin;
use crate::process::{self, BatchFunction, Collector, ForRound, Renewable, Results};
use crate::random::{below, mixed, sm};
use crate::record::Record;
use crate::stream::DataStream;

impl<'s, D: Record, T: AnyClock> DataStream<'s, D, T> {
    /// Spreads the records evenly over all workers, in turn.
    #[track_caller]
    pub fn rebalance(self) -> Self {
        let n = self.parallelism();
        self.rebalance_to(n, "rebalance", Location::caller())
    }

    /// Spreads the records evenly over the workers of the same process, in turn: none crosses the network.
    #[track_caller]
    pub fn rescale(self) -> Self {
        let (n, me) = (self.parallelism(), self.worker_index());
        let threads = self.edge.origin.run().threads();
        let first = me / threads * threads;
        let near = first..n.min(first + threads);
        let next = Cell::new(me as u64);
        self.exchange("rescale", Location::caller(), n, move |_record| {
            let turn = next.replace(next.get().wrapping_add(1));
            match near.len() {
                // No worker of this process takes part in the stream, so there are no records here either.
                0 => turn % n as u64,
                len => near.start as u64 + turn % len as u64,
            }
        })
    }

    /// Moves each record to a worker drawn at random, all with the same chance.
    ///
    /// The draws depend on `seed`, on the worker and on how many records came before, and on nothing else.
    #[track_caller]
    pub fn shuffle(self, seed: u64) -> Self {
        let n = self.parallelism();
        let (seed, drawn) = (mixed(seed ^ mixed(self.worker_index() as u64)), Cell::new(0));
        self.exchange("shuffle", Location::caller(), n, move |_record| {
            let draw = sm(seed, drawn.get());
            drawn.set(drawn.get() + 1);
            below(n as u64, draw)
        })
    }

    /// Moves all records to worker 0.
    #[track_caller]
    pub fn global(self) -> Self {
        let n = self.parallelism();
        self.exchange("global", Location::caller(), n, |_record| 0)
    }

    /// Moves each record to worker `partition(record, n)`, which must be below `n`, the
    /// [`parallelism`](Self::parallelism) of the stream.
    #[track_caller]
    pub fn partition_custom(self, partition: impl Fn(&D, usize) -> usize + 'static) -> Self {
        let n = self.parallelism();
        let route = move |record: &D| {
            let worker = partition(record, n);
            assert!(worker < n, "partition {worker} of a record, expected 0 to {}", n - 1);
            worker as u64
        };
        if self.workers() > 1 {
            return self.exchange("partition_custom", Location::caller(), n, route);
        }
        // Nothing moves, but a mistake in the function shows here too.
        self.unary("partition_custom", Location::caller(), move |token, batch, out| {
            batch.iter().for_each(|record| {
                route(record);
            });
            out.send_batch(token, batch);
            Ok(())
        })
    }

    /// Gives every worker a copy of each record.
    #[track_caller]
    pub fn broadcast(self) -> Self {
        let n = self.parallelism();
        self.broadcast_to(n, Location::caller())
    }

    /// Gives each of the first `n` workers a copy of each record.
    pub(crate) fn broadcast_to(self, n: usize, location: &'static Location<'static>) -> Self {
        let copies = move |record: D| (0..n as u32).map(move |worker| (worker, record.clone()));
        let routed: DataStream<'s, (u32, D), T> =
            self.unary("broadcast", location, move |token, batch, out| {
                out.send_iter(token, batch.drain(..).flat_map(copies));
                Ok(())
            });
        let mut op = OperatorBuilder::made_at(&routed.edge.place(), "broadcast", location);
        let input = op.input_routed(routed.edge, WakeOn::Records, |(worker, _)| u64::from(*worker));
        op.set_parallelism(n);
        op.finish_unary(input, |token, batch, out| {
            out.send_each(token, batch, |records| records.map(|(_worker, record)| record));
            Ok(())
        })
    }

    /// Lets the following operators run on the first `n` workers only, and spreads the records evenly over
    /// them. Operators behind a [`key_by`](Self::key_by) are among them.
    ///
    /// Valid: 1 to [`workers`](Self::workers), the default. Anything else ends the run with an
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) error.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let sums = execute(RuntimeConfig::threads(4), |env| {
    ///     let few = env.from_iter(0..10u64).set_parallelism(2);
    ///     Ok(few.map_partition(|records| [records.iter().sum::<u64>()]).collect())
    /// })?;
    /// let sums = sums.concat();
    /// assert_eq!((sums.len(), sums.iter().sum()), (2, 45));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn set_parallelism(self, n: usize) -> Self {
        let location = Location::caller();
        let workers = self.workers();
        if n == 0 || n > workers {
            let origin = Origin::new(&self.edge.place(), "set_parallelism", location);
            origin.refuse(Error::config(format!("parallelism is {n}, expected 1 to {workers}")));
            return self;
        }
        if n == self.parallelism() { self } else { self.rebalance_to(n, "set_parallelism", location) }
    }

    fn rebalance_to(self, n: usize, name: &str, location: &'static Location<'static>) -> Self {
        let next = Cell::new(self.worker_index() as u64);
        self.exchange(name, location, n, move |_record| {
            next.set(next.get().wrapping_add(1));
            next.get() % n as u64
        })
    }

    /// Moves each record to worker `route(record)`, one of the first `n`.
    pub(crate) fn exchange(
        self,
        name: &str,
        location: &'static Location<'static>,
        n: usize,
        route: impl Fn(&D) -> u64 + 'static,
    ) -> Self {
        let mut op = OperatorBuilder::made_at(&self.edge.place(), name, location);
        let input = op.input_routed(self.edge, WakeOn::Records, route);
        op.set_parallelism(n);
        op.finish_unary(input, |token, batch, out| {
            out.send_batch(token, batch);
            Ok(())
        })
    }
}

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Number of workers, from the first, that handle this stream's records.
    ///
    /// That of [`workers`](Self::workers) unless [`set_parallelism`](DataStream::set_parallelism) says less.
    pub fn parallelism(&self) -> usize {
        self.edge.origin.parallelism().min(self.workers())
    }
}

impl<'s, D: Record, T: Clock> DataStream<'s, D, T> {
    /// Replaces the records of each worker by all items of `f` of them, when the input has ended.
    ///
    /// `f` runs once per worker of the stream's [`parallelism`](Self::parallelism), even without records;
    /// these are in order of arrival. All are kept in memory until then. Not for what is fed back into this
    /// stream: see [`WAITS_FOR_END`](crate::ProcessFunction::WAITS_FOR_END).
    #[track_caller]
    pub fn map_partition<I: IntoIterator<Item: 'static>>(
        self,
        f: impl FnMut(Vec<D>) -> I + 'static,
    ) -> DataStream<'s, I::Item, T> {
        let mut op = OperatorBuilder::made_at(&self.edge.place(), "map_partition", Location::caller());
        let input = op.input(self.edge, WakeOn::End);
        process::run(op, input, Partition { records: Vec::new(), f })
    }
}

/// The records of one worker, and the function for all of them.
struct Partition<D, F> {
    records: Vec<D>,
    f: F,
}

impl<D: 'static, F> Renewable for Partition<D, F> {
    type State = Vec<D>;

    fn fresh(&self) -> ForRound<Vec<D>> {
        ForRound::Fresh(Vec::new())
    }

    fn swap(&mut self, records: &mut Vec<D>) {
        std::mem::swap(&mut self.records, records);
    }
}

impl<D: Record, F> Snapshot for Partition<D, F> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.records.iter().try_for_each(|record| to.items().put(record))
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let mut items = from.items()?;
        while let Some(record) = items.next_item()? {
            self.records.push(record);
        }
        Ok(())
    }
}

impl<D, I, F> BatchFunction<D> for Partition<D, F>
where
    D: Record,
    I: IntoIterator<Item: 'static>,
    F: FnMut(Vec<D>) -> I + 'static,
{
    type Out = I::Item;
    const WAITS_FOR_END: bool = true;

    fn process_batch<T: Clock>(
        &mut self,
        batch: &mut Vec<D>,
        _out: &mut Results<'_, I::Item, T>,
    ) -> Result<()> {
        self.records.append(batch);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<I::Item>) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        out.batch().extend((self.f)(records));
        Ok(())
    }
}

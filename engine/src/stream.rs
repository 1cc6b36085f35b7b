//! Streams of records and their transformations.

mod partition;

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use timely::dataflow::operators::Concat;

use crate::clock::{AnyClock, Clock, Epoch};
use crate::collect::{Collected, DataStreamSink, gather};
use crate::edge::{Edge, Place};
use crate::error::Result;
use crate::flow;
use crate::hash::Key;
use crate::keyed::{KeyedStream, Made, Part};
use crate::operator::output::RecordOutput;
use crate::operator::{Batch, Input, OperatorBuilder, Token, WakeOn};
use crate::origin::Origin;
use crate::process::{Collector, ForRound, ProcessFunction};
use crate::record::Record;
use crate::sink::DeliveryGuarantee;

/// A stream of records, partitioned over the workers.
///
/// Transformations consume the stream; clone it to use it twice. Every operator has a name, by default that
/// of the transformation; [`name`](Self::name) sets a better one for errors.
pub struct DataStream<'s, D, T: AnyClock = Epoch> {
    edge: Edge<'s, Vec<D>, T>,
}

impl<D: Clone + 'static, T: AnyClock> Clone for DataStream<'_, D, T> {
    fn clone(&self) -> Self {
        DataStream { edge: self.edge.clone() }
    }
}

impl<D, T: AnyClock> std::fmt::Debug for DataStream<'_, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DataStream").field(&self.edge).finish()
    }
}

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// The stream that an edge carries.
    pub fn from_edge(edge: Edge<'s, Vec<D>, T>) -> Self {
        DataStream { edge }
    }

    /// The edge under the stream, for the layers that build their own operators.
    pub fn into_edge(self) -> Edge<'s, Vec<D>, T> {
        self.edge
    }

    /// The dataflow, or the body of a loop, that the stream is in.
    pub fn place(&self) -> Place<'s, T> {
        self.edge.place()
    }

    /// Names the operator that made this stream, for its errors.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.edge.origin.rename(name);
        self
    }

    /// Gives the operator that made this stream a stable identity, which its state keeps when the program
    /// around it changes.
    ///
    /// An empty uid, or one that another operator of the job has, ends the run with an
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) error that names the source lines.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, ErrorKind, RuntimeConfig};
    /// let taken = execute(RuntimeConfig::threads(1), |env| {
    ///     let words = env.from_iter(["a", "b", "a"].map(String::from)).uid("words");
    ///     Ok(words.key_by(String::clone).count().uid("words").collect())
    /// });
    /// let error = taken.unwrap_err();
    /// assert_eq!((error.kind(), error.site().unwrap().operator.as_str()), (ErrorKind::Config, "count"));
    /// assert!(error.message().starts_with("uid \"words\" is used twice"));
    /// ```
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.edge.origin.set_uid(uid);
        self
    }

    /// Index of this worker among all workers of the job.
    pub fn worker_index(&self) -> usize {
        self.edge.origin.worker()
    }

    /// Number of workers of the whole job.
    pub fn workers(&self) -> usize {
        self.edge.place().workers()
    }

    /// Replaces each record by `f` of it.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let doubled = execute(RuntimeConfig::threads(1), |env| {
    ///     Ok(env.from_iter([1, 2, 3]).map(|x| x * 2).collect())
    /// })?;
    /// assert_eq!(doubled.concat(), [2, 4, 6]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn map<E: 'static>(self, mut f: impl FnMut(D) -> E + 'static) -> DataStream<'s, E, T> {
        self.unary("map", Location::caller(), move |token, batch, out| {
            out.send_each(token, batch, |records| records.map(&mut f));
            Ok(())
        })
    }

    /// As [`map`](Self::map), for a function that can fail: its error ends the run.
    #[track_caller]
    pub fn try_map<E: 'static>(self, mut f: impl FnMut(D) -> Result<E> + 'static) -> DataStream<'s, E, T> {
        self.unary("try_map", Location::caller(), move |token, batch, out| {
            let mut failure = None;
            let mut good = |record| f(record).map_err(|error| failure = Some(error)).ok();
            out.send_each(token, batch, |records| records.map_while(&mut good));
            failure.map_or(Ok(()), Err)
        })
    }

    /// Keeps the records for which `keep` is true.
    #[track_caller]
    pub fn filter(self, mut keep: impl FnMut(&D) -> bool + 'static) -> Self {
        self.unary("filter", Location::caller(), move |token, batch, out| {
            batch.retain(&mut keep);
            out.send_batch(token, batch);
            Ok(())
        })
    }

    /// Replaces each record by all items of `f` of it.
    #[track_caller]
    pub fn flat_map<I: IntoIterator<Item: 'static>>(
        self,
        mut f: impl FnMut(D) -> I + 'static,
    ) -> DataStream<'s, I::Item, T> {
        self.unary("flat_map", Location::caller(), move |token, batch, out| {
            out.send_iter(token, batch.drain(..).flat_map(&mut f));
            Ok(())
        })
    }

    /// Shows each record to `look` and passes it on.
    #[track_caller]
    pub fn inspect(self, mut look: impl FnMut(&D) + 'static) -> Self {
        self.unary("inspect", Location::caller(), move |token, batch, out| {
            batch.iter().for_each(&mut look);
            out.send_batch(token, batch);
            Ok(())
        })
    }

    /// All records of both streams. Without order between them.
    #[must_use]
    #[track_caller]
    pub fn union(self, other: Self) -> Self {
        let (first, second) = (&self.edge.origin, &other.edge.origin);
        let origin = Origin::new(&self.edge.place, "union", Location::caller());
        origin.set_parallelism(first.parallelism().max(second.parallelism()));
        origin.unite(first, second);
        let lineage = flow::both(&self.edge.lineage, &other.edge.lineage);
        let stream = self.edge.stream.concat(other.edge.stream);
        DataStream { edge: Edge { stream, origin, lineage, ..self.edge } }
    }

    /// Hands each record to `write`, for its effect; an error ends the run.
    ///
    /// At least once: after a restart from a checkpoint it sees again what it has seen since.
    ///
    /// # Examples
    /// ```
    /// # use std::sync::{Arc, Mutex};
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let written = Arc::new(Mutex::new(Vec::new()));
    /// let target = Arc::clone(&written);
    /// execute(RuntimeConfig::threads(1), move |env| {
    ///     let target = Arc::clone(&target);
    ///     let write = move |x| {
    ///         target.lock().unwrap().push(x);
    ///         Ok(())
    ///     };
    ///     env.from_iter([1, 2, 3]).sink(write).name("numbers").uid("numbers-v1");
    ///     Ok(())
    /// })?;
    /// assert_eq!(*written.lock().unwrap(), [1, 2, 3]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn sink(self, write: impl FnMut(D) -> Result<()> + 'static) -> DataStreamSink {
        self.sink_called("sink", Location::caller(), write)
    }

    fn sink_called(
        self,
        name: &str,
        location: &'static Location<'static>,
        mut write: impl FnMut(D) -> Result<()> + 'static,
    ) -> DataStreamSink {
        let mut op = OperatorBuilder::made_at(&self.edge.place(), name, location);
        let mut input = op.input(self.edge, WakeOn::Records);
        let sink = DataStreamSink::new(op.origin());
        op.origin().set_delivery(DeliveryGuarantee::AtLeastOnce);
        let mut part = op.part(&());
        op.build(move |_promises, _activation| {
            move |frontiers| {
                input.try_for_each(|_token, batch| batch.drain(..).try_for_each(&mut write))?;
                part.be_waited_for(frontiers)
            }
        });
        sink
    }

    /// Gathers all records on worker 0; the job's caller gets them when the run has ended.
    ///
    /// Everything is kept in memory, and in checkpoints. Order is that of arrival.
    #[track_caller]
    pub fn collect(self) -> Collected<D>
    where
        D: Record,
    {
        let mut op = OperatorBuilder::made_at(&self.edge.place(), "collect", Location::caller());
        let input = op.input_routed(self.edge, WakeOn::Records, |_record| 0);
        gather(op, input)
    }

    /// Keeps the records where they are; each worker gets its own. In a job with checkpoints that goes on with another
    /// number of workers, worker `w` of `n` gets those of the workers whose index modulo `n` is `w`.
    #[track_caller]
    pub fn collect_local(self) -> Collected<D>
    where
        D: Record,
    {
        let mut op = OperatorBuilder::made_at(&self.edge.place(), "collect_local", Location::caller());
        let input = op.input(self.edge, WakeOn::Records);
        gather(op, input)
    }

    /// A one-input operator on records that stay where they are.
    pub(crate) fn unary<E: 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        logic: impl FnMut(&Token<T>, &mut Vec<D>, &mut RecordOutput<E, T>) -> Result<()> + 'static,
    ) -> DataStream<'s, E, T> {
        let mut op = OperatorBuilder::made_at(&self.edge.place(), name, location);
        let input = op.input(self.edge, WakeOn::Records);
        op.finish_unary(input, logic)
    }
}

impl<'s, D: 'static, T: Clock> DataStream<'s, D, T> {
    /// Handles records with a [`Collector`] for any number of results.
    #[track_caller]
    pub fn process<E: 'static>(
        self,
        mut f: impl FnMut(D, &mut Collector<E>) + 'static,
    ) -> DataStream<'s, E, T> {
        let per_record = move |record: D, out: &mut Collector<E>| f(record, out);
        crate::process::build(self.edge, EachRecord(per_record, PhantomData), Location::caller())
    }

    /// Handles records with a [`ProcessFunction`], which is also told of the end of the input.
    #[track_caller]
    pub fn process_function<F: ProcessFunction<D> + 'static>(self, f: F) -> DataStream<'s, F::Out, T> {
        crate::process::build(self.edge, f, Location::caller())
    }

    /// Partitions the stream by key: all records of one key are handled by the worker that owns the key.
    ///
    /// The key function runs once for the move and once for the state. Placement is a fixed hash; see
    /// [`hash`](crate::hash). Where the key is a part of the record that costs something to clone, such as a
    /// string, [`key_by_ref`](Self::key_by_ref) spares the clones.
    #[track_caller]
    pub fn key_by<K: Key>(self, key: impl Fn(&D) -> K + 'static) -> KeyedStream<'s, K, D, T>
    where
        D: Record,
    {
        KeyedStream::new(self.edge, Rc::new(Made(key)), Location::caller())
    }

    /// As [`key_by`](Self::key_by), by a part of the record, which is cloned once for each different key and
    /// not for each record.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let counts = execute(RuntimeConfig::threads(2), |env| {
    ///     let words = env.from_iter("to be or not to be".split(' ').map(String::from));
    ///     let counted = words.key_by_ref(|word| word).process(|word, n: &mut u32, _, out| {
    ///         *n += 1;
    ///         out.emit((word.clone(), *n));
    ///     });
    ///     Ok(counted.collect())
    /// })?;
    /// assert!(counts.concat().contains(&("be".to_string(), 2)));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn key_by_ref<K: Key>(self, key: impl Fn(&D) -> &K + 'static) -> KeyedStream<'s, K, D, T>
    where
        D: Record,
    {
        KeyedStream::new(self.edge, Rc::new(Part(key)), Location::caller())
    }
}

/// A plain closure as a [`ProcessFunction`].
struct EachRecord<F, E>(F, PhantomData<E>);

impl<D, E: 'static, F: FnMut(D, &mut Collector<E>)> ProcessFunction<D> for EachRecord<F, E> {
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, record: D, out: &mut Collector<E>) -> Result<()> {
        (self.0)(record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl<'s, T: AnyClock> OperatorBuilder<'s, T> {
    /// Finishes an operator that handles batch after batch and keeps nothing between them.
    pub(crate) fn finish_unary<C: Batch, E: 'static>(
        mut self,
        mut input: Input<C, T>,
        mut logic: impl FnMut(&Token<T>, &mut C, &mut RecordOutput<E, T>) -> Result<()> + 'static,
    ) -> DataStream<'s, E, T> {
        let (mut out, edge) = self.record_output();
        self.keep_nothing();
        self.build(move |_promises, _activation| {
            move |_frontiers| input.try_for_each(|token, batch| logic(&token, batch, &mut out))
        });
        DataStream { edge }
    }
}

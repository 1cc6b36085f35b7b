//! Operators that run functions which are told of epochs.

mod operator;

use rustc_hash::FxHashMap;
use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{
    Clock, Collector, ConnectedStreams, DataStream, ForRound, Key, KeyedStream, Record, Result, Round,
    SideOutputStream,
};

use crate::listener::{
    EpochCoProcessFunction, EpochContext, EpochProcessFunction, IterationListener, KeyedEpochProcessFunction,
};
use operator::{Callbacks, Emitter, EpochOperator, Read, Waiting};

/// A stream in the body of an iteration.
pub trait EpochStream<'i, D, U: Clock> {
    /// Handles records with a function that is told of epochs.
    ///
    /// # Examples
    /// The sum of each epoch; records are doubled from epoch to epoch:
    /// ```
    /// use waterwheel_engine::{Collector, Result, Round, RuntimeConfig, execute};
    /// use waterwheel_iteration::{
    ///     EpochContext, EpochProcessFunction, EpochStream, IterationBodyResult, IterationConfig,
    ///     IterationListener, Iterations,
    /// };
    ///
    /// #[derive(Default)]
    /// struct SumOfEpoch(u64);
    ///
    /// impl IterationListener for SumOfEpoch {
    ///     type Out = (Round, u64);
    ///     fn on_epoch_watermark_incremented(
    ///         &mut self, epoch: Round, _context: &mut EpochContext, out: &mut Collector<(Round, u64)>,
    ///     ) -> Result<()> {
    ///         out.emit((epoch, std::mem::take(&mut self.0)));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl EpochProcessFunction<u64> for SumOfEpoch {
    ///     fn process(
    ///         &mut self, record: u64, _context: &mut EpochContext, _out: &mut Collector<(Round, u64)>,
    ///     ) -> Result<()> {
    ///         self.0 += record;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let sums = execute(RuntimeConfig::threads(1), |env| {
    ///     let (start, config) = (env.from_iter([1u64, 2, 3]), IterationConfig::new().max_rounds(3));
    ///     let (sums,) = Iterations::iterate_bounded((start,), (), config, |_it, (x,), ()| {
    ///         let sums = x.clone().process_epochs(SumOfEpoch::default());
    ///         IterationBodyResult::new((x.map(|x| 2 * x),), (sums,))
    ///     });
    ///     Ok(sums.collect())
    /// })?;
    /// assert_eq!(sums.concat(), [(0, 6), (1, 12), (2, 24)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochProcessFunction<D> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs: what the function emits with
    /// [`EpochContext::output`].
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochProcessFunction<D> + 'static;
}

/// Two connected streams in the body of an iteration.
pub trait EpochConnectedStreams<'i, A, B, U: Clock> {
    /// Handles records of both with a function that is told of epochs.
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochCoProcessFunction<A, B> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs.
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochCoProcessFunction<A, B> + 'static;
}

/// A keyed stream in the body of an iteration.
pub trait KeyedEpochStream<'i, K, D, U: Clock> {
    /// Handles records with a function that has a state per key and is told of epochs.
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs.
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static;
}

impl<'i, D: 'static, U: Clock> EpochStream<'i, D, U> for DataStream<'i, D, (U, Round)> {
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochProcessFunction<D> + 'static,
    {
        let (op, read) = of_one(self);
        op.results(Plain(f), read)
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochProcessFunction<D> + 'static,
    {
        let (op, read) = of_one(self);
        op.results_and_side_outputs(Plain(f), read)
    }
}

impl<'i, A: 'static, B: 'static, U: Clock> EpochConnectedStreams<'i, A, B, U>
    for ConnectedStreams<'i, A, B, (U, Round)>
{
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochCoProcessFunction<A, B> + 'static,
    {
        let (op, read) = of_two(self);
        op.results(Plain(f), read)
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochCoProcessFunction<A, B> + 'static,
    {
        let (op, read) = of_two(self);
        op.results_and_side_outputs(Plain(f), read)
    }
}

impl<'i, K: Key, D: Record, U: Clock> KeyedEpochStream<'i, K, D, U> for KeyedStream<'i, K, D, (U, Round)> {
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static,
    {
        let (op, read) = of_keyed(self);
        op.results(Keyed::new(f), read)
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static,
    {
        let (op, read) = of_keyed(self);
        op.results_and_side_outputs(Keyed::new(f), read)
    }
}

#[track_caller]
fn of_one<'i, D: 'static, U: Clock, F: EpochProcessFunction<D> + 'static>(
    stream: DataStream<'i, D, (U, Round)>,
) -> (EpochOperator<'i, U>, impl Read<Plain<F>, U> + use<D, U, F>) {
    let edge = stream.into_edge();
    let mut op = OperatorBuilder::new(&edge.place(), "process_epochs");
    let mut input = op.input(edge, WakeOn::Progress);
    let mut waiting = Waiting::default();
    let read = move |Plain(f): &mut Plain<F>, emitter: &mut Emitter<F::Out, U>| {
        emitter.handle(&mut input, &mut waiting, |record, at, out| f.process(record, at, out))
    };
    (EpochOperator { op, n_inputs: 1 }, read)
}

#[track_caller]
fn of_two<'i, A: 'static, B: 'static, U: Clock, F: EpochCoProcessFunction<A, B> + 'static>(
    streams: ConnectedStreams<'i, A, B, (U, Round)>,
) -> (EpochOperator<'i, U>, impl Read<Plain<F>, U> + use<A, B, U, F>) {
    let (first, second) = streams.into_parts();
    let (first, second) = (first.into_edge(), second.into_edge());
    let mut op = OperatorBuilder::new(&first.place(), "co_process_epochs");
    let (mut first, mut second) = (op.input(first, WakeOn::Progress), op.input(second, WakeOn::Progress));
    let (mut firsts, mut seconds) = (Waiting::default(), Waiting::default());
    let read = move |Plain(f): &mut Plain<F>, emitter: &mut Emitter<F::Out, U>| {
        emitter.handle(&mut first, &mut firsts, |record, at, out| f.process1(record, at, out))?;
        emitter.handle(&mut second, &mut seconds, |record, at, out| f.process2(record, at, out))
    };
    (EpochOperator { op, n_inputs: 2 }, read)
}

#[track_caller]
fn of_keyed<'i, K: Key, D: Record, U: Clock, F: KeyedEpochProcessFunction<K, D> + 'static>(
    keyed: KeyedStream<'i, K, D, (U, Round)>,
) -> (EpochOperator<'i, U>, impl Read<Keyed<K, D, F>, U> + use<K, D, U, F>) {
    let mut op = OperatorBuilder::new(&keyed.place(), "keyed_process_epochs");
    let (mut input, key) = op.input_keyed(keyed, WakeOn::Progress);
    let mut waiting = Waiting::default();
    let read = move |keyed: &mut Keyed<K, D, F>, emitter: &mut Emitter<F::Out, U>| {
        emitter
            .handle(&mut input, &mut waiting, |record, at, out| keyed.process(&key(&record), record, at, out))
    };
    (EpochOperator { op, n_inputs: 1 }, read)
}

/// A function without a state of keys.
struct Plain<F>(F);

impl<F: IterationListener + 'static> Callbacks for Plain<F> {
    type Out = F::Out;

    fn epoch_end(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<F::Out>,
    ) -> Result<()> {
        self.0.on_epoch_watermark_incremented(epoch, context, out)
    }

    fn termination(&mut self, context: &mut EpochContext, out: &mut Collector<F::Out>) -> Result<()> {
        self.0.on_iteration_terminated(context, out)
    }

    fn can_begin_anew(&self) -> bool {
        !matches!(self.0.for_next_round(), ForRound::Refused)
    }

    fn begin_anew(&mut self) {
        begin_anew(&mut self.0);
    }
}

fn begin_anew<F: IterationListener>(f: &mut F) {
    if let ForRound::Fresh(fresh) = f.for_next_round() {
        *f = fresh;
    }
}

/// A function and the states of this worker's keys.
struct Keyed<K, D, F: KeyedEpochProcessFunction<K, D>> {
    f: F,
    states: FxHashMap<K, F::State>,
}

impl<K: Key, D, F: KeyedEpochProcessFunction<K, D>> Keyed<K, D, F> {
    fn new(f: F) -> Self {
        Keyed { f, states: FxHashMap::default() }
    }

    fn process(
        &mut self,
        key: &K,
        record: D,
        context: &mut EpochContext,
        out: &mut Collector<F::Out>,
    ) -> Result<()> {
        if let Some(state) = self.states.get_mut(key) {
            return self.f.process(key, state, record, context, out);
        }
        let state = self.states.entry(key.clone()).or_default();
        self.f.process(key, state, record, context, out)
    }
}

impl<K: Key, D: 'static, F: KeyedEpochProcessFunction<K, D> + 'static> Callbacks for Keyed<K, D, F> {
    type Out = F::Out;

    fn epoch_end(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<F::Out>,
    ) -> Result<()> {
        if F::VISITS_KEYS {
            let mut keys: Vec<_> = self.states.iter_mut().collect();
            keys.sort_unstable_by(|a, b| a.0.cmp(b.0));
            for (key, state) in keys {
                self.f.on_key_epoch(key, state, epoch, context, out)?;
            }
        }
        self.f.on_epoch_watermark_incremented(epoch, context, out)
    }

    fn termination(&mut self, context: &mut EpochContext, out: &mut Collector<F::Out>) -> Result<()> {
        self.f.on_iteration_terminated(context, out)
    }

    fn can_begin_anew(&self) -> bool {
        !matches!(self.f.for_next_round(), ForRound::Refused)
    }

    fn begin_anew(&mut self) {
        begin_anew(&mut self.f);
        self.states.clear();
    }
}

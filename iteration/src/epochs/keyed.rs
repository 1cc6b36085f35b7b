//! Functions with a state per key that are told of epochs.

use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::operator::{KeyedStates, OperatorBuilder, WakeOn};
use waterwheel_engine::{
    Clock, Collector, DataStream, Key, KeyedConnectedStreams, KeyedStream, Record, Result, Round,
    SideOutputStream,
};

use super::Plain;
use super::operator::{Callbacks, Emitter, EpochOperator, Read, Waiting};
use crate::listener::{
    EpochContext, KeyedEpochCoProcessFunction, KeyedEpochProcessFunction, KeyedIterationListener,
};

/// A keyed stream in the body of an iteration.
pub trait KeyedEpochStream<'i, K, D, U: Clock> {
    /// Handles records with a function that has a state per key and is told of epochs.
    ///
    /// # Examples
    /// In each epoch, the key that has had most records so far; keys lose a record from epoch to epoch:
    /// ```
    /// use waterwheel_engine::{Collector, Result, Round, RuntimeConfig, execute};
    /// use waterwheel_iteration::{
    ///     EpochContext, IterationBodyResult, IterationConfig, IterationListener, Iterations,
    ///     KeyedEpochProcessFunction, KeyedEpochStream, KeyedIterationListener,
    /// };
    ///
    /// #[derive(Default)]
    /// struct Leader(Option<(u64, char)>);
    ///
    /// impl IterationListener for Leader {
    ///     type Out = (Round, char);
    ///     fn on_epoch_watermark_incremented(
    ///         &mut self, epoch: Round, _: &mut EpochContext, out: &mut Collector<(Round, char)>,
    ///     ) -> Result<()> {
    ///         Ok(self.0.take().into_iter().for_each(|(_, key)| out.emit((epoch, key))))
    ///     }
    /// }
    ///
    /// impl KeyedIterationListener<char> for Leader {
    ///     type State = u64;
    ///     const VISITS_KEYS: bool = true;
    ///     fn on_key_epoch(
    ///         &mut self, key: &char, n: &mut u64, _: Round, _: &mut EpochContext, _: &mut Collector<(Round, char)>,
    ///     ) -> Result<()> {
    ///         self.0 = self.0.max(Some((*n, *key)));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl KeyedEpochProcessFunction<char, char> for Leader {
    ///     fn process(
    ///         &mut self, _: &char, n: &mut u64, _: char, _: &mut EpochContext, _: &mut Collector<(Round, char)>,
    ///     ) -> Result<()> {
    ///         *n += 1;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let leaders = execute(RuntimeConfig::threads(1), |env| {
    ///     let (letters, config) = (env.from_iter("aab".chars()), IterationConfig::new().max_rounds(3));
    ///     let (leaders,) = Iterations::iterate_bounded((letters,), (), config, |_it, (x,), ()| {
    ///         let leaders = x.clone().key_by(|x| *x).process_epochs(Leader::default());
    ///         IterationBodyResult::new((x.filter(|x| *x == 'b').flat_map(|x| [x, x]),), (leaders,))
    ///     });
    ///     Ok(leaders.collect())
    /// })?;
    /// assert_eq!(leaders.concat(), [(0, 'a'), (1, 'b'), (2, 'b')]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs: what the function emits with
    /// [`EpochContext::output`].
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static;
}

/// Two connected keyed streams in the body of an iteration.
pub trait KeyedEpochConnectedStreams<'i, K, A, B, U: Clock> {
    /// Handles records of both with a function that has a state per key and is told of epochs.
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochCoProcessFunction<K, A, B> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs: what the function emits with
    /// [`EpochContext::output`].
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochCoProcessFunction<K, A, B> + 'static;
}

impl<'i, K: Key, D: Record, U: Clock> KeyedEpochStream<'i, K, D, U> for KeyedStream<'i, K, D, (U, Round)> {
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static,
    {
        of_one(self, f).results()
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochProcessFunction<K, D> + 'static,
    {
        of_one(self, f).results_and_side_outputs()
    }
}

impl<'i, K: Key, A: Record, B: Record, U: Clock> KeyedEpochConnectedStreams<'i, K, A, B, U>
    for KeyedConnectedStreams<'i, K, A, B, (U, Round)>
{
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochCoProcessFunction<K, A, B> + 'static,
    {
        of_two(self, f).results()
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochCoProcessFunction<K, A, B> + 'static,
    {
        of_two(self, f).results_and_side_outputs()
    }
}

#[track_caller]
fn of_one<'i, K: Key, D: Record, U: Clock, F: KeyedEpochProcessFunction<K, D> + 'static>(
    keyed: KeyedStream<'i, K, D, (U, Round)>,
    f: F,
) -> EpochOperator<'i, U, Keyed<K, F>, impl Read<Keyed<K, F>, U> + use<K, D, U, F>> {
    let mut op = OperatorBuilder::new(&keyed.place(), "keyed_process_epochs");
    let function = Keyed { f: Plain(f), states: keyed.states() };
    let n = keyed.parallelism();
    let (mut input, key) = op.input_keyed(keyed, WakeOn::Progress, n);
    let mut waiting = Waiting::default();
    let read = move |Keyed { f: Plain(f), states }: &mut Keyed<K, F>, emitter: &mut Emitter<F::Out, U>| {
        emitter.handle(&mut input, &mut waiting, |record, at, out| {
            let key = key(&record);
            states.with(&key, |state| f.process(&key, state, record, at, out))
        })
    };
    EpochOperator { op, n_inputs: 1, f: function, read }
}

#[track_caller]
fn of_two<'i, K: Key, A: Record, B: Record, U: Clock, F: KeyedEpochCoProcessFunction<K, A, B> + 'static>(
    streams: KeyedConnectedStreams<'i, K, A, B, (U, Round)>,
    f: F,
) -> EpochOperator<'i, U, Keyed<K, F>, impl Read<Keyed<K, F>, U> + use<K, A, B, U, F>> {
    let function = Keyed { f: Plain(f), states: streams.states() };
    let (first, second) = streams.into_parts();
    let mut op = OperatorBuilder::new(&first.place(), "keyed_co_process_epochs");
    let n = first.parallelism().max(second.parallelism());
    let (mut first, first_key) = op.input_keyed(first, WakeOn::Progress, n);
    let (mut second, second_key) = op.input_keyed(second, WakeOn::Progress, n);
    let (mut firsts, mut seconds) = (Waiting::default(), Waiting::default());
    let read = move |Keyed { f: Plain(f), states }: &mut Keyed<K, F>, emitter: &mut Emitter<F::Out, U>| {
        emitter.handle(&mut first, &mut firsts, |record, at, out| {
            let key = first_key(&record);
            states.with(&key, |state| f.process1(&key, state, record, at, out))
        })?;
        emitter.handle(&mut second, &mut seconds, |record, at, out| {
            let key = second_key(&record);
            states.with(&key, |state| f.process2(&key, state, record, at, out))
        })
    };
    EpochOperator { op, n_inputs: 2, f: function, read }
}

/// A function and the states of this worker's keys.
pub(super) struct Keyed<K, F: KeyedIterationListener<K>> {
    pub(super) f: Plain<F>,
    pub(super) states: KeyedStates<K, F::State>,
}

impl<K: Key, F: KeyedIterationListener<K> + 'static> Snapshot for Keyed<K, F> {
    fn check(&self) -> Result<()> {
        self.f.check()
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.f.mark(to)?;
        self.states.mark(to)
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        Ok(self.states.sweep(to)? || self.f.sweep(to)?)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.f.restore(from)?;
        self.states.restore(from)
    }
}

impl<K: Key, F: KeyedIterationListener<K> + 'static> Callbacks for Keyed<K, F> {
    type Out = F::Out;

    fn epoch_end(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<F::Out>,
    ) -> Result<()> {
        let Keyed { f: Plain(f), states } = self;
        if F::VISITS_KEYS {
            states.for_each(|key, state| f.on_key_epoch(key, state, epoch, context, out))?;
        }
        f.on_epoch_watermark_incremented(epoch, context, out)
    }

    fn termination(&mut self, context: &mut EpochContext, out: &mut Collector<F::Out>) -> Result<()> {
        let Keyed { f: Plain(f), states } = self;
        if F::VISITS_KEYS {
            states.for_each(|key, state| f.on_key_terminated(key, state, context, out))?;
        }
        f.on_iteration_terminated(context, out)
    }

    fn can_begin_anew(&self) -> bool {
        self.f.can_begin_anew()
    }

    fn is_renewed(&self) -> bool {
        self.f.is_renewed()
    }

    fn begin_anew(&mut self) {
        self.f.begin_anew();
        self.states.clear();
    }
}

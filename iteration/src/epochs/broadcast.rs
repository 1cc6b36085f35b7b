//! Functions with a broadcast state that are told of epochs.

use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{
    BroadcastConnectedStreams, Clock, Collector, DataStream, Key, KeyedBroadcastConnectedStreams, Record,
    Result, Round, SideOutputStream, State,
};

use super::Plain;
use super::keyed::Keyed;
use super::operator::{Callbacks, Emitter, EpochOperator, Read, Waiting};
use crate::listener::{EpochBroadcastProcessFunction, EpochContext, KeyedEpochBroadcastProcessFunction};

/// A stream beside a broadcast one in the body of an iteration.
pub trait BroadcastEpochConnectedStreams<'i, A, B, U: Clock> {
    /// Handles records of both with a function that has a broadcast state and is told of epochs.
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochBroadcastProcessFunction<A, B> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs: what the function emits with
    /// [`EpochContext::output`].
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochBroadcastProcessFunction<A, B> + 'static;
}

/// A keyed stream beside a broadcast one in the body of an iteration.
pub trait KeyedBroadcastEpochConnectedStreams<'i, K, A, B, U: Clock> {
    /// Handles records of both with a function that has a state per key and a broadcast state, and is told of epochs.
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochBroadcastProcessFunction<K, A, B> + 'static;

    /// As [`process_epochs`](Self::process_epochs), with side outputs: what the function emits with
    /// [`EpochContext::output`].
    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochBroadcastProcessFunction<K, A, B> + 'static;
}

impl<'i, A: 'static, B: Record, U: Clock> BroadcastEpochConnectedStreams<'i, A, B, U>
    for BroadcastConnectedStreams<'i, A, B, (U, Round)>
{
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochBroadcastProcessFunction<A, B> + 'static,
    {
        of_plain(self, f).results()
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochBroadcastProcessFunction<A, B> + 'static,
    {
        of_plain(self, f).results_and_side_outputs()
    }
}

impl<'i, K: Key, A: Record, B: Record, U: Clock> KeyedBroadcastEpochConnectedStreams<'i, K, A, B, U>
    for KeyedBroadcastConnectedStreams<'i, K, A, B, (U, Round)>
{
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochBroadcastProcessFunction<K, A, B> + 'static,
    {
        of_keyed(self, f).results()
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: KeyedEpochBroadcastProcessFunction<K, A, B> + 'static,
    {
        of_keyed(self, f).results_and_side_outputs()
    }
}

#[track_caller]
fn of_plain<'i, A: 'static, B: Record, U: Clock, F: EpochBroadcastProcessFunction<A, B> + 'static>(
    streams: BroadcastConnectedStreams<'i, A, B, (U, Round)>,
    f: F,
) -> EpochOperator<'i, U, PlainBeside<F, A, B>, impl Read<PlainBeside<F, A, B>, U> + use<A, B, U, F>> {
    let function = Beside { callbacks: Plain(f), broadcast: F::Broadcast::default() };
    let (main, broadcast) = streams.into_parts();
    let mut op = OperatorBuilder::new(&main.place(), "broadcast_process_epochs");
    let mut main = op.input(main.into_edge(), WakeOn::Progress);
    let mut applied = op.input(broadcast.into_edge(), WakeOn::Progress);
    let (mut firsts, mut seconds) = (Waiting::default(), Waiting::default());
    let read = move |beside: &mut Beside<Plain<F>, F::Broadcast>, emitter: &mut Emitter<F::Out, U>| {
        let Beside { callbacks: Plain(f), broadcast } = beside;
        emitter.handle(&mut applied, &mut seconds, |record, at, out| {
            f.process_broadcast(broadcast, record, at, out)
        })?;
        emitter.handle(&mut main, &mut firsts, |record, at, out| f.process(broadcast, record, at, out))
    };
    EpochOperator { op, n_inputs: 2, f: function, read }
}

#[track_caller]
fn of_keyed<'i, K, A, B, U, F>(
    streams: KeyedBroadcastConnectedStreams<'i, K, A, B, (U, Round)>,
    f: F,
) -> EpochOperator<'i, U, KeyedBeside<F, K, A, B>, impl Read<KeyedBeside<F, K, A, B>, U> + use<K, A, B, U, F>>
where
    K: Key,
    A: Record,
    B: Record,
    U: Clock,
    F: KeyedEpochBroadcastProcessFunction<K, A, B> + 'static,
{
    let (main, broadcast) = streams.into_parts();
    let callbacks = Keyed { f: Plain(f), states: main.states() };
    let function = Beside { callbacks, broadcast: F::Broadcast::default() };
    let mut op = OperatorBuilder::new(&main.place(), "keyed_broadcast_process_epochs");
    let n = main.parallelism();
    let (mut main, key) = op.input_keyed(main, WakeOn::Progress, n);
    let mut applied = op.input(broadcast.into_edge(), WakeOn::Progress);
    let (mut firsts, mut seconds) = (Waiting::default(), Waiting::default());
    let read = move |beside: &mut Beside<Keyed<K, F>, F::Broadcast>, emitter: &mut Emitter<F::Out, U>| {
        let Beside { callbacks: Keyed { f: Plain(f), states }, broadcast } = beside;
        emitter.handle(&mut applied, &mut seconds, |record, at, out| {
            f.process_broadcast(broadcast, record, at, out)
        })?;
        emitter.handle(&mut main, &mut firsts, |record, at, out| {
            let key = key(&record);
            states.with(&key, |state| f.process(&key, (state, broadcast), record, at, out))
        })
    };
    EpochOperator { op, n_inputs: 2, f: function, read }
}

type PlainBeside<F, A, B> = Beside<Plain<F>, <F as EpochBroadcastProcessFunction<A, B>>::Broadcast>;
type KeyedBeside<F, K, A, B> =
    Beside<Keyed<K, F>, <F as KeyedEpochBroadcastProcessFunction<K, A, B>>::Broadcast>;

/// A function with a broadcast state beside it.
struct Beside<C, S> {
    callbacks: C,
    broadcast: S,
}

impl<C: Callbacks, S: State> Snapshot for Beside<C, S> {
    fn check(&self) -> Result<()> {
        self.callbacks.check()
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.callbacks.mark(to)?;
        to.copied().put(&self.broadcast)
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        self.callbacks.sweep(to)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.callbacks.restore(from)?;
        if let Some(broadcast) = from.copied()?.next_item()? {
            self.broadcast = broadcast;
        }
        Ok(())
    }
}

impl<C: Callbacks, S: State> Callbacks for Beside<C, S> {
    type Out = C::Out;

    fn epoch_end(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<C::Out>,
    ) -> Result<()> {
        self.callbacks.epoch_end(epoch, context, out)
    }

    fn termination(&mut self, context: &mut EpochContext, out: &mut Collector<C::Out>) -> Result<()> {
        self.callbacks.termination(context, out)
    }

    fn can_begin_anew(&self) -> bool {
        self.callbacks.can_begin_anew()
    }

    fn is_renewed(&self) -> bool {
        self.callbacks.is_renewed()
    }

    fn begin_anew(&mut self) {
        self.callbacks.begin_anew();
        self.broadcast = S::default();
    }
}

//! Functions with a broadcast state that are told of epochs.

use waterwheel_engine::{Collector, Result, State};

use crate::listener::keyed::KeyedIterationListener;
use crate::listener::{EpochContext, IterationListener};

/// A function on a stream and on a broadcast stream in the body of an iteration, with a state per worker that only the
/// latter changes; see [`BroadcastProcessFunction`](waterwheel_engine::BroadcastProcessFunction).
pub trait EpochBroadcastProcessFunction<A, B>: IterationListener {
    /// The broadcast state; made by `Default` on every worker.
    type Broadcast: State;

    /// Handles one record of the main stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        broadcast: &Self::Broadcast,
        record: A,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Applies one broadcast record; called on every worker.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process_broadcast(
        &mut self,
        broadcast: &mut Self::Broadcast,
        record: B,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;
}

/// As [`EpochBroadcastProcessFunction`], on a keyed main stream with a state per key.
pub trait KeyedEpochBroadcastProcessFunction<K, A, B>: KeyedIterationListener<K> {
    /// The broadcast state; made by `Default` on every worker.
    type Broadcast: State;

    /// Handles one record of the main stream, with the state of its key and the broadcast state.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        key: &K,
        states: (&mut Self::State, &Self::Broadcast),
        record: A,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Applies one broadcast record; called on every worker.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process_broadcast(
        &mut self,
        broadcast: &mut Self::Broadcast,
        record: B,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;
}

//! Functions with a state per key that are told of epochs.

use waterwheel_engine::{Collector, Result, Round, State};

use crate::listener::{EpochContext, IterationListener};

/// A function with a state per key in the body of an iteration.
pub trait KeyedIterationListener<K>: IterationListener {
    /// State of one key; made by `Default` at the key's first record, and kept over all epochs, unless the stream has a
    /// [time to live](waterwheel_engine::KeyedStream::state_ttl).
    type State: State;

    /// Whether [`on_key_epoch`](Self::on_key_epoch) and [`on_key_terminated`](Self::on_key_terminated) are called.
    /// Default `false`: it costs a walk over all keys in every epoch.
    const VISITS_KEYS: bool = false;

    /// Called for each key, in order of key, just before
    /// [`on_epoch_watermark_incremented`](IterationListener::on_epoch_watermark_incremented).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn on_key_epoch(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _epoch: Round,
        _context: &mut EpochContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called for each key, in order of key, just before
    /// [`on_iteration_terminated`](IterationListener::on_iteration_terminated).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn on_key_terminated(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _context: &mut EpochContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }
}

/// A function on the records of a keyed stream in the body of an iteration, with a state per key.
pub trait KeyedEpochProcessFunction<K, D>: KeyedIterationListener<K> {
    /// Handles one record of `key`.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: D,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;
}

/// A function on the records of two keyed streams in the body of an iteration, with a state per key that both share.
pub trait KeyedEpochCoProcessFunction<K, A, B>: KeyedIterationListener<K> {
    /// Handles one record of the first stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process1(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: A,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Handles one record of the second stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process2(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: B,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;
}

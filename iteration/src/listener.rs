//! User functions that are told of epochs.

mod broadcast;
mod keyed;

use waterwheel_engine::{
    Collector, ForRound, OutputTag, Result, Round, SideOutputs, StateReader, StateWriter,
};

pub use broadcast::{EpochBroadcastProcessFunction, KeyedEpochBroadcastProcessFunction};
pub use keyed::{KeyedEpochCoProcessFunction, KeyedEpochProcessFunction, KeyedIterationListener};

/// The epoch of what is emitted when an iteration has ended: behind all others.
///
/// FLIP-176's `END_EPOCH_WATERMARK`.
pub const END_EPOCH: Round = Round::MAX - 1;

/// A function in the body of an iteration that is told when epochs are complete.
///
/// In FLIP-176 an *epoch* is a round of the loop. Every function is called for each epoch from 0 to the last, in
/// order, then once at the termination, on every worker of its stream's parallelism: whether or not it has had
/// records, and whether its stream descends from a variable or from data alone.
///
/// All records of an epoch are handled before the call for it. In a bounded iteration those of later epochs wait
/// until after the call; in an unbounded one, whose epoch 0 may last for ever, they are handled when they come.
pub trait IterationListener {
    /// What the function emits.
    type Out: 'static;

    /// No record of `epoch` will come any more, and none of an earlier one. What is emitted belongs to `epoch`.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// The iteration has ended. What is emitted belongs to [`END_EPOCH`](crate::END_EPOCH): it can leave the
    /// loop, but not be fed back.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn on_iteration_terminated(
        &mut self,
        _context: &mut EpochContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// What serves the next epoch, where operators begin anew in each: then one instance handles the records of
    /// an epoch and the call for it. Default: nothing can.
    fn for_next_round(&self) -> ForRound<Self>
    where
        Self: Sized,
    {
        ForRound::Refused
    }

    /// Writes what the function keeps from one epoch to the next, for a checkpoint; see
    /// [`CheckpointConfig`](waterwheel_engine::CheckpointConfig).
    ///
    /// Called between two epochs of a bounded iteration, behind the call for the first of them, and once before all.
    /// Default: nothing where [`for_next_round`](Self::for_next_round) says [`ForRound::Same`]; otherwise the function can
    /// not run in a job with checkpoints, unless the iteration is [without](crate::IterationConfig::without_checkpoints).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()>
    where
        Self: Sized,
    {
        self.for_next_round().keeps_nothing()
    }

    /// Writes the data that the function has gathered in epoch 0 and keeps as they are: the rows that it learns from, for
    /// example. They are written once; later checkpoints refer to them. Default: none.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn snapshot_data(&self, _data: &mut StateWriter) -> Result<()> {
        Ok(())
    }

    /// Takes over, before all else, what was written by [`snapshot`](Self::snapshot): with the same number of workers by
    /// the same worker; otherwise worker `w` of `n` gets what those had whose index modulo `n` is `w`, of none, one or
    /// several.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn restore(&mut self, _state: &mut StateReader) -> Result<()> {
        Ok(())
    }

    /// Takes over, before [`restore`](Self::restore), what was written by [`snapshot_data`](Self::snapshot_data), shared
    /// out in the same way.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn restore_data(&mut self, _data: &mut StateReader) -> Result<()> {
        Ok(())
    }
}

/// A function on the records of a stream in the body of an iteration, one instance per worker.
///
/// # Examples
/// See [`EpochStream::process_epochs`](crate::EpochStream::process_epochs).
pub trait EpochProcessFunction<D>: IterationListener {
    /// Handles one record; its epoch is [`context.epoch()`](EpochContext::epoch).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        record: D,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;
}

/// A function on the records of two streams in the body of an iteration, one instance per worker.
pub trait EpochCoProcessFunction<A, B>: IterationListener {
    /// Handles one record of the first stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process1(
        &mut self,
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
        record: B,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;
}

/// What a function in an iteration knows, and where it emits side outputs.
#[derive(Debug)]
pub struct EpochContext {
    epoch: Round,
    worker: usize,
    side: Option<SideOutputs>,
}

impl EpochContext {
    pub(crate) fn new(worker: usize, side: Option<SideOutputs>) -> Self {
        EpochContext { epoch: 0, worker, side }
    }

    pub(crate) fn set_epoch(&mut self, epoch: Round) {
        self.epoch = epoch;
    }

    /// Epoch of the record, or of the call; [`END_EPOCH`](crate::END_EPOCH) at the termination, and of records
    /// that were emitted then.
    pub fn epoch(&self) -> Round {
        self.epoch
    }

    /// Index of this worker.
    pub fn worker_index(&self) -> usize {
        self.worker
    }

    /// Emits one record to the side output of `tag`. What nobody reads is dropped.
    pub fn output<X: 'static>(&mut self, tag: &OutputTag<X>, record: X) {
        if let Some(side) = &mut self.side {
            side.emit(tag, record);
        }
    }
}

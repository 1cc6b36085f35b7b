//! Ready-made criteria, and the results of the last round.

use std::collections::BTreeMap;

use waterwheel_engine::{
    Clock, Collector, DataStream, Error, ForRound, Record, Result, Round, StateReader, StateWriter,
};

use crate::epochs::EpochStream;
use crate::listener::{END_EPOCH, EpochContext, EpochProcessFunction, IterationListener};

/// Criteria that end an iteration after a number of rounds: it emits one record in each round but the last.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_iteration::{
///     EpochStream, IterationBodyResult, IterationConfig, Iterations, TerminateOnMaxIter,
/// };
///
/// let laps = execute(RuntimeConfig::threads(1), |env| {
///     let config = IterationConfig::new();
///     let (laps,) = Iterations::iterate_bounded((env.from_iter([0u32]),), (), config, |_it, (x,), ()| {
///         let criteria = x.clone().process_epochs(TerminateOnMaxIter::new(4));
///         let next = x.clone().map(|x| x + 1);
///         IterationBodyResult::new((next,), (x,)).termination_criteria(criteria)
///     });
///     Ok(laps.collect())
/// })?;
/// assert_eq!(laps.concat(), [0, 1, 2, 3]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TerminateOnMaxIter {
    max_iter: Round,
}

impl TerminateOnMaxIter {
    /// Ends after `max_iter` rounds; 0 counts as 1.
    pub fn new(max_iter: Round) -> Self {
        TerminateOnMaxIter { max_iter }
    }
}

impl IterationListener for TerminateOnMaxIter {
    type Out = ();

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<()>,
    ) -> Result<()> {
        if epoch + 1 < self.max_iter {
            out.emit(());
        }
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl<D> EpochProcessFunction<D> for TerminateOnMaxIter {
    fn process(&mut self, _record: D, _context: &mut EpochContext, _out: &mut Collector<()>) -> Result<()> {
        Ok(())
    }
}

/// Criteria on a stream of losses, one for each round: they end an iteration with the round whose loss is `tol`
/// or less, or after a number of rounds. A round without a loss goes on.
///
/// For a stream of [parallelism](DataStream::set_parallelism) 1. A second loss in a round ends the run with an
/// [`ErrorKind::Config`](waterwheel_engine::ErrorKind::Config) error, and so does a higher parallelism.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_iteration::{
///     EpochStream, IterationBodyResult, IterationConfig, Iterations, TerminateOnMaxIterOrTol,
/// };
///
/// let losses = execute(RuntimeConfig::threads(1), |env| {
///     let config = IterationConfig::new();
///     let (losses,) = Iterations::iterate_bounded((env.from_iter([8.0f64]),), (), config, |_it, (loss,), ()| {
///         let criteria = loss.clone().process_epochs(TerminateOnMaxIterOrTol::new(100, 1.0));
///         IterationBodyResult::new((loss.clone().map(|x| x / 2.0),), (loss,)).termination_criteria(criteria)
///     });
///     Ok(losses.collect())
/// })?;
/// assert_eq!(losses.concat(), [8.0, 4.0, 2.0, 1.0]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TerminateOnMaxIterOrTol {
    max_iter: Round,
    tol: f64,
    loss: Option<f64>,
}

impl TerminateOnMaxIterOrTol {
    /// Ends after `max_iter` rounds, or when a loss is `tol` or less.
    pub fn new(max_iter: Round, tol: f64) -> Self {
        TerminateOnMaxIterOrTol { max_iter, tol, loss: None }
    }

    /// Ends when a loss is `tol` or less.
    pub fn on_tol(tol: f64) -> Self {
        Self::new(Round::MAX, tol)
    }
}

impl IterationListener for TerminateOnMaxIterOrTol {
    type Out = ();

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<()>,
    ) -> Result<()> {
        expect_one_worker("losses", context)?;
        let loss = self.loss.take().unwrap_or(f64::MAX);
        if epoch + 1 < self.max_iter && loss > self.tol {
            out.emit(());
        }
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl EpochProcessFunction<f64> for TerminateOnMaxIterOrTol {
    fn process(&mut self, loss: f64, context: &mut EpochContext, _out: &mut Collector<()>) -> Result<()> {
        match self.loss.replace(loss) {
            None => Ok(()),
            Some(first) => Err(Error::config(format!(
                "losses {first} and {loss} in epoch {}, expected one in each",
                context.epoch()
            ))),
        }
    }
}

fn expect_one_worker(what: &str, context: &EpochContext) -> Result<()> {
    match context.worker_index() {
        0 => Ok(()),
        worker => Err(Error::config(format!(
            "{what} are spread to worker {worker}, expected all on one: use set_parallelism(1)"
        ))),
    }
}

/// Emits, when the iteration has ended, the records of its last round.
///
/// Keeps the records of one round in memory.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_iteration::{
///     EpochStream, ForwardInputsOfLastRound, IterationBodyResult, IterationConfig, Iterations,
/// };
///
/// let last = execute(RuntimeConfig::threads(1), |env| {
///     let config = IterationConfig::new().max_rounds(4);
///     let (last,) = Iterations::iterate_bounded((env.from_iter([1u64]),), (), config, |_it, (x,), ()| {
///         let last = x.clone().process_epochs(ForwardInputsOfLastRound::new());
///         IterationBodyResult::new((x.map(|x| 2 * x),), (last,))
///     });
///     Ok(last.collect())
/// })?;
/// assert_eq!(last.concat(), [8]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardInputsOfLastRound<D> {
    /// By epoch; in order, so that there is seldom more than one.
    kept: BTreeMap<Round, Vec<D>>,
}

impl<D> ForwardInputsOfLastRound<D> {
    /// One that has no records yet.
    pub fn new() -> Self {
        ForwardInputsOfLastRound { kept: BTreeMap::new() }
    }
}

impl<D> Default for ForwardInputsOfLastRound<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Record> IterationListener for ForwardInputsOfLastRound<D> {
    type Out = D;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        _out: &mut Collector<D>,
    ) -> Result<()> {
        self.kept = self.kept.split_off(&epoch);
        Ok(())
    }

    fn on_iteration_terminated(&mut self, _context: &mut EpochContext, out: &mut Collector<D>) -> Result<()> {
        if let Some((_, records)) = self.kept.pop_first() {
            out.batch().extend(records);
        }
        Ok(())
    }

    /// It is to outlive the rounds, also among operators that do not.
    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        self.kept.iter().try_for_each(|kept| state.put(&kept))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((epoch, mut records)) = state.next_item()? {
            self.kept.entry(epoch).or_default().append(&mut records);
        }
        Ok(())
    }
}

impl<D: Record> EpochProcessFunction<D> for ForwardInputsOfLastRound<D> {
    fn process(&mut self, record: D, context: &mut EpochContext, _out: &mut Collector<D>) -> Result<()> {
        if context.epoch() != END_EPOCH {
            self.kept.entry(context.epoch()).or_default().push(record);
        }
        Ok(())
    }
}

/// Criteria by a function of one's own.
pub trait CriteriaStream<'i, D, U: Clock> {
    /// A stream for [`termination_criteria`](crate::IterationBodyResult::termination_criteria) that ends the
    /// iteration with the first epoch for which `is_last(epoch, records)` is true; `records` are all of this
    /// stream's in that epoch, gathered on worker 0, in order of arrival. What the function keeps from one epoch to the
    /// next is in no checkpoint.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{CriteriaStream, IterationBodyResult, IterationConfig, Iterations};
    ///
    /// let all = execute(RuntimeConfig::threads(1), |env| {
    ///     let config = IterationConfig::new();
    ///     let (all,) = Iterations::iterate_bounded((env.from_iter([1u64, 3]),), (), config, |_it, (x,), ()| {
    ///         let criteria = x.clone().terminate_when(|_epoch, records| records.iter().sum::<u64>() > 10);
    ///         IterationBodyResult::new((x.clone().map(|x| 2 * x),), (x,)).termination_criteria(criteria)
    ///     });
    ///     Ok(all.collect())
    /// })?;
    /// assert_eq!(all.concat(), [1, 3, 2, 6, 4, 12]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    fn terminate_when(
        self,
        is_last: impl FnMut(Round, &[D]) -> bool + 'static,
    ) -> DataStream<'i, (), (U, Round)>;
}

impl<'i, D: Record, U: Clock> CriteriaStream<'i, D, U> for DataStream<'i, D, (U, Round)> {
    #[track_caller]
    fn terminate_when(
        self,
        is_last: impl FnMut(Round, &[D]) -> bool + 'static,
    ) -> DataStream<'i, (), (U, Round)> {
        let function = TerminateWhen { is_last, records: Vec::new() };
        self.set_parallelism(1).process_epochs(function)
    }
}

struct TerminateWhen<D, F> {
    is_last: F,
    records: Vec<D>,
}

impl<D, F: FnMut(Round, &[D]) -> bool> IterationListener for TerminateWhen<D, F> {
    type Out = ();

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<()>,
    ) -> Result<()> {
        if !(self.is_last)(epoch, &self.records) {
            out.emit(());
        }
        self.records.clear();
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl<D, F: FnMut(Round, &[D]) -> bool> EpochProcessFunction<D> for TerminateWhen<D, F> {
    fn process(&mut self, record: D, _context: &mut EpochContext, _out: &mut Collector<()>) -> Result<()> {
        self.records.push(record);
        Ok(())
    }
}

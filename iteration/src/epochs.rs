//! Operators that run functions which are told of epochs.

mod broadcast;
mod keyed;
mod operator;

use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{
    Clock, Collector, ConnectedStreams, DataStream, ForRound, Result, Round, SideOutputStream, StateWriter,
};

pub use broadcast::{BroadcastEpochConnectedStreams, KeyedBroadcastEpochConnectedStreams};
pub use keyed::{KeyedEpochConnectedStreams, KeyedEpochStream};

use crate::listener::{EpochCoProcessFunction, EpochContext, EpochProcessFunction, IterationListener};
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
    ///
    /// # Examples
    /// A variable that loses, in each epoch, the sum of what came from a second one:
    /// ```
    /// use waterwheel_engine::{Collector, Result, Round, RuntimeConfig, execute};
    /// use waterwheel_iteration::{
    ///     EpochCoProcessFunction, EpochConnectedStreams, EpochContext, IterationBodyResult, IterationConfig,
    ///     IterationListener, Iterations,
    /// };
    ///
    /// #[derive(Default)]
    /// struct Lose { value: i64, loss: i64 }
    ///
    /// impl IterationListener for Lose {
    ///     type Out = i64;
    ///     fn on_epoch_watermark_incremented(
    ///         &mut self, _: Round, _: &mut EpochContext, out: &mut Collector<i64>,
    ///     ) -> Result<()> {
    ///         Ok(out.emit(self.value - std::mem::take(&mut self.loss)))
    ///     }
    /// }
    ///
    /// impl EpochCoProcessFunction<i64, i64> for Lose {
    ///     fn process1(&mut self, value: i64, _: &mut EpochContext, _: &mut Collector<i64>) -> Result<()> {
    ///         self.value = value;
    ///         Ok(())
    ///     }
    ///     fn process2(&mut self, loss: i64, _: &mut EpochContext, _: &mut Collector<i64>) -> Result<()> {
    ///         self.loss += loss;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let values = execute(RuntimeConfig::threads(1), |env| {
    ///     let (value, losses) = (env.from_iter([100i64]), env.from_iter([1i64, 2]));
    ///     let config = IterationConfig::new().max_rounds(3);
    ///     let (values,) = Iterations::iterate_bounded((value, losses), (), config, |_it, (value, losses), ()| {
    ///         let next = value.connect(losses.clone()).process_epochs(Lose::default());
    ///         IterationBodyResult::new((next.clone(), losses), (next,))
    ///     });
    ///     Ok(values.collect())
    /// })?;
    /// assert_eq!(values.concat(), [97, 94, 91]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
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

impl<'i, D: 'static, U: Clock> EpochStream<'i, D, U> for DataStream<'i, D, (U, Round)> {
    #[track_caller]
    fn process_epochs<F>(self, f: F) -> DataStream<'i, F::Out, (U, Round)>
    where
        F: EpochProcessFunction<D> + 'static,
    {
        of_one(self, f).results()
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochProcessFunction<D> + 'static,
    {
        of_one(self, f).results_and_side_outputs()
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
        of_two(self, f).results()
    }

    #[track_caller]
    fn process_epochs_with_side_outputs<F>(self, f: F) -> SideOutputStream<'i, F::Out, (U, Round)>
    where
        F: EpochCoProcessFunction<A, B> + 'static,
    {
        of_two(self, f).results_and_side_outputs()
    }
}

#[track_caller]
fn of_one<'i, D: 'static, U: Clock, F: EpochProcessFunction<D> + 'static>(
    stream: DataStream<'i, D, (U, Round)>,
    f: F,
) -> EpochOperator<'i, U, Plain<F>, impl Read<Plain<F>, U> + use<D, U, F>> {
    let edge = stream.into_edge();
    let mut op = OperatorBuilder::new(&edge.place(), "process_epochs");
    let mut input = op.input(edge, WakeOn::Progress);
    let mut waiting = Waiting::default();
    let read = move |Plain(f): &mut Plain<F>, emitter: &mut Emitter<F::Out, U>| {
        emitter.handle(&mut input, &mut waiting, |record, at, out| f.process(record, at, out))
    };
    EpochOperator { op, n_inputs: 1, f: Plain(f), read }
}

#[track_caller]
fn of_two<'i, A: 'static, B: 'static, U: Clock, F: EpochCoProcessFunction<A, B> + 'static>(
    streams: ConnectedStreams<'i, A, B, (U, Round)>,
    f: F,
) -> EpochOperator<'i, U, Plain<F>, impl Read<Plain<F>, U> + use<A, B, U, F>> {
    let (first, second) = streams.into_parts();
    let (first, second) = (first.into_edge(), second.into_edge());
    let mut op = OperatorBuilder::new(&first.place(), "co_process_epochs");
    let (mut first, mut second) = (op.input(first, WakeOn::Progress), op.input(second, WakeOn::Progress));
    let (mut firsts, mut seconds) = (Waiting::default(), Waiting::default());
    let read = move |Plain(f): &mut Plain<F>, emitter: &mut Emitter<F::Out, U>| {
        emitter.handle(&mut first, &mut firsts, |record, at, out| f.process1(record, at, out))?;
        emitter.handle(&mut second, &mut seconds, |record, at, out| f.process2(record, at, out))
    };
    EpochOperator { op, n_inputs: 2, f: Plain(f), read }
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

    fn is_renewed(&self) -> bool {
        matches!(self.0.for_next_round(), ForRound::Fresh(_))
    }

    fn begin_anew(&mut self) {
        begin_anew(&mut self.0);
    }
}

impl<F: IterationListener> Snapshot for Plain<F> {
    fn check(&self) -> Result<()> {
        self.0.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.0.snapshot(to.items())
    }

    /// Data do not change any more, so there is time.
    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        to.fixed().map_or(Ok(()), |data| self.0.snapshot_data(data))?;
        Ok(false)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        from.fixed(|mut data| self.0.restore_data(&mut data))?;
        self.0.restore(&mut from.items()?)
    }
}

fn begin_anew<F: IterationListener>(f: &mut F) {
    if let ForRound::Fresh(fresh) = f.for_next_round() {
        *f = fresh;
    }
}

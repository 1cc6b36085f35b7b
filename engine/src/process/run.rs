//! The operator around a function on batches.

use crate::clock::Clock;
use crate::operator::{Alarm, Input, OperatorBuilder, Output, Promise, Token};
use crate::process::{BatchFunction, Collector, ForRound, LastWord, Results, Spans};
use crate::stream::DataStream;

/// Finishes an operator that runs `f` on every batch of `input`.
pub(crate) fn run<'s, D: 'static, T: Clock, F: BatchFunction<D>>(
    op: OperatorBuilder<'s, T>,
    input: Input<Vec<D>, T>,
    f: F,
) -> DataStream<'s, F::Out, T> {
    run_beside(op, input, f, ())
}

/// What an operator sends beside its results, batch by batch; `()` is nothing.
pub(crate) trait Beside<T: Clock>: 'static {
    /// Sends all that waits at the token's time.
    fn send(&mut self, token: &Token<T>);

    /// Sends all that waits at the promise's time.
    fn send_promised(&mut self, promise: &Promise<T>);
}

impl<T: Clock> Beside<T> for () {
    #[inline]
    fn send(&mut self, _token: &Token<T>) {}

    fn send_promised(&mut self, _promise: &Promise<T>) {}
}

/// As [`run`], for an operator that sends on one more output, added to it before.
pub(crate) fn run_beside<'s, D, T, F, B>(
    mut op: OperatorBuilder<'s, T>,
    mut input: Input<Vec<D>, T>,
    mut f: F,
    mut beside: B,
) -> DataStream<'s, F::Out, T>
where
    D: 'static,
    T: Clock,
    F: BatchFunction<D>,
    B: Beside<T>,
{
    if op.is_per_round() {
        match f.fresh() {
            ForRound::Same => {}
            ForRound::Fresh(_) => return run_in_rounds(op, input, f, beside),
            ForRound::Refused => op.refuse_rounds(),
        }
    }
    let (mut out, edge) = op.output::<Vec<F::Out>>();
    let (takes_part, gauges) = (op.takes_part(), op.origin().gauges());
    // What sends by itself must not do so in an epoch before all have marked the one before, as sources do not.
    let mut part = if F::HAS_TIMERS { op.source_part(&f) } else { op.part(&f) };
    op.build(move |promises, activation| {
        let mut last = LastWord::new(promises, F::WAITS_FOR_END);
        let (mut collector, mut alarm) = (Collector::default(), Alarm::new(activation));
        move |frontiers| {
            part.begin(&mut f)?;
            if part.had_ended(0) {
                last.say_no_more();
            }
            input.try_for_each(|token, batch| {
                if F::HAS_TIMERS && !F::WAITS_FOR_END {
                    f.on_processing_time(&mut collector)?;
                }
                let mut results = Results { collector: &mut collector, token: &token, out: &mut out };
                f.process_batch(batch, &mut results)?;
                collector.send(&token, &mut out);
                beside.send(&token);
                Ok(())
            })?;
            if let (Some(gauges), Some(size)) = (&gauges, f.state_size()) {
                gauges.note_state(size);
            }
            part.step(frontiers, &mut f)?;
            if let Some(time) = frontiers.next(0) {
                last.wait_until(&time)?;
                if F::HAS_TIMERS && !last.promises().is_empty() && part.is_open(time.epoch()) {
                    f.on_processing_time(&mut collector)?.into_iter().for_each(|due| alarm.set(due));
                    send(last.promises(), &mut collector, &mut out, &mut beside);
                }
                return Ok(());
            }
            if takes_part && !last.promises().is_empty() {
                f.end_of_input(&mut collector)?;
                send(last.promises(), &mut collector, &mut out, &mut beside);
            }
            last.say_no_more();
            part.end(&mut f)
        }
    });
    DataStream::from_edge(edge)
}

/// As [`run_beside`], where operators begin anew in each round.
fn run_in_rounds<'s, D, T, F, B>(
    mut op: OperatorBuilder<'s, T>,
    mut input: Input<Vec<D>, T>,
    mut f: F,
    mut beside: B,
) -> DataStream<'s, F::Out, T>
where
    D: 'static,
    T: Clock,
    F: BatchFunction<D>,
    B: Beside<T>,
{
    let spans = op.input_spans();
    let mut part = op.rounds_part_unless(false, || Ok(()));
    let (mut out, edge) = op.output::<Vec<F::Out>>();
    let takes_part = op.takes_part();
    op.build(move |promises, activation| {
        let mut spans = spans.map(|(last_of, ticks)| Spans::new(last_of, ticks, promises));
        let (mut collector, mut alarm) = (Collector::default(), Alarm::new(activation));
        move |frontiers| {
            let Some(spans) = &mut spans else { return part.be_waited_for(frontiers) };
            part.begin(spans)?;
            spans.read(|| f.fresh())?;
            input.try_for_each(|token, batch| {
                let state = spans.state_of(&token, || f.fresh())?;
                f.swap(state);
                let mut results = Results { collector: &mut collector, token: &token, out: &mut out };
                let outcome = f.process_batch(batch, &mut results);
                f.swap(state);
                outcome?;
                collector.send(&token, &mut out);
                beside.send(&token);
                Ok(())
            })?;
            if F::HAS_TIMERS {
                for (promises, state) in spans.open_spans() {
                    f.swap(state);
                    let due = f.on_processing_time(&mut collector);
                    f.swap(state);
                    if let Some(due) = due? {
                        alarm.set(due);
                    }
                    send(promises, &mut collector, &mut out, &mut beside);
                }
            }
            while let Some((promises, mut state)) = spans.next_complete(frontiers.least().as_ref()) {
                if takes_part && F::WAITS_FOR_END {
                    f.swap(&mut state);
                    let outcome = f.end_of_input(&mut collector);
                    f.swap(&mut state);
                    outcome?;
                    send(&promises, &mut collector, &mut out, &mut beside);
                }
            }
            part.follow(frontiers, spans)
        }
    });
    DataStream::from_edge(edge)
}

/// Sends all that waits: what is sent beside goes to the first output, results to the last; often they are one.
pub(crate) fn send<E: 'static, T: Clock>(
    promises: &[Promise<T>],
    collector: &mut Collector<E>,
    out: &mut Output<Vec<E>, T>,
    beside: &mut impl Beside<T>,
) {
    if let [first, ..] = promises
        && let [.., main] = promises
    {
        if !collector.is_empty() {
            collector.send_promised(main, out);
        }
        beside.send_promised(first);
    }
}

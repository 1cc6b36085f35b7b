//! The operator around a function on two streams.

use crate::checkpoint::Snapshot;
use crate::clock::Clock;
use crate::connect::{CoProcessFunction, Inputs};
use crate::operator::OperatorBuilder;
use crate::process::{Beside, Collector, ForRound, LastWord, Renewable, Spans, send};
use crate::side_output::{SideOutputStream, SideOutputs};
use crate::stream::DataStream;

/// Finishes an operator that runs `f` on every record of two inputs.
pub(super) fn run<'s, A, B, T, F>(
    op: OperatorBuilder<'s, T>,
    inputs: Inputs<A, B, T>,
    f: F,
) -> DataStream<'s, F::Out, T>
where
    A: 'static,
    B: 'static,
    T: Clock,
    F: CoProcessFunction<A, B> + Renewable + Snapshot + 'static,
{
    run_beside(op, inputs, f, ())
}

/// As [`run`], for the function that `make` returns; it gets what takes the records of side outputs.
pub(super) fn run_with_side_outputs<'s, A, B, T, F>(
    mut op: OperatorBuilder<'s, T>,
    inputs: Inputs<A, B, T>,
    make: impl FnOnce(SideOutputs) -> F,
) -> SideOutputStream<'s, F::Out, T>
where
    A: 'static,
    B: 'static,
    T: Clock,
    F: CoProcessFunction<A, B> + Renewable + Snapshot + 'static,
{
    let (side, readers) = op.side_port();
    let f = make(side.outputs());
    readers.beside(run_beside(op, inputs, f, side))
}

/// As [`run`], for an operator that sends on one more output, added to it before.
fn run_beside<'s, A, B, T, F>(
    mut op: OperatorBuilder<'s, T>,
    (mut first, mut second): Inputs<A, B, T>,
    mut f: F,
    mut beside: impl Beside<T>,
) -> DataStream<'s, F::Out, T>
where
    A: 'static,
    B: 'static,
    T: Clock,
    F: CoProcessFunction<A, B> + Renewable + Snapshot + 'static,
{
    if op.is_per_round() {
        match f.fresh() {
            ForRound::Same => {}
            ForRound::Fresh(_) => return run_in_rounds(op, (first, second), f, beside),
            ForRound::Refused => op.refuse_rounds(),
        }
    }
    let (mut out, edge) = op.output::<Vec<F::Out>>();
    let takes_part = op.takes_part();
    let mut part = op.part(&f);
    op.build(move |promises, _activation| {
        let mut last = LastWord::new(promises, F::WAITS_FOR_END);
        let mut is_open = [takes_part && F::WAITS_FOR_END; 2];
        let mut collector = Collector::default();
        move |frontiers| {
            part.begin(&mut f)?;
            (0..2).for_each(|port| is_open[port] &= !part.had_ended(port));
            first.try_for_each(|token, batch| {
                collector.send_each(&token, &mut out, batch, |record, out| f.process1(record, out))?;
                beside.send(&token);
                Ok(())
            })?;
            second.try_for_each(|token, batch| {
                collector.send_each(&token, &mut out, batch, |record, out| f.process2(record, out))?;
                beside.send(&token);
                Ok(())
            })?;
            part.step(frontiers, &mut f)?;
            let next = frontiers.next(0).into_iter().chain(frontiers.next(1)).min();
            if let Some(time) = &next {
                last.wait_until(time)?;
            }
            for (port, is_open) in is_open.iter_mut().enumerate() {
                if *is_open && frontiers.is_done(port) {
                    *is_open = false;
                    part.note_end(port);
                    match port {
                        0 => f.end_of_input1(&mut collector)?,
                        _ => f.end_of_input2(&mut collector)?,
                    }
                    send(last.promises(), &mut collector, &mut out, &mut beside);
                }
            }
            if next.is_none() {
                last.say_no_more();
                part.end(&mut f)?;
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}

/// As [`run_beside`], where operators begin anew in each round.
fn run_in_rounds<'s, A, B, T, F>(
    mut op: OperatorBuilder<'s, T>,
    (mut first, mut second): Inputs<A, B, T>,
    mut f: F,
    mut beside: impl Beside<T>,
) -> DataStream<'s, F::Out, T>
where
    A: 'static,
    B: 'static,
    T: Clock,
    F: CoProcessFunction<A, B> + Renewable + 'static,
{
    let spans = op.input_spans();
    let mut part = op.rounds_part();
    let (mut out, edge) = op.output::<Vec<F::Out>>();
    let takes_part = op.takes_part();
    op.build(move |promises, _activation| {
        let mut spans = spans.map(|(last_of, ticks)| Spans::new(last_of, ticks, promises));
        let mut collector = Collector::default();
        move |frontiers| {
            part.begin(&mut ())?;
            if part.had_ended(0) {
                spans = None;
            }
            let Some(spans) = &mut spans else { return part.be_waited_for(frontiers) };
            spans.read(|| f.fresh())?;
            first.try_for_each(|token, batch| {
                let state = spans.state_of(&token, || f.fresh())?;
                f.swap(state);
                let handle = |record, out: &mut Collector<F::Out>| f.process1(record, out);
                let outcome = collector.send_each(&token, &mut out, batch, handle);
                f.swap(state);
                beside.send(&token);
                outcome
            })?;
            second.try_for_each(|token, batch| {
                let state = spans.state_of(&token, || f.fresh())?;
                f.swap(state);
                let handle = |record, out: &mut Collector<F::Out>| f.process2(record, out);
                let outcome = collector.send_each(&token, &mut out, batch, handle);
                f.swap(state);
                beside.send(&token);
                outcome
            })?;
            while let Some((promises, mut state)) = spans.next_complete(frontiers.least().as_ref()) {
                if takes_part && F::WAITS_FOR_END {
                    f.swap(&mut state);
                    let outcome =
                        f.end_of_input1(&mut collector).and_then(|()| f.end_of_input2(&mut collector));
                    f.swap(&mut state);
                    outcome?;
                    send(&promises, &mut collector, &mut out, &mut beside);
                }
            }
            part.be_waited_for(frontiers)
        }
    });
    DataStream::from_edge(edge)
}

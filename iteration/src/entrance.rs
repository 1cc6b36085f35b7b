//! Where streams come into loops, in jobs with checkpoints.

use std::panic::Location;

use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{AnyClock as _, Clock, DataStream, GOES_ON, Mark, Round};

/// `stream`, which comes into a loop.
///
/// A bounded one lets no checkpoint be begun before it has ended. In a loop that leaves epochs with its rounds that is
/// before the first time that it does, so that all of its first round is in one checkpoint epoch; in any other one it is the
/// end of the loop, all of which is in one: a job that goes on from a checkpoint has either not begun it or is behind it.
/// An unbounded one is told where the stream goes on in the next epoch.
pub(crate) fn entrance<'i, D: 'static, U: Clock>(
    stream: DataStream<'i, D, (U, Round)>,
    at: &'static Location<'static>,
) -> DataStream<'i, D, (U, Round)> {
    let place = stream.place();
    let Some(head) = place.head().filter(|_| place.makes_checkpoints()) else { return stream };
    let is_outermost = U::NESTED == 0;
    match (head.in_order(), head.crosses_epochs()) {
        // What is around it leaves epochs when all of this loop is over.
        (true, true) if !is_outermost => stream,
        (true, _) => hold(stream, at),
        (false, true) if is_outermost => watched(stream, at),
        (false, _) => stream,
    }
}

/// `stream`, whose loop is told where it goes on in the next checkpoint epoch.
fn watched<'i, D: 'static, U: Clock>(
    stream: DataStream<'i, D, (U, Round)>,
    at: &'static Location<'static>,
) -> DataStream<'i, D, (U, Round)> {
    let edge = stream.into_edge();
    let (place, tells) = (edge.place(), edge.place().worker_index() == 0);
    let mut op = OperatorBuilder::made_at(&place, "entrance", at);
    op.keep_nothing();
    let mut input = op.input(edge, WakeOn::Progress);
    let (mut out, edge) = op.output::<Vec<D>>();
    let (mut tell, told) = op.output::<Vec<Mark>>();
    op.build(move |mut promises, _activation| {
        let mut promise = promises.pop().filter(|_| tells);
        drop(promises);
        move |frontiers| {
            input.for_each(|token, batch| out.send(&token, [batch]));
            let Some(next) = frontiers.next(0) else {
                promise = None;
                return Ok(());
            };
            if let Some(promise) = promise.as_mut().filter(|promise| promise.time().epoch() < next.epoch()) {
                tell.send_promised(promise, [&mut vec![GOES_ON]]);
                promise.advance_to(&(U::first_of(next.epoch()), 0))?;
            }
            Ok(())
        }
    });
    if let Some(head) = place.head() {
        head.note_entrance(told);
    }
    DataStream::from_edge(edge)
}

/// `stream`, which lets no checkpoint be begun before it has ended.
pub(crate) fn hold<'i, D: 'static, T: Clock>(
    stream: DataStream<'i, D, T>,
    at: &'static Location<'static>,
) -> DataStream<'i, D, T> {
    if !stream.place().makes_checkpoints() {
        return stream;
    }
    let edge = stream.into_edge();
    let mut op = OperatorBuilder::made_at(&edge.place(), "hold", at);
    op.keep_nothing();
    let mut hold = Some(op.checkpoint_hold());
    let mut input = op.input(edge, WakeOn::Progress);
    let (mut out, edge) = op.output::<Vec<D>>();
    op.build(move |_promises, _activation| {
        move |frontiers| {
            input.for_each(|token, batch| out.send(&token, [batch]));
            if frontiers.is_done(0) {
                drop(hold.take());
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}

//! Bounded iterations and checkpoints: none is made between the first record and the end.

use std::panic::Location;

use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{Clock, DataStream, Round};

/// `stream`, which goes into a loop; in a bounded one it lets no checkpoint be begun before it has ended. So all of the
/// loop is in one checkpoint epoch: a job that goes on from a checkpoint has either not begun it or is behind it.
pub(crate) fn whole<'i, D: 'static, U: Clock>(
    stream: DataStream<'i, D, (U, Round)>,
    at: &'static Location<'static>,
) -> DataStream<'i, D, (U, Round)> {
    let place = stream.place();
    if !place.makes_checkpoints() || !place.head().is_some_and(|head| head.in_order()) {
        return stream;
    }
    hold(stream, at)
}

/// As [`whole`], for a loop that counts no rounds.
pub(crate) fn hold<'i, D: 'static, T: Clock>(
    stream: DataStream<'i, D, T>,
    at: &'static Location<'static>,
) -> DataStream<'i, D, T> {
    if !stream.place().makes_checkpoints() {
        return stream;
    }
    let edge = stream.into_edge();
    let mut op = OperatorBuilder::made_at(&edge.place(), "whole", at);
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

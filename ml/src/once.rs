//! Streams that are there from the beginning.

use waterwheel_engine::operator::OperatorBuilder;
use waterwheel_engine::{Clock, DataStream, Place};

/// A stream of `records`, on worker 0.
pub(crate) fn once<'s, D: Clone + 'static, T: Clock>(
    place: &Place<'s, T>,
    name: &str,
    records: Vec<D>,
) -> DataStream<'s, D, T> {
    let mut op = OperatorBuilder::new(place, name);
    let (mut out, edge) = op.output::<Vec<D>>();
    let mut records = if place.worker_index() == 0 { records } else { Vec::new() };
    op.build(move |promises, _activation| {
        let mut promises = promises;
        move |_frontiers| {
            if let Some(promise) = promises.pop() {
                out.send_promised(&promise, [&mut records]);
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}

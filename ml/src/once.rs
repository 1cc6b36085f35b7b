//! Streams that are there from the beginning.

use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::operator::OperatorBuilder;
use waterwheel_engine::{Clock, DataStream, Place, Result};

/// A stream of `records`, on worker 0.
pub(crate) fn once<'s, D: Clone + 'static, T: Clock>(
    place: &Place<'s, T>,
    name: &str,
    records: Vec<D>,
) -> DataStream<'s, D, T> {
    let mut op = OperatorBuilder::new(place, name);
    let (mut out, edge) = op.output::<Vec<D>>();
    let mut records = if place.worker_index() == 0 { records } else { Vec::new() };
    let mut sent = Sent(false);
    let mut part = op.part(&sent);
    op.build(move |promises, _activation| {
        let mut promises = promises;
        move |_frontiers| {
            part.begin(&mut sent)?;
            if let Some(promise) = promises.pop() {
                if !sent.0 {
                    out.send_promised(&promise, [&mut records]);
                }
                part.end(&mut sent)?;
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}

/// Whether the records were sent, in this run or an earlier one.
struct Sent(bool);

impl Snapshot for Sent {
    fn mark(&mut self, _to: &mut Written) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.0 = from.copied()?.next_item()?.unwrap_or(false);
        Ok(())
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        to.copied().put(&true)
    }
}

//! The feedback edge of a loop.

use std::panic::Location;
use std::rc::Rc;

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::channels::pushers::Output;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;
use timely::progress::timestamp::PathSummary;

use crate::clock::Clock;
use crate::edge::{Edge, Place};
use crate::exchange::{Channel, Counted};
use crate::flow::{self, Lineage};
use crate::operator::Batch;
use crate::origin::Origin;

/// The open end of a feedback edge.
///
/// Unlike timely's own, it counts what is in flight on it: records that go round in a loop without an
/// exchange are found nowhere else.
pub struct FeedbackEdge<'i, C: Default + Batch, T: Clock> {
    builder: OperatorBuilder<'i, T>,
    output: Output<T, C>,
    /// How the edge moves the clock.
    step: T::Summary,
    origin: Rc<Origin>,
    id: usize,
}

impl<'i, C: Default + Batch, T: Clock> FeedbackEdge<'i, C, T> {
    /// The open end, and the edge that comes out of it with the clock moved by `step`.
    pub(crate) fn open(
        place: &Place<'i, T>,
        name: &str,
        location: &'static Location<'static>,
        step: T::Summary,
    ) -> (Self, Edge<'i, C, T>) {
        let id = flow::loop_id(place.scope().worker().new_identifier());
        let origin = Origin::new(name, location, place.worker_index(), place.run());
        let mut builder = OperatorBuilder::new("Feedback".to_string(), place.scope());
        let (output, stream) = builder.new_output::<C>();
        let lineage = Lineage::new([id].into());
        let edge = Edge { stream, place: place.clone(), origin: Rc::clone(&origin), lineage };
        (FeedbackEdge { builder, output, step, origin, id }, edge)
    }

    /// Sends `edge` back to the beginning of the loop.
    pub fn close(self, edge: Edge<'i, C, T>) {
        let FeedbackEdge { mut builder, mut output, step, origin, id } = self;
        origin.run().ledger().close_loop(id, &edge.lineage);
        let pact = Counted {
            pact: Pipeline,
            reader: Rc::clone(&origin),
            lineage: edge.lineage,
            may_wait: false,
            channel: Channel::Feedback,
        };
        let connection = [(0, Antichain::from_elem(step.clone()))];
        let mut input = builder.new_input_connection(edge.stream, pact, connection);
        builder.set_notify_for(0, FrontierInterest::Never);
        builder.build(move |_capabilities| {
            move |_frontiers| {
                let mut output = output.activate();
                input.for_each(|capability, batch| {
                    // A counter that can not go higher has no next round: the batch would never arrive.
                    if let Some(time) = capability.least().and_then(|time| step.results_in(time)) {
                        let next = capability.delayed(&time, output.output_index());
                        output.give(&next, batch);
                    }
                });
            }
        });
    }
}

impl<C: Default + Batch, T: Clock> std::fmt::Debug for FeedbackEdge<'_, C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FeedbackEdge").field(&self.origin.site().operator).finish()
    }
}

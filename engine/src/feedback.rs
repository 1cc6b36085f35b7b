//! The feedback edge of a loop.

mod crossing;
mod gate;
mod loop_state;
mod marks;

use std::panic::Location;
use std::rc::Rc;

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::channels::pushers::Output;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;
use timely::progress::timestamp::PathSummary;

use crate::clock::Clock;
use crate::edge::{Edge, Place};
use crate::exchange::{Channel, Counted};
use crate::flow::{self, Lineage};
use crate::metrics::ConnectionKind;
use crate::operator::Batch;
use crate::origin::Origin;

pub(crate) use loop_state::LoopGauges;
pub use loop_state::{LoopFlow, LoopState, RoundFlow};
pub use marks::{BegunRounds, Mark};
use marks::{MarkSender, Pass, RoundGauge};

/// The open end of a feedback edge.
///
/// Unlike timely's own, it counts what is in flight on it: records that go round in a loop without an
/// exchange are found nowhere else.
pub struct FeedbackEdge<'i, C: Default + Batch, T: Clock> {
    builder: OperatorBuilder<'i, T>,
    place: Place<'i, T>,
    output: Output<T, C>,
    /// How the edge moves the clock.
    step: T::Summary,
    origin: Rc<Origin>,
    id: usize,
    marks: Option<MarkSender<T>>,
    gauge: Option<RoundGauge<T>>,
}

impl<'i, C: Default + Batch, T: Clock> FeedbackEdge<'i, C, T> {
    /// The open end, and the edge that comes out of it with the clock moved by `step`.
    pub(crate) fn open(
        place: &Place<'i, T>,
        location: &'static Location<'static>,
        step: T::Summary,
    ) -> (Self, Edge<'i, C, T>) {
        let id = flow::loop_id(place.scope().worker().new_identifier());
        let origin = Origin::of_place(place, location);
        let mut builder = OperatorBuilder::new("Feedback".to_string(), place.scope());
        origin.number(builder.operator_info().global_id);
        let (output, stream) = builder.new_output::<C>();
        let lineage = Lineage::new([id].into());
        let gauge = place
            .run()
            .loop_gauges()
            .map(|gauges| gauges.gauge(&place.scope().addr(), &origin.site().operator));
        let gauge = gauge.map(RoundGauge::new);
        let edge = Edge { stream, place: place.clone(), origin: Rc::clone(&origin), lineage };
        (FeedbackEdge { builder, place: place.clone(), output, step, origin, id, marks: None, gauge }, edge)
    }

    /// An edge that tells every worker when a batch of a new time is first sent round here: one [`Mark`] for
    /// each, at that time. The feedback edges that share `begun` tell it once between them.
    pub fn marks(&mut self, begun: &BegunRounds<T>) -> Edge<'i, Vec<Mark>, T> {
        let (output, stream) = self.builder.new_output::<Vec<Mark>>();
        self.marks = Some(MarkSender::new(output, begun.clone(), self.place.workers()));
        let (origin, lineage) = (Rc::clone(&self.origin), Lineage::new([self.id].into()));
        Edge { stream, place: self.place.clone(), origin, lineage }
    }

    /// Sends `edge` back to the beginning of the loop.
    pub fn close(self, edge: Edge<'i, C, T>) {
        self.close_if(edge, |_time| true);
    }

    /// As [`close`](Self::close), but drops what would arrive at a time that `admits` is false for.
    pub fn close_if(mut self, edge: Edge<'i, C, T>, admits: impl Fn(&T) -> bool + 'static) {
        let mut input = self.connect(edge);
        self.builder.set_notify_for(0, FrontierInterest::Never);
        let mut pass = Pass::new(self.output, self.marks, self.gauge);
        let step = self.step;
        self.builder.build(move |_capabilities| {
            move |frontiers| {
                input.for_each(|capability, batch| {
                    if let Some(next) = next_of(&step, &capability).filter(|next| admits(next)) {
                        pass.send(&pass.rights(&capability, &next), batch);
                    }
                });
                pass.forget(frontiers[0].frontier().first().and_then(|time| step.results_in(time)));
            }
        });
    }

    /// Notes what the feedback depends on; ends the run if that can never come.
    fn depends_on(&self, lineage: &Lineage) {
        if let Err(error) = self.origin.run().ledger().close_loop(self.id, lineage) {
            self.origin.refuse(error);
        }
    }

    /// Connects the input, so that what comes out is known to be one step later.
    fn connect(&mut self, edge: Edge<'i, C, T>) -> FeedbackInput<C, T> {
        self.depends_on(&edge.lineage);
        self.origin.note_reads(&edge.origin, ConnectionKind::Feedback);
        let pact = Counted {
            pact: Pipeline,
            reader: Rc::clone(&self.origin),
            lineage: edge.lineage,
            may_wait: false,
            channel: Channel::Feedback,
        };
        let outputs = 0..self.builder.shape().outputs();
        let step = &self.step;
        let connection: Vec<_> = outputs.map(|port| (port, Antichain::from_elem(step.clone()))).collect();
        self.builder.new_input_connection(edge.stream, pact, connection)
    }
}

/// What comes to a feedback edge.
type FeedbackInput<C, T> = timely::dataflow::operators::generic::InputHandleCore<
    T,
    C,
    <Counted<Pipeline> as timely::dataflow::channels::pact::ParallelizationContract<T, C>>::Puller,
>;

/// When a batch comes out again; `None` for one without a time, and where the counter can not go higher: that
/// batch would never arrive.
fn next_of<T: Clock>(step: &T::Summary, capability: &InputCapability<T>) -> Option<T> {
    capability.least().and_then(|time| step.results_in(time))
}

impl<C: Default + Batch, T: Clock> std::fmt::Debug for FeedbackEdge<'_, C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FeedbackEdge").field(&self.origin.site().operator).finish()
    }
}

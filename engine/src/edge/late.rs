//! Edges whose beginning is built after those that read them.

use std::panic::Location;

use timely::dataflow::operators::core::feedback::Handle;
use timely::dataflow::operators::{ConnectLoop, Feedback};

use crate::clock::Clock;
use crate::edge::{Edge, Place};
use crate::feedback::Mark;
use crate::flow::Lineage;
use crate::origin::Origin;

/// The open beginning of an edge of marks. What is sent into it may not descend from those that read it.
pub struct LateEdge<'s, T: Clock>(Handle<'s, T, Vec<Mark>>);

impl<'s, T: Clock> Place<'s, T> {
    /// An edge that is begun later, and its open beginning.
    pub fn late_edge(
        &self,
        location: &'static Location<'static>,
    ) -> (LateEdge<'s, T>, Edge<'s, Vec<Mark>, T>) {
        let (handle, stream) = self.scope().feedback(Default::default());
        let origin = Origin::of_place(self, location);
        (LateEdge(handle), Edge { stream, place: self.clone(), origin, lineage: Lineage::default() })
    }
}

impl<'s, T: Clock> LateEdge<'s, T> {
    /// Sends `edge` into it.
    pub fn connect(self, edge: Edge<'s, Vec<Mark>, T>) {
        edge.stream.connect_loop(self.0);
    }
}

impl<T: Clock> std::fmt::Debug for LateEdge<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LateEdge")
    }
}

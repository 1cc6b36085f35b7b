//! Edges between operators, and the places (dataflow or loop body) where operators live.

mod late;

use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::operators::{Enter, Leave};
use timely::dataflow::{Scope, Stream};

use crate::clock::{AnyClock, Clock, EventClock, LoopCounter};
use crate::error::Error;
use crate::feedback::FeedbackEdge;
use crate::flow::Lineage;
use crate::operator::{Batch, SourcesOf};
use crate::origin::Origin;
use crate::process::SpanOf;
use crate::rounds::{EnteredHead, LoopHead};
use crate::runtime::state::RunState;

pub use late::LateEdge;

/// An edge that carries batches `C` on clock `T`: what [`DataStream`](crate::DataStream) is made of.
pub struct Edge<'s, C, T: AnyClock> {
    pub(crate) stream: Stream<'s, T, C>,
    pub(crate) place: Place<'s, T>,
    pub(crate) origin: Rc<Origin>,
    pub(crate) lineage: Lineage,
}

impl<C: Clone + 'static, T: AnyClock> Clone for Edge<'_, C, T> {
    fn clone(&self) -> Self {
        Edge {
            stream: self.stream.clone(),
            place: self.place.clone(),
            origin: Rc::clone(&self.origin),
            lineage: Rc::clone(&self.lineage),
        }
    }
}

impl<'s, C: 'static, T: AnyClock> Edge<'s, C, T> {
    /// The place where the edge begins.
    pub fn place(&self) -> Place<'s, T> {
        self.place.clone()
    }

    /// The same edge, whose readers are at `place`: the same one, or the same with other life cycles.
    #[must_use]
    pub fn read_at(self, place: &Place<'s, T>) -> Self {
        Edge { place: place.clone(), ..self }
    }

    /// Ends the run because what is made of this edge is wrong; the error names the operator that made it.
    pub fn refuse(&self, error: Error) {
        self.origin.refuse(error);
    }

    /// The sources that this edge descends from.
    pub fn sources(&self) -> SourcesOf {
        SourcesOf(Rc::clone(&self.lineage))
    }
}

impl<C, T: AnyClock> std::fmt::Debug for Edge<'_, C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("operator", &self.origin.site().operator).finish_non_exhaustive()
    }
}

/// A loop, as the streams with event time in its body see it.
type EventHead<'s, T> = Rc<dyn LoopHead<'s, EventClock<T>> + 's>;

/// The dataflow, or the body of one loop, on one worker.
pub struct Place<'s, T: AnyClock> {
    scope: Scope<'s, T>,
    /// Where streams with event time live, around which this place was built.
    events: Option<Scope<'s, EventClock<T>>>,
    /// The loop whose body this is, as streams with event time see it.
    event_head: Option<EventHead<'s, T>>,
    run: Arc<RunState>,
    /// Whether this is the body of a loop.
    is_loop: bool,
    /// The loop whose body this is, if it has told.
    head: Option<Rc<dyn LoopHead<'s, T> + 's>>,
    /// Where operators begin anew in each span of time: which. Otherwise they keep their state to the end.
    span: Option<SpanOf<T>>,
    /// The same, for those of this loop that are to keep their state over all rounds.
    all_rounds: Option<SpanOf<T>>,
}

impl<T: AnyClock> Clone for Place<'_, T> {
    fn clone(&self) -> Self {
        let (run, head, event_head) = (Arc::clone(&self.run), self.head.clone(), self.event_head.clone());
        let (span, all_rounds) = (self.span.clone(), self.all_rounds.clone());
        Place {
            scope: self.scope,
            events: self.events,
            event_head,
            run,
            is_loop: self.is_loop,
            head,
            span,
            all_rounds,
        }
    }
}

impl<'s, T: AnyClock> Place<'s, T> {
    pub(crate) fn new(scope: Scope<'s, T>, run: Arc<RunState>) -> Self {
        Place {
            scope,
            events: None,
            event_head: None,
            run,
            is_loop: false,
            head: None,
            span: None,
            all_rounds: None,
        }
    }

    /// This place as the body of the loop `head`, which its operators can find there.
    #[must_use]
    pub fn with_head(self, head: Rc<dyn LoopHead<'s, T> + 's>) -> Self {
        let event_head = self.events.map(|scope| -> EventHead<'s, T> {
            Rc::new(EnteredHead::new(Rc::clone(&head), Place::new(scope, self.run())))
        });
        Place { head: Some(head), event_head, ..self }
    }

    /// This place, where operators begin anew in each round of the loop.
    #[must_use]
    pub fn per_round(self) -> Self {
        Place { span: Some(Rc::new(T::clone)), ..self }
    }

    /// This place, where operators keep their state over all rounds of the loop: in a loop whose own operator
    /// would begin anew in each round of the loop around, for one run.
    #[must_use]
    pub fn all_rounds(self) -> Self {
        Place { span: self.all_rounds.clone(), ..self }
    }

    pub(crate) fn span(&self) -> Option<&SpanOf<T>> {
        self.span.as_ref()
    }

    /// The loop whose body this is; `None` outside loops, and in those that do not count rounds.
    pub fn head(&self) -> Option<&Rc<dyn LoopHead<'s, T> + 's>> {
        self.head.as_ref()
    }

    /// Whether this is the body of a loop that does not count rounds.
    pub(crate) fn is_uncounted_loop(&self) -> bool {
        self.is_loop && self.head.is_none()
    }

    /// This place, with `events` for its streams with event time.
    pub(crate) fn with_events(self, events: Scope<'s, EventClock<T>>) -> Self {
        Place { events: Some(events), ..self }
    }

    /// Where streams with event time live.
    pub(crate) fn events(&self) -> Option<Place<'s, EventClock<T>>> {
        let head = self.event_head.clone();
        self.events.map(|scope| Place { head, ..Place::new(scope, self.run()) })
    }

    /// An edge of this place that carries what `inner`, an edge with event time, sends.
    pub(crate) fn leave_event_time<C: Default + Batch>(
        &self,
        inner: Edge<'s, C, EventClock<T>>,
    ) -> Edge<'s, C, T> {
        let stream = inner.stream.leave(self.scope);
        Edge { stream, place: self.clone(), origin: inner.origin, lineage: inner.lineage }
    }

    pub(crate) fn scope(&self) -> Scope<'s, T> {
        self.scope
    }

    pub(crate) fn run(&self) -> Arc<RunState> {
        Arc::clone(&self.run)
    }

    /// Whether the run makes checkpoints.
    pub fn makes_checkpoints(&self) -> bool {
        self.run.checkpoints().is_some()
    }

    /// Ends the run because the graph is wrong at the caller's source line.
    #[track_caller]
    pub fn refuse(&self, error: Error) {
        Origin::of_place(self, std::panic::Location::caller()).refuse(error);
    }

    /// Names of the loops around, from the outermost to the one whose body this is.
    pub(crate) fn loops(&self) -> Vec<String> {
        self.run.loops_around(&self.scope.addr())
    }

    /// Index of this worker, in `0..workers()`.
    pub fn worker_index(&self) -> usize {
        self.scope.index()
    }

    /// Number of workers of the whole job.
    pub fn workers(&self) -> usize {
        self.scope.peers()
    }
}

impl<'s, T: AnyClock> Place<'s, T> {
    /// Figures of a layer's own about what is built here, if the run is watched: a handle that all workers of this process
    /// share, and that [`JobMetrics::figures`](crate::JobMetrics::figures) finds by its type. All workers must ask for the
    /// same ones in the same order, as they build the same graph.
    pub fn figures<F: Default + Clone + Send + 'static>(&self, name: &str) -> Option<F> {
        let path: String = self.loops().into_iter().map(|outer| outer + "/").collect();
        Some(self.run.metrics()?.join_figures(self.worker_index(), path + name))
    }
}

impl<'s, T: Clock> Place<'s, T> {
    /// Builds a nested place whose clock is this one's with a counter `R` inside. `body` gets the inner
    /// place and this one.
    pub fn nested<R: LoopCounter, O>(
        &self,
        name: &str,
        body: impl for<'i> FnOnce(&Place<'i, (T, R)>, &Place<'s, T>) -> O,
    ) -> O {
        self.scope.scoped::<(T, R), _, _>(name, |inner| {
            self.run.note_loop(&inner.addr(), name);
            // As the one around the job: it is there in every loop, and never scheduled without such streams.
            inner.scoped("event time", |events| body(&self.inside(inner).with_events(events), self))
        })
    }

    /// The body of a loop that is nested here.
    fn inside<'i, R: LoopCounter>(&self, inner: Scope<'i, (T, R)>) -> Place<'i, (T, R)> {
        let span = self
            .span
            .clone()
            .map(|span| -> SpanOf<(T, R)> { Rc::new(move |(outer, _): &(T, R)| (span(outer), R::end())) });
        Place { all_rounds: span, is_loop: true, ..Place::new(inner, self.run()) }.all_rounds()
    }

    /// An edge of this place that carries what `inner`, an edge of a nested place, sends.
    pub fn leave<'i, C: Default + Batch, R: LoopCounter>(
        &self,
        inner: Edge<'i, C, (T, R)>,
    ) -> Edge<'s, C, T> {
        let stream = inner.stream.leave(self.scope);
        Edge { stream, place: self.clone(), origin: inner.origin, lineage: inner.lineage }
    }
}

impl<'s, T: AnyClock> Place<'s, EventClock<T>> {
    /// An edge that brings `outer`, an edge of the surrounding place, to event time.
    pub(crate) fn enter_event_time<C: Default + Batch>(
        &self,
        outer: Edge<'_, C, T>,
    ) -> Edge<'s, C, EventClock<T>> {
        let stream = outer.stream.enter(self.scope);
        Edge { stream, place: self.clone(), origin: outer.origin, lineage: outer.lineage }
    }
}

impl<'i, T: Clock, R: LoopCounter> Place<'i, (T, R)> {
    /// An edge that brings `outer`, an edge of the surrounding place, into this one.
    pub fn enter<C: Default + Batch>(&self, outer: Edge<'_, C, T>) -> Edge<'i, C, (T, R)> {
        let stream = outer.stream.enter(self.scope);
        Edge { stream, place: self.clone(), origin: outer.origin, lineage: outer.lineage }
    }

    /// Opens a feedback edge: what is later sent into it by [`FeedbackEdge::close`] comes out of the returned
    /// edge, one hop later. It has the name of the loop, and in errors the source line `location`.
    pub fn feedback<C: Default + Batch>(
        &self,
        location: &'static std::panic::Location<'static>,
    ) -> (FeedbackEdge<'i, C, (T, R)>, Edge<'i, C, (T, R)>) {
        let step = (Default::default(), R::feedback_step());
        FeedbackEdge::open(self, location, step)
    }
}

impl<T: AnyClock> std::fmt::Debug for Place<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("name", &self.scope.name()).finish_non_exhaustive()
    }
}

//! Building operators, for the layers above: inputs and outputs of batches, promises to send, frontiers.
//!
//! Programs use [`DataStream`](crate::DataStream); `iteration` and `ps` use this. An operator reads batches,
//! each with a [`Token`] that allows sending at the batch's time while the batch is handled. To send later it
//! turns the token into a [`Promise`], which holds the time open until it is dropped.

mod futures;
mod input;
mod keyed;
mod neighbour;
pub(crate) mod output;
mod route;

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder as TimelyBuilder;
use timely::order::Product;
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;
use timely::scheduling::activate::SyncActivator;

use crate::cache::CacheShare;
use crate::checkpoint::{CheckpointHold, Part, Snapshot};
use crate::clock::{AnyClock, Clock, Epoch, EventClock, WatermarkPath};
use crate::edge::{Edge, Place};
use crate::error::{Error, Result, Site};
use crate::exchange::{Channel, Counted};
use crate::feedback::Mark;
use crate::flow::{self, Lineage, SourceHold};
use crate::machine;
use crate::metrics::{ConnectionKind, Gauges};
use crate::origin::Origin;
use crate::parcel::{ByDestination, Packet, Parcel};
use crate::process::SpanOf;
use crate::record::Record;
use crate::wire::Wired;

pub use futures::Futures;
pub use input::{Input, Promise, Token};
pub use keyed::KeyedStates;
pub(crate) use neighbour::Alarm;
pub use neighbour::{Activation, OnBehalf};
pub use output::Output;
use output::RecordOutput;
use route::ByRoute;
pub(crate) use route::Route;

/// When progress on an input wakes the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeOn {
    /// Only records: progress alone never does.
    Records,
    /// Records and progress.
    Progress,
    /// Records and progress, and the operator has something to say when the input has ended.
    End,
}

impl WakeOn {
    /// What wakes an operator that is or is not told of the end of its input.
    pub(crate) fn end(waits_for_end: bool) -> Self {
        if waits_for_end { WakeOn::End } else { WakeOn::Records }
    }
}

/// Builds one operator: inputs first, then outputs, then its logic.
pub struct OperatorBuilder<'s, T: AnyClock> {
    builder: TimelyBuilder<'s, T>,
    place: Place<'s, T>,
    origin: Rc<Origin>,
    lineage: Lineage,
    /// Whether the inputs that are added now may be left unread until another has ended.
    may_wait: bool,
    inputs: usize,
    /// Whether it has said what it keeps between batches, for checkpoints.
    says_what_it_keeps: bool,
}

impl<'s, T: AnyClock> OperatorBuilder<'s, T> {
    /// Starts an operator called `name` in `place`. Errors of the operator show the caller's source line.
    #[track_caller]
    pub fn new(place: &Place<'s, T>, name: &str) -> Self {
        Self::made_at(place, name, Location::caller())
    }

    /// As [`new`](Self::new), for an operator that was made at `location`: where it is built inside of a closure, the
    /// caller is not the one that asked for it.
    pub fn made_at(place: &Place<'s, T>, name: &str, location: &'static Location<'static>) -> Self {
        let origin = Origin::new(place, name, location);
        let builder = TimelyBuilder::new(name.to_string(), place.scope());
        origin.number(builder.operator_info().global_id);
        let (place, lineage) = (place.clone(), Lineage::default());
        OperatorBuilder {
            builder,
            place,
            origin,
            lineage,
            may_wait: false,
            inputs: 0,
            says_what_it_keeps: false,
        }
    }

    /// Adds an input that takes batches as they are, from the same worker.
    pub fn input<C: Default + Batch>(&mut self, edge: Edge<'s, C, T>, wake: WakeOn) -> Input<C, T> {
        let input = Input::new(self.builder.new_input(edge.stream, Pipeline), self.origin.gauges());
        self.inherit_parallelism(edge.origin.parallelism());
        self.origin.note_reads(&edge.origin, ConnectionKind::Forward);
        self.note_input(&edge.lineage, wake);
        input
    }

    /// Adds an input whose records are moved to worker `route(record) mod workers`.
    pub fn input_routed<D: Record>(
        &mut self,
        edge: Edge<'s, Vec<D>, T>,
        wake: WakeOn,
        route: impl Fn(&D) -> u64 + 'static,
    ) -> Input<Vec<D>, T> {
        self.input_by_route(edge, wake, move |records: &[D], workers: usize, to: &mut Vec<usize>| {
            to.extend(records.iter().map(|record| (route(record) % workers as u64) as usize));
        })
    }

    /// As [`input_routed`](Self::input_routed), for a route that is worked out batch by batch.
    pub(crate) fn input_by_route<D: Record>(
        &mut self,
        edge: Edge<'s, Vec<D>, T>,
        wake: WakeOn,
        mut route: impl Route<D>,
    ) -> Input<Vec<D>, T> {
        let origin = Rc::clone(&self.origin);
        let guarded = move |records: &[D], workers: usize, to: &mut Vec<usize>| {
            if origin.is_broken() {
                to.extend(records.iter().map(|_| 0));
            } else {
                origin.blamed(|| route.route(records, workers, to));
            }
        };
        let pact = Wired(|workers| ByRoute::new(guarded, workers));
        let pact = self.counted(pact, &edge.lineage);
        let input = Input::new(self.builder.new_input(edge.stream, pact), self.origin.gauges());
        self.inherit_parallelism(usize::MAX);
        self.origin.note_reads(&edge.origin, ConnectionKind::Exchange);
        self.note_input(&edge.lineage, wake);
        input
    }

    /// Adds an input of packets, each moved whole to the worker it names.
    pub fn input_parcels<P: Packet>(
        &mut self,
        edge: Edge<'s, Parcel<P>, T>,
        wake: WakeOn,
    ) -> Input<Parcel<P>, T> {
        let pact = self.counted(DistributorPact(|_workers| ByDestination), &edge.lineage);
        let input = Input::new(self.builder.new_input(edge.stream, pact), self.origin.gauges());
        self.inherit_parallelism(usize::MAX);
        self.origin.note_reads(&edge.origin, ConnectionKind::Exchange);
        self.note_input(&edge.lineage, wake);
        input
    }

    /// Adds an input for the ticks of the loop around, and says whether rounds are handled in order; see
    /// [`LoopHead`](crate::LoopHead). `None`, and the run ends with an error, outside of a loop that counts rounds.
    pub fn input_ticks(&mut self) -> Option<(Input<Vec<Mark>, T>, bool)> {
        let Some(head) = self.place.head().cloned() else {
            self.origin.refuse(Error::config(
                "this operator is told of rounds, but it is in no loop that counts them: \
                 use it in the body of an iteration",
            ));
            return None;
        };
        let input = Input::new(self.builder.new_input(head.ticks().stream, Pipeline), None);
        self.inputs += 1;
        Some((input, head.in_order()))
    }

    /// As [`input_ticks`](Self::input_ticks), for an operator with event time, which may as well be outside loops.
    pub(crate) fn input_event_ticks(&mut self) -> Option<Input<Vec<Mark>, T>> {
        self.place.head()?;
        self.input_ticks().map(|(ticks, _in_order)| ticks)
    }

    /// Where operators begin anew in each round, adds what such an operator needs: the ticks of its loop, and the
    /// spans. All inputs wake it from now on.
    pub(crate) fn input_spans(&mut self) -> Option<(SpanOf<T>, Input<Vec<Mark>, T>)> {
        let span = self.place.span().cloned()?;
        let (ticks, _in_order) = self.input_ticks()?;
        for input in 0..self.inputs {
            self.builder.set_notify_for(input, FrontierInterest::Always);
        }
        Some((span, ticks))
    }

    /// Where operators begin anew in each round, or in each run of a loop inside: says after which times. `None`
    /// where they keep their state to the end.
    pub fn begins_anew_after(&self) -> Option<impl Fn(&T) -> bool + use<T>> {
        let span = self.place.span().cloned()?;
        Some(move |time: &T| span(time) == *time)
    }

    /// Whether operators at this place begin anew in each round.
    pub(crate) fn is_per_round(&self) -> bool {
        self.place.span().is_some()
    }

    /// Ends the run: this operator is to begin anew in each round, and can not.
    pub fn refuse_rounds(&self) {
        self.origin.refuse(Error::config(
            "this operator keeps a state that it can not begin anew in each round: \
             implement for_next_round, or let it keep its state with all_rounds",
        ));
    }

    /// An operator has records wherever one of its inputs has; called before the input is counted.
    fn inherit_parallelism(&self, input: usize) {
        let others = if self.inputs == 0 { 0 } else { self.origin.parallelism() };
        self.origin.set_parallelism(others.max(input));
    }

    /// Says that the routes of this operator's inputs end at the first `workers` workers.
    pub(crate) fn set_parallelism(&self, workers: usize) {
        self.origin.set_parallelism(workers);
    }

    /// Index of this worker.
    pub fn worker_index(&self) -> usize {
        self.origin.worker()
    }

    /// Where the operator is made, for errors of functions that run elsewhere.
    pub(crate) fn site(&self) -> Site {
        self.origin.site()
    }

    /// Whether records can come to this worker.
    pub fn takes_part(&self) -> bool {
        self.origin.worker() < self.origin.parallelism()
    }

    /// Ends the run if `check` found something wrong with the graph at this operator.
    pub(crate) fn refuse_unless(&self, check: Result<()>) {
        if let Err(error) = check {
            self.origin.refuse(error);
        }
    }

    /// Wakes this operator from any thread.
    pub(crate) fn sync_activator(&self) -> SyncActivator {
        let address = self.builder.operator_info().address;
        self.place.scope().worker().sync_activator_for(address.to_vec())
    }

    fn note_input(&mut self, lineage: &Lineage, wake: WakeOn) {
        if wake == WakeOn::Records {
            self.builder.set_notify_for(self.inputs, FrontierInterest::Never);
        }
        self.lineage = flow::both(&self.lineage, lineage);
        if wake == WakeOn::End && self.place.span().is_none() {
            let waiter = self.place.run().ledger().note_waiter(self.id(), &self.origin.site(), lineage);
            self.lineage = flow::both(&self.lineage, &Lineage::new([waiter].into()));
        }
        self.inputs += 1;
    }

    /// Says that the inputs which are added from now on may be left unread until everything that descends
    /// from `sources` has come: what waits there then holds neither those sources nor others that some
    /// operator awaits in this way.
    ///
    /// An operator that does not read one input before another has ended must say so, or a job whose unread
    /// input fills up would wait for ever. The price is that nothing but these sources' own end bounds what
    /// they send to the unread input.
    pub fn spare(&mut self, sources: &SourcesOf) {
        self.place.run().ledger().note_awaited(&sources.0);
        self.may_wait = true;
    }

    fn counted<P>(&self, pact: P, lineage: &Lineage) -> Counted<P> {
        let (reader, lineage) = (Rc::clone(&self.origin), Rc::clone(lineage));
        Counted { pact, reader, lineage, may_wait: self.may_wait, channel: Channel::Exchange }
    }

    /// Says that this operator is source number `index`.
    pub(crate) fn descend_from_source(&mut self, index: usize) {
        self.lineage = Rc::new(std::iter::once(index).collect());
    }

    /// Adds an output; the edge is what other operators read from.
    pub fn output<C: Default + Batch>(&mut self) -> (Output<C, T>, Edge<'s, C, T>) {
        let (output, stream) = self.builder.new_output::<C>();
        (Output::new(output, self.origin.gauges()), self.edge_of(stream))
    }

    /// As [`output`](Self::output), for an operator that sends with promises of its own alone: what may still
    /// arrive does not hold time back behind this output.
    pub(crate) fn detached_output<C: Default + Batch>(&mut self) -> (Output<C, T>, Edge<'s, C, T>) {
        let (output, stream) = self.builder.new_output_connection::<C, _>([]);
        (Output::new(output, self.origin.gauges()), self.edge_of(stream))
    }

    /// As [`output`](Self::output), for records that are sent one by one.
    pub(crate) fn record_output<D: 'static>(&mut self) -> (RecordOutput<D, T>, Edge<'s, Vec<D>, T>) {
        let (output, stream) = self.builder.new_output::<Vec<D>>();
        (RecordOutput::new(output, self.origin.gauges()), self.edge_of(stream))
    }

    fn edge_of<C>(&self, stream: Stream<'s, T, C>) -> Edge<'s, C, T> {
        let (origin, lineage) = (Rc::clone(&self.origin), Rc::clone(&self.lineage));
        Edge { stream, place: self.place.clone(), origin, lineage }
    }

    /// A hold on the sources of `held`, sparing those of `spared`; see [`SourceHold`].
    pub fn source_hold(&self, held: &SourcesOf, spared: &SourcesOf) -> SourceHold {
        SourceHold::new(self.place.run(), &held.0, &spared.0)
    }

    /// Where this operator was made.
    pub(crate) fn origin(&self) -> Rc<Origin> {
        Rc::clone(&self.origin)
    }

    /// Says that this operator keeps nothing between batches, and has no effect that a checkpoint would have to wait
    /// for: it has no part in checkpoints.
    pub fn keep_nothing(&mut self) {
        self.says_what_it_keeps = true;
    }

    /// This operator's part in checkpoints, with `state` as what it keeps between batches; after its inputs were added.
    /// An operator without one, that has not said [`keep_nothing`](Self::keep_nothing) either, is refused where there
    /// are checkpoints.
    pub fn part(&mut self, state: &impl Snapshot) -> Part {
        self.part_unless(|| state.check())
    }

    /// As [`part`](Self::part), for a state that is not there yet; `check` is its [`Snapshot::check`].
    pub fn part_unless(&mut self, check: impl FnOnce() -> Result<()>) -> Part {
        let part = Part::new(&self.origin, self.activation(), self.inputs, self.place.workers());
        if part.is_taken() {
            self.says_what_it_keeps = true;
            // A bounded iteration is in one checkpoint epoch: its operators have ended when their state would be marked.
            if !self.is_in_bounded_iteration() {
                self.refuse_unless(check());
            }
            for input in 0..self.inputs {
                self.builder.set_notify_for(input, FrontierInterest::Always);
            }
        }
        part
    }

    /// As [`part`](Self::part), for a source: it is woken when it has to leave its epoch, and when it may go on.
    pub(crate) fn source_part(&mut self, state: &impl Snapshot) -> Part {
        self.source_part_unless(|| state.check())
    }

    /// As [`part_unless`](Self::part_unless), for an operator that goes on by itself: it is woken when it has to leave its
    /// epoch, and when it may go on.
    pub fn source_part_unless(&mut self, check: impl FnOnce() -> Result<()>) -> Part {
        self.wake_when_epochs_open();
        self.part_unless(check)
    }

    /// The part of an operator that is told of rounds, and keeps nothing when its iteration is over. A bounded iteration is
    /// in one checkpoint epoch, and where its [end](Part::had_ended) was answered in an earlier run, nothing is due. The
    /// rounds of an unbounded one go on over checkpoints, so there the operator is refused.
    pub fn rounds_part(&mut self) -> Part {
        self.part_unless(|| {
            Err(Error::config(
                "an operator that is told of rounds can take part in checkpoints in a bounded iteration alone: the rounds \
                 of an unbounded one go on over checkpoints",
            ))
        })
    }

    fn is_in_bounded_iteration(&self) -> bool {
        self.place.head().is_some_and(|head| head.in_order())
    }

    /// Lets no checkpoint of this job be begun until it is dropped.
    pub fn checkpoint_hold(&self) -> CheckpointHold {
        CheckpointHold::new(self.place.run().checkpoints())
    }

    /// Lets the operator be woken when sources have to leave their epoch, and when they may go on.
    pub(crate) fn wake_when_epochs_open(&self) {
        if let Some(checkpoints) = self.place.run().checkpoints() {
            checkpoints.register_source(self.sync_activator());
        }
    }

    fn refuse_checkpoints_unless_it_says(&self) {
        if !self.says_what_it_keeps && self.place.run().checkpoints().is_some() {
            self.origin.refuse(Error::config(
                "this operator keeps a state that checkpoints can not hold yet: run the job without checkpoints",
            ));
        }
    }

    /// Number of this operator, the same on all workers.
    pub(crate) fn id(&self) -> usize {
        self.builder.operator_info().global_id
    }

    /// Wakes this operator, from another one on the same worker.
    pub fn activation(&self) -> Activation {
        let info = self.builder.operator_info();
        Activation::new(self.place.scope().activator_for(info.address))
    }

    /// The share of this operator of the process's memory and directory for data caches, for all caches that it will
    /// have. To be asked for once.
    pub fn cache_share(&self) -> CacheShare {
        CacheShare::of(self.place.run().cache_space())
    }

    /// What lets another operator on the same worker run functions of this one.
    pub fn on_behalf(&self) -> OnBehalf {
        OnBehalf::new(Rc::clone(&self.origin))
    }

    /// Finishes the operator. `constructor` gets one promise per output for the first time of all, and
    /// returns the logic, which runs whenever there is work.
    ///
    /// An error or a panic of the logic ends the run and names the operator.
    pub fn build<L>(self, constructor: impl FnOnce(Vec<Promise<T>>, Activation) -> L)
    where
        L: FnMut(&Frontiers<'_, T>) -> Result<()> + 'static,
    {
        self.refuse_checkpoints_unless_it_says();
        let activation = self.activation();
        let origin = self.origin;
        self.builder.build(move |capabilities| {
            let promises = capabilities.into_iter().map(Promise::new).collect();
            let mut logic = constructor(promises, activation);
            let mut watch = origin.gauges().map(Watch::new);
            move |frontiers| match &mut watch {
                None => origin.guard(|| logic(&Frontiers(frontiers))),
                Some(watch) => watch.run(&origin, frontiers, || logic(&Frontiers(frontiers))),
            }
        });
    }
}

impl<'s, T: AnyClock> OperatorBuilder<'s, EventClock<T>> {
    /// Adds an output whose watermark is the word of this operator: what may still arrive on input `silent` holds
    /// back the outer time behind the output, but says nothing about event time; what may arrive on input `told`
    /// holds back both.
    pub(crate) fn watermark_output<C: Default + Batch>(
        &mut self,
        silent: usize,
        told: usize,
    ) -> (Output<C, EventClock<T>>, Edge<'s, C, EventClock<T>>) {
        let silenced = Product::new(Default::default(), WatermarkPath::Silences);
        let connection =
            [(silent, Antichain::from_elem(silenced)), (told, Antichain::from_elem(Default::default()))];
        let (output, stream) = self.builder.new_output_connection::<C, _>(connection);
        (Output::new(output, self.origin.gauges()), self.edge_of(stream))
    }
}

impl<T: AnyClock> std::fmt::Debug for OperatorBuilder<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorBuilder").field("name", &self.origin.site().operator).finish_non_exhaustive()
    }
}

/// Watches an operator run.
struct Watch {
    gauges: Arc<Gauges>,
    is_described: bool,
}

impl Watch {
    fn new(gauges: Arc<Gauges>) -> Self {
        Watch { gauges, is_described: false }
    }

    /// Runs one activation, and notes how long it took and how far event time is.
    fn run<T: AnyClock>(
        &mut self,
        origin: &Origin,
        frontiers: &[MutableAntichain<T>],
        logic: impl FnOnce() -> Result<()>,
    ) {
        if !std::mem::replace(&mut self.is_described, true) {
            origin.describe();
        }
        let since = machine::now();
        origin.guard(logic);
        self.gauges.note_run(since);
        let least =
            |input: &MutableAntichain<T>| input.frontier().iter().filter_map(AnyClock::event_time).min();
        self.gauges.note_watermark(frontiers.iter().filter_map(least).min());
    }
}

/// What an edge can carry: any owned data with a record count.
pub trait Batch: timely::Accountable + 'static {}
impl<C: timely::Accountable + 'static> Batch for C {}

/// The sources that an edge descends from.
#[derive(Clone, Debug, Default)]
pub struct SourcesOf(pub(crate) Lineage);

impl SourcesOf {
    /// These and others.
    #[must_use]
    pub fn and(&self, others: &SourcesOf) -> SourcesOf {
        SourcesOf(flow::both(&self.0, &others.0))
    }
}

impl<T: Clock> Frontiers<'_, EventClock<T>> {
    /// The greatest time that is not after anything that may still arrive on any input, in rounds up to `round`
    /// where one is given; `None` when nothing will. Its event time is the watermark: the exact minimum over all
    /// partitions and workers.
    pub(crate) fn meet(&self, round: Option<&T>) -> Option<EventClock<T>> {
        self.0.iter().filter_map(|input| meet(input, round)).reduce(|a, b| {
            let (outer, inner) = (a.outer.min(b.outer), a.inner.min(b.inner));
            EventClock { outer, inner }
        })
    }

    /// The least outer time that may still arrive on input `port`, if any.
    pub(crate) fn next_outer(&self, port: usize) -> Option<T> {
        meet(&self.0[port], None).map(|time| time.outer)
    }
}

fn meet<T: Clock>(input: &MutableAntichain<EventClock<T>>, round: Option<&T>) -> Option<EventClock<T>> {
    let times = input.frontier();
    let times = || times.iter().filter(|time| round.is_none_or(|round| time.outer <= *round));
    let outer = times().map(|time| &time.outer).min()?;
    let inner = times().map(|time| time.inner).min()?;
    Some(EventClock { outer: outer.clone(), inner })
}

/// The frontiers of an operator's inputs: what may still arrive.
#[derive(Debug)]
pub struct Frontiers<'a, T: AnyClock>(&'a [MutableAntichain<T>]);

impl<T: Clock> Frontiers<'_, T> {
    /// The least time that may still arrive on any input, if any.
    pub(crate) fn least(&self) -> Option<T> {
        (0..self.0.len()).filter_map(|port| self.next(port)).min()
    }
}

impl<T: AnyClock> Frontiers<'_, T> {
    /// The first checkpoint epoch of which something may still arrive on any input; `None` when nothing will.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.0.iter().filter_map(|input| input.frontier().iter().map(AnyClock::epoch).min()).min()
    }

    /// Whether a record at `time` or before may still arrive on input `port`.
    #[inline]
    pub fn may_arrive(&self, port: usize, time: &T) -> bool {
        self.0[port].less_equal(time)
    }

    /// Whether nothing at all will arrive any more on input `port`.
    #[inline]
    pub fn is_done(&self, port: usize) -> bool {
        self.0[port].frontier().is_empty()
    }

    /// The least time that may still arrive on input `port`, if any.
    #[inline]
    pub fn next(&self, port: usize) -> Option<T>
    where
        T: Clock,
    {
        self.0[port].frontier().iter().next().cloned()
    }
}

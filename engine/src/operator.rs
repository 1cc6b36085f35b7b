//! Building operators, for the layers above: inputs and outputs of batches, promises to send, frontiers.
//!
//! Programs use [`DataStream`](crate::DataStream); `iteration` and `ps` use this. An operator reads batches,
//! each with a [`Token`] that allows sending at the batch's time while the batch is handled. To send later it
//! turns the token into a [`Promise`], which holds the time open until it is dropped.

mod checkpoints;
mod frontiers;
mod futures;
mod input;
mod keyed;
mod neighbour;
pub(crate) mod output;
mod route;
mod watch;

use std::panic::Location;
use std::rc::Rc;

use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder as TimelyBuilder;
use timely::order::Product;
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;
use timely::scheduling::activate::SyncActivator;

use crate::cache::CacheShare;
use crate::clock::{AnyClock, EventClock, WatermarkPath};
use crate::edge::{Edge, Place};
use crate::error::{Error, Result, Site};
use crate::exchange::{Channel, Counted};
use crate::feedback::Mark;
use crate::flow::{self, Lineage, SourceHold};
use crate::metrics::{ConnectionKind, Volume};
use crate::origin::Origin;
use crate::parcel::{ByDestination, Packet, Parcel};
use crate::process::SpanOf;
use crate::record::Record;
use crate::wire::Wired;

pub use frontiers::Frontiers;
pub use futures::Futures;
pub use input::{Input, Promise, Token};
pub use keyed::KeyedStates;
pub(crate) use neighbour::Alarm;
pub use neighbour::{Activation, OnBehalf};
pub use output::Output;
use output::RecordOutput;
use route::ByRoute;
pub(crate) use route::Route;
use watch::Watch;

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

/// What an edge can carry: owned data with a record count.
pub trait Batch: timely::Accountable + 'static {
    /// Memory of its records, in bytes, without what they point to. At a constant cost.
    fn bytes(&self) -> usize;
}

impl<D: 'static> Batch for Vec<D> {
    #[inline]
    fn bytes(&self) -> usize {
        size_of_val(self.as_slice())
    }
}

/// What one batch comes to.
#[inline]
fn volume_of<C: Batch>(batch: &C) -> Volume {
    Volume { batches: 1, records: batch.record_count().unsigned_abs(), bytes: batch.bytes() as u64 }
}

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

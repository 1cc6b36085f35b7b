//! The head of a loop: how its operators learn of rounds, and with which one the loop leaves its checkpoint epoch.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::rc::Rc;

use waterwheel_engine::checkpoint::CheckpointWatch;
use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{
    BegunRounds, Clock, DataStream, Edge, FeedbackEdge, GOES_ON, LEAVES, LateEdge, LoopHead, Mark, Place,
    Round, STAYS,
};

use crate::config::IterationConfig;
use crate::frontier::least;

/// A feedback edge that is shared between the loop that closes it and the head that asks it for marks.
pub(crate) type SharedFeedback<'i, D, T> = Rc<RefCell<Option<FeedbackEdge<'i, Vec<D>, T>>>>;

/// A feedback edge, and what comes out of it.
type OpenFeedback<'i, D, T> = (SharedFeedback<'i, D, T>, Edge<'i, Vec<D>, T>);

/// The head of one loop while it is built. The operator is made when the first one asks for it: loops whose
/// operators do not want to know of rounds have none.
pub(crate) struct Head<'i, U: Clock> {
    place: Place<'i, (U, Round)>,
    feedback: RefCell<Vec<Rc<dyn MarksRounds<'i, (U, Round)> + 'i>>>,
    /// The ticks of the loop around: with each of its rounds this loop begins anew.
    outer_ticks: Option<Edge<'i, Vec<Mark>, (U, Round)>>,
    ticks: RefCell<Option<Edge<'i, Vec<Mark>, (U, Round)>>>,
    in_order: bool,
    over_epochs: OverEpochs,
    /// Whether a loop around it goes on over checkpoint epochs.
    outer_crosses: bool,
    /// Where it is told that what comes into the loop goes on in the next epoch.
    entrances: RefCell<Option<Edge<'i, Vec<Mark>, (U, Round)>>>,
    /// What reads that, until all entrances are known.
    listens: RefCell<Option<LateEdge<'i, (U, Round)>>>,
    /// Where the loop was made.
    location: &'static Location<'static>,
}

/// How a loop goes on over checkpoint epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OverEpochs {
    /// Not by itself.
    No,
    /// It leaves an epoch with one of its rounds.
    WithRounds,
    /// It drains with each epoch, and more may come in the next.
    Drained,
}

/// A feedback edge of records of any type.
trait MarksRounds<'i, T: Clock> {
    fn marks(&self, begun: &BegunRounds<T>) -> Option<Edge<'i, Vec<Mark>, T>>;
}

impl<'i, D: 'static, T: Clock> MarksRounds<'i, T> for RefCell<Option<FeedbackEdge<'i, Vec<D>, T>>> {
    fn marks(&self, begun: &BegunRounds<T>) -> Option<Edge<'i, Vec<Mark>, T>> {
        self.borrow_mut().as_mut().map(|edge| edge.marks(begun))
    }
}

impl<'i, U: Clock> Head<'i, U> {
    /// The head of a loop whose body is `place`, inside `outer`. Where the rounds of that are not handled in
    /// order, those of this loop are not either.
    pub(crate) fn new(
        place: &Place<'i, (U, Round)>,
        outer: &Place<'_, U>,
        config: &IterationConfig,
        location: &'static Location<'static>,
    ) -> Rc<Self> {
        let (around, in_order) = (outer.head(), config.in_order);
        Rc::new(Head {
            place: place.clone(),
            feedback: RefCell::default(),
            outer_ticks: around.map(|head| place.enter(head.ticks())),
            ticks: RefCell::default(),
            in_order: in_order && around.is_none_or(|head| head.in_order()),
            outer_crosses: around.is_some_and(|head| head.crosses_epochs()),
            over_epochs: match in_order {
                _ if U::NESTED > 0 || !place.makes_checkpoints() => OverEpochs::No,
                true if config.is_whole => OverEpochs::No,
                true => OverEpochs::WithRounds,
                false => OverEpochs::Drained,
            },
            entrances: RefCell::default(),
            listens: RefCell::default(),
            location,
        })
    }

    /// Opens a feedback edge of the loop.
    pub(crate) fn open<D: 'static>(&self) -> OpenFeedback<'i, D, (U, Round)> {
        let (edge, fed_back) = self.place.feedback(self.location);
        let shared = Rc::new(RefCell::new(Some(edge)));
        self.feedback.borrow_mut().push(Rc::clone(&shared) as Rc<dyn MarksRounds<'i, _> + 'i>);
        (shared, fed_back)
    }

    /// Whether checkpoints are made between the rounds of this very loop.
    pub(crate) fn is_cut(&self) -> bool {
        self.over_epochs == OverEpochs::WithRounds
    }

    /// Whether it goes on over checkpoint epochs by itself.
    pub(crate) fn goes_over_epochs(&self) -> bool {
        self.over_epochs != OverEpochs::No
    }

    /// All that comes into the loop is known.
    pub(crate) fn finish(&self) {
        if let (Some(listens), Some(entrances)) = (self.listens.take(), self.entrances.take()) {
            listens.connect(entrances);
        }
    }

    fn build(&self) -> Edge<'i, Vec<Mark>, (U, Round)> {
        let begun = BegunRounds::default();
        let mut op = OperatorBuilder::made_at(&self.place, "rounds", self.location);
        let mut marks: Vec<_> = self.feedback.borrow().iter().filter_map(|edge| edge.marks(&begun)).collect();
        let mut inputs: Vec<_> =
            marks.drain(..).map(|edge| op.input_routed(edge, WakeOn::Records, |mark| *mark)).collect();
        inputs.extend(self.outer_ticks.clone().map(|edge| op.input(edge, WakeOn::Records)));
        let mut told_to_go_on = (self.over_epochs == OverEpochs::Drained).then(|| {
            let (late, told) = self.place.late_edge(self.location);
            *self.listens.borrow_mut() = Some(late);
            op.input(told, WakeOn::Records)
        });
        op.keep_nothing();
        let (workers, decides) = (self.place.workers() as Mark, self.place.worker_index() == 0);
        let is_local = self.over_epochs == OverEpochs::No;
        let mut departure = self.is_cut().then(|| Departure::new(op.checkpoint_watch()));
        let (mut out, edge) = op.output::<Vec<Mark>>();
        op.build(move |_promises, _activation| {
            let mut told = BTreeSet::new();
            move |frontiers| {
                for input in &mut inputs {
                    input.for_each(|token, marks| {
                        let time = token.time();
                        marks.clear();
                        // A run that begins when the loop around has ended is none of its rounds.
                        if time.0.is_end() || !told.insert(time.clone()) {
                            return;
                        }
                        if is_local {
                            marks.push(STAYS);
                        } else if decides {
                            let says = departure.as_mut().map_or(STAYS, |departure| departure.with(&time));
                            marks.extend((0..workers).map(|worker| addressed(worker, says)));
                        }
                        out.send(&token, [marks]);
                    });
                }
                if let Some(told) = &mut told_to_go_on {
                    told.for_each(|token, marks| {
                        marks.clear();
                        marks.extend((0..workers).map(|worker| addressed(worker, GOES_ON)));
                        out.send(&token, [marks]);
                    });
                }
                match least(frontiers, inputs.len()) {
                    Some(next) => told = told.split_off(&next),
                    None => told.clear(),
                }
                Ok(())
            }
        });
        if is_local { edge } else { self.delivered(edge) }
    }

    /// The ticks that worker 0 has sent to all.
    fn delivered(&self, ticks: Edge<'i, Vec<Mark>, (U, Round)>) -> Edge<'i, Vec<Mark>, (U, Round)> {
        let mut op = OperatorBuilder::made_at(&self.place, "ticks", self.location);
        let mut input = op.input_routed(ticks, WakeOn::Records, |mark| mark >> SAYS_BITS);
        op.keep_nothing();
        let (mut out, edge) = op.output::<Vec<Mark>>();
        op.build(move |_promises, _activation| {
            move |_frontiers| {
                input.for_each(|token, marks| {
                    marks.iter_mut().for_each(|mark| *mark &= (1 << SAYS_BITS) - 1);
                    out.send(&token, [marks]);
                });
                Ok(())
            }
        });
        edge
    }
}

/// What is said of a round is below this bit of a tick that is on its way to a worker.
const SAYS_BITS: u32 = 2;

/// What a worker is to be told of a round.
fn addressed(worker: Mark, says: Mark) -> Mark {
    worker << SAYS_BITS | says
}

/// Decides, for all workers, with which rounds the loop leaves its checkpoint epoch.
struct Departure {
    watch: CheckpointWatch,
    /// The first round in its epoch.
    since: Round,
}

impl Departure {
    fn new(watch: CheckpointWatch) -> Self {
        Departure { watch, since: 0 }
    }

    /// What is said of the round that begins at `time`.
    fn with<U: Clock>(&mut self, (run, round): &(U, Round)) -> Mark {
        if self.watch.is_due(run.epoch()) {
            self.since = round + 1;
            return LEAVES;
        }
        // A later run of the job does not count from the beginning.
        let begun = if self.since == 0 { *round } else { self.since };
        self.since = begun;
        let n = round - begun + 1;
        if self.watch.every_rounds().is_some_and(|every| n.is_multiple_of(every)) {
            self.watch.ask();
        }
        STAYS
    }
}

impl<'i, U: Clock> LoopHead<'i, (U, Round)> for Head<'i, U> {
    fn ticks(&self) -> Edge<'i, Vec<Mark>, (U, Round)> {
        if let Some(ticks) = &*self.ticks.borrow() {
            return ticks.clone();
        }
        let built = self.build();
        *self.ticks.borrow_mut() = Some(built.clone());
        built
    }

    fn in_order(&self) -> bool {
        self.in_order
    }

    fn note_entrance(&self, told: Edge<'i, Vec<Mark>, (U, Round)>) {
        let told = DataStream::from_edge(told);
        let others = self.entrances.take().map(DataStream::from_edge);
        let all = others.map_or(told.clone(), |others| others.union(told));
        *self.entrances.borrow_mut() = Some(all.into_edge());
    }

    fn crosses_epochs(&self) -> bool {
        self.goes_over_epochs() || self.outer_crosses
    }
}

//! The head of a loop: how its operators learn of rounds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::rc::Rc;

use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{BegunRounds, Clock, Edge, FeedbackEdge, LoopHead, Mark, Place, Round};

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
    /// Where the loop was made.
    location: &'static Location<'static>,
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
        in_order: bool,
        location: &'static Location<'static>,
    ) -> Rc<Self> {
        let around = outer.head();
        Rc::new(Head {
            place: place.clone(),
            feedback: RefCell::default(),
            outer_ticks: around.map(|head| place.enter(head.ticks())),
            ticks: RefCell::default(),
            in_order: in_order && around.is_none_or(|head| head.in_order()),
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

    fn build(&self) -> Edge<'i, Vec<Mark>, (U, Round)> {
        let begun = BegunRounds::default();
        let mut op = OperatorBuilder::made_at(&self.place, "rounds", self.location);
        let mut marks: Vec<_> = self.feedback.borrow().iter().filter_map(|edge| edge.marks(&begun)).collect();
        let mut inputs: Vec<_> =
            marks.drain(..).map(|edge| op.input_routed(edge, WakeOn::Records, |mark| *mark)).collect();
        inputs.extend(self.outer_ticks.clone().map(|edge| op.input(edge, WakeOn::Records)));
        // Where rounds go on over checkpoints, those that are told of them are refused.
        op.keep_nothing();
        let (mut out, edge) = op.output::<Vec<Mark>>();
        op.build(move |_promises, _activation| {
            let mut told = BTreeSet::new();
            move |frontiers| {
                for input in &mut inputs {
                    input.for_each(|token, marks| {
                        let time = token.time();
                        // A run that begins when the loop around has ended is none of its rounds.
                        if !time.0.is_end() && told.insert(time) {
                            marks.truncate(1);
                            out.send(&token, [marks]);
                        }
                    });
                }
                match least(frontiers, inputs.len()) {
                    Some(next) => told = told.split_off(&next),
                    None => told.clear(),
                }
                Ok(())
            }
        });
        edge
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
}

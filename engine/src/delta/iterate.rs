//! Fixed points, kept up to date.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::AsCollection;
use differential_dataflow::operators::iterate::VecVariable;
use timely::order::Product;

use crate::clock::Round;
use crate::delta::arrange::Arrangement;
use crate::delta::clock::{DeltaClock, InLoop};
use crate::delta::collection::{Clocks, Collection, Context, Diff};
use crate::delta::join::EnteredArrangement;
use crate::edge::Place;
use crate::flow::{self, Lineage};
use crate::hash::Key;
use crate::origin::Origin;

impl<'s, D: Key, T: DeltaClock> Collection<'s, D, T> {
    /// Applies `body` again and again, first to this collection and then to its own result, until that does not
    /// change any more; for each time of the clock, and by work in proportion to what changed.
    ///
    /// Without an end where the body has no fixed point; [`iterate_at_most`](Self::iterate_at_most) has one.
    /// Rounds cost what changes in them: what a round adds is all that the next one looks at.
    ///
    /// # Examples
    /// All numbers that can be reached along edges from 0:
    /// ```
    /// # use waterwheel_engine::{execute, Change, RuntimeConfig};
    /// let reached = execute(RuntimeConfig::threads(2), |env| {
    ///     let edges = env.from_batches([vec![((0u32, 1u32), 1), ((1, 2), 1)], vec![((0, 1), -1)]]).into_collection();
    ///     let start = env.enter_batches(env.from_iter([(0u32, 1)])).into_collection();
    ///     let reached = start.clone().iterate(|scope, reached| {
    ///         let (edges, start) = (scope.enter(edges), scope.enter(start));
    ///         let next = reached.map(|node| (node, ())).join_map(edges, |_, (), to| *to);
    ///         next.concat(start).distinct()
    ///     });
    ///     Ok(reached.changes().collect())
    /// })?;
    /// let mut reached = reached.concat();
    /// reached.sort();
    /// let change = |batch, record, diff| Change { batch, record, diff };
    /// assert_eq!(reached, [change(0, 0, 1), change(0, 1, 1), change(0, 2, 1), change(1, 1, -1), change(1, 2, -1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn iterate(
        self,
        body: impl for<'i> FnOnce(
            &IterateScope<'i, 's, T>,
            Collection<'i, D, InLoop<T>>,
        ) -> Collection<'i, D, InLoop<T>>,
    ) -> Self {
        self.iterate_at_most(Round::MAX, body)
    }

    /// As [`iterate`](Self::iterate), but applies `body` at most `max_rounds` times. With 0 the collection stays as
    /// it is.
    #[track_caller]
    pub fn iterate_at_most(
        self,
        max_rounds: Round,
        body: impl for<'i> FnOnce(
            &IterateScope<'i, 's, T>,
            Collection<'i, D, InLoop<T>>,
        ) -> Collection<'i, D, InLoop<T>>,
    ) -> Self {
        if max_rounds == 0 {
            return self;
        }
        IterateScope::open(&self.place(), "iterate", |scope| {
            let (variable, current) = scope.variable(scope.enter(self), max_rounds);
            let next = body(scope, current).settled();
            variable.set(next.clone());
            scope.leave(next)
        })
    }
}

/// The inside of a loop over collections while it is built.
pub struct IterateScope<'i, 's, T: DeltaClock> {
    inner: Place<'i, InLoop<T>>,
    outer: Place<'s, T>,
    location: &'static Location<'static>,
    /// What has come in: all that leaves descends from it.
    entered: RefCell<Clocks<'s, T>>,
}

impl<'i, 's, T: DeltaClock> IterateScope<'i, 's, T> {
    /// Builds a loop inside `around`; for loops of several variables, where [`iterate`](Collection::iterate) does
    /// not do.
    #[track_caller]
    pub fn open<O>(
        around: &Place<'s, T>,
        name: &str,
        body: impl for<'a> FnOnce(&IterateScope<'a, 's, T>) -> O,
    ) -> O {
        let location = Location::caller();
        around.scope().scoped::<InLoop<T>, _, _>(name, |inner| {
            around.run().note_loop(&inner.addr(), name);
            let inner = Place::new(inner, around.run());
            body(&IterateScope { inner, outer: around.clone(), location, entered: RefCell::default() })
        })
    }

    /// Brings a collection of the surroundings in; it is the same in every round.
    pub fn enter<D: Clone + 'static>(&self, outer: Collection<'s, D, T>) -> Collection<'i, D, InLoop<T>> {
        let is_consolidated = outer.is_consolidated();
        let (stream, context) = outer.into_parts();
        let context = self.inside(context);
        let entered = stream.as_collection().enter(self.inner.scope()).inner;
        match is_consolidated {
            true => Collection::consolidated(entered, context),
            false => Collection::new(entered, context),
        }
    }

    /// As [`enter`](Self::enter), but each record comes in at the round that `round` says, and stays from then on.
    ///
    /// Where records compete, such as labels of which the least wins, those that win should come first: what loses
    /// is then never sent about.
    pub fn enter_at<D: Clone + 'static>(
        &self,
        outer: Collection<'s, D, T>,
        round: impl Fn(&D) -> Round + Clone + 'static,
    ) -> Collection<'i, D, InLoop<T>> {
        let (stream, context) = outer.into_parts();
        let context = self.inside(context);
        let origin = Rc::clone(&context.origin);
        let round = move |record: &D| origin.called(|| round(record));
        Collection::new(stream.as_collection().enter_at(self.inner.scope(), round).inner, context)
    }

    /// Brings an arrangement of the surroundings in. It stays one index, outside the loop.
    pub fn enter_arranged<K: Key, V: Key>(
        &self,
        outer: Arrangement<'s, K, V, T>,
    ) -> EnteredArrangement<'i, K, V, T> {
        let Arrangement { arranged, context } = outer;
        EnteredArrangement { arranged: arranged.enter(self.inner.scope()), context: self.inside(context) }
    }

    /// Brings a collection of the loop out: as it is after the last round.
    pub fn leave<D: Clone + 'static>(&self, inner: Collection<'i, D, InLoop<T>>) -> Collection<'s, D, T> {
        let (stream, context) = inner.into_parts();
        let left = stream.as_collection().leave(self.outer.scope());
        let context = Context {
            place: self.outer.clone(),
            origin: context.origin,
            lineage: context.lineage,
            clocks: self.entered.borrow().clone(),
            settles: true,
        };
        Collection::new(left.inner, context)
    }

    /// A collection that is `initial` in the first round, and in each later one what the variable was
    /// [`set`](LoopVariable::set) to in the round before. Rounds number `max_rounds` and later do not come.
    pub fn variable<D: Key>(
        &self,
        initial: Collection<'i, D, InLoop<T>>,
        max_rounds: Round,
    ) -> (LoopVariable<'i, D, T>, Collection<'i, D, InLoop<T>>) {
        let (variable, fed_back) = self.empty_variable(max_rounds);
        let value = fed_back.concat(initial.clone());
        (LoopVariable { initial: Some(initial), ..variable }, value)
    }

    /// As [`variable`](Self::variable), with nothing in the first round.
    pub fn empty_variable<D: Key>(
        &self,
        max_rounds: Round,
    ) -> (LoopVariable<'i, D, T>, Collection<'i, D, InLoop<T>>) {
        let id = flow::loop_id(self.inner.scope().worker().new_identifier());
        let step = Product::new(Default::default(), 1);
        let (variable, fed_back) = VecVariable::new(self.inner.scope(), step);
        let place = self.inner.clone();
        let origin = Origin::new(&place, "variable", self.location);
        let lineage = Lineage::new([id].into());
        let context = Context { place, origin, lineage, clocks: Clocks::new(), settles: false };
        let value = Collection::new(fed_back.inner, context);
        (LoopVariable { variable, initial: None, max_rounds, id }, value)
    }

    fn inside(&self, outer: Context<'s, T>) -> Context<'i, InLoop<T>> {
        self.entered.borrow_mut().extend(outer.clocks);
        let Context { origin, lineage, .. } = outer;
        Context { place: self.inner.clone(), origin, lineage, clocks: Clocks::new(), settles: true }
    }
}

impl<T: DeltaClock> std::fmt::Debug for IterateScope<'_, '_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IterateScope").field(&self.inner).finish()
    }
}

/// The open end of a loop over collections.
pub struct LoopVariable<'i, D: Key, T: DeltaClock> {
    variable: VecVariable<'i, InLoop<T>, D, Diff>,
    initial: Option<Collection<'i, D, InLoop<T>>>,
    max_rounds: Round,
    id: usize,
}

impl<'i, D: Key, T: DeltaClock> LoopVariable<'i, D, T> {
    /// Closes the loop: the variable is `next` in the round after.
    ///
    /// Changes that cancel each other must meet somewhere in the loop, or they would go round for ever. They do in
    /// every arrangement, join and reduction; if there is a way round without one, `next` is
    /// [consolidated](Collection::consolidate) here.
    #[track_caller]
    pub fn set(self, next: Collection<'i, D, InLoop<T>>) {
        let LoopVariable { variable, initial, max_rounds, id } = self;
        let next = next.settled();
        let run = next.context().place.run();
        if let Err(error) = run.ledger().close_loop(id, &next.context().lineage) {
            next.context().origin.refuse(error);
        }
        // The initial value is in the variable in all rounds: take it away where it does not belong.
        let changes = match initial {
            Some(initial) => next.concat(initial.negate()),
            None => next,
        };
        let changes = changes.unary("set", Location::caller(), move |token, batch, out| {
            batch.retain(|(_, time, _)| time.inner.saturating_add(1) < max_rounds);
            out.send_batch(token, batch);
        });
        variable.set(changes.into_parts().0.as_collection());
    }
}

impl<'i, D: Key, T: DeltaClock> Collection<'i, D, T> {
    /// The same, with changes that cancel each other taken out unless that happens elsewhere on the way round.
    #[track_caller]
    fn settled(self) -> Self {
        if self.context().settles { self } else { self.consolidate() }
    }
}

impl<D: Key, T: DeltaClock> std::fmt::Debug for LoopVariable<'_, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopVariable").field("max_rounds", &self.max_rounds).finish_non_exhaustive()
    }
}

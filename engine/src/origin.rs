//! Where an operator was made, for its errors.

use std::cell::{Cell, OnceCell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::AnyClock;
use crate::edge::Place;
use crate::error::{Error, Result, Site};
use crate::metrics::{Connection, ConnectionKind, Gauges};
use crate::record_count::Tally;
use crate::runtime::panics;
use crate::runtime::state::RunState;
use crate::sink::DeliveryGuarantee;

/// Name, source line and worker of one operator.
pub(crate) struct Origin {
    /// Names of the loops around, from the outermost, each with a slash behind it.
    path: String,
    name: RefCell<String>,
    location: &'static Location<'static>,
    worker: usize,
    run: Arc<RunState>,
    /// The stable name of the operator, if the program gave it one.
    uid: RefCell<Option<String>>,
    /// What it promises, if it is a sink.
    delivery: Cell<Option<DeliveryGuarantee>>,
    /// How many workers, from the first, have records of this operator; `usize::MAX` is all of them.
    parallelism: Cell<usize>,
    /// A function of this operator that runs inside another one has panicked. It is not called again: what
    /// still flows while the panic unwinds would make it panic once more, which ends the process.
    broken: Cell<bool>,
    /// Numbers of the operators that send what edges of this origin carry: its own, or those that a union is made of.
    senders: RefCell<Vec<usize>>,
    /// The numbers of this operator on this worker, if anybody wants to know.
    gauges: OnceCell<Arc<Gauges>>,
    /// What this operator counts on this worker.
    tallies: RefCell<Vec<Rc<Tally>>>,
}

thread_local! {
    /// The origin of a function that runs inside another operator, such as the key function of an exchange:
    /// it is to be blamed for its own panic.
    static BLAMED: Cell<Option<Site>> = const { Cell::new(None) };
}

impl Origin {
    /// An operator called `name` in `place`.
    pub(crate) fn new<T: AnyClock>(
        place: &Place<'_, T>,
        name: &str,
        location: &'static Location<'static>,
    ) -> Rc<Self> {
        let path = place.loops().into_iter().map(|name| name + "/").collect();
        Self::at(path, place, name, location)
    }

    /// The loop whose body is `place`; outside loops, the place itself.
    pub(crate) fn of_place<T: AnyClock>(
        place: &Place<'_, T>,
        location: &'static Location<'static>,
    ) -> Rc<Self> {
        let mut loops = place.loops();
        let name = loops.pop().unwrap_or_else(|| place.scope().name());
        let path = loops.into_iter().map(|name| name + "/").collect();
        Self::at(path, place, &name, location)
    }

    fn at<T: AnyClock>(
        path: String,
        place: &Place<'_, T>,
        name: &str,
        location: &'static Location<'static>,
    ) -> Rc<Self> {
        let (worker, run) = (place.worker_index(), place.run());
        run.agreement().note(worker, name, location);
        Rc::new(Origin {
            path,
            name: RefCell::new(name.into()),
            location,
            worker,
            run,
            uid: RefCell::default(),
            delivery: Cell::default(),
            parallelism: Cell::new(usize::MAX),
            broken: Cell::new(false),
            senders: RefCell::default(),
            gauges: OnceCell::new(),
            tallies: RefCell::default(),
        })
    }

    /// Says that this is operator number `id`, and begins its numbers if anybody wants to know.
    pub(crate) fn number(&self, id: usize) {
        *self.senders.borrow_mut() = vec![id];
        if let Some(registry) = self.run.metrics() {
            let _ = self.gauges.set(registry.gauges(id, self.worker));
            self.describe();
        }
    }

    /// The numbers of this operator on this worker, if anybody wants to know.
    pub(crate) fn gauges(&self) -> Option<Arc<Gauges>> {
        self.gauges.get().cloned()
    }

    /// Notes that this operator counts something.
    pub(crate) fn note_tally(&self, tally: &Rc<Tally>) {
        self.tallies.borrow_mut().push(Rc::clone(tally));
    }

    /// What this operator counts on this worker, in the order in which it was noted.
    pub(crate) fn tallies(&self) -> Vec<Rc<Tally>> {
        self.tallies.borrow().clone()
    }

    /// Says that this stands for both edges together.
    pub(crate) fn unite(&self, first: &Origin, second: &Origin) {
        let mut senders = self.senders.borrow_mut();
        senders.extend(first.senders.borrow().iter().chain(second.senders.borrow().iter()));
    }

    /// Notes that this operator reads what `from` sends.
    pub(crate) fn note_reads(&self, from: &Origin, kind: ConnectionKind) {
        if let Some(registry) = self.run.metrics() {
            for to in self.senders.borrow().iter().copied() {
                let from = from.senders.borrow();
                from.iter().for_each(|from| registry.connect(Connection { from: *from, to, kind }));
            }
        }
    }

    /// Says what this operator is called, to whoever wants to know: programs name it after they have built it.
    fn describe(&self) {
        if let (Some(registry), [id]) = (self.run.metrics(), &self.senders.borrow()[..]) {
            registry.describe(*id, self.site(), self.uid.borrow().clone(), self.delivery.get());
        }
    }

    pub(crate) fn rename(&self, name: &str) {
        *self.name.borrow_mut() = name.into();
        self.describe();
    }

    /// Says what the operator, a sink, promises.
    pub(crate) fn set_delivery(&self, delivery: DeliveryGuarantee) {
        self.delivery.set(Some(delivery));
        self.describe();
    }

    pub(crate) fn run(&self) -> &Arc<RunState> {
        &self.run
    }

    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    pub(crate) fn parallelism(&self) -> usize {
        self.parallelism.get()
    }

    pub(crate) fn set_parallelism(&self, workers: usize) {
        self.parallelism.set(workers);
    }

    /// Gives the operator a stable name; one that another operator has ends the run.
    pub(crate) fn set_uid(&self, uid: &str) {
        let mine = self.uid();
        if mine.as_deref() != Some(uid) {
            match self.run.claim_uid(self.worker, uid, self.location, mine.as_deref()) {
                Ok(()) => *self.uid.borrow_mut() = Some(uid.into()),
                Err(error) => self.refuse(error),
            }
            self.describe();
        }
    }

    /// The stable name of the operator, if the program gave it one.
    pub(crate) fn uid(&self) -> Option<String> {
        self.uid.borrow().clone()
    }

    /// Ends the run because the graph is wrong at this operator.
    pub(crate) fn refuse(&self, error: Error) {
        self.run.fail(error.at(self.site()));
    }

    pub(crate) fn site(&self) -> Site {
        let operator = format!("{}{}", self.path, self.name.borrow());
        Site { operator, location: self.location.to_string(), worker: self.worker }
    }

    /// Runs one activation of the operator; an error or a panic ends the run and names the operator.
    ///
    /// A failure leaves the worker's whole step: finishing it would publish that the operator has consumed
    /// its input and wants to send no more, and a peer that hears of this before it hears of the failure
    /// would take the input for complete.
    #[inline]
    pub(crate) fn guard(&self, logic: impl FnOnce() -> Result<()>) {
        if let Err(error) = panics::catch(logic).and_then(|result| result) {
            let site = BLAMED.take().unwrap_or_else(|| self.site());
            self.run.fail(error.at(site));
            panics::leave_step();
        }
    }

    /// As [`guard`](Self::guard), for one call of a function of an operator that has no guard of its own.
    #[inline]
    pub(crate) fn called<R>(&self, f: impl FnOnce() -> R) -> R {
        panics::catch(f).unwrap_or_else(|error| {
            self.refuse(error);
            panics::leave_step()
        })
    }

    /// Whether a function of this operator that runs inside another one has panicked.
    #[inline]
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Runs `f`, which belongs to this operator, inside another one. Costs nothing unless it panics.
    #[inline]
    pub(crate) fn blamed<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Blame<'a>(&'a Origin);
        impl Drop for Blame<'_> {
            #[cold]
            fn drop(&mut self) {
                self.0.broken.set(true);
                BLAMED.set(Some(self.0.site()));
            }
        }
        let blame = Blame(self);
        let result = f();
        std::mem::forget(blame);
        result
    }
}

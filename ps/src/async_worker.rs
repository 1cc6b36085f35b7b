//! Worker logic written as futures: an answer is awaited where it is needed.

mod desk;
mod handle;
mod tasks;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use waterwheel_engine::{Collector, Error, Key, Result};

use crate::element::Element;
use crate::snapshot::{LogicReader, LogicWriter, keeps_nothing};
use crate::worker::{ParameterServerClient, WorkerContext, WorkerLogic};
use desk::Desk;
use tasks::{Tasks, tasks};

pub use desk::Row;
pub use handle::{ClockAdvanced, PsHandle, Pulled};

/// The logic of a worker, with a future per record in place of callbacks.
///
/// The futures of one worker run on its own thread, in turns; there is no other thread and no runtime. A record's
/// future begins when the worker has credit, so [`credit`](crate::PsConfig::credit) bounds how many wait for
/// answers at a time. A future may await what its [`PsHandle`] gives, and other futures of the same worker. State
/// that futures share stands in cells.
///
/// [`AsyncWorker`] makes a [`WorkerLogic`] of it, for [`transform`](crate::transform). Everything that is said
/// there about order, clocks and the end holds.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use waterwheel_engine::{Result, RuntimeConfig, execute};
/// use waterwheel_ps::{AsyncWorker, AsyncWorkerLogic, PsConfig, PsHandle, SimpleServer, transform};
///
/// /// Links of pages: outputs a page's rank with that of the page it links to, and counts the link.
/// struct Links;
/// impl AsyncWorkerLogic for Links {
///     type In = (u64, u64);
///     type Key = u64;
///     type Pull = i64;
///     type Push = i64;
///     type Out = (u64, i64, i64);
///     async fn on_recv(self: Rc<Self>, (from, to): (u64, u64), ps: PsHandle<Self>) -> Result<()> {
///         let (a, b) = (ps.pull(from), ps.pull(to));
///         let (a, b) = (a.await, b.await);
///         ps.output((from, a[0], b[0]));
///         ps.push(to, [1]);
///         Ok(())
///     }
/// }
///
/// let ranks = execute(RuntimeConfig::threads(2), |env| {
///     let links = env.from_iter([(1, 2), (3, 2), (2, 1)]).rebalance();
///     let one = |_: &u64, row: &mut Vec<i64>| row.push(1);
///     let server = SimpleServer::new(one, |row: &mut [i64], n: &[i64]| row[0] += n[0]);
///     Ok(transform(links, AsyncWorker::new(Links), server, &PsConfig::new())?.model.collect())
/// })?;
/// assert!(ranks.concat().contains(&(2, vec![3])));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait AsyncWorkerLogic: Sized + 'static {
    /// A training record.
    type In: 'static;
    /// Type of parameter keys.
    type Key: Key;
    /// Element of the rows that are pulled.
    type Pull: Element;
    /// Element of the rows that are pushed.
    type Push: Element;
    /// What it outputs.
    type Out: 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn open(&mut self, _context: &WorkerContext) -> Result<()> {
        Ok(())
    }

    /// Handles one record.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_recv(
        self: Rc<Self>,
        record: Self::In,
        ps: PsHandle<Self>,
    ) -> impl Future<Output = Result<()>> + 'static;

    /// Names keys that the future of a record which waits will pull; see
    /// [`WorkerLogic::intent`](crate::WorkerLogic::intent). The default names none.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn intent(&self, _record: &Self::In, _keys: &mut Vec<Self::Key>) -> Result<()> {
        Ok(())
    }

    /// Started once, when this worker has received its last record; futures of records may be under way still.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_end_of_input(self: Rc<Self>, _ps: PsHandle<Self>) -> impl Future<Output = Result<()>> + 'static {
        std::future::ready(Ok(()))
    }

    /// Takes down what this worker keeps, for a checkpoint, when none of its futures waits for an answer; as
    /// [`WorkerLogic::snapshot`].
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn snapshot(&self, _to: &mut LogicWriter<'_>) -> Result<()> {
        keeps_nothing::<Self>("worker")
    }

    /// Takes over what [`snapshot`](Self::snapshot) has taken down; as [`WorkerLogic::restore`].
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn restore(&mut self, _from: &mut LogicReader<'_>) -> Result<()> {
        Ok(())
    }

    /// Called once, when all futures have ended and nothing is in flight. May output.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn close(&self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// A [`WorkerLogic`] that runs the futures of an [`AsyncWorkerLogic`].
///
/// The run ends with an error if the worker has nothing more to do while a future still waits for something that is
/// no answer. The server logic must answer each pull once, as those do that answer at once.
pub struct AsyncWorker<A: AsyncWorkerLogic> {
    logic: Rc<A>,
    desk: Rc<RefCell<Desk<A>>>,
    records: Box<dyn Tasks<A, A::In>>,
    end: Box<dyn Tasks<A, ()>>,
}

impl<A: AsyncWorkerLogic> AsyncWorker<A> {
    /// Runs the futures of `logic`.
    pub fn new(logic: A) -> Self {
        AsyncWorker {
            logic: Rc::new(logic),
            desk: Rc::new(RefCell::new(Desk::new())),
            records: tasks(A::on_recv),
            end: tasks(|logic: Rc<A>, (), ps| A::on_end_of_input(logic, ps)),
        }
    }

    fn handle(&self) -> PsHandle<A> {
        PsHandle::new(Rc::clone(&self.desk))
    }

    /// Lets the futures that can go on do so, and issues what they ask for.
    fn go_on(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        while self.records.run()? | self.end.run()? {}
        self.desk.borrow_mut().issue(ps)
    }
}

impl<A: AsyncWorkerLogic> WorkerLogic for AsyncWorker<A> {
    type In = A::In;
    type Key = A::Key;
    type Pull = A::Pull;
    type Push = A::Push;
    type Out = A::Out;

    /// A future that waits for a clock can not be stored.
    const LEAVES_WITH_CLOCKS: bool = false;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        match Rc::get_mut(&mut self.logic) {
            Some(logic) => logic.open(context),
            None => Err(Error::internal("a worker logic that is in use was opened")),
        }
    }

    fn intent(&self, record: &A::In, keys: &mut Vec<A::Key>) -> Result<()> {
        self.logic.intent(record, keys)
    }

    fn on_recv(&mut self, record: A::In, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.desk.borrow_mut().go_to_clock(ps.clock());
        let handle = self.handle();
        self.records.start(Rc::clone(&self.logic), record, handle)?;
        self.go_on(ps)
    }

    fn on_pull_recv(
        &mut self,
        key: &A::Key,
        row: &[A::Pull],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        self.desk.borrow_mut().answer(key, row)?;
        self.go_on(ps)
    }

    fn on_pull_many_recv(
        &mut self,
        keys: &[A::Key],
        rows: &[A::Pull],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        self.desk.borrow_mut().answer_many(keys, rows)?;
        self.go_on(ps)
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.desk.borrow_mut().go_to_clock(ps.clock());
        let handle = self.handle();
        self.end.start(Rc::clone(&self.logic), (), handle)?;
        self.go_on(ps)
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.desk.borrow_mut().set_clock(clock);
        self.go_on(ps)
    }

    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        match self.records.n_open() + self.end.n_open() {
            0 => self.logic.snapshot(to),
            n => Err(Error::operator(format!(
                "{n} futures of the worker logic have not ended at a checkpoint, though all that they asked for is \
                 answered: they must not wait for later records, nor for a clock"
            ))),
        }
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        match Rc::get_mut(&mut self.logic) {
            Some(logic) => logic.restore(from)?,
            None => return Err(Error::internal("a worker logic that is in use was restored")),
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<A::Out>) -> Result<()> {
        match self.records.n_open() + self.end.n_open() {
            0 => self.logic.close(out),
            n => Err(Error::operator(format!(
                "{n} futures of the worker logic have not ended and nothing can wake them: they await something that \
                 is no answer"
            ))),
        }
    }
}

impl<A: AsyncWorkerLogic> std::fmt::Debug for AsyncWorker<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncWorker").field("open", &self.records.n_open()).finish_non_exhaustive()
    }
}

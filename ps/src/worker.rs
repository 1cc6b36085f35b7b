//! The worker's side: the logic that pulls and pushes, and the client it does that with.

mod near;

use waterwheel_engine::{Collector, Error, Key, Result};

use crate::block::Op;
use crate::config::PsConfig;
use crate::consistency::Consistency;
use crate::core::groups::Groups;
use crate::core::outbox::{Many, Outbox};
use crate::core::replicas::Replicas;
use crate::element::Element;
use crate::placement::Route;
use crate::server::Replay;
use crate::snapshot::{LogicReader, LogicWriter, keeps_nothing};

/// What a worker logic is told when it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerContext {
    /// Index of this worker.
    pub index: usize,
    /// Number of workers.
    pub parallelism: usize,
    /// Number of servers.
    pub servers: usize,
}

/// The logic of a worker: one instance per worker, called from one thread.
///
/// A pull is asynchronous: its answer arrives later in [`on_pull_recv`](Self::on_pull_recv). Operations of
/// one worker on one key take effect in the order in which they were issued, so a pull sees the worker's own
/// earlier pushes to the key.
///
/// Work is divided by the clock: a worker that calls [`advance_clock`](ParameterServerClient::advance_clock)
/// gets no records until [`on_clock`](Self::on_clock). What the clock means to pulls, and whether workers wait
/// for each other, is the job's [`Consistency`].
pub trait WorkerLogic: Sized + 'static {
    /// A training record.
    type In;
    /// Type of parameter keys.
    type Key: Key;
    /// Element of the rows that are pulled.
    type Pull: Element;
    /// Element of the rows that are pushed.
    type Push: Element;
    /// What it outputs.
    type Out: 'static;

    /// Whether a checkpoint may be made where a clock comes, behind the end of the input.
    #[doc(hidden)]
    const LEAVES_WITH_CLOCKS: bool = true;

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
    fn on_recv(&mut self, record: Self::In, ps: &mut ParameterServerClient<Self>) -> Result<()>;

    /// Names keys that will be pulled for a record which is still to be handled, so that their rows are there, or on
    /// their way, when it is. Called once for each record while it waits at the input, if the job sets
    /// [`intents`](crate::PsConfig::intents); a hint, which changes no result. The default names none.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn intent(&self, _record: &Self::In, _keys: &mut Vec<Self::Key>) -> Result<()> {
        Ok(())
    }

    /// Handles the answer to a pull: the row of `key`, `pull_width` elements.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_pull_recv(
        &mut self,
        key: &Self::Key,
        value: &[Self::Pull],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()>;

    /// Handles the answer to a [`pull_many`](ParameterServerClient::pull_many), a
    /// [`push_pull_many`](ParameterServerClient::push_pull_many) or a
    /// [`pull_snapshot`](ParameterServerClient::pull_snapshot): `rows` has the rows of all `keys` in the order in
    /// which they were asked for, `pull_width` elements each. The default gives each row to
    /// [`on_pull_recv`](Self::on_pull_recv).
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_pull_many_recv(
        &mut self,
        keys: &[Self::Key],
        rows: &[Self::Pull],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        let width = rows.len() / keys.len().max(1);
        keys.iter().zip(rows.chunks(width.max(1))).try_for_each(|(key, row)| self.on_pull_recv(key, row, ps))
    }

    /// Called when the logic has been given all records that it may have for now: no more are there, credit is used up,
    /// the clock moves, or an epoch ends. A logic that collects records, to pull for many at once, asks for what it has
    /// collected; nothing else will remind it before the next record. The default does nothing.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_pause(&mut self, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    /// Called once, when this worker has received its last record. May pull and push.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_end_of_input(&mut self, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    /// Called when the clock that this worker asked for has come: everything that it issued before is answered and
    /// applied, or kept by a server for the end of the old clock. With [`Consistency::Asynchronous`] this is a
    /// barrier: all workers have advanced to `clock` or ended, and whatever any of them issued before is answered
    /// and applied. With [`Consistency::Bounded`] it waits for nobody.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_clock(&mut self, _clock: u64, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    /// Takes down what this worker keeps, for a checkpoint: everything that it issued is answered and applied.
    ///
    /// The default is for logics without fields; others are refused in jobs with checkpoints.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    ///
    /// # Examples
    /// Counts by user, of records that `key_by` sends to the worker of their user:
    /// ```
    /// use std::collections::BTreeMap;
    /// use waterwheel_engine::Result;
    /// use waterwheel_ps::{LogicReader, LogicWriter, ParameterServerClient, WorkerLogic};
    ///
    /// #[derive(Default)]
    /// struct Counts(BTreeMap<u64, u32>);
    ///
    /// impl WorkerLogic for Counts {
    ///     # type In = u64;
    ///     # type Key = u64;
    ///     # type Pull = f32;
    ///     # type Push = f32;
    ///     # type Out = ();
    ///     # fn on_pull_recv(&mut self, _: &u64, _: &[f32], _: &mut ParameterServerClient<Self>) -> Result<()> { Ok(()) }
    ///     fn on_recv(&mut self, user: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
    ///         *self.0.entry(user).or_default() += 1;
    ///         ps.push(user, [1.0])
    ///     }
    ///
    ///     fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
    ///         self.0.iter().try_for_each(|(user, n)| to.put_keyed(user, n))
    ///     }
    ///
    ///     fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
    ///         from.for_each_keyed(|user, n| {
    ///             self.0.insert(user, n);
    ///             Ok(())
    ///         })
    ///     }
    /// }
    /// ```
    fn snapshot(&self, _to: &mut LogicWriter<'_>) -> Result<()> {
        keeps_nothing::<Self>("worker")
    }

    /// Takes over what [`snapshot`](Self::snapshot) has taken down in an earlier run, after [`open`](Self::open) and
    /// before any record. With another number of workers it may be that of several workers, or of none; see
    /// [`LogicReader`].
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn restore(&mut self, _from: &mut LogicReader<'_>) -> Result<()> {
        Ok(())
    }

    /// Called once, when there is no more input and nothing in flight. May output.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn close(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// What a [`WorkerLogic`] talks to the parameter server with.
pub struct ParameterServerClient<L: WorkerLogic> {
    pub(crate) outbox: Outbox<L::Key, L::Pull, L::Push>,
    pub(crate) groups: Groups<L::Key, L::Pull>,
    /// Rows that are kept here, if the job asks for that.
    pub(crate) replicas: Option<Box<Replicas<L::Key, L::Pull, L::Push>>>,
    /// The server on the same worker, which answers without a message.
    neighbour: Option<usize>,
    /// Keys that a record announces, while they are read.
    announced: Vec<L::Key>,
    /// Where the keys of the last operation on many keys went.
    route: Route,
    /// Pulls of no keys, whose callback is due.
    pub(crate) of_no_keys: usize,
    pub(crate) out: Collector<L::Out>,
    pub(crate) clock: u64,
    pub(crate) wants_clock: bool,
    consistency: Consistency,
    /// Whether servers show versions.
    whole_clocks: bool,
}

impl<L: WorkerLogic> ParameterServerClient<L> {
    pub(crate) fn new(
        outbox: Outbox<L::Key, L::Pull, L::Push>,
        config: &PsConfig<L::Key>,
        neighbour: Option<usize>,
        replay: Option<Replay<L::Pull, L::Push>>,
    ) -> Self {
        ParameterServerClient {
            outbox,
            replicas: config.kept_rows(replay).map(|config| Box::new(Replicas::new(config))),
            neighbour,
            announced: Vec::new(),
            groups: Groups::new(config.pull_width),
            route: Route::default(),
            of_no_keys: 0,
            out: Collector::default(),
            clock: 0,
            wants_clock: false,
            consistency: config.consistency,
            whole_clocks: config.has_whole_clocks(),
        }
    }

    /// Whether everything that was issued is answered and applied.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.outbox.is_idle() && self.of_no_keys == 0 && !self.has_near_answers()
    }

    /// Asks for the row of `key`; the answer comes to [`WorkerLogic::on_pull_recv`].
    ///
    /// Pulls beyond the credit wait in this worker; see [`PsConfig::credit`](crate::PsConfig::credit).
    ///
    /// # Errors
    /// The placement does not know the key.
    #[inline]
    pub fn pull(&mut self, key: L::Key) -> Result<()> {
        match self.replicas {
            None => self.outbox.pull(key),
            Some(_) => self.pull_near(key),
        }
    }

    /// Asks for the rows of many keys, which may be none and may repeat; they come together, in one call of
    /// [`WorkerLogic::on_pull_many_recv`]. The rows of different servers may be of different age. Several times as
    /// fast as a pull of each.
    ///
    /// # Errors
    /// The placement does not know a key, or the job is [`Consistency::Serialisable`], where two such pulls
    /// could wait for each other. Nothing is issued then.
    pub fn pull_many(&mut self, keys: impl AsRef<[L::Key]>) -> Result<()> {
        self.refuse_serialisable("pull_many")?;
        self.issue_group(Op::Pull, keys.as_ref(), &[])
    }

    /// As [`pull_many`](Self::pull_many), with all rows of one version: they show the pushes of all workers at
    /// all clocks before this worker's present one, and no others. The answer comes when those clocks are
    /// complete, whatever the job's staleness.
    ///
    /// # Errors
    /// The placement does not know a key, or servers keep no versions: staleness is not 0 and
    /// [`whole_clocks`](crate::PsConfig::whole_clocks) is not set. Nothing is issued then.
    pub fn pull_snapshot(&mut self, keys: impl AsRef<[L::Key]>) -> Result<()> {
        if !self.whole_clocks {
            return Err(Error::operator(
                "pull_snapshot where pushes take effect at once: set whole_clocks or a staleness of 0",
            ));
        }
        let keys = keys.as_ref();
        if let Some(group) = self.begin_group(keys, true)? {
            self.outbox.pull_snapshot(keys, &self.route, group);
        }
        Ok(())
    }

    fn refuse_serialisable(&self, call: &str) -> Result<()> {
        if self.consistency == Consistency::Serialisable {
            return Err(Error::operator(format!(
                "{call} with serialisable consistency: two of them could hold what the other waits for; pull one \
                 key after the other"
            )));
        }
        Ok(())
    }

    /// Routes these keys and begins a group of them; `None` if they are none, whose callback is due then.
    fn begin_group(&mut self, keys: &[L::Key], snapshot: bool) -> Result<Option<u32>> {
        if keys.is_empty() {
            self.of_no_keys += 1;
            return Ok(None);
        }
        self.outbox.route(keys, &mut self.route)?;
        Ok(Some(self.groups.begin(keys, &self.route, self.outbox.servers(), snapshot)))
    }

    fn issue_group(&mut self, op: Op, keys: &[L::Key], deltas: &[L::Push]) -> Result<()> {
        match self.begin_group(keys, false)? {
            Some(group) => self.outbox.issue_many(Many { op, keys, deltas, group }, &self.route),
            None => Ok(()),
        }
    }

    /// Sends an update of the rows of many keys, in order; `deltas` has `push_width` elements for each. The same as a
    /// [`push`](Self::push) of each, and several times as fast.
    ///
    /// # Errors
    /// The placement does not know a key, or `deltas` has another number of elements. Nothing is issued then.
    pub fn push_many(&mut self, keys: &[L::Key], deltas: &[L::Push]) -> Result<()> {
        self.outbox.check_deltas(keys, deltas)?;
        self.outbox.route(keys, &mut self.route)?;
        if let Some(replicas) = &mut self.replicas {
            replicas.push_many(keys, deltas);
        }
        self.outbox.issue_many(Many { op: Op::Push, keys, deltas, group: 0 }, &self.route)
    }

    /// Sends an update of the rows of many keys and asks for the rows after it, as [`push_pull`](Self::push_pull) does
    /// for one. The rows come together, in one call of [`WorkerLogic::on_pull_many_recv`]; that of a key that is there
    /// twice shows the updates up to its own.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many), or the job is [`Consistency::Serialisable`].
    pub fn push_pull_many(&mut self, keys: &[L::Key], deltas: &[L::Push]) -> Result<()> {
        self.refuse_serialisable("push_pull_many")?;
        self.outbox.check_deltas(keys, deltas)?;
        if let Some(replicas) = &mut self.replicas {
            keys.iter().for_each(|key| replicas.end(key));
        }
        self.issue_group(Op::PushPull, keys, deltas)
    }

    /// Sends an update of the row of `key` and asks for the row after it, in one message; the answer comes to
    /// [`WorkerLogic::on_pull_recv`]. The same as a push and a pull, but the row is found once.
    ///
    /// With [`whole_clocks`](crate::PsConfig::whole_clocks) the row does not show the push, as no pull does.
    ///
    /// # Errors
    /// The placement does not know the key, or `delta` has another number of elements.
    #[inline]
    pub fn push_pull(&mut self, key: L::Key, delta: impl IntoIterator<Item = L::Push>) -> Result<()> {
        if self.consistency == Consistency::Serialisable {
            // Others wait for the push, so it must not wait for the credit of the pull.
            self.outbox.push(key.clone(), delta)?;
            return self.outbox.pull(key);
        }
        if let Some(replicas) = &mut self.replicas {
            replicas.end(&key);
        }
        self.outbox.push_pull(key, delta)
    }

    /// Sends an update of the row of `key`: exactly `push_width` elements.
    ///
    /// # Errors
    /// The placement does not know the key, or `delta` has another number of elements.
    #[inline]
    pub fn push(&mut self, key: L::Key, delta: impl IntoIterator<Item = L::Push>) -> Result<()> {
        match &self.replicas {
            Some(replicas) if replicas.follows(&key) => self.push_near(key, delta),
            _ => self.outbox.push(key, delta),
        }
    }

    /// Emits a result on the worker output stream.
    #[inline]
    pub fn output(&mut self, out: L::Out) {
        self.out.emit(out);
    }

    /// Says that this worker has done everything of its present clock, up to the answers that it still waits for
    /// and what it issues when they come. [`WorkerLogic::on_clock`] follows, and no record comes before it.
    pub fn advance_clock(&mut self) {
        self.wants_clock = true;
    }

    /// The present clock of this worker, from 0.
    pub fn clock(&self) -> u64 {
        self.clock
    }
}

impl<L: WorkerLogic> std::fmt::Debug for ParameterServerClient<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParameterServerClient").field("clock", &self.clock).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

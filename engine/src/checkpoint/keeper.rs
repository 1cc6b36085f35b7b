//! The thread that keeps the checkpoints of a process: it writes what operators hand over, and speaks with the keepers of
//! the other processes. That of process 0 runs the [`Coordinator`].

mod coordinate;
mod parts;
mod progress;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::checkpoint::config::CheckpointConfig;
use crate::checkpoint::coordinator::{Coordinator, Event};
use crate::checkpoint::progress::CheckpointState;
use crate::checkpoint::shared::{Checkpoints, Start};
use crate::checkpoint::store::{CheckpointStore, PartInfo, PartWriter, SectionKey, SectionTable};
use crate::checkpoint::word::Word;
use crate::clock::Epoch;
use crate::error::{Error, Result};
use crate::machine;
use crate::runtime::panics;
use crate::runtime::state::RunState;
use progress::{Progress, Standing};

/// Makes visible what a sink has written, once the checkpoint that says so is durable.
pub(crate) type Commit = Box<dyn FnOnce() -> Result<()> + Send>;

/// What a keeper is told. Epochs are those of this run, from 0.
pub(crate) enum Message {
    /// A worker of this process has built the graph.
    Built,
    /// State of an operator at the end of an epoch.
    Section(Section),
    /// All that the checkpoint before has of a state is part of this one; what comes of it now is behind that.
    TakeOver { epoch: Epoch, worker: usize, key: SectionKey },
    /// An operator has marked its state at the end of an epoch.
    Marked { participant: usize, epoch: Epoch },
    /// An operator has handed over all that it had marked.
    Swept { participant: usize, epoch: Epoch },
    /// An operator has ended: this is its state from this epoch on.
    Ended { participant: usize, worker: usize, since: Epoch, sections: Vec<(SectionKey, Vec<u8>)> },
    /// To be called when the checkpoint of an epoch is durable.
    Commit { epoch: Epoch, commit: Commit },
    /// At process 0: a checkpoint is asked for, if none is under way.
    Asked,
    /// A worker of this process has ended.
    WorkerEnded,
    /// A word of another process's keeper.
    Word { process: usize, word: Word },
    /// The run has failed.
    Stop,
}

/// State of an operator at the end of an epoch.
pub(crate) struct Section {
    pub(crate) epoch: Epoch,
    pub(crate) worker: usize,
    pub(crate) key: SectionKey,
    pub(crate) key_group: Option<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// Where a process is among those of its job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) process: usize,
    pub(crate) processes: usize,
    pub(crate) threads: usize,
}

/// The thread of a keeper.
pub(crate) struct KeeperThread(JoinHandle<()>);

impl KeeperThread {
    /// Waits until the last checkpoint is durable, or until the run has failed.
    pub(crate) fn join(self) {
        // A panic has been told to the run.
        let _ = self.0.join();
    }
}

/// What is known of a job, for its checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct JobNames {
    pub(crate) job: String,
    pub(crate) program_version: String,
    pub(crate) attempt: u64,
}

/// The keeper's side of the messages, until it is started.
pub(crate) struct Inbox(Receiver<Message>);

impl Checkpoints {
    /// The checkpoints of a run, and what their keeper will read.
    pub(crate) fn prepare(config: CheckpointConfig, job: &str) -> (Arc<Self>, Inbox) {
        let (sender, receiver): (Sender<Message>, Receiver<Message>) = channel();
        (Arc::new(Checkpoints::new(sender, config, job)), Inbox(receiver))
    }

    /// Starts the keeper.
    ///
    /// # Errors
    /// The place of the checkpoints can not be used.
    pub(crate) fn start_keeper(
        self: &Arc<Self>,
        inbox: Inbox,
        names: JobNames,
        membership: Membership,
        run: &Arc<RunState>,
    ) -> Result<KeeperThread> {
        let store = self.config().open(&names.job)?;
        let keeper = Keeper {
            run: Arc::clone(run),
            checkpoints: Arc::clone(self),
            store,
            names,
            membership,
            coordinator: (membership.process == 0).then(|| Coordinator::new(membership.processes)),
            due: machine::now(),
            looks_for_requests: machine::now(),
            savepoint: None,
            begun: None,
            progress: Progress::new(membership.threads),
            is_closing: false,
            unwritten: VecDeque::new(),
            parts: BTreeMap::new(),
            finished_tables: BTreeMap::new(),
            newest_tables: BTreeMap::new(),
            failure: None,
            commits: Vec::new(),
            has_finished: false,
        };
        let run = Arc::clone(run);
        let work = move || {
            let outcome = panics::catch(|| keeper.work(&inbox.0));
            outcome.and_then(|outcome| outcome).unwrap_or_else(|error| run.fail(error));
        };
        let thread = std::thread::Builder::new().name("waterwheel:checkpoints".into()).spawn(work);
        thread.map(KeeperThread).map_err(|error| Error::config("can not start a thread").caused_by(error))
    }
}

/// What a keeper does next.
enum Step {
    Heed(Message),
    Write(Unwritten),
    BeginCheckpoint,
    LookForRequests,
}

/// What is to be written to a part, in this order.
enum Unwritten {
    Section(Section),
    /// All sections that the checkpoint before has of a key.
    Earlier {
        epoch: Epoch,
        worker: usize,
        key: SectionKey,
    },
}

struct Keeper {
    run: Arc<RunState>,
    checkpoints: Arc<Checkpoints>,
    store: CheckpointStore,
    names: JobNames,
    membership: Membership,
    /// At process 0.
    coordinator: Option<Coordinator<PartInfo>>,
    /// When the next checkpoint is to be made.
    due: Instant,
    /// When to look for requests for savepoints again.
    looks_for_requests: Instant,
    /// The name of the savepoint that the checkpoint under way is to be.
    savepoint: Option<String>,
    /// When the checkpoint under way began.
    begun: Option<Instant>,
    progress: Progress,
    /// Whether sources of all processes wait for an epoch to be marked: nothing is written meanwhile, as that may take
    /// longer.
    is_closing: bool,
    unwritten: VecDeque<Unwritten>,
    /// The parts that are being written, by worker.
    parts: BTreeMap<usize, PartWriter>,
    /// Where the sections are of the parts that wait for their manifest, and of those of the newest checkpoint of this run.
    finished_tables: BTreeMap<usize, SectionTable>,
    newest_tables: BTreeMap<usize, SectionTable>,
    /// Why the parts that are being written are lost.
    failure: Option<String>,
    commits: Vec<(Epoch, Commit)>,
    has_finished: bool,
}

impl Keeper {
    fn work(mut self, inbox: &Receiver<Message>) -> Result<()> {
        if self.coordinator.is_some() {
            self.begin()?;
        }
        while !self.has_finished && !self.run.stopped() {
            match self.next_step(inbox)? {
                Step::Heed(message) => self.heed(message)?,
                Step::Write(unwritten) => self.write(&unwritten),
                Step::BeginCheckpoint if self.checkpoints.is_held() => self.put_off(),
                Step::BeginCheckpoint => self.coordinate(Event::Due)?,
                Step::LookForRequests => self.look_for_requests()?,
            }
            // What is decided because of one report may be a reason for the next, and no message need come in between: a
            // job that has ended meanwhile makes its last checkpoint by reports alone.
            while self.report()? {}
        }
        Ok(())
    }

    /// Messages come first, then what is to be written.
    fn next_step(&mut self, inbox: &Receiver<Message>) -> Result<Step> {
        let gone = || Error::internal("the keeper of the checkpoints was left alone");
        if !self.is_closing && !self.unwritten.is_empty() {
            let message = match inbox.try_recv() {
                Ok(message) => Some(message),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return Err(gone()),
            };
            let write = || self.unwritten.pop_front().map(Step::Write);
            return message.map(Step::Heed).or_else(write).ok_or_else(gone);
        }
        let is_timed =
            self.progress.is_built() && self.coordinator.as_ref().is_some_and(|one| !one.is_busy());
        if !is_timed {
            return inbox.recv().map(Step::Heed).map_err(|_| gone());
        }
        let until = self.due.min(self.looks_for_requests);
        match inbox.recv_timeout(until.saturating_duration_since(machine::now())) {
            Ok(message) => Ok(Step::Heed(message)),
            Err(RecvTimeoutError::Timeout) if self.looks_for_requests <= self.due => {
                Ok(Step::LookForRequests)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Step::BeginCheckpoint),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    fn heed(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Built => self.progress.note_built(self.checkpoints.n_participants()),
            Message::Section(section) => self.unwritten.push_back(Unwritten::Section(section)),
            Message::TakeOver { epoch, worker, key } => {
                self.unwritten.push_back(Unwritten::Earlier { epoch, worker, key });
            }
            Message::Marked { participant, epoch } => self.progress.note_marked(participant, epoch),
            Message::Swept { participant, epoch } => self.progress.note_swept(participant, epoch),
            Message::Ended { participant, worker, since, sections } => {
                self.progress.note_ended(participant, Standing { worker, since, sections });
            }
            Message::Commit { epoch, commit } => self.commits.push((epoch, commit)),
            Message::Asked => self.begin_if_idle()?,
            Message::WorkerEnded => {
                if self.progress.note_worker_ended() {
                    self.tell_coordinator(Word::Ended)?;
                }
            }
            Message::Word { process, word } => self.hear(process, word)?,
            Message::Stop => self.has_finished = true,
        }
        Ok(())
    }

    /// Heeds a word, of another process or of this one.
    fn hear(&mut self, process: usize, word: Word) -> Result<()> {
        match word {
            Word::Begin { checkpoint, first_epoch, attempt } => {
                let checkpoint = checkpoint.map(|epoch| self.open_checkpoint(epoch)).transpose()?;
                self.checkpoints.set_start(Start { checkpoint, first_epoch, attempt }, &self.run);
            }
            Word::Close(epoch) => {
                self.begun = Some(machine::now());
                self.is_closing = true;
                self.progress.close(epoch);
                self.checkpoints.close(epoch);
            }
            Word::Open(epoch) => {
                self.is_closing = false;
                let pause = self.since_begun();
                self.state().note(|counts| counts.longest_pause = counts.longest_pause.max(pause));
                self.checkpoints.open(epoch);
            }
            Word::Committed { epoch, is_last } => {
                self.newest_tables = std::mem::take(&mut self.finished_tables);
                self.note_committed(epoch);
                self.run_commits(epoch)?;
                self.has_finished = is_last;
            }
            Word::GivenUp { epoch, is_last, reason } => self.note_given_up(epoch, is_last, &reason)?,
            Word::Marked(epoch) => self.coordinate(Event::Marked { process, epoch })?,
            Word::Ended => self.coordinate(Event::Ended { process })?,
            Word::Stored { epoch, parts } => self.coordinate(Event::Stored { process, epoch, parts })?,
        }
        Ok(())
    }

    /// Tells process 0 what all operators of this process have done; whether there was anything to tell.
    fn report(&mut self) -> Result<bool> {
        if let Some(epoch) = self.progress.newly_marked() {
            self.tell_coordinator(Word::Marked(epoch))?;
            return Ok(true);
        }
        if self.is_closing || !self.unwritten.is_empty() {
            return Ok(false);
        }
        let Some(epoch) = self.progress.newly_swept() else { return Ok(false) };
        let parts = self.finish_parts(epoch).map_err(|error| error.full_message());
        self.tell_coordinator(Word::Stored { epoch, parts })?;
        Ok(true)
    }

    fn tell_coordinator(&mut self, word: Word) -> Result<()> {
        match self.membership.process {
            0 => self.hear(0, word),
            _ => {
                self.run.tell_keeper(0, word);
                Ok(())
            }
        }
    }

    /// Tells all processes, this one last: what it does may end the run.
    fn tell_all(&mut self, word: Word) -> Result<()> {
        for process in 1..self.membership.processes {
            self.run.tell_keeper(process, word.clone());
        }
        self.hear(0, word)
    }

    fn run_commits(&mut self, epoch: Epoch) -> Result<()> {
        let commits = std::mem::take(&mut self.commits);
        let (due, later): (Vec<_>, Vec<_>) = commits.into_iter().partition(|(of, _commit)| *of <= epoch);
        self.commits = later;
        due.into_iter().try_for_each(|(_epoch, commit)| commit())?;
        self.checkpoints.note_committed(epoch);
        Ok(())
    }

    fn state(&self) -> &CheckpointState {
        &self.checkpoints.config().state
    }

    fn since_begun(&self) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }

    fn note_committed(&self, epoch: Epoch) {
        let newest = self.checkpoints.start().map(|start| start.first_epoch + epoch);
        let duration = self.since_begun();
        self.state().note(|counts| {
            counts.completed += 1;
            (counts.newest, counts.duration) = (newest, duration);
            counts.newest_at = Some(machine::unix_time());
        });
    }

    fn note_given_up(&mut self, epoch: Epoch, is_last: bool, reason: &str) -> Result<()> {
        self.state().note(|counts| {
            counts.failed += 1;
            counts.last_failure = Some(reason.into());
        });
        if is_last {
            return Err(Error::storage(format!("the last checkpoint of the job failed: {reason}")));
        }
        tracing::warn!("checkpoint epoch {epoch} of this run failed, and the job goes on: {reason}");
        Ok(())
    }
}

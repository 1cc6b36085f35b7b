//! What the workers of a process and the keeper of its checkpoints share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};
use timely::scheduling::activate::SyncActivator;
use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::config::CheckpointConfig;
use crate::checkpoint::keeper::{Message, Section};
use crate::checkpoint::store::Checkpoint;
use crate::checkpoint::word::Word;
use crate::clock::{Epoch, Round};
use crate::error::{Error, Result};
use crate::runtime::state::{RunState, lock};

/// Bytes of state on their way to storage above which operators write no more for a while.
const MAX_QUEUED_BYTES: usize = 64 << 20;

/// The checkpoints of one run in one process.
pub(crate) struct Checkpoints {
    keeper: Sender<Message>,
    config: CheckpointConfig,
    /// The name of the job.
    job: String,
    /// Sources leave all epochs before this one.
    close_before: AtomicU64,
    /// Sources read in epochs up to this one.
    open: AtomicU64,
    /// Epochs before this one are in a durable checkpoint.
    committed_before: AtomicU64,
    sources: Mutex<Vec<SyncActivator>>,
    /// Operators that let no checkpoint be begun.
    n_holds: AtomicUsize,
    /// Set when it is known what the run goes on from.
    start: OnceLock<Start>,
    /// Whether process 0 has said what the run goes on from.
    has_heard: AtomicBool,
    /// Participants by worker and name, to tell those of one name apart.
    named: Mutex<FxHashMap<(usize, String), usize>>,
    n_participants: AtomicUsize,
    restored: Mutex<Restored>,
    queued_bytes: AtomicUsize,
}

/// What a run goes on from.
#[derive(Debug)]
pub(crate) struct Start {
    /// `None` is the beginning.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The checkpoint epoch that the job calls 0.
    pub(crate) first_epoch: Epoch,
    /// The number of this attempt, which no other run of the job has had.
    pub(crate) attempt: u64,
}

/// Which participants have taken their state.
#[derive(Default)]
struct Restored {
    n: usize,
    names: FxHashSet<String>,
}

impl Checkpoints {
    pub(super) fn new(keeper: Sender<Message>, config: CheckpointConfig, job: &str) -> Self {
        Checkpoints {
            keeper,
            config,
            job: job.into(),
            close_before: AtomicU64::new(0),
            open: AtomicU64::new(0),
            committed_before: AtomicU64::new(0),
            sources: Mutex::default(),
            n_holds: AtomicUsize::new(0),
            start: OnceLock::new(),
            has_heard: AtomicBool::new(false),
            named: Mutex::default(),
            n_participants: AtomicUsize::new(0),
            restored: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn config(&self) -> &CheckpointConfig {
        &self.config
    }

    /// Tells the keeper. One that has ended needs to know nothing more.
    pub(crate) fn tell(&self, message: Message) {
        if let Message::Section(Section { bytes, .. }) = &message {
            self.queued_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        let _ = self.keeper.send(message);
    }

    /// Notes that the keeper has taken so many bytes of state.
    pub(super) fn note_taken(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether so much state is on its way to storage that more has to wait.
    pub(crate) fn is_congested(&self) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) > MAX_QUEUED_BYTES
    }

    /// Whether a checkpoint may be begun now.
    pub(super) fn is_held(&self) -> bool {
        self.n_holds.load(Ordering::Acquire) > 0
    }

    /// Adds a source, to be woken when it has to leave its epoch and when it may go on.
    pub(crate) fn register_source(&self, source: SyncActivator) {
        lock(&self.sources).push(source);
    }

    /// The epoch that a source at `epoch` has to go to, if it has to leave that.
    #[inline]
    pub(crate) fn leave(&self, epoch: Epoch) -> Option<Epoch> {
        let close_before = self.close_before.load(Ordering::Acquire);
        (epoch < close_before).then_some(close_before)
    }

    /// Whether a source may read in `epoch`.
    #[inline]
    pub(crate) fn is_open(&self, epoch: Epoch) -> bool {
        epoch <= self.open.load(Ordering::Acquire)
    }

    pub(super) fn close(&self, epoch: Epoch) {
        self.close_before.store(epoch + 1, Ordering::Release);
        self.wake_sources();
    }

    pub(super) fn open(&self, epoch: Epoch) {
        self.open.store(epoch, Ordering::Release);
        self.wake_sources();
    }

    /// Notes that what sinks have written up to the end of `epoch` has been committed.
    pub(super) fn note_committed(&self, epoch: Epoch) {
        self.committed_before.store(epoch + 1, Ordering::Release);
    }

    /// The newest epoch that is committed, if there is one.
    pub(crate) fn committed(&self) -> Option<Epoch> {
        self.committed_before.load(Ordering::Acquire).checked_sub(1)
    }

    fn wake_sources(&self) {
        for source in lock(&self.sources).iter() {
            // One that has ended can not be woken, and need not be.
            let _ = source.activate();
        }
    }

    /// Hands a word of another process to the keeper.
    pub(crate) fn hear(&self, process: usize, word: Word) {
        if let Word::Begin { .. } = word {
            self.has_heard.store(true, Ordering::Release);
        }
        self.tell(Message::Word { process, word });
    }

    /// Says what the run goes on from.
    pub(super) fn set_start(&self, start: Start, run: &RunState) {
        let _ = self.start.set(start);
        run.wake_workers();
    }

    /// What the run goes on from; `None` before that is known.
    pub(crate) fn start(&self) -> Option<&Start> {
        self.start.get()
    }

    /// Waits until it is known what the run goes on from, or until the run fails.
    pub(crate) fn await_start(&self, run: &RunState) {
        while self.start().is_none() && !run.stopped() {
            std::thread::park();
        }
    }

    /// As [`await_start`](Self::await_start), where process 0 has said by now whether it makes checkpoints at all.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn await_word(&self, run: &RunState) -> Result<()> {
        if self.start().is_none() && !self.has_heard.load(Ordering::Acquire) && !run.stopped() {
            return Err(Error::config(
                "this process makes checkpoints and process 0 does not: all need the same checkpoint directory",
            ));
        }
        self.await_start(run);
        Ok(())
    }

    /// Number of a new participant, and what makes its name one of its own on its worker.
    pub(crate) fn enlist(&self, worker: usize, name: &str) -> (usize, usize) {
        let mut named = lock(&self.named);
        let nth = named.entry((worker, name.to_string())).or_default();
        *nth += 1;
        (self.n_participants.fetch_add(1, Ordering::Relaxed), *nth - 1)
    }

    pub(super) fn n_participants(&self) -> usize {
        self.n_participants.load(Ordering::Relaxed)
    }

    /// What an operator is known by outside of the job: XXH3 of the names of the job, of the place of its checkpoints and of
    /// the operator, each with a zero byte behind it.
    pub(crate) fn identity_of(&self, uid: &str) -> u64 {
        xxh3_64(format!("{}\0{}\0{uid}\0", self.job, self.config.place()).as_bytes())
    }

    /// Fingerprint of the graph: XXH3 of the names of all participants, once they have begun.
    pub(super) fn fingerprint(&self) -> u64 {
        let restored = lock(&self.restored);
        let mut names: Vec<&String> = restored.names.iter().collect();
        names.sort_unstable();
        xxh3_64(names.into_iter().map(|name| format!("{name}\n")).collect::<String>().as_bytes())
    }

    /// Notes that a participant called `name` has taken its state.
    ///
    /// # Errors
    /// It was the last of this process, and the checkpoint has state that none of them has taken.
    pub(crate) fn note_restored(&self, name: &str) -> Result<()> {
        let mut restored = lock(&self.restored);
        restored.n += 1;
        restored.names.insert(name.to_string());
        let checkpoint = self.start().and_then(|start| start.checkpoint.as_ref());
        let Some(checkpoint) = checkpoint.filter(|_| restored.n == self.n_participants()) else {
            return Ok(());
        };
        let mut left: Vec<String> = checkpoint.keys().into_iter().map(|key| key.operator).collect();
        left.retain(|name| !restored.names.contains(name));
        left.dedup();
        if left.is_empty() {
            return Ok(());
        }
        let text = format!(
            "the checkpoint has state of operators that the job does not have: {}",
            left.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
        );
        if self.config.allow_unmatched {
            tracing::warn!("{text}; it is dropped");
            return Ok(());
        }
        Err(Error::config(format!(
            "{text}; give operators a uid, so that they are found when the job changes, or allow it to be dropped \
             (--allow-unmatched-state)"
        )))
    }
}

/// Lets no checkpoint be begun until it is dropped: for what can not be cut in two. That of process 0 counts.
pub struct CheckpointHold(Option<Arc<Checkpoints>>);

impl CheckpointHold {
    pub(crate) fn new(checkpoints: Option<Arc<Checkpoints>>) -> Self {
        if let Some(checkpoints) = &checkpoints {
            checkpoints.n_holds.fetch_add(1, Ordering::AcqRel);
        }
        CheckpointHold(checkpoints)
    }
}

impl Drop for CheckpointHold {
    fn drop(&mut self) {
        if let Some(checkpoints) = &self.0 {
            checkpoints.n_holds.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What an operator that decides when a loop leaves its checkpoint epoch knows of checkpoints.
pub struct CheckpointWatch(Option<Arc<Checkpoints>>);

impl CheckpointWatch {
    pub(crate) fn new(checkpoints: Option<Arc<Checkpoints>>) -> Self {
        CheckpointWatch(checkpoints)
    }

    /// Whether a checkpoint waits until `epoch` is left.
    pub fn is_due(&self, epoch: Epoch) -> bool {
        self.0.as_ref().is_some_and(|checkpoints| checkpoints.leave(epoch).is_some())
    }

    /// Behind how many rounds there is to be a checkpoint, if the job says so; see
    /// [`CheckpointConfig::every_rounds`](crate::CheckpointConfig::every_rounds).
    pub fn every_rounds(&self) -> Option<Round> {
        self.0.as_ref().and_then(|checkpoints| checkpoints.config.every_rounds)
    }

    /// Asks for a checkpoint now. Nothing comes of it while one is under way or held up; then it can be asked for again.
    pub fn ask(&self) {
        if let Some(checkpoints) = &self.0 {
            checkpoints.tell(Message::Asked);
        }
    }
}

impl std::fmt::Debug for CheckpointWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CheckpointWatch").field(&self.0.is_some()).finish()
    }
}

impl std::fmt::Debug for CheckpointHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CheckpointHold").field(&self.0.is_some()).finish()
    }
}

//! Storage that fails while a job runs: the job goes on, the checkpoint counts as failed, and the next one is made.

use std::sync::Arc;
use std::time::Duration;

use waterwheel::engine::checkpoint::{CheckpointStore, FaultyStorage, Newest, StorageFault};
use waterwheel::prelude::*;

/// What a source waits for, in this order.
#[derive(Clone, Copy)]
enum Step {
    /// For a checkpoint.
    First,
    /// For what the fault does, since so many records and when so many checkpoints had been made and had failed.
    Fault { since: u64, before: u64, failed: u64 },
    /// For one more checkpoint than so many.
    Next { completed: u64 },
}

/// Numbers, while the storage has a fault and until it has recovered.
struct WithFault {
    next: u64,
    step: Option<Step>,
    fault: StorageFault,
    storage: Arc<FaultyStorage>,
    state: CheckpointState,
}

impl WithFault {
    fn go_on(&mut self, step: Step) -> Option<Step> {
        let counts = self.state.counts();
        match step {
            Step::First if counts.completed > 0 => {
                self.storage.fail_with(self.fault);
                Some(Step::Fault { since: self.next, before: counts.completed, failed: counts.failed })
            }
            Step::Fault { since, before, failed } => {
                let is_over = match self.fault {
                    // Nothing fails, and nothing waits for it.
                    StorageFault::Slow(_) => self.next > since + 5_000,
                    // It is not noticed.
                    StorageFault::CorruptByte => counts.completed > before,
                    _ => counts.failed > failed,
                };
                if !is_over {
                    return Some(step);
                }
                self.storage.mend();
                Some(Step::Next { completed: counts.completed + 1 })
            }
            Step::Next { completed } if counts.completed > completed => None,
            step => Some(step),
        }
    }
}

impl Source for WithFault {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        let Some(step) = self.step else { return Ok(SourceStatus::Done) };
        self.step = self.go_on(step);
        out.push(self.next);
        self.next += 1;
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&(self.next, self.step.is_none())).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        let has_ended: bool;
        (self.next, has_ended) = position.get()?;
        self.step = self.step.filter(|_| !has_ended);
        Ok(())
    }
}

/// How many numbers there were, and their sum.
fn sum(storage: &Arc<FaultyStorage>, fault: StorageFault, state: &CheckpointState) -> Result<(u64, u64)> {
    let often = CheckpointConfig::on(storage.clone()).interval(Duration::from_millis(5)).state(state.clone());
    let (storage, state) = (Arc::clone(storage), state.clone());
    let sums = execute(RuntimeConfig::threads(2).job_name("job").checkpoints(often), move |env| {
        let (storage, state) = (Arc::clone(&storage), state.clone());
        let open = move |_split| {
            let (storage, state) = (Arc::clone(&storage), state.clone());
            Ok(WithFault { next: 0, step: Some(Step::First), fault, storage, state })
        };
        let keyed = env.source("numbers", 1, open).uid("numbers").key_by(|x| x % 97);
        Ok(keyed.at_end().fold((0u64, 0u64), |(n, sum), x| (n + 1, sum + x)).uid("sums").collect().uid("all"))
    })?;
    Ok(sums.concat().iter().fold((0, 0), |(n, sum), (_, of_key)| (n + of_key.0, sum + of_key.1)))
}

/// Runs a job whose storage has a fault for a while, and again when it has ended; what became of its checkpoints.
fn survive(fault: StorageFault) -> (CheckpointCounts, CheckpointStore) {
    let memory = CheckpointStore::in_memory("job").unwrap().shared_storage();
    let storage = Arc::new(FaultyStorage::new(memory, 1));
    let state = CheckpointState::new();
    let first = sum(&storage, fault, &state).unwrap();
    let (n, found) = first;
    assert_eq!(found, n * (n - 1) / 2, "{fault:?}: something is lost or doubled");
    assert!(storage.injected() > 0, "{fault:?}: nothing has failed");
    assert_eq!(
        sum(&storage, fault, &CheckpointState::new()).unwrap(),
        first,
        "{fault:?}: after it has ended"
    );
    (state.counts(), CheckpointStore::on(storage, "job").unwrap())
}

#[test]
fn job_goes_on_while_nothing_can_be_written_and_makes_the_next_checkpoint() {
    for fault in [
        StorageFault::FullDisk,
        StorageFault::PermissionLost,
        StorageFault::TimeOut,
        StorageFault::FailedWrite,
        StorageFault::TornWrite,
    ] {
        let (counts, store) = survive(fault);
        assert!(counts.failed > 0 && counts.completed > 2, "{fault:?}: {counts:?}");
        assert!(counts.last_failure.unwrap().contains("injected fault"), "{fault:?}");
        assert!(matches!(store.newest().unwrap(), Newest::Found { .. }), "{fault:?}");
    }
}

#[test]
fn job_does_not_wait_for_a_slow_disk() {
    let (counts, _store) = survive(StorageFault::Slow(Duration::from_secs(30)));
    assert!(counts.failed == 0 && counts.completed > 2, "{counts:?}");
    assert!(counts.longest_pause < Duration::from_secs(10), "{counts:?}");
}

#[test]
fn checkpoint_with_a_wrong_byte_is_found_out_and_passed_over() {
    let (counts, store) = survive(StorageFault::CorruptByte);
    assert_eq!(counts.failed, 0, "{counts:?}");
    let epochs = store.epochs().unwrap();
    let Newest::Found { checkpoint, .. } = store.newest().unwrap() else { panic!("{epochs:?}") };
    assert_eq!(Some(&checkpoint.epoch()), epochs.last(), "those after it are whole");
}

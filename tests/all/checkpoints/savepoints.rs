//! Savepoints of running jobs, and jobs that go on from one that is not the newest.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use waterwheel::engine::checkpoint::CheckpointStore;
use waterwheel::prelude::*;

use super::fixture::config;
use crate::failures::process::{Finished, Running};

fn save(dir: &Path, name: &str, timeout: &str) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waterwheel"));
    let location = dir.display().to_string();
    command.args(["ckpt", "save", &location, "--job", "job", "--name", name, "--timeout", timeout]);
    Running::start(&mut command)
}

/// Numbers from 0, at least so many, and until there is a savepoint.
struct UntilSaved {
    next: u64,
    end: u64,
    store: CheckpointStore,
    name: &'static str,
}

impl Source for UntilSaved {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        if self.next < self.end {
            out.push(self.next);
            self.next += 1;
            return Ok(SourceStatus::Ready);
        }
        match self.store.savepoint(self.name)? {
            Some(_) => Ok(SourceStatus::Done),
            None => Ok(SourceStatus::Idle(Duration::from_millis(1))),
        }
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

/// The sum of the numbers below `end`, when there is a savepoint called `name`.
fn sum(config: RuntimeConfig, dir: &Path, end: u64, name: &'static str) -> Result<u64> {
    let store = CheckpointStore::open(&dir.display().to_string(), "job")?;
    let sums = execute(config, move |env| {
        let store = store.clone();
        let open = move |_split| Ok(UntilSaved { next: 0, end, store: store.clone(), name });
        let numbers = env.source("numbers", 1, open).uid("numbers");
        Ok(numbers.key_by(|_| ()).at_end().sum(|x| *x).uid("sum").collect().uid("result"))
    })?;
    Ok(sums.concat()[0].1)
}

#[test]
fn savepoint_is_made_while_the_job_runs_and_can_be_gone_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(&dir.path().display().to_string(), "job").unwrap();
    store.claim_attempt(0).unwrap();
    let saving = save(dir.path(), "before", "60");
    assert_eq!(sum(config(dir.path(), 2), dir.path(), 1000, "before").unwrap(), 499_500);
    let saved: Finished = saving.finish();
    assert_eq!(saved.code(), Some(0), "{saved:?}");
    let savepoint = store.savepoint("before").unwrap().unwrap();
    assert_eq!(saved.out, format!("job: savepoint before at epoch {}\n", savepoint.epoch()));
    assert!(store.savepoint_requests().unwrap().is_empty());

    // The newest says that all has been summed up; the savepoint, that nothing was said yet. A second one of the name
    // would be an error.
    let back = CheckpointConfig::new(dir.path().display().to_string()).from_checkpoint("before");
    let back = RuntimeConfig::threads(1).job_name("job").checkpoints(back);
    assert_eq!(sum(back, dir.path(), 2000, "before").unwrap(), 1_999_000);
    assert!(store.savepoint("before").unwrap().is_some(), "savepoints stay");
    let again = save(dir.path(), "before", "60").finish();
    assert_eq!(again.code(), Some(2), "{again:?}");
    assert!(again.err.contains("job \"job\" has a savepoint \"before\", at epoch"), "{again:?}");
}

#[test]
fn savepoint_of_a_job_that_does_not_run_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(&dir.path().display().to_string(), "job").unwrap();
    store.claim_attempt(0).unwrap();
    let saved = save(dir.path(), "before", "0.2").finish();
    assert_eq!(saved.code(), Some(1), "{saved:?}");
    assert!(saved.err.contains("job \"job\" has made no savepoint \"before\" in 200ms"), "{saved:?}");
    assert!(store.savepoint_requests().unwrap().is_empty());

    let refused = save(dir.path(), "../x", "1").finish();
    assert_eq!(refused.code(), Some(2), "{refused:?}");
    assert!(refused.err.contains("savepoint name \"../x\""), "{refused:?}");
}

#[test]
fn checkpoint_to_go_on_from_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for from in ["17", "before"] {
        let checkpoints = CheckpointConfig::new(dir.path().display().to_string()).from_checkpoint(from);
        let config = RuntimeConfig::threads(1).job_name("job").checkpoints(checkpoints);
        let error = execute(config, |env| Ok(env.from_iter(0..3u64).collect())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(&format!("job \"job\" has no checkpoint {from}")), "{error}");
    }
}

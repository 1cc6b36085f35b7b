//! What becomes of the files of checkpoints between two attempts at a job.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use waterwheel::engine::checkpoint::CheckpointStore;
use waterwheel::engine::machine;
use waterwheel::ml::generate::sm;

#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    None,
    /// One byte of the newest checkpoint is wrong, if there is an older one to go back to.
    CorruptByte(u64),
    /// The clock of whoever wrote the files was days ahead, or behind.
    ClockJump(u64),
}

impl Damage {
    pub(super) fn draw(seed: u64) -> Self {
        match seed % 3 {
            0 => Damage::None,
            1 => Damage::CorruptByte(seed),
            _ => Damage::ClockJump(seed),
        }
    }

    /// Does it to the checkpoints of a job; what could be done.
    pub(super) fn apply(self, job: &Path) -> Damage {
        let has_happened = match self {
            Damage::None => false,
            Damage::CorruptByte(seed) => corrupt(job, seed),
            Damage::ClockJump(seed) => jump(job, seed),
        };
        if has_happened { self } else { Damage::None }
    }
}

/// The epochs of the checkpoints of a job that are there and whole.
pub(super) fn sound(job: &Path) -> Vec<u64> {
    let (location, name) =
        (job.parent().unwrap().display().to_string(), job.file_name().unwrap().to_str().unwrap());
    let store = CheckpointStore::open(&location, name).unwrap();
    let epochs = store.epochs().unwrap_or_default();
    epochs.into_iter().filter(|epoch| store.verify(*epoch).is_ok()).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = dir.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The manifest of the newest checkpoint or one of its parts has a wrong byte.
fn corrupt(job: &Path, seed: u64) -> bool {
    let manifests = files(&job.join("manifests"));
    let [.., _older, newest] = &manifests[..] else { return false };
    let epoch = newest.file_stem().unwrap().to_str().unwrap();
    let number: u64 = epoch.parse().unwrap();
    if sound(job).iter().all(|sound| *sound >= number) {
        // What is older was torn by a disk.
        return false;
    }
    let parts = files(&job.join("parts")).into_iter().flat_map(|attempt| files(&attempt));
    let of_epoch = parts.filter(|part| part.file_name().unwrap().to_str().unwrap().starts_with(epoch));
    let candidates: Vec<PathBuf> = of_epoch.chain([newest.clone()]).collect();
    let victim = &candidates[(sm(seed, 0) % candidates.len() as u64) as usize];
    let mut bytes = std::fs::read(victim).unwrap();
    let at = (sm(seed, 1) % bytes.len() as u64) as usize;
    bytes[at] ^= 1 << (sm(seed, 2) % 8);
    std::fs::write(victim, bytes).unwrap();
    true
}

/// All files were written days before or after they were.
fn jump(job: &Path, seed: u64) -> bool {
    let days = Duration::from_secs((1 + sm(seed, 0) % 30) * 86_400);
    let now = UNIX_EPOCH + machine::unix_time();
    let then = if seed.is_multiple_of(2) { now + days } else { now - days };
    let attempts = files(&job.join("parts")).into_iter().flat_map(|attempt| files(&attempt));
    let all: Vec<_> =
        attempts.chain(files(&job.join("manifests"))).chain(files(&job.join("attempts"))).collect();
    for path in &all {
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
    !all.is_empty()
}

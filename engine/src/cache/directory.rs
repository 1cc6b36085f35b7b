//! The directory of one owner of cache files, and how it is told from one whose owner has been killed.
//!
//! Beside the directory `waterwheel-cache-X` lies the file `waterwheel-cache-X.lock`, which its owner holds locked
//! for as long as it lives: the operating system drops the lock with the process, however that ends. So a lock that can
//! be had belongs to nobody, and whoever has it may remove the directory, and then the lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::cache::about;
use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = "waterwheel-cache-";
const LOCK: &str = ".lock";

/// How often a name is tried: each is taken by nobody, unless somebody cleans up just then.
const ATTEMPTS: usize = 16;

/// A directory for the files of one owner, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct OwnDirectory {
    path: PathBuf,
    lock_path: PathBuf,
    /// Locked.
    _lock: File,
}

impl OwnDirectory {
    /// Makes one inside of `parent`, which is made too if it is not there.
    pub(super) fn create(parent: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let text = "can not make the data cache's files (--cache-dir names another directory, --cache-memory \
                        keeps more in memory) in";
            about(ErrorKind::Config, text, parent).caused_by(error)
        };
        std::fs::create_dir_all(parent).map_err(failed)?;
        for _ in 0..ATTEMPTS {
            let path = parent.join(format!("{PREFIX}{}", nonce()?));
            let lock_path = lock_of(&path);
            let lock = OpenOptions::new().write(true).create_new(true).open(&lock_path).map_err(failed)?;
            match lock.try_lock() {
                // Whoever cleaned up before the lock was ours has removed the file.
                Ok(()) if lock_path.exists() => {
                    let own = OwnDirectory { path, lock_path, _lock: lock };
                    private().create(&own.path).map_err(failed)?;
                    return Ok(own);
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    let _ = std::fs::remove_file(&lock_path);
                    return Err(failed(error));
                }
            }
        }
        Err(about(
            ErrorKind::Config,
            "others remove the data cache's files as soon as they are made in",
            parent,
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        remove(&self.path, &self.lock_path);
    }
}

/// Removes the directories inside of `parent` whose owners are gone. What belongs to somebody else, or can not be
/// removed, stays.
pub(super) fn remove_left_over(parent: &Path) {
    // A directory that is not there has nothing to remove; one that can not be used is an error when it is needed.
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_lock = name.to_str().is_some_and(is_name_of_lock);
        if !is_lock || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let lock_path = entry.path();
        let Ok(lock) = OpenOptions::new().write(true).open(&lock_path) else { continue };
        if lock.try_lock().is_ok() {
            let directory = lock_path.with_extension("");
            tracing::info!("removing {}: who cached data there has ended", directory.display());
            remove(&directory, &lock_path);
        }
    }
}

/// Removes a directory, and then its lock: never the other way round, or it would be nobody's. For holders of the
/// lock only.
fn remove(directory: &Path, lock: &Path) {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("can not remove the data cache's files in {}: {error}", directory.display());
        }
        _ => {
            let _ = std::fs::remove_file(lock);
        }
    }
}

fn lock_of(directory: &Path) -> PathBuf {
    let mut path = directory.as_os_str().to_owned();
    path.push(LOCK);
    path.into()
}

fn is_name_of_lock(name: &str) -> bool {
    let middle = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(LOCK));
    middle.is_some_and(|middle| middle.len() == 16 && middle.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What nobody else has called a directory.
fn nonce() -> Result<String> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::config("the operating system gives no random numbers").caused_by(error))?;
    Ok(format!("{:016x}", u64::from_le_bytes(nonce)))
}

/// Directories that only this user can read: what is cached is nobody else's business.
#[cfg(unix)]
fn private() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn private() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(parent)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn own_directory_is_removed_when_it_is_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let below = parent.path().join("not/there");
        let own = OwnDirectory::create(&below).unwrap();
        std::fs::write(own.path().join("file"), "x").unwrap();
        assert_eq!(names(&below).len(), 2);
        drop(own);
        assert_eq!(names(&below), [""; 0]);
    }

    #[test]
    fn directory_of_a_living_owner_stays_and_one_whose_owner_is_gone_goes() {
        let parent = tempfile::tempdir().unwrap();
        let alive = OwnDirectory::create(parent.path()).unwrap();
        std::fs::write(alive.path().join("file"), "x").unwrap();
        // A process that was killed leaves both behind, and the lock open to all.
        let dead = parent.path().join(format!("{PREFIX}0123456789abcdef"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("file"), "x").unwrap();
        std::fs::write(lock_of(&dead), "").unwrap();
        // Killed before it had a directory.
        std::fs::write(parent.path().join(format!("{PREFIX}00000000000000aa{LOCK}")), "").unwrap();
        remove_left_over(parent.path());
        assert!(!dead.exists());
        assert_eq!(std::fs::read_to_string(alive.path().join("file")).unwrap(), "x");
        assert_eq!(names(parent.path()).len(), 2);
    }

    #[test]
    fn files_that_only_look_alike_stay() {
        let parent = tempfile::tempdir().unwrap();
        let others = [
            "other-0123456789abcdef.lock",
            "waterwheel-cache-0123456789abcdef",
            "waterwheel-cache-0123456789abcdeg.lock",
            "waterwheel-cache-123.lock",
        ];
        for name in others {
            std::fs::write(parent.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(parent.path().join("waterwheel-cache-00000000000000aa.lock")).unwrap();
        remove_left_over(parent.path());
        assert_eq!(names(parent.path()).len(), others.len() + 1);
    }

    #[cfg(unix)]
    #[test]
    fn link_in_place_of_a_directory_is_not_followed() {
        let (parent, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(victim.path().join("file"), "x").unwrap();
        let link = parent.path().join(format!("{PREFIX}0123456789abcdef"));
        std::os::unix::fs::symlink(victim.path(), &link).unwrap();
        std::fs::write(lock_of(&link), "").unwrap();
        remove_left_over(parent.path());
        assert_eq!(names(parent.path()), [""; 0]);
        assert_eq!(names(victim.path()), ["file"]);
    }

    /// Owners that come and go while others clean up: none of them loses what is its own.
    #[test]
    fn owners_and_cleaners_side_by_side_do_not_meet() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        remove_left_over(parent.path());
                        let own = OwnDirectory::create(parent.path()).unwrap();
                        let file = own.path().join("file");
                        std::fs::write(&file, "x").unwrap();
                        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
                    }
                });
            }
        });
        remove_left_over(parent.path());
        assert_eq!(names(parent.path()), [""; 0]);
    }
}

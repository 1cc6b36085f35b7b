//! Names of the objects of a job.
//!
//! ```text
//! JOB/committed                                there was a checkpoint once
//! JOB/attempts/ATTEMPT                         this number is taken
//! JOB/manifests/EPOCH.json                     a checkpoint, whole since this was written
//! JOB/parts/ATTEMPT/EPOCH-WORKER.part          the state of one worker
//! JOB/requests/NAME                            a savepoint is asked for
//! ```
//!
//! Numbers have 20 digits, so that names are in the order of numbers.

use crate::error::{Error, Result};

/// The directories of a job.
pub(super) const DIRECTORIES: [&str; 3] = ["attempts", "manifests", "parts"];

/// The objects of one job.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    job: String,
}

impl Layout {
    /// Checks that the name of the job can be the name of a directory anywhere.
    pub(super) fn new(job: &str) -> Result<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if job.is_empty() || job.len() > 128 || job.starts_with('.') || !job.bytes().all(fits) {
            return Err(Error::config(format!(
                "job name \"{job}\": expected 1 to 128 of the letters a-z and A-Z, digits, '.', '_' and '-', the first of \
                 them no '.'"
            )));
        }
        Ok(Layout { job: job.into() })
    }

    pub(super) fn job(&self) -> &str {
        &self.job
    }

    pub(super) fn committed(&self) -> String {
        format!("{}/committed", self.job)
    }

    pub(super) fn attempts(&self) -> String {
        format!("{}/attempts", self.job)
    }

    pub(super) fn attempt(&self, attempt: u64) -> String {
        format!("{}/{attempt:020}", self.attempts())
    }

    pub(super) fn manifests(&self) -> String {
        format!("{}/manifests", self.job)
    }

    pub(super) fn manifest(&self, epoch: u64) -> String {
        format!("{}/{epoch:020}.json", self.manifests())
    }

    pub(super) fn requests(&self) -> String {
        format!("{}/requests", self.job)
    }

    pub(super) fn request(&self, name: &str) -> String {
        format!("{}/{name}", self.requests())
    }

    pub(super) fn parts(&self) -> String {
        format!("{}/parts", self.job)
    }

    pub(super) fn parts_of(&self, attempt: u64) -> String {
        format!("{}/{attempt:020}", self.parts())
    }

    pub(super) fn part(&self, attempt: u64, epoch: u64, worker: u32) -> String {
        format!("{}/{epoch:020}-{worker:010}.part", self.parts_of(attempt))
    }
}

/// The number that a name stands for, if it is one of ours.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

/// Whether a text can be an epoch that a person has written.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The epoch of a manifest's name.
pub(super) fn manifest_epoch(name: &str) -> Option<u64> {
    number(name.strip_suffix(".json")?)
}

/// Epoch and worker of a part's name.
pub(super) fn part_epoch(name: &str) -> Option<(u64, u32)> {
    let (epoch, worker) = name.strip_suffix(".part")?.split_once('-')?;
    let digits = worker.len() == 10 && worker.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Some((number(epoch)?, worker.parse().ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_name_that_leaves_its_directory_is_refused() {
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a#1", "a b", "ä", &"x".repeat(129)] {
            let error = Layout::new(bad).unwrap_err();
            assert!(error.message().contains(&format!("\"{bad}\"")), "{error}");
        }
        for good in ["a", "word-count_2.1", &"x".repeat(128)] {
            Layout::new(good).unwrap();
        }
    }

    #[test]
    fn names_and_numbers_are_each_others_inverse() {
        let layout = Layout::new("j").unwrap();
        let last = |name: String| name.rsplit_once('/').unwrap().1.to_owned();
        for n in [0, 7, u64::MAX] {
            assert_eq!(number(&last(layout.attempt(n))), Some(n));
            assert_eq!(manifest_epoch(&last(layout.manifest(n))), Some(n));
            assert_eq!(part_epoch(&last(layout.part(1, n, u32::MAX))), Some((n, u32::MAX)));
        }
        for foreign in ["", "7", "7.json", "00000000000000000007.json#1", "+0000000000000000007.json"] {
            assert_eq!(manifest_epoch(foreign), None);
            assert_eq!(part_epoch(foreign), None);
        }
    }
}

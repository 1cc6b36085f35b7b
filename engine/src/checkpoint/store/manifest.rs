//! The manifest: written last, it makes a checkpoint whole. JSON in an envelope with a checksum; see
//! `docs/formats/checkpoint.md`.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::checkpoint::store::part::{PartInfo, PartRef};
use crate::error::{Error, Result};
use crate::hash::KEY_GROUPS;

/// The version of parts and manifests. It is the seed of the manifest's checksum, so that a manifest of a later version
/// is told from a damaged one.
pub(super) const VERSION: u64 = 1;

/// What a job says of a checkpoint when it commits it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointMeta {
    /// The attempt at the job, as [`claim_attempt`](crate::checkpoint::CheckpointStore::claim_attempt) gave it.
    pub attempt: u64,
    /// Version of the program; empty where it has none.
    pub program: String,
    /// Fingerprint of the graph of operators.
    pub fingerprint: u64,
    /// The name of a savepoint: it is kept until it is removed by name. `None` for a checkpoint, which gives way to
    /// newer ones.
    pub savepoint: Option<String>,
    /// The version of what the operators keep, as the program counts it.
    pub state_version: u64,
}

/// What is in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) job: String,
    pub(super) epoch: u64,
    pub(super) attempt: u64,
    pub(super) program: String,
    #[serde(with = "crate::checkpoint::store::hex")]
    pub(super) fingerprint: u64,
    pub(super) key_groups: u64,
    pub(super) savepoint: Option<String>,
    /// Not there where it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) state_version: u64,
    pub(super) created_by: String,
    /// The parts of this epoch, one of each worker, in order.
    pub(super) parts: Vec<PartRef>,
    /// Earlier parts with sections that have not changed.
    pub(super) refers_to: Vec<PartRef>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(version: &u64) -> bool {
    *version == 0
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    format: String,
    version: u64,
    #[serde(with = "crate::checkpoint::store::hex")]
    xxh3: u64,
}

impl Manifest {
    /// Checks that the parts are those of one checkpoint of all workers.
    pub(super) fn new(job: &str, epoch: u64, parts: &[PartInfo], meta: CheckpointMeta) -> Result<Self> {
        let mut refers_to: Vec<_> = parts.iter().flat_map(|info| info.refers_to.iter().copied()).collect();
        refers_to.sort();
        refers_to.dedup();
        let mut parts: Vec<_> = parts.iter().map(|info| info.part).collect();
        parts.sort_by_key(|part| part.worker);
        let workers: Vec<_> = parts.iter().map(|part| part.worker).collect();
        let stranger = parts.iter().find(|part| (part.attempt, part.epoch) != (meta.attempt, epoch));
        if let Some(part) = stranger {
            let (attempt, found, wanted) = (part.attempt, part.epoch, meta.attempt);
            return Err(Error::internal(format!(
                "checkpoint of epoch {epoch} and attempt {wanted}: a part is of epoch {found} and attempt {attempt}"
            )));
        }
        if workers.is_empty() || !workers.iter().copied().eq(0..workers.len() as u32) {
            return Err(Error::internal(format!(
                "checkpoint of epoch {epoch}: there are parts of workers {workers:?}, expected one of each from 0 on"
            )));
        }
        let CheckpointMeta { attempt, program, fingerprint, savepoint, state_version } = meta;
        let created_by = format!("waterwheel {}", env!("CARGO_PKG_VERSION"));
        let (job, key_groups) = (job.to_owned(), KEY_GROUPS);
        let manifest = Manifest {
            job,
            epoch,
            attempt,
            program,
            fingerprint,
            key_groups,
            savepoint,
            state_version,
            created_by,
            parts,
            refers_to,
        };
        Ok(manifest)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::internal("can not write a manifest").caused_by(error);
        let body = serde_json::to_string_pretty(self).map_err(failed)? + "\n";
        let xxh3 = xxh3_64_with_seed(body.as_bytes(), VERSION);
        let envelope = Envelope { format: FORMAT.into(), version: VERSION, xxh3 };
        let first = serde_json::to_string(&envelope).map_err(failed)?;
        Ok(format!("{first}\n{body}").into_bytes())
    }

    /// Reads the manifest of an epoch of a job.
    pub(super) fn decode(bytes: &[u8], name: &str, job: &str, epoch: u64) -> Result<Self> {
        let damaged = |what: String| Error::data(format!("{name}: {what}"));
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (first, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
        let envelope: Envelope = serde_json::from_slice(first)
            .map_err(|error| damaged("its first line is damaged".into()).caused_by(error))?;
        let Envelope { format, version, xxh3 } = &envelope;
        let found = xxh3_64_with_seed(body, *version);
        if found != *xxh3 || serde_json::to_vec(&envelope).ok().as_deref() != Some(first) {
            return Err(damaged(format!("its checksum is {found:016x}, its first line says {xxh3:016x}")));
        }
        if format != FORMAT {
            return Err(damaged(format!("found \"{format}\", expected \"{FORMAT}\"")));
        }
        if *version != VERSION {
            return Err(Error::config(format!(
                "{name}: found {format} version {version}, this build reads version {VERSION}"
            )));
        }
        let manifest: Manifest = serde_json::from_slice(body)
            .map_err(|error| damaged("it is no manifest".into()).caused_by(error))?;
        if (manifest.job.as_str(), manifest.epoch) != (job, epoch) {
            let (found, of) = (manifest.epoch, &manifest.job);
            return Err(damaged(format!(
                "found epoch {found} of job {of}, expected epoch {epoch} of job {job}"
            )));
        }
        if manifest.key_groups != KEY_GROUPS {
            let found = manifest.key_groups;
            return Err(damaged(format!("found {found} key groups, expected {KEY_GROUPS}")));
        }
        Ok(manifest)
    }

    /// All parts that it needs, its own first.
    pub(super) fn all_parts(&self) -> impl Iterator<Item = &PartRef> {
        self.parts.iter().chain(&self.refers_to)
    }
}

const FORMAT: &str = "waterwheel-checkpoint";

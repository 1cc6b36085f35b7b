//! A part: what one worker has written for one checkpoint. The layout is in `docs/formats/checkpoint.md`.
//!
//! Header, sections, footer, trailer. The footer is the offset table; the trailer says where it is. Each has a checksum,
//! and together they cover every byte.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::checkpoint::store::layout::Layout;
use crate::checkpoint::store::section::SectionKey;
use crate::checkpoint::store::table::{Place, SectionTable};
use crate::error::{Error, Result};

/// What a part begins with: a name, the version, and four bytes for later.
pub(super) const HEADER: [u8; 16] = *b"WWCKPART\x01\0\0\0\0\0\0\0";
/// Bytes of the trailer.
pub(super) const TRAILER: usize = 32;
/// What a part ends with.
const END: [u8; 8] = *b"WWCKEND\n";

/// A part that has been written, as it is known by: who wrote it, how long it is, and the checksum of its footer, which
/// has the checksums of all sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRef {
    /// The attempt at the job that wrote it.
    pub attempt: u64,
    /// The checkpoint epoch that it was written for.
    pub epoch: u64,
    /// The worker whose state it is.
    pub worker: u32,
    /// Its length in bytes.
    pub length: u64,
    /// XXH3 of its footer.
    #[serde(with = "crate::checkpoint::store::hex")]
    pub checksum: u64,
}

/// A part that [`PartWriter::finish`](crate::checkpoint::PartWriter::finish) has made durable: what the worker that
/// commits the checkpoint needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// The part.
    pub part: PartRef,
    /// Earlier parts, in which sections are that it has taken over.
    pub refers_to: Vec<PartRef>,
}

impl PartRef {
    pub(super) fn name(&self, layout: &Layout) -> String {
        layout.part(self.attempt, self.epoch, self.worker)
    }
}

/// The offset table, as it is written. Strings and parts are numbered so that each is there once.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Footer {
    job: String,
    attempt: u64,
    epoch: u64,
    worker: u32,
    /// Parts that sections are in, from 1 on; 0 is this part.
    parts: Vec<PartRef>,
    keys: Vec<SectionKey>,
    sections: Vec<Entry>,
}

/// A section in the offset table.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    key: u32,
    key_group: Option<u32>,
    part: u32,
    offset: u64,
    stored: u64,
    length: u64,
    xxh3: u64,
}

/// Who writes a part of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Author<'a> {
    pub(super) job: &'a str,
    pub(super) attempt: u64,
    pub(super) epoch: u64,
    pub(super) worker: u32,
}

/// A section and where it is: `None` is the part at hand.
pub(super) type Located<'a> = (&'a SectionKey, Option<u32>, Option<PartRef>, Place);

impl Footer {
    /// The table of sections, which come in the order of keys and key groups.
    pub(super) fn new<'a>(author: Author<'_>, located: impl Iterator<Item = Located<'a>>) -> Self {
        let Author { job, attempt, epoch, worker } = author;
        let (mut parts, mut keys, mut sections) = (Vec::new(), Vec::new(), Vec::new());
        for (key, key_group, part, place) in located {
            if keys.last() != Some(key) {
                keys.push(key.clone());
            }
            let part = part.map_or(0, |part| {
                parts.iter().position(|known| *known == part).unwrap_or_else(|| {
                    parts.push(part);
                    parts.len() - 1
                }) + 1
            });
            let Place { offset, stored, length, xxh3 } = place;
            let (key, part) = (keys.len() as u32 - 1, part as u32);
            sections.push(Entry { key, key_group, part, offset, stored, length, xxh3 });
        }
        Footer { job: job.into(), attempt, epoch, worker, parts, keys, sections }
    }

    pub(super) fn refers_to(&self) -> &[PartRef] {
        &self.parts
    }

    /// Footer and trailer, and the checksum that the part is known by.
    pub(super) fn encode(&self) -> Result<(Vec<u8>, u64)> {
        let mut bytes = postcard::to_stdvec(self)
            .map_err(|error| Error::internal("can not write the footer of a part").caused_by(error))?;
        let (length, checksum) = (bytes.len() as u64, xxh3_64(&bytes));
        bytes.extend(trailer(length, checksum));
        Ok((bytes, checksum))
    }

    /// Reads a footer whose checksum is right, and checks that it is of this author.
    pub(super) fn decode(bytes: &[u8], author: Author<'_>) -> Result<Self, String> {
        let (footer, rest): (Footer, _) = postcard::take_from_bytes(bytes)
            .map_err(|error| format!("its footer can not be read: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes behind its footer", rest.len()));
        }
        let Footer { job, attempt, epoch, worker, .. } = &footer;
        let found = Author { job, attempt: *attempt, epoch: *epoch, worker: *worker };
        if found != author {
            return Err(format!("it says that it is {found:?}, expected {author:?}"));
        }
        Ok(footer)
    }

    /// The sections, with the places of those in `this` part too.
    pub(super) fn into_table(self, this: PartRef) -> Result<SectionTable, String> {
        let mut table = SectionTable::default();
        for entry in self.sections {
            let Entry { key, key_group, part, offset, stored, length, xxh3 } = entry;
            let key = self.keys.get(key as usize).ok_or("its footer names a section that has no key")?;
            let part = match part {
                0 => this,
                n => *self.parts.get(n as usize - 1).ok_or("its footer names a part that is not listed")?,
            };
            if offset.checked_add(stored).is_none_or(|end| end > part.length) {
                return Err(format!("section {key} is said to be behind the end of its part"));
            }
            table.add(key.clone(), key_group, part, Place { offset, stored, length, xxh3 });
        }
        Ok(table)
    }
}

fn trailer(length: u64, checksum: u64) -> [u8; TRAILER] {
    let mut bytes = [0; TRAILER];
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
    // Of the trailer and, by the seed, of the header: a footer is read only where it is.
    let own = xxh3_64_with_seed(&bytes[..16], xxh3_64(&HEADER));
    bytes[16..24].copy_from_slice(&own.to_le_bytes());
    bytes[24..].copy_from_slice(&END);
    bytes
}

/// The length of the footer, if this is the trailer of `part`.
pub(super) fn footer_length(found: &[u8], part: &PartRef) -> Result<u64, String> {
    let length = found.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if found != trailer(length, part.checksum) {
        return Err("its trailer is damaged, or it is another part than the manifest names".into());
    }
    let room = part.length.saturating_sub((HEADER.len() + TRAILER) as u64);
    if length > room {
        Err(format!("its footer has {length} bytes, and there are {room}"))
    } else {
        Ok(length)
    }
}

//! Reading sections: as few calls as they are next to each other, and each with its checksum.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::store::layout::Layout;
use crate::checkpoint::store::part::{Author, Footer, HEADER, PartRef, TRAILER, footer_length};
use crate::checkpoint::store::section;
use crate::checkpoint::store::storage::{CHUNK, Storage, StorageError, Trouble};
use crate::checkpoint::store::table::Place;
use crate::error::{Error, Result};

/// Reads sections in a given order.
#[derive(Debug)]
pub(super) struct SectionReader<'a> {
    storage: &'a dyn Storage,
    layout: &'a Layout,
    upcoming: VecDeque<(PartRef, Place)>,
    window: Option<Window>,
}

/// Bytes of a part that were read in one call.
#[derive(Debug)]
struct Window {
    part: PartRef,
    offset: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn get(&self, part: PartRef, place: Place) -> Option<&[u8]> {
        let start = usize::try_from(place.offset.checked_sub(self.offset)?).ok()?;
        let end = start.checked_add(usize::try_from(place.stored).ok()?)?;
        if part == self.part { self.bytes.get(start..end) } else { None }
    }
}

impl<'a> SectionReader<'a> {
    pub(super) fn new(
        storage: &'a dyn Storage,
        layout: &'a Layout,
        places: impl IntoIterator<Item = (PartRef, Place)>,
    ) -> Self {
        SectionReader { storage, layout, upcoming: places.into_iter().collect(), window: None }
    }

    /// The stored bytes of the next section, with the right checksum.
    pub(super) fn next_stored(&mut self) -> Option<Result<(Place, &[u8])>> {
        let (part, place) = *self.upcoming.front()?;
        if self.window.as_ref().and_then(|window| window.get(part, place)).is_none() {
            match self.read_run() {
                Ok(window) => self.window = Some(window),
                Err(error) => {
                    self.upcoming.clear();
                    return Some(Err(error));
                }
            }
        }
        self.upcoming.pop_front();
        let stored = self.window.as_ref().and_then(|window| window.get(part, place)).unwrap_or_default();
        let found = xxh3_64(stored);
        if found == place.xxh3 {
            return Some(Ok((place, stored)));
        }
        let (at, expected) = (place.offset, place.xxh3);
        Some(Err(damaged(
            self.layout,
            &part,
            format!("the section at byte {at} has the checksum {found:016x}, expected {expected:016x}"),
        )))
    }

    /// The bytes of the next section.
    pub(super) fn next_section(&mut self) -> Option<Result<Vec<u8>>> {
        let (layout, (part, _)) = (self.layout, *self.upcoming.front()?);
        Some(self.next_stored()?.and_then(|(place, stored)| {
            section::restore(stored, place.length).map_err(|what| {
                damaged(layout, &part, format!("the section at byte {}: {what}", place.offset))
            })
        }))
    }

    /// Reads the next section and those that follow it in the same part, up to a limit.
    fn read_run(&self) -> Result<Window> {
        let mut upcoming = self.upcoming.iter();
        let Some((part, first)) = upcoming.next() else {
            return Err(Error::internal("no section is left to be read"));
        };
        let mut end = first.offset.saturating_add(first.stored);
        for (next, place) in upcoming {
            let grown = place.offset.saturating_add(place.stored);
            if next != part || place.offset != end || grown - first.offset > CHUNK as u64 {
                break;
            }
            end = grown;
        }
        let bytes = read(self.storage, self.layout, part, first.offset..end)?;
        Ok(Window { part: *part, offset: first.offset, bytes })
    }
}

/// Reads a range of a part; that the part is not there, or shorter, is damage of the checkpoint.
pub(super) fn read(
    storage: &dyn Storage,
    layout: &Layout,
    part: &PartRef,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    storage.read(&part.name(layout), range).map_err(|error| missing(layout, part, error))
}

/// Checks that a part is there and as long as it was.
pub(super) fn check_length(storage: &dyn Storage, layout: &Layout, part: &PartRef) -> Result<()> {
    let found = storage.head(&part.name(layout)).map_err(|error| missing(layout, part, error))?.length;
    if found == part.length {
        return Ok(());
    }
    Err(damaged(layout, part, format!("it has {found} bytes, expected {}", part.length)))
}

/// Reads the offset table of a part.
pub(super) fn read_footer(storage: &dyn Storage, layout: &Layout, part: &PartRef) -> Result<(Footer, u64)> {
    check_length(storage, layout, part)?;
    let fits = |what| damaged(layout, part, what);
    let Some(trailer_at) = part.length.checked_sub(TRAILER as u64).filter(|at| *at >= HEADER.len() as u64)
    else {
        return Err(fits(format!("{} bytes are too few for a part", part.length)));
    };
    let trailer = read(storage, layout, part, trailer_at..part.length)?;
    let footer_at = trailer_at - footer_length(&trailer, part).map_err(fits)?;
    let bytes = read(storage, layout, part, footer_at..trailer_at)?;
    if xxh3_64(&bytes) != part.checksum {
        return Err(fits(format!("the checksum of its footer is not {:016x}", part.checksum)));
    }
    let author = Author { job: layout.job(), attempt: part.attempt, epoch: part.epoch, worker: part.worker };
    Ok((Footer::decode(&bytes, author).map_err(fits)?, footer_at))
}

pub(super) fn damaged(layout: &Layout, part: &PartRef, what: String) -> Error {
    Error::data(format!("{}: {what}", part.name(layout)))
}

fn missing(layout: &Layout, part: &PartRef, error: StorageError) -> Error {
    match error.trouble() {
        Trouble::NotFound => damaged(layout, part, "it is missing".into()),
        _ => error.into_error(),
    }
}

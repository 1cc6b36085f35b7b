//! Reading every byte that a checkpoint stands on.

use crate::checkpoint::store::CheckpointStore;
use crate::checkpoint::store::manifest::Manifest;
use crate::checkpoint::store::part::{HEADER, PartRef};
use crate::checkpoint::store::reader::{SectionReader, damaged, read, read_footer};
use crate::checkpoint::store::table::Place;
use crate::error::Result;

/// Checks all parts of a checkpoint, and in earlier ones the sections that it has taken over.
pub(super) fn verify(store: &CheckpointStore, manifest: &Manifest) -> Result<()> {
    manifest.parts.iter().try_for_each(|part| verify_part(store, manifest, part))
}

fn verify_part(store: &CheckpointStore, manifest: &Manifest, part: &PartRef) -> Result<()> {
    let (storage, layout) = (store.storage(), store.layout());
    let (footer, footer_at) = read_footer(storage, layout, part)?;
    if let Some(unlisted) = footer.refers_to().iter().find(|part| !manifest.refers_to.contains(part)) {
        let what = format!("it refers to {}, which the manifest does not list", unlisted.name(layout));
        return Err(damaged(layout, part, what));
    }
    let begin = HEADER.len() as u64;
    if read(storage, layout, part, 0..begin)? != HEADER {
        return Err(damaged(layout, part, "its header is damaged".into()));
    }
    let table = footer.into_table(*part).map_err(|what| damaged(layout, part, what))?;
    let mut places: Vec<(PartRef, Place)> = table.iter().map(|(_, part, place)| (part, place)).collect();
    places.sort_by_key(|(part, place)| (*part, place.offset, place.stored));
    // Every byte between header and footer is in one section: none is without a checksum.
    let mut own = places.iter().filter(|(of, _)| of == part);
    let end = own.try_fold(begin, |end, (_, place)| {
        (end == place.offset).then_some(end).and_then(|end| end.checked_add(place.stored))
    });
    if end != Some(footer_at) {
        return Err(damaged(layout, part, "its sections do not fill it".into()));
    }
    let mut reader = SectionReader::new(storage, layout, places);
    while let Some(section) = reader.next_section() {
        section?;
    }
    Ok(())
}

//! The four lanes of a batch, and their bytes.

use std::io::{self, Write};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::wire::WireError;

/// Numbers of a batch by width, little-endian.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    pub(crate) eights: Vec<u64>,
    pub(crate) fours: Vec<u32>,
    pub(crate) twos: Vec<u16>,
    pub(crate) ones: Vec<u8>,
}

/// `WWR` and the version.
const MAGIC: [u8; 4] = *b"WWR\x01";

/// Bytes before the lanes.
pub(crate) const HEADER: usize = 32;

impl Lanes {
    pub(crate) fn clear(&mut self) {
        self.eights.clear();
        self.fours.clear();
        self.twos.clear();
        self.ones.clear();
    }

    fn parts(&self) -> [&[u8]; 4] {
        let Lanes { eights, fours, twos, ones } = self;
        [bytemuck::cast_slice(eights), bytemuck::cast_slice(fours), bytemuck::cast_slice(twos), ones]
    }

    /// Number of bytes that [`write_to`](Self::write_to) writes, a multiple of 8.
    pub(crate) fn encoded_len(&self) -> usize {
        let lanes: usize = self.parts().iter().map(|part| part.len()).sum();
        (HEADER + lanes).next_multiple_of(8)
    }

    /// Writes the lanes of a batch of so many records, and says what its checksum is.
    pub(crate) fn write_to(&self, records: usize, writer: &mut impl Write) -> io::Result<u64> {
        let Lanes { eights, fours, twos, ones } = self;
        let counts = [records, eights.len(), fours.len(), twos.len(), ones.len()];
        let [records, counts @ ..] = &counts.map(|n| u32::try_from(n).map_err(io::Error::other));
        let records = records.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&records.to_le_bytes());
        for (place, count) in header[16..].chunks_exact_mut(4).zip(counts) {
            let count = count.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
            place.copy_from_slice(&count.to_le_bytes());
        }
        let parts = self.parts();
        let sum = checksum(&header, parts);
        header[8..16].copy_from_slice(&sum.to_le_bytes());
        writer.write_all(&header)?;
        parts.iter().try_for_each(|part| writer.write_all(part))?;
        let written = HEADER + parts.iter().map(|part| part.len()).sum::<usize>();
        writer.write_all(&[0; 8][..written.next_multiple_of(8) - written])?;
        Ok(sum)
    }
}

/// XXH3 of the counts of lanes, with the number of records as its seed, then of each lane, with what was before it
/// as the seed.
fn checksum(header: &[u8; HEADER], lanes: [&[u8]; 4]) -> u64 {
    let records = number(&header[4..8]) as u64;
    [&header[16..]].iter().chain(&lanes).fold(records, |seed, part| xxh3_64_with_seed(part, seed))
}

/// What stands before the lanes of a batch.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) records: usize,
    pub(crate) checksum: u64,
    /// Bytes of each lane.
    sizes: [usize; 4],
}

impl Header {
    pub(crate) fn read(bytes: &[u8; HEADER]) -> Result<Self, WireError> {
        if bytes[0..4] != MAGIC {
            return Err(WireError::new(format!(
                "it begins with {:02x?}, expected {MAGIC:02x?}",
                &bytes[0..4]
            )));
        }
        let mut counts = bytes[16..].chunks_exact(4).map(number);
        let mut next = || counts.next().unwrap_or(0);
        let sizes = [next() * 8, next() * 4, next() * 2, next()];
        let checksum = u64::from_le_bytes(eight(&bytes[8..16]));
        Ok(Header { records: number(&bytes[4..8]), checksum, sizes })
    }

    /// Number of bytes of the batch, without the padding that may follow.
    pub(crate) fn len_bytes(&self) -> usize {
        HEADER + self.sizes.iter().sum::<usize>()
    }
}

/// What is left to read of a batch's lanes.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) records: usize,
    pub(crate) eights: &'a [[u8; 8]],
    pub(crate) fours: &'a [[u8; 4]],
    pub(crate) twos: &'a [[u8; 2]],
    pub(crate) ones: &'a [u8],
}

impl<'a> Reading<'a> {
    /// Checks the header; `bytes` may have padding behind the lanes.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, WireError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(WireError::new(format!("{} bytes, expected at least {HEADER}", bytes.len())));
        };
        let Header { records, checksum: expected, sizes } = Header::read(header)?;
        let (mut rest, mut lanes) = (body, [&body[..0]; 4]);
        for (lane, size) in lanes.iter_mut().zip(sizes) {
            let Some((this, behind)) = rest.split_at_checked(size) else {
                let (found, all) = (body.len(), sizes.iter().sum::<usize>());
                return Err(WireError::new(format!("{found} bytes of lanes, expected {all}")));
            };
            (*lane, rest) = (this, behind);
        }
        let found = checksum(header, lanes);
        if found != expected {
            return Err(WireError::new(format!("its checksum is {found:016x}, expected {expected:016x}")));
        }
        let [eights, fours, twos, ones] = lanes;
        Ok(Reading {
            records,
            eights: eights.as_chunks().0,
            fours: fours.as_chunks().0,
            twos: twos.as_chunks().0,
            ones,
        })
    }

    /// Whether all was read.
    pub(crate) fn is_done(&self) -> bool {
        self.eights.is_empty() && self.fours.is_empty() && self.twos.is_empty() && self.ones.is_empty()
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn eight(bytes: &[u8]) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(bytes);
    eight
}

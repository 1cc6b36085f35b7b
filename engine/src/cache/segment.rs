//! Files of records: written once from front to back, then read as often as is wanted.
//!
//! A file is a header and batches in the encoding that records have between processes; see
//! `docs/formats/data-cache.md`. Whoever refers to one knows how many records and bytes it has, and its checksum.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::cache::about;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Record;
use crate::wire::lanes::{HEADER, Header, Lanes};
use crate::wire::{decode, encode};

/// `WWD`, the version, and four bytes that are 0.
const MAGIC: [u8; 8] = *b"WWD\x01\0\0\0\0";

/// Memory of the records of one block, before it is written.
const BLOCK_BYTES: u64 = 64 << 10;
/// What is written and read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A complete file of records. It never changes, and is removed when this is dropped.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    records: u64,
    bytes: u64,
    checksum: u64,
}

impl SegmentFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of its records: at least one.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Length of the file, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.bytes
    }

    /// Checksum of all that is in it; see `docs/formats/data-cache.md`.
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::data(format!("data cache file {} is damaged: {what}", self.path.display()))
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        // What can not be removed now is removed with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The checksum of a file after one more block.
fn chained(sum: u64, block: u64) -> u64 {
    xxh3_64_with_seed(&block.to_le_bytes(), sum)
}

/// A file that is being written.
pub(super) struct SegmentWriter<D> {
    /// What is in the file so far; removes it if it is never completed.
    written: SegmentFile,
    file: BufWriter<File>,
    /// Records of the next block, and the memory they take.
    block: Vec<D>,
    block_bytes: u64,
    lanes: Lanes,
}

impl<D: Record> SegmentWriter<D> {
    /// Begins a file that is not there yet.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| cannot_write(&path, 0, error))?;
        let written = SegmentFile { path, records: 0, bytes: MAGIC.len() as u64, checksum: 0 };
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        file.write_all(&MAGIC).map_err(|error| cannot_write(&written.path, 0, error))?;
        Ok(SegmentWriter { written, file, block: Vec::new(), block_bytes: 0, lanes: Lanes::default() })
    }

    /// Length of the file so far.
    pub(super) fn len_bytes(&self) -> u64 {
        self.written.bytes
    }

    /// Adds a batch, which takes so many bytes of memory.
    pub(super) fn append(&mut self, mut batch: Vec<D>, bytes: u64) -> Result<()> {
        match self.block.is_empty() {
            true => self.block = batch,
            false => self.block.append(&mut batch),
        }
        self.block_bytes += bytes;
        if self.block_bytes < BLOCK_BYTES { Ok(()) } else { self.write_block() }
    }

    /// Completes the file.
    pub(super) fn finish(mut self) -> Result<SegmentFile> {
        self.write_block()?;
        self.file.flush().map_err(|error| self.cannot_write(error))?;
        Ok(self.written)
    }

    fn write_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        encode::write(&self.block, &mut self.lanes).map_err(|error| {
            let what = format!("{} can not be written to data cache file", std::any::type_name::<D>());
            about(ErrorKind::Data, &what, &self.written.path).caused_by(error)
        })?;
        let sum = self.lanes.write_to(self.block.len(), &mut self.file);
        let sum = sum.map_err(|error| self.cannot_write(error))?;
        self.written.records += self.block.len() as u64;
        self.written.bytes += self.lanes.encoded_len() as u64;
        self.written.checksum = chained(self.written.checksum, sum);
        self.block.clear();
        self.block_bytes = 0;
        Ok(())
    }

    fn cannot_write(&self, error: io::Error) -> Error {
        cannot_write(&self.written.path, self.written.bytes, error)
    }
}

fn cannot_write(path: &Path, bytes: u64, error: io::Error) -> Error {
    let path = path.display();
    Error::data(format!(
        "can not write more than {bytes} bytes to data cache file {path}: make room there, name another directory \
         (--cache-dir), or keep more in memory (--cache-memory)"
    ))
    .caused_by(error)
}

/// A file that is being read, block by block.
pub(super) struct SegmentReader<D> {
    file: BufReader<File>,
    /// What has been read of it.
    records: u64,
    bytes: u64,
    checksum: u64,
    /// Records to leave out before the next that is wanted.
    skip: u64,
    block: Vec<u8>,
    records_are: PhantomData<fn() -> D>,
}

impl<D: Record> SegmentReader<D> {
    /// Begins to read behind so many records.
    pub(super) fn open(segment: &SegmentFile, skip: u64) -> Result<Self> {
        let cannot_read =
            |error| about(ErrorKind::Data, "can not read data cache file", &segment.path).caused_by(error);
        let file = File::open(&segment.path).map_err(cannot_read)?;
        let found = file.metadata().map_err(cannot_read)?.len();
        if found != segment.bytes {
            return Err(segment.damaged(format!("it has {found} bytes, expected {}", segment.bytes)));
        }
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).map_err(cannot_read)?;
        if magic != MAGIC {
            return Err(segment.damaged(format!("it begins with {magic:02x?}, expected {MAGIC:02x?}")));
        }
        let (bytes, block, records_are) = (MAGIC.len() as u64, Vec::new(), PhantomData);
        Ok(SegmentReader { file, records: 0, bytes, checksum: 0, skip, block, records_are })
    }

    /// The next records; `None` at the end.
    pub(super) fn next(&mut self, segment: &SegmentFile) -> Result<Option<Vec<D>>> {
        while self.bytes < segment.bytes {
            let header = self.next_header(segment)?;
            let n = header.records as u64;
            if self.skip > 0 && self.skip >= n {
                self.skip -= n;
                let behind = header.len_bytes().next_multiple_of(8) - HEADER;
                let behind = i64::try_from(behind).map_err(|error| segment.damaged(error))?;
                self.file.seek_relative(behind).map_err(|error| segment.damaged(error))?;
                continue;
            }
            let mut records = self.read_block(segment, &header)?;
            records.drain(..std::mem::take(&mut self.skip) as usize);
            return Ok(Some(records));
        }
        let (found, expected) = ((self.records, self.checksum), (segment.records, segment.checksum));
        if found != expected {
            return Err(segment.damaged(format!(
                "it has {} records and the checksum {:016x}, expected {} and {:016x}",
                found.0, found.1, expected.0, expected.1
            )));
        }
        Ok(None)
    }

    /// The header of the next block, which is counted as read.
    fn next_header(&mut self, segment: &SegmentFile) -> Result<Header> {
        let at = self.bytes;
        let damaged = |what: &dyn std::fmt::Display| segment.damaged(format!("block at byte {at}: {what}"));
        self.block.resize(HEADER, 0);
        self.file.read_exact(&mut self.block).map_err(|error| damaged(&error))?;
        let bytes = self.block.first_chunk::<HEADER>().unwrap_or(&[0; HEADER]);
        let header = Header::read(bytes).map_err(|error| damaged(&error))?;
        let (len, left) = (header.len_bytes().next_multiple_of(8) as u64, segment.bytes - at);
        if len > left {
            return Err(damaged(&format!("it has {len} bytes, but {left} are left")));
        }
        self.bytes += len;
        self.records += header.records as u64;
        self.checksum = chained(self.checksum, header.checksum);
        Ok(header)
    }

    fn read_block(&mut self, segment: &SegmentFile, header: &Header) -> Result<Vec<D>> {
        let len = header.len_bytes();
        let at = self.bytes - len.next_multiple_of(8) as u64;
        let damaged = |what: &dyn std::fmt::Display| segment.damaged(format!("block at byte {at}: {what}"));
        self.block.resize(len.next_multiple_of(8), 0);
        self.file.read_exact(&mut self.block[HEADER..]).map_err(|error| damaged(&error))?;
        let (records, padding) = self.block.split_at(len);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(damaged(&format!("its padding is {padding:02x?}, expected zeros")));
        }
        decode::read(records).map_err(|error| damaged(&error))
    }
}

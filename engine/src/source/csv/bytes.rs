//! The bytes of a file, compressed or not.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// The bytes of a file: of one that is compressed by gzip, what they were before.
pub(in crate::source) enum FileBytes {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl FileBytes {
    /// Whether a file of this name is read as one that is compressed.
    pub(super) fn are_compressed(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
    }

    /// Opens a file at byte `from` of what it was before it was compressed.
    ///
    /// # Errors
    /// It can not be opened, or it is not compressed as its name says.
    pub(super) fn open(path: &Path, from: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if !Self::are_compressed(path) {
            file.seek(SeekFrom::Start(from))?;
            return Ok(FileBytes::Plain(file));
        }
        let mut decoder = Box::new(MultiGzDecoder::new(BufReader::new(file)));
        io::copy(&mut decoder.by_ref().take(from), &mut io::sink())?;
        Ok(FileBytes::Gzip(decoder))
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            FileBytes::Plain(file) => file.metadata(),
            FileBytes::Gzip(decoder) => decoder.get_ref().get_ref().metadata(),
        }
    }
}

impl Read for FileBytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            FileBytes::Plain(file) => file.read(out),
            FileBytes::Gzip(decoder) => decoder.read(out),
        }
    }
}

//! One file of lines: its dialect, its header, and the parts that workers read.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::source::Split;
use crate::source::csv::bytes::FileBytes;
use crate::source::csv::fields::Fields;
use crate::source::csv::message;
use crate::source::csv::options::{CsvOptions, Delimiter, Header};
use crate::source::lines::{Line, LineReader, Position, Quotes, Separator};

/// What is known of a file once its first line has been read.
#[derive(Debug)]
pub(in crate::source) struct CsvFile {
    path: PathBuf,
    /// As it lies there, compressed or not.
    len_bytes: u64,
    separator: Separator,
    header: Option<Vec<String>>,
    /// Where the data begin, behind the header.
    body: Position,
}

impl CsvFile {
    /// Looks at the first line of the file at `path`.
    ///
    /// # Errors
    /// It can not be opened or read, or it ends inside its header.
    pub(in crate::source) fn inspect(path: PathBuf, options: CsvOptions) -> Result<Self> {
        let metadata = fs::metadata(&path).map_err(|error| can_not_open(&path, error))?;
        if !metadata.is_file() {
            return Err(Error::data(format!("can not open {}: it is not a regular file", path.display())));
        }
        let file = FileBytes::open(&path, 0).map_err(|error| can_not_open(&path, error))?;
        let body = start(file).map_err(|error| can_not_read(&path, error))?;
        let (len_bytes, separator) = (metadata.len(), Separator::Byte(b','));
        let mut csv = CsvFile { path, len_bytes, separator, header: None, body };
        csv.separator = csv.find_separator(options.delimiter)?;
        csv.read_header(options.header)?;
        Ok(csv)
    }

    fn find_separator(&self, delimiter: Delimiter) -> Result<Separator> {
        match delimiter {
            Delimiter::DoubleColon => Ok(Separator::DoubleColon),
            Delimiter::None => Ok(Separator::None),
            Delimiter::Byte(byte) => Ok(Separator::Byte(byte)),
            Delimiter::Sniff => {
                let lines = self.lines(Separator::DoubleColon);
                let found =
                    lines.and_then(|mut lines| first_line(&mut lines, |line| Separator::sniff(line.text)));
                Ok(found.map_err(|error| self.can_not_read(error))?.unwrap_or(self.separator))
            }
        }
    }

    fn read_header(&mut self, header: Header) -> Result<()> {
        let mut lines = self.lines(self.separator).map_err(|error| self.can_not_read(error))?;
        let first = first_line(&mut lines, |line| {
            (line.start.line, line.quotes, Fields::of(line, self.separator).to_texts())
        });
        let Some((line, quotes, fields)) = first.map_err(|error| self.can_not_read(error))? else {
            return Ok(());
        };
        let behind = lines.position();
        if behind.byte == self.len_bytes
            && fields.iter().any(|field| field.contains('\r'))
            && quotes == Quotes::Absent
        {
            let path = self.path.display();
            return Err(Error::data(format!("{path}: lines end with \\r alone, expected \\n or \\r\\n")));
        }
        if header == Header::No || header == Header::Sniff && fields.iter().any(|field| is_number(field)) {
            return Ok(());
        }
        if quotes == Quotes::Unclosed {
            return Err(Error::data(format!("{}:{line}: {}", self.path.display(), message::UNCLOSED)));
        }
        self.header = Some(fields);
        self.body = Position { row: 0, ..behind };
        Ok(())
    }

    /// The lines of the body.
    fn lines(&self, separator: Separator) -> io::Result<LineReader<FileBytes>> {
        let file = FileBytes::open(&self.path, self.body.byte)?;
        Ok(LineReader::new(file, self.body, separator))
    }

    /// Where the data begin, behind the header.
    pub(super) fn body(&self) -> Position {
        self.body
    }

    /// Opens the file to read it from the line on that begins at `position`.
    ///
    /// # Errors
    /// It can not be opened any more.
    pub(super) fn open_at(&self, position: Position) -> Result<LineReader<FileBytes>> {
        let file = FileBytes::open(&self.path, position.byte);
        let file = file.map_err(|error| can_not_open(&self.path, error))?;
        Ok(LineReader::new(file, position, self.separator))
    }

    /// Where in the file, which has this index among all files, the records of a split begin. One that is compressed can
    /// only be read from its beginning on, so it belongs to one split as a whole.
    pub(super) fn part(&self, index: usize, split: Split) -> Range<u64> {
        if FileBytes::are_compressed(&self.path) {
            let is_mine = index % split.of.max(1) == split.index;
            return if is_mine { self.body.byte..u64::MAX } else { 0..0 };
        }
        let len_bytes = u128::from(self.len_bytes.saturating_sub(self.body.byte));
        let cut = |index: usize| self.body.byte + (len_bytes * index as u128 / split.of as u128) as u64;
        cut(split.index)..cut(split.index + 1)
    }

    /// Checks that the file still is as long as it was when it was cut into parts.
    ///
    /// # Errors
    /// It is not: records may be missing or read twice.
    pub(super) fn check_unchanged(&self, file: &FileBytes) -> Result<()> {
        let now = file.metadata().map_err(|error| self.can_not_read(error))?.len();
        if now == self.len_bytes {
            return Ok(());
        }
        let (path, before) = (self.path.display(), self.len_bytes);
        Err(Error::data(format!("{path} changed while it was read: it had {before} bytes and now has {now}")))
    }

    pub(super) fn can_not_read(&self, cause: io::Error) -> Error {
        can_not_read(&self.path, cause)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    pub(super) fn separator(&self) -> Separator {
        self.separator
    }
}

/// Where the first line begins: behind a byte order mark, if there is one.
fn start(file: FileBytes) -> io::Result<Position> {
    let mut mark = Vec::new();
    file.take(3).read_to_end(&mut mark)?;
    Ok(Position { byte: if mark == b"\xef\xbb\xbf" { 3 } else { 0 }, line: 1, row: 0 })
}

/// What `look` says of the first line that is not blank.
fn first_line<R: Read, A>(
    lines: &mut LineReader<R>,
    look: impl FnOnce(Line<'_>) -> A,
) -> io::Result<Option<A>> {
    while let Some(line) = lines.next_line()? {
        if !line.is_blank() {
            return Ok(Some(look(line)));
        }
    }
    Ok(None)
}

fn is_number(field: &str) -> bool {
    field.trim().parse::<f64>().is_ok()
}

fn can_not_open(path: &Path, cause: io::Error) -> Error {
    Error::data(format!("can not open {}", path.display())).caused_by(cause)
}

fn can_not_read(path: &Path, cause: io::Error) -> Error {
    Error::data(format!("can not read {}", path.display())).caused_by(cause)
}

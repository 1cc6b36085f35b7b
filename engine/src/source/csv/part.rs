//! Reading parts of CSV files.

use std::fs::File;
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::bad_record::BadRecordPolicy;
use crate::error::{Error, Result};
use crate::source::csv::fields::FieldSplitter;
use crate::source::csv::file::CsvFile;
use crate::source::csv::message;
use crate::source::csv::{BadRecord, CsvRecord, Row};
use crate::source::lines::{Line, LineReader, Position, Quotes};
use crate::source::{Source, SourcePosition, SourceStatus, Split};

/// Bytes that one call reads or passes over, after which others on the same worker have their turn.
const BUDGET_BYTES: u64 = 1 << 20;

/// Which part of every file a source reads, and what it does with bad records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) split: Split,
    pub(super) on_bad_record: BadRecordPolicy,
}

/// Reads the same part of one file after another, so that only one is open.
pub(super) struct CsvSource<R> {
    files: Rc<[CsvFile]>,
    share: Share,
    next_file: usize,
    part: Option<Part>,
    value: PhantomData<fn() -> R>,
}

impl<R> CsvSource<R> {
    pub(super) fn new(files: Rc<[CsvFile]>, share: Share) -> Self {
        CsvSource { files, share, next_file: 0, part: None, value: PhantomData }
    }
}

impl<R: DeserializeOwned + 'static> Source for CsvSource<R> {
    type Item = Row<R>;

    fn read(&mut self, limit: usize, out: &mut Vec<Row<R>>) -> Result<SourceStatus> {
        let part = match &mut self.part {
            Some(part) => part,
            None if self.next_file == self.files.len() => return Ok(SourceStatus::Done),
            None => {
                let body = self.files[self.next_file].body();
                let part = Part::open(&self.files, self.next_file, self.share, body)?;
                self.next_file += 1;
                self.part.insert(part)
            }
        };
        if part.read(limit, out)? == SourceStatus::Done {
            self.part = None;
        }
        Ok(SourceStatus::Ready)
    }

    /// The file, and where in it the next line begins.
    fn position(&self) -> Result<Option<SourcePosition>> {
        let position = match &self.part {
            Some(part) => (part.decoder.index, Some(part.lines.position())),
            None => (self.next_file, None),
        };
        SourcePosition::new(&position).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        let (file, at) = position.get::<(usize, Option<Position>)>()?;
        if file > self.files.len() || at.is_some() && file == self.files.len() {
            let n = self.files.len();
            return Err(Error::config(format!(
                "file {file} was being read in the checkpoint, and now there are {n}"
            )));
        }
        self.next_file = file;
        if let Some(at) = at {
            self.part = Some(Part::open(&self.files, file, self.share, at)?);
            self.next_file += 1;
        }
        Ok(())
    }
}

/// Reads the records that begin in a range of one file.
struct Part {
    lines: LineReader<File>,
    range: Range<u64>,
    on_bad_record: BadRecordPolicy,
    decoder: Decoder,
}

impl Part {
    fn open(files: &Rc<[CsvFile]>, index: usize, share: Share, at: Position) -> Result<Self> {
        let file = &files[index];
        Ok(Part {
            lines: file.open_at(at)?,
            range: file.part(share.split),
            on_bad_record: share.on_bad_record,
            decoder: Decoder {
                files: Rc::clone(files),
                index,
                splitter: FieldSplitter::new(file.separator()),
            },
        })
    }

    /// As [`Source::read`], for this part.
    fn read<R: DeserializeOwned>(&mut self, limit: usize, out: &mut Vec<Row<R>>) -> Result<SourceStatus> {
        let Part { lines, range, decoder, .. } = self;
        let file = &decoder.files[decoder.index];
        if !lines.skip_to(range.start, BUDGET_BYTES).map_err(|error| file.can_not_read(error))? {
            return Ok(SourceStatus::Ready);
        }
        out.reserve(limit);
        let (full, pause) = (out.len() + limit, lines.position().byte + BUDGET_BYTES);
        while lines.position().byte < range.end {
            if out.len() >= full || lines.position().byte >= pause {
                return Ok(SourceStatus::Ready);
            }
            let line = lines.next_line().map_err(|error| decoder.file().can_not_read(error))?;
            let Some(line) = line else { break };
            if line.is_blank() {
                continue;
            }
            match decoder.decode(&line) {
                Err(bad) if self.on_bad_record == BadRecordPolicy::Fail => {
                    return Err(Error::data(bad.to_string()));
                }
                row => out.push(row),
            }
        }
        decoder.file().check_unchanged(lines.file())?;
        Ok(SourceStatus::Done)
    }
}

/// Makes records of lines.
struct Decoder {
    files: Rc<[CsvFile]>,
    index: usize,
    splitter: FieldSplitter,
}

impl Decoder {
    fn file(&self) -> &CsvFile {
        &self.files[self.index]
    }

    #[inline]
    fn decode<R: DeserializeOwned>(&mut self, line: &Line<'_>) -> Row<R> {
        let file = &self.files[self.index];
        let fields = self.splitter.split(line);
        let complaint = if line.quotes == Quotes::Unclosed {
            message::UNCLOSED.to_string()
        } else if let Some(header) = file.header().filter(|header| header.len() > fields.as_bytes().len()) {
            message::short_line(fields.as_bytes(), header)
        } else {
            match fields.deserialize(file.header()) {
                Ok(value) => {
                    let (row, number) = (line.start.row, line.start.line);
                    return Ok(CsvRecord { file: self.index as u32, row, line: number, value });
                }
                Err(error) => message::explain(error, line, fields.as_bytes(), file.header()),
            }
        };
        let path = file.path().display().to_string();
        Err(Box::new(BadRecord { file: path, line: line.start.line, message: complaint }))
    }
}

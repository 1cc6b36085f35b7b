//! Reading parts of files of lines.

use std::ops::Range;
use std::rc::Rc;

use crate::bad_record::BadRecordPolicy;
use crate::error::{Error, Result};
use crate::source::csv::bytes::FileBytes;
use crate::source::csv::file::CsvFile;
use crate::source::csv::format::LineFormat;
use crate::source::csv::{BadRecord, CsvRecord, Row};
use crate::source::lines::{Line, LineReader, Position};
use crate::source::text::{LineError, column};
use crate::source::{Source, SourcePosition, SourceStatus, Split};

/// Bytes that one call reads or passes over, after which others on the same worker have their turn.
const BUDGET_BYTES: u64 = 1 << 20;

/// Memory of the records of one call, about. Batches that are much larger leave the caches before they are used, and an
/// allocator that gets them back cleans up each time.
const BATCH_BYTES: usize = 48 << 10;

/// Which part of every file a source reads, and what it does with bad records.
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Share {
    pub(in crate::source) split: Split,
    pub(in crate::source) on_bad_record: BadRecordPolicy,
}

/// Reads the same part of one file after another, so that only one is open.
pub(in crate::source) struct LineSource<F> {
    files: Rc<[CsvFile]>,
    share: Share,
    /// Which of the files are read.
    range: Range<usize>,
    next_file: usize,
    part: Option<Part<F>>,
    format: F,
}

impl<F: LineFormat> LineSource<F> {
    pub(in crate::source) fn new(files: Rc<[CsvFile]>, share: Share, format: F) -> Self {
        let range = 0..files.len();
        LineSource { files, share, range, next_file: 0, part: None, format }
    }

    /// Reads a part of one file alone.
    pub(in crate::source) fn of_file(files: Rc<[CsvFile]>, file: usize, share: Share, format: F) -> Self {
        LineSource { files, share, range: file..file + 1, next_file: file, part: None, format }
    }

    /// This source's part of a file, from a line on.
    fn open(&self, file: usize, at: Position) -> Result<Part<F>> {
        Part::open(&self.files, file, self.share, (at, self.format.another()))
    }
}

impl<F: LineFormat> Source for LineSource<F> {
    type Item = Row<F::Value>;

    fn read(&mut self, limit: usize, out: &mut Vec<Row<F::Value>>) -> Result<SourceStatus> {
        let part = match &mut self.part {
            Some(part) => part,
            None if self.next_file == self.range.end => return Ok(SourceStatus::Done),
            None => {
                let body = self.files[self.next_file].body();
                let part = self.open(self.next_file, body)?;
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
            Some(part) => (part.decoder.index, Some(part.position())),
            None => (self.next_file, None),
        };
        SourcePosition::new(&position).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        let (file, at) = position.get::<(usize, Option<Position>)>()?;
        let Range { start, end } = self.range;
        if !(start..=end).contains(&file) || at.is_some() && file == end {
            let n = self.files.len();
            return Err(Error::config(format!(
                "file {file} was being read in the checkpoint, and now there are {n}: go on with the same files"
            )));
        }
        self.next_file = file;
        if let Some(at) = at {
            self.part = Some(self.open(file, at)?);
            self.next_file += 1;
        }
        Ok(())
    }
}

/// Reads the records that begin in a range of one file.
pub(super) struct Part<F> {
    lines: LineReader<FileBytes>,
    range: Range<u64>,
    on_bad_record: BadRecordPolicy,
    decoder: Decoder<F>,
}

impl<F: LineFormat> Part<F> {
    pub(super) fn open(
        files: &Rc<[CsvFile]>,
        index: usize,
        share: Share,
        (at, format): (Position, F),
    ) -> Result<Self> {
        let file = &files[index];
        Ok(Part {
            lines: file.open_at(at)?,
            range: file.part(index, share.split),
            on_bad_record: share.on_bad_record,
            decoder: Decoder { files: Rc::clone(files), index, format },
        })
    }

    /// Where the next line begins.
    pub(super) fn position(&self) -> Position {
        self.lines.position()
    }

    /// As [`Source::read`], for this part.
    pub(super) fn read(&mut self, limit: usize, out: &mut Vec<Row<F::Value>>) -> Result<SourceStatus> {
        let Part { lines, range, decoder, .. } = self;
        let file = &decoder.files[decoder.index];
        if !lines.skip_to(range.start, BUDGET_BYTES).map_err(|error| file.can_not_read(error))? {
            return Ok(SourceStatus::Ready);
        }
        let limit = limit.min(BATCH_BYTES / size_of::<Row<F::Value>>()).max(1);
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
struct Decoder<F> {
    files: Rc<[CsvFile]>,
    index: usize,
    format: F,
}

impl<F: LineFormat> Decoder<F> {
    fn file(&self) -> &CsvFile {
        &self.files[self.index]
    }

    #[inline]
    fn decode(&mut self, line: &Line<'_>) -> Row<F::Value> {
        let file = &self.files[self.index];
        let (row, number) = (line.start.row, line.start.line);
        match self.format.decode(line, file) {
            Ok(value) => Ok(CsvRecord { file: self.index as u32, row, line: number, value }),
            Err(error) => Err(Box::new(bad_record(error, line, file))),
        }
    }
}

#[cold]
fn bad_record(LineError { offset, message }: LineError, line: &Line<'_>, file: &CsvFile) -> BadRecord {
    let column = offset.map(|offset| column(line.text, offset));
    BadRecord { file: file.path().display().to_string(), line: line.start.line, column, message }
}

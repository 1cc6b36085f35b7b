//! Files that appear while the job runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::hash::{group_owner, key_group};
use crate::source::csv::file::CsvFile;
use crate::source::csv::format::LineFormat;
use crate::source::csv::part::{Part, Share};
use crate::source::csv::{CsvOptions, Row};
use crate::source::lines::Position;
use crate::source::paths::find;
use crate::source::{Source, SourcePosition, SourceStatus, Split};

/// Reads the files that match patterns, those too that appear later, each as a whole.
pub(in crate::source) struct WatchedFiles<F> {
    patterns: Rc<[PathBuf]>,
    options: CsvOptions,
    every: Duration,
    split: Split,
    /// Files of this split that were read.
    read: BTreeSet<PathBuf>,
    /// Those that were found and wait, from the last in order of name.
    found: Vec<PathBuf>,
    current: Option<(PathBuf, Part<F>)>,
    format: F,
}

impl<F: LineFormat> WatchedFiles<F> {
    pub(in crate::source) fn new(
        patterns: Rc<[PathBuf]>,
        options: CsvOptions,
        every: Duration,
        (split, format): (Split, F),
    ) -> Self {
        let (read, found, current) = (BTreeSet::new(), Vec::new(), None);
        WatchedFiles { patterns, options, every, split, read, found, current, format }
    }

    /// Looks for files of this split that are new.
    fn look(&mut self) -> Result<()> {
        for pattern in self.patterns.iter() {
            let files = find(pattern)?.into_iter();
            let mine = files.filter(|path| {
                group_owner(key_group(&path.to_string_lossy().into_owned()), self.split.of)
                    == self.split.index
            });
            self.found.extend(mine.filter(|path| !self.read.contains(path)));
        }
        self.found.sort();
        self.found.dedup();
        self.found.reverse();
        Ok(())
    }

    fn open(&self, path: PathBuf, at: Option<Position>) -> Result<(PathBuf, Part<F>)> {
        let file = CsvFile::inspect(path.clone(), self.options)?;
        let at = at.unwrap_or(file.body());
        let share = Share { split: Split { index: 0, of: 1 }, on_bad_record: self.options.on_bad_record };
        Ok((path, Part::open(&Rc::from([file]), 0, share, (at, self.format.another()))?))
    }
}

impl<F: LineFormat> Source for WatchedFiles<F> {
    type Item = Row<F::Value>;

    fn read(&mut self, limit: usize, out: &mut Vec<Row<F::Value>>) -> Result<SourceStatus> {
        if self.current.is_none() && self.found.is_empty() {
            self.look()?;
        }
        if self.current.is_none() {
            let Some(path) = self.found.pop() else { return Ok(SourceStatus::Idle(self.every)) };
            self.current = Some(self.open(path, None)?);
        }
        let Some((path, part)) = &mut self.current else { return Ok(SourceStatus::Ready) };
        if part.read(limit, out)? == SourceStatus::Done {
            self.read.insert(std::mem::take(path));
            self.current = None;
        }
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        let current = self.current.as_ref().map(|(path, part)| (path, part.position()));
        SourcePosition::new(&(&self.read, current)).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        let (read, current) = position.get::<(BTreeSet<PathBuf>, Option<(PathBuf, Position)>)>()?;
        self.read = read;
        self.current = current.map(|(path, at)| self.open(path, Some(at))).transpose()?;
        Ok(())
    }
}

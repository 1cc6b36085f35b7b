//! CSV files with event time.

use std::marker::PhantomData;
use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::clock::EventTime;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::event::{EventStream, Timed, WatermarkStrategy};
use crate::source::csv::format::{CsvFormat, LineFormat};
use crate::source::csv::part::{LineSource, Share};
use crate::source::csv::{BadRecord, CsvOptions, CsvRecord, Row, divide, inspect_all};
use crate::source::{Split, Splits};
use crate::stream::DataStream;

/// The two streams of [`Env::read_csv_with_watermarks`]: records, and those that could not be read.
pub type CsvEventStreams<'s, R> = (EventStream<'s, CsvRecord<R>>, DataStream<'s, BadRecord>);

impl<'s> Env<'s> {
    /// As [`read_csv`](Self::read_csv), with event time from the start: the watermark follows the least of all parts of all
    /// files, so that none makes records of another late, on any number of workers, and neither does a run that goes on
    /// from a checkpoint on another number of them.
    ///
    /// A worker reads its parts of all files side by side, and has all of them open. With
    /// [`assign_timestamps_and_watermarks`](DataStream::assign_timestamps_and_watermarks) behind `read_csv` it reads one
    /// file after the other, and records of a file that begins earlier than the one before has ended are late.
    ///
    /// # Errors
    /// As `read_csv`. A run that goes on from a checkpoint with another number of files.
    ///
    /// # Examples
    /// Two machines, each with a file of the same time:
    /// ```
    /// use std::time::Duration;
    /// use serde::{Deserialize, Serialize};
    /// use waterwheel_engine::{CsvOptions, CsvRecord, RuntimeConfig, WatermarkStrategy, Windows, execute};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Visit {
    ///     time_ms: i64,
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let files = ["a.csv", "b.csv"].map(|name| dir.path().join(name));
    /// for file in &files {
    ///     std::fs::write(file, "time_ms\n0\n30000\n60000\n90000\n")?;
    /// }
    /// let per_minute = execute(RuntimeConfig::threads(1), move |env| {
    ///     let times = WatermarkStrategy::monotonous(|visit: &CsvRecord<Visit>| visit.value.time_ms);
    ///     let (visits, _bad) = env.read_csv_with_watermarks::<Visit>(&files, CsvOptions::default(), times)?;
    ///     let counts = visits.window_all(Windows::tumbling(Duration::from_secs(60))?).count();
    ///     Ok((counts.results.map(|n| n.value).collect(), counts.late.collect()))
    /// })?;
    /// let (counts, late) = &per_minute[0];
    /// assert!(counts == &[4, 4] && late.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_csv_with_watermarks<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        options: CsvOptions,
        strategy: WatermarkStrategy<CsvRecord<R>>,
    ) -> Result<CsvEventStreams<'s, R>> {
        options.check()?;
        let name = ("read_csv_with_watermarks", Location::caller());
        let files = inspect_all(name.0, paths, options)?;
        let (n_files, on_bad_record) = (files.len(), options.on_bad_record);
        let format = CsvFormat::new(PhantomData::<R>);
        let open = move |split: Split| {
            let (file, split) = part_of_a_file(split, n_files)?;
            let share = Share { split, on_bad_record };
            Ok(LineSource::of_file(Rc::clone(&files), file, share, format.another()))
        };
        let splits = Splits::AtFirst(n_files * self.workers());
        let rows = self.timed_source_of(name, splits, open, of_rows(strategy));
        let (rows, around) = rows.into_parts();
        let (good, bad) = divide(rows, name, on_bad_record, |Timed { timestamp, value }: Timed<Row<R>>| {
            value.map(|value| Timed { timestamp, value })
        });
        let bad = DataStream::from_edge(around.leave_event_time(bad));
        Ok((EventStream::from_edge(good, around), bad))
    }
}

/// Which part of which file a split is: each file has as many.
fn part_of_a_file(Split { index, of }: Split, n_files: usize) -> Result<(usize, Split)> {
    let parts = of / n_files;
    if parts * n_files != of {
        return Err(Error::config(format!(
            "the files had {of} parts in the checkpoint, which is no multiple of the {n_files} files that there are now"
        )));
    }
    Ok((index / parts, Split { index: index % parts, of: parts }))
}

/// The strategy for what lines turn out to be. Those that are no records say nothing about event time.
fn of_rows<R: 'static>(strategy: WatermarkStrategy<CsvRecord<R>>) -> WatermarkStrategy<Row<R>> {
    let WatermarkStrategy { timestamps, bound, idle_after } = strategy;
    let time = move |row: &Row<R>| row.as_ref().map_or(EventTime::MIN, |record| timestamps.of(record));
    WatermarkStrategy { timestamps: Rc::new(time), bound, idle_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bad_record::BadRecordPolicy;
    use crate::source::csv::CsvFile;
    use crate::source::{Source, SourcePosition};

    #[test]
    fn parts_of_files_are_those_of_the_checkpoint_and_other_numbers_of_files_are_refused() {
        let part = |index, of, n_files| {
            part_of_a_file(Split { index, of }, n_files).map(|(file, part)| (file, part.index))
        };
        assert_eq!(
            Vec::from_iter((0..4).map(|index| part(index, 4, 2).unwrap())),
            [(0, 0), (0, 1), (1, 0), (1, 1)]
        );
        assert!(part(0, 4, 3).unwrap_err().message().contains("4 parts"));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "1,2\n").unwrap();
        let options = CsvOptions::default();
        let files: Rc<[CsvFile]> = (0..3).map(|_| CsvFile::inspect(path.clone(), options).unwrap()).collect();
        let share = Share { split: Split { index: 0, of: 1 }, on_bad_record: BadRecordPolicy::Fail };
        let format = CsvFormat::new(PhantomData::<(u32, u32)>);
        // A part of file 0 or 2 in the checkpoint can not be gone on with as one of file 1.
        for (file, is_valid) in [(0usize, false), (1, true), (2, true), (3, false)] {
            let mut source = LineSource::of_file(Rc::clone(&files), 1, share, format.another());
            let position = SourcePosition::new(&(file, None::<()>)).unwrap();
            assert_eq!(source.seek(&position).is_ok(), is_valid, "{file}");
        }
    }
}

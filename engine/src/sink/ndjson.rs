//! Files of JSON lines.

use std::io::{self, Write};
use std::panic::Location;
use std::path::PathBuf;

use serde::Serialize;

use crate::clock::AnyClock;
use crate::collect::DataStreamSink;
use crate::sink::RollingPolicy;
use crate::sink::format::PlainFormat;
use crate::stream::DataStream;

impl<'s, D: Serialize + 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes the records as files of JSON lines (NDJSON) in a directory of their own, one value a line, which
    /// [`read_ndjson`](crate::Env::read_ndjson) reads back; when they appear and what they are called is as for
    /// [`write_files_as`](Self::write_files_as), with the suffix `.ndjson`.
    ///
    /// JSON has no number for `NaN` and infinity: they are written as `null`.
    ///
    /// # Errors
    /// A record that JSON can not hold, as a map whose keys are no texts, ends the run.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RollingPolicy, RuntimeConfig, execute};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let to = dir.path().to_path_buf();
    /// execute(RuntimeConfig::threads(1), move |env| {
    ///     env.from_iter([("tea", 2), ("milk", 1)]).write_ndjson(&to, RollingPolicy::default().max_records(1));
    ///     Ok(())
    /// })?;
    /// assert_eq!(std::fs::read_to_string(dir.path().join("part-0000000000-0000-000000.ndjson"))?, "[\"tea\",2]\n");
    /// assert_eq!(std::fs::read_to_string(dir.path().join("part-0000000000-0000-000001.ndjson"))?, "[\"milk\",1]\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn write_ndjson(self, directory: impl Into<PathBuf>, rolling: RollingPolicy) -> DataStreamSink {
        let format = |record: &D, mut file: &mut dyn Write| -> io::Result<()> {
            serde_json::to_writer(&mut file, record)?;
            file.write_all(b"\n")
        };
        let format = PlainFormat { suffix: ".ndjson".to_string(), format };
        self.write_files_at("write_ndjson", Location::caller(), directory.into(), format, rolling)
    }
}

//! Files of CSV.

use std::io;
use std::panic::Location;
use std::path::PathBuf;

use serde::Serialize;

use crate::clock::AnyClock;
use crate::collect::DataStreamSink;
use crate::sink::{FileFormat, FileWriter, PartFile, RollingPolicy};
use crate::stream::DataStream;

impl<'s, D: Serialize + 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes the records as CSV files in a directory of their own, which [`read_csv`](crate::Env::read_csv) reads back;
    /// when they appear and what they are called is as for [`write_files_as`](Self::write_files_as), with the suffix
    /// `.csv`.
    ///
    /// Fields are separated by commas, and in quotes where they must be. Each file begins with the names of the fields of
    /// a struct; records without names, as tuples, make files without a header, which are read with
    /// [`Header::No`](crate::Header::No). `None` is an empty field.
    ///
    /// # Errors
    /// A record that CSV can not hold, as one with a map or a struct within a struct, ends the run.
    ///
    /// # Examples
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use waterwheel_engine::{CsvOptions, RollingPolicy, RuntimeConfig, execute};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Sale {
    ///     shop: String,
    ///     price: f64,
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let to = dir.path().to_path_buf();
    /// execute(RuntimeConfig::threads(1), move |env| {
    ///     let sales = [("Bonn, am Markt", 2.5), ("Ulm", 3.0)];
    ///     let sales = sales.map(|(shop, price)| Sale { shop: shop.into(), price });
    ///     env.from_iter(sales).write_csv(&to, RollingPolicy::default());
    ///     Ok(())
    /// })?;
    /// let text = std::fs::read_to_string(dir.path().join("part-0000000000-0000.csv"))?;
    /// assert_eq!(text, "shop,price\n\"Bonn, am Markt\",2.5\nUlm,3.0\n");
    ///
    /// let files = dir.path().join("*.csv");
    /// let prices = execute(RuntimeConfig::threads(2), move |env| {
    ///     let (sales, _bad) = env.read_csv::<Sale>([&files], CsvOptions::default())?;
    ///     Ok(sales.map(|sale| sale.value.price).collect())
    /// })?;
    /// assert_eq!(prices.concat().iter().sum::<f64>(), 5.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn write_csv(self, directory: impl Into<PathBuf>, rolling: RollingPolicy) -> DataStreamSink {
        self.write_files_at("write_csv", Location::caller(), directory.into(), CsvFormat, rolling)
    }
}

/// Fields between commas, as serde writes them.
#[derive(Clone)]
struct CsvFormat;

struct CsvWriter(::csv::Writer<PartFile>);

impl<D: Serialize> FileFormat<D> for CsvFormat {
    type Writer = CsvWriter;

    fn suffix(&self) -> &str {
        ".csv"
    }

    fn begin(&self, file: PartFile) -> io::Result<CsvWriter> {
        Ok(CsvWriter(::csv::Writer::from_writer(file)))
    }
}

impl<D: Serialize> FileWriter<D> for CsvWriter {
    fn write(&mut self, record: &D) -> io::Result<()> {
        self.0.serialize(record).map_err(io::Error::from)
    }

    fn finish(self) -> io::Result<PartFile> {
        self.0.into_inner().map_err(::csv::IntoInnerError::into_error)
    }
}

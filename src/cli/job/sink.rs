//! Where the records of a job from a file go.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use waterwheel::engine::{ByteSize, DataStreamSink, FileFormat, FileWriter, PartFile, RollingPolicy};
use waterwheel::prelude::{DataStream, Error, Result};

use super::row::{JsonLine, Row};

/// The sink of a job that does not train.
#[derive(Args, Clone, Debug)]
pub(super) struct SinkArgs {
    /// What is written.
    #[arg(long, value_enum, default_value_t = SinkFormat::Csv)]
    format: SinkFormat,

    /// Directory for the files, each record in one of them exactly once [default: standard output, where records of a
    /// run that goes on from a checkpoint may come again].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Bytes of a file, about, after which the next one begins.
    #[arg(long, value_name = "SIZE")]
    max_bytes: Option<ByteSize>,

    /// Records of a file after which the next one begins.
    #[arg(long, value_name = "N")]
    max_records: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SinkFormat {
    /// A header, and records that all have its fields.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

impl SinkArgs {
    /// Writes the records.
    ///
    /// # Errors
    /// A setting is not valid.
    pub(super) fn write(&self, rows: DataStream<'_, Row>) -> Result<()> {
        let rolling =
            RollingPolicy { max_bytes: self.max_bytes.map(|size| size.0), max_records: self.max_records };
        let sink = match (&self.output, self.format) {
            (Some(directory), SinkFormat::Csv) => rows.write_files_as(directory, CsvRows, rolling),
            (Some(directory), SinkFormat::Ndjson) => rows.map(JsonLine).write_ndjson(directory, rolling),
            (None, _) if rolling != RollingPolicy::default() => {
                return Err(Error::config(
                    "[sink] max-bytes and max-records are for files: output is missing",
                ));
            }
            (None, format) => print(rows, format),
        };
        sink.name("sink").uid("sink");
        Ok(())
    }
}

/// Prints the records, all of them in one process so that lines do not mix.
fn print(rows: DataStream<'_, Row>, format: SinkFormat) -> DataStreamSink {
    let mut csv = CsvRowsWriter::new(io::stdout());
    rows.global().sink(move |row| {
        let written = match format {
            SinkFormat::Csv => csv.write(&row).and_then(|()| csv.out.flush()),
            SinkFormat::Ndjson => print_json(&JsonLine(row)),
        };
        written.map_err(|error| Error::data("can not write to standard output").caused_by(error))
    })
}

fn print_json(line: &JsonLine) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")
}

/// Files of CSV.
#[derive(Clone)]
struct CsvRows;

/// Writes rows as lines of CSV behind a header.
struct CsvRowsWriter<W: Write> {
    out: csv::Writer<W>,
    /// The names in the header, when it has been written.
    header: Option<Vec<String>>,
}

impl<W: Write> CsvRowsWriter<W> {
    fn new(out: W) -> Self {
        CsvRowsWriter { out: csv::Writer::from_writer(out), header: None }
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        let names = || row.0.iter().map(|(name, _)| name);
        match &self.header {
            None => {
                self.out.write_record(names())?;
                self.header = Some(names().cloned().collect());
            }
            Some(header) if header.iter().ne(names()) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "a record has the fields {}, and the header has {}: select fields before the sink, or write ndjson",
                        row.names(),
                        header.join(", ")
                    ),
                ));
            }
            Some(_) => {}
        }
        Ok(self.out.write_record(row.0.iter().map(|(_, cell)| cell.text()))?)
    }
}

impl FileFormat<Row> for CsvRows {
    type Writer = CsvRowsWriter<PartFile>;

    fn suffix(&self) -> &str {
        ".csv"
    }

    fn begin(&self, file: PartFile) -> io::Result<CsvRowsWriter<PartFile>> {
        Ok(CsvRowsWriter::new(file))
    }
}

impl FileWriter<Row> for CsvRowsWriter<PartFile> {
    fn write(&mut self, row: &Row) -> io::Result<()> {
        CsvRowsWriter::write(self, row)
    }

    fn finish(self) -> io::Result<PartFile> {
        self.out.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

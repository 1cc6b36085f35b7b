//! Where the records of a job from a file come from.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use waterwheel::ml::sparse::{LibSvmRow, read_libsvm};
use waterwheel::prelude::{CsvOptions, DataStream, Delimiter, Env, Error, Header, Result};

use super::row::{Cell, CsvRow, JsonRow, Row};
use crate::cli::records::LineArgs;
use crate::cli::say;

/// The source of a job that does not train.
#[derive(Args, Clone, Debug)]
pub(super) struct SourceArgs {
    /// What the files are.
    #[arg(long, value_enum, default_value_t = SourceFormat::Csv)]
    format: SourceFormat,

    /// Files, or patterns with * and ?; those that end with .gz are decompressed.
    #[arg(long, required = true, value_name = "FILE")]
    input: Vec<PathBuf>,

    #[command(flatten)]
    lines: LineArgs,
}

/// What the lines of files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SourceFormat {
    /// Fields with the names of the header, or 1, 2 and so on without one.
    Csv,
    /// A JSON object a line, without others in it.
    Ndjson,
    /// A line is the field "line", and its number "number".
    Text,
    /// A label and features: the fields "label", "features" (their number) and "norm" (Euclidean).
    Libsvm,
}

impl SourceArgs {
    /// The records of the files. Lines that are none are reported, where they do not end the run.
    ///
    /// # Errors
    /// A file can not be opened.
    pub(super) fn read<'s>(&self, env: &Env<'s>) -> Result<DataStream<'s, Row>> {
        let (paths, options) = (self.input.clone(), self.lines.options());
        let plain = CsvOptions::default().on_bad_record(options.on_bad_record);
        if self.format != SourceFormat::Csv && options != plain {
            return Err(Error::config("[source] delimiter and header are for the format csv"));
        }
        let (rows, bad) = match self.format {
            SourceFormat::Csv => {
                let (rows, bad) = env.read_csv::<CsvRow>(paths, options)?;
                (rows.map(|record| record.value.0), bad)
            }
            SourceFormat::Ndjson => {
                let (rows, bad) = env.read_ndjson::<JsonRow>(paths, options.on_bad_record)?;
                (rows.map(|record| record.value.0), bad)
            }
            SourceFormat::Text => {
                let options = CsvOptions { delimiter: Delimiter::None, header: Header::No, ..options };
                let (rows, bad) = env.read_csv::<String>(paths, options)?;
                let row = |number: u64, line| {
                    Row(vec![
                        named("number", Cell::Number(number.to_string())),
                        named("line", Cell::Text(line)),
                    ])
                };
                (rows.map(move |record| row(record.line, record.value)), bad)
            }
            SourceFormat::Libsvm => {
                let (rows, bad) = read_libsvm(env, paths, options.on_bad_record)?;
                (rows.map(libsvm_row), bad)
            }
        };
        let skipped = bad.sink(|record| {
            say(format_args!("skipped {record}"));
            Ok(())
        });
        skipped.name("skipped").uid("skipped");
        Ok(rows)
    }
}

fn named(name: &str, cell: Cell) -> (String, Cell) {
    (name.to_string(), cell)
}

fn libsvm_row(row: LibSvmRow) -> Row {
    let squares: f64 = row.features.values().iter().map(|x| x * x).sum();
    Row(vec![
        named("label", Cell::of_number(row.label)),
        named("features", Cell::of_number(row.features.indices().len() as f64)),
        named("norm", Cell::of_number(squares.sqrt())),
    ])
}

//! Where the records of a job from a file come from.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use waterwheel::ml::sparse::{LibSvmRow, read_libsvm};
use waterwheel::prelude::{
    BadRecord, BadRecordPolicy, CsvOptions, CsvRecord, DataStream, Delimiter, Env, Error, Header, Result,
};

use super::row::{Cell, CsvRow, JsonRow, Row};
use crate::cli::records::LineArgs;
use crate::cli::runtime::seconds;
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

    /// Seconds after which files that have appeared are looked for, of csv, ndjson and text; the job is endless then.
    #[arg(long, value_name = "SECONDS")]
    watch: Option<f64>,

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
    /// Rows of columns, with the feature arrow.
    Parquet,
    /// The same, of Arrow IPC.
    Arrow,
    /// A label and features: the fields "label", "features" (their number) and "norm" (Euclidean).
    Libsvm,
}

impl SourceArgs {
    /// The records of the files. Lines that are none are reported, where they do not end the run.
    ///
    /// # Errors
    /// A file can not be opened, or a setting is not for its format.
    pub(super) fn read<'s>(&self, env: &Env<'s>) -> Result<DataStream<'s, Row>> {
        self.check()?;
        let (rows, bad) = match self.format {
            SourceFormat::Csv => self.csv(env)?,
            SourceFormat::Ndjson => self.ndjson(env)?,
            SourceFormat::Text => self.text(env)?,
            SourceFormat::Libsvm => {
                let (rows, bad) = read_libsvm(env, self.input.clone(), self.lines.bad.policy())?;
                (rows.uid("source").map(libsvm_row), bad)
            }
            SourceFormat::Parquet | SourceFormat::Arrow => return columns(env, self),
        };
        let skipped = bad.sink(|record| {
            say(format_args!("skipped {record}"));
            Ok(())
        });
        skipped.name("skipped").uid("skipped");
        Ok(rows)
    }

    /// What becomes of records that a stage can not use; as of lines that are none.
    pub(super) fn policy(&self) -> BadRecordPolicy {
        self.lines.bad.policy()
    }

    fn check(&self) -> Result<()> {
        let options = self.lines.options();
        if self.format != SourceFormat::Csv
            && options != CsvOptions::default().on_bad_record(options.on_bad_record)
        {
            return Err(Error::config("[source] delimiter and header are for the format csv"));
        }
        let has_lines = matches!(self.format, SourceFormat::Csv | SourceFormat::Ndjson | SourceFormat::Text);
        if self.watch.is_some() && !has_lines {
            return Err(Error::config("[source] watch is for the formats csv, ndjson and text"));
        }
        Ok(())
    }

    fn every(&self) -> Result<Option<Duration>> {
        self.watch.map(|found| seconds("[source] watch", found)).transpose()
    }

    fn csv<'s>(&self, env: &Env<'s>) -> Result<Rows<'s>> {
        let (paths, options) = (self.input.clone(), self.lines.options());
        let (rows, bad) = match self.every()? {
            Some(every) => env.watch_csv::<CsvRow>(paths, options, every)?,
            None => env.read_csv::<CsvRow>(paths, options)?,
        };
        Ok((rows.uid("source").map(|record| record.value.0), bad))
    }

    fn ndjson<'s>(&self, env: &Env<'s>) -> Result<Rows<'s>> {
        let (paths, policy) = (self.input.clone(), self.lines.bad.policy());
        let (rows, bad) = match self.every()? {
            Some(every) => env.watch_ndjson::<JsonRow>(paths, policy, every)?,
            None => env.read_ndjson::<JsonRow>(paths, policy)?,
        };
        Ok((rows.uid("source").map(|record| record.value.0), bad))
    }

    fn text<'s>(&self, env: &Env<'s>) -> Result<Rows<'s>> {
        let options = CsvOptions { delimiter: Delimiter::None, header: Header::No, ..self.lines.options() };
        let (rows, bad) = match self.every()? {
            Some(every) => env.watch_csv::<String>(self.input.clone(), options, every)?,
            None => env.read_csv::<String>(self.input.clone(), options)?,
        };
        let row = |record: CsvRecord<String>| {
            let number = named("number", Cell::Number(record.line.to_string()));
            Row(vec![number, named("line", Cell::Text(record.value))])
        };
        Ok((rows.uid("source").map(row), bad))
    }
}

/// Records, and lines that are none.
type Rows<'s> = (DataStream<'s, Row>, DataStream<'s, BadRecord>);

#[cfg(feature = "arrow")]
fn columns<'s>(env: &Env<'s>, args: &SourceArgs) -> Result<DataStream<'s, Row>> {
    let rows = match args.format {
        SourceFormat::Parquet => env.read_parquet::<JsonRow>(args.input.clone())?,
        _ => env.read_arrow::<JsonRow>(args.input.clone())?,
    };
    Ok(rows.uid("source").map(|row| row.0))
}

#[cfg(not(feature = "arrow"))]
fn columns<'s>(_env: &Env<'s>, _args: &SourceArgs) -> Result<DataStream<'s, Row>> {
    Err(Error::config(
        "[source] this program was built without the feature arrow, which parquet and arrow need",
    ))
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

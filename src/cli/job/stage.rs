//! Stages between the source and the sink of a job from a file.

use std::cmp::Ordering;

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use waterwheel::engine::{AggregateFunction, Windows};
use waterwheel::prelude::{BadRecordPolicy, DataStream, Error, Result, WatermarkStrategy};

use super::number::Number;
use super::row::{Cell, Row};
use crate::cli::runtime::seconds;
use crate::cli::say;

/// What happens to the records, one after the other.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Stage {
    /// Keep these fields, in this order; one that a record does not have is empty.
    Select(Select),
    /// Keep the records whose field compares so with a value.
    Filter(Filter),
    /// Count and sum up records by key; results come when all input has been read.
    Aggregate(Aggregate),
    /// The same in windows of event time; results come when the window is over.
    Window(Window),
}

#[derive(Args, Clone, Debug)]
pub(super) struct Select {
    /// Names of the fields.
    #[arg(long, required = true, value_name = "NAME")]
    fields: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Filter {
    /// Name of the field.
    #[arg(long, value_name = "NAME")]
    field: String,

    /// The comparison that must hold: numbers by size, anything else as text.
    #[arg(long, value_enum, default_value = "=")]
    is: Comparison,

    /// What the field is compared with.
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    value: Cell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Comparison {
    #[value(name = "=")]
    Equal,
    #[value(name = "!=")]
    NotEqual,
    #[value(name = "<")]
    Less,
    #[value(name = "<=")]
    AtMost,
    #[value(name = ">")]
    Greater,
    #[value(name = ">=")]
    AtLeast,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Aggregate {
    /// Fields that make the key; without any there is one result for all records.
    #[arg(long, value_name = "NAME")]
    by: Vec<String>,

    /// Fields whose numbers are summed up, as sum_NAME. Empty cells count for nothing, here and below.
    #[arg(long, value_name = "NAME")]
    sum: Vec<String>,

    /// Fields whose mean is given, as mean_NAME.
    #[arg(long, value_name = "NAME")]
    mean: Vec<String>,

    /// Fields whose least number is given, as min_NAME.
    #[arg(long, value_name = "NAME")]
    min: Vec<String>,

    /// Fields whose greatest number is given, as max_NAME.
    #[arg(long, value_name = "NAME")]
    max: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Window {
    /// The field that has the time of a record: a number since 1970.
    #[arg(long, value_name = "NAME")]
    time: String,

    /// Its unit.
    #[arg(long, value_enum, default_value_t = TimeUnit::Ms)]
    unit: TimeUnit,

    /// Seconds that a window lasts.
    #[arg(long, value_name = "SECONDS")]
    size: f64,

    /// Seconds between the beginnings of windows [default: those that a window lasts].
    #[arg(long, value_name = "SECONDS")]
    slide: Option<f64>,

    /// Seconds by which a record may be behind a later one; one that is further behind is dropped and counted.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    disorder: f64,

    #[command(flatten)]
    of: Aggregate,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TimeUnit {
    S,
    Ms,
    Us,
}

impl Stage {
    /// The records behind this stage. Its state is found by `uid`; `policy` is for records that it can not use.
    ///
    /// # Errors
    /// A setting is not valid.
    pub(super) fn apply<'s>(
        self,
        rows: DataStream<'s, Row>,
        uid: &str,
        policy: BadRecordPolicy,
    ) -> Result<DataStream<'s, Row>> {
        Ok(match self {
            Stage::Select(select) => rows.map(move |row| select.of(row)).name("select"),
            Stage::Filter(filter) => {
                let kept = usable(rows, ("filter", uid), policy, move |row| filter.keep(row));
                kept.flat_map(|row| row)
            }
            Stage::Aggregate(aggregate) => aggregate.at_end(rows, uid, policy),
            Stage::Window(window) => window.apply(rows, uid, policy)?,
        })
    }
}

/// What `read` makes of records. Those that it can make nothing of are told, unless `policy` has them end the run.
fn usable<'s, T: 'static>(
    rows: DataStream<'s, Row>,
    (stage, uid): (&'static str, &str),
    policy: BadRecordPolicy,
    read: impl Fn(&Row) -> Result<T> + 'static,
) -> DataStream<'s, T> {
    let read = move |row: &Row| {
        let with_record = |error: Error| Error::data(format!("{}; the record is {row}", error.message()));
        read(row).map_err(with_record)
    };
    let (read, unusable) = rows.try_map_with(policy, read);
    if policy == BadRecordPolicy::DeadLetter {
        let skipped = unusable.sink(move |letter| {
            say(format_args!("skipped by {stage}: {}", letter.message));
            Ok(())
        });
        skipped.name("skipped").uid(&format!("{uid} skipped"));
    }
    read.name(stage)
}

impl Select {
    fn of(&self, row: Row) -> Row {
        let cell = |name: &String| row.get(name).cloned().unwrap_or(Cell::Null);
        Row(self.fields.iter().map(|name| (name.clone(), cell(name))).collect())
    }
}

impl Filter {
    /// The record, if it is one to keep.
    fn keep(&self, row: &Row) -> Result<Option<Row>> {
        Ok(self.holds(row)?.then(|| row.clone()))
    }

    fn holds(&self, row: &Row) -> Result<bool> {
        let order = field(row, &self.field)?.compare(&self.value);
        Ok(match self.is {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::NotEqual => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::AtMost => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::AtLeast => order != Ordering::Less,
        })
    }
}

fn field<'r>(row: &'r Row, name: &str) -> Result<&'r Cell> {
    row.get(name)
        .ok_or_else(|| Error::data(format!("field {name:?} is missing; the record has {}", row.names())))
}

/// A record on its way to its aggregate: its key, and the numbers in the order of the settings.
type Measured = (Vec<Cell>, Vec<Option<Number>>);

impl Aggregate {
    /// The fields whose numbers are needed.
    fn measures(&self) -> impl Iterator<Item = &String> {
        [&self.sum, &self.mean, &self.min, &self.max].into_iter().flatten()
    }

    fn measure(&self, row: &Row) -> Result<Measured> {
        let key = self.by.iter().map(|name| field(row, name).cloned()).collect::<Result<_>>()?;
        let number = |name: &String| match field(row, name)? {
            Cell::Null => Ok(None),
            cell => cell.exact().map(Some).ok_or_else(|| {
                Error::data(format!("field {name:?}: found {:?}, expected a number", cell.text()))
            }),
        };
        Ok((key, self.measures().map(number).collect::<Result<_>>()?))
    }

    /// A result as a record: the key, the count, and the numbers.
    fn row(&self, key: Vec<Cell>, tally: Tally, extra: Vec<(String, Cell)>) -> Row {
        let mut row = Row(extra);
        row.0.extend(self.by.iter().cloned().zip(key));
        row.0.push(("count".into(), Cell::of_number(tally.records as f64)));
        let mut numbers = tally.numbers.into_iter();
        let kinds = [("sum", &self.sum), ("mean", &self.mean), ("min", &self.min), ("max", &self.max)];
        for (kind, names) in kinds {
            for (name, number) in names.iter().zip(numbers.by_ref()) {
                row.0.push((format!("{kind}_{name}"), number.of(kind)));
            }
        }
        row
    }

    fn at_end<'s>(
        self,
        rows: DataStream<'s, Row>,
        uid: &str,
        policy: BadRecordPolicy,
    ) -> DataStream<'s, Row> {
        let (measure, n_measures) = (self.clone(), self.measures().count());
        let measured = usable(rows, ("aggregate", uid), policy, move |row| measure.measure(row));
        let tallies = measured.key_by_ref(|(key, _)| key).at_end().aggregate(Tallying(n_measures));
        tallies.uid(uid).map(move |(key, tally)| self.row(key, tally, Vec::new()))
    }
}

impl Window {
    fn apply<'s>(
        self,
        rows: DataStream<'s, Row>,
        uid: &str,
        policy: BadRecordPolicy,
    ) -> Result<DataStream<'s, Row>> {
        let windows = match self.slide {
            Some(slide) => Windows::sliding(seconds("size", self.size)?, seconds("slide", slide)?),
            None => Windows::tumbling(seconds("size", self.size)?),
        }?;
        let disorder = seconds("disorder", self.disorder)?;
        let (measure, n_measures) = (self.clone(), self.of.measures().count());
        let read = move |row: &Row| Ok((measure.millis(row)?, measure.of.measure(row)?));
        let timed = usable(rows, ("window", uid), policy, read);
        let strategy =
            WatermarkStrategy::bounded_out_of_orderness(disorder, |(millis, _): &(i64, Measured)| *millis);
        let timed = timed.assign_timestamps_and_watermarks(strategy).uid(&format!("{uid} time"));
        let measured = timed.map(|(_millis, measured)| measured);
        let tallies = measured.key_by(|(key, _)| key.clone()).window(windows).aggregate(Tallying(n_measures));
        let results = tallies.results.uid(uid).into_stream();
        Ok(results.map(move |result| {
            let bound = |name: &str, millis: i64| (name.to_string(), Cell::of_number(millis as f64));
            let window = vec![
                bound("window_start_ms", result.window.start),
                bound("window_end_ms", result.window.end),
            ];
            self.of.row(result.key, result.value, window)
        }))
    }

    fn millis(&self, row: &Row) -> Result<i64> {
        let cell = field(row, &self.time)?;
        let wrong = || {
            Error::data(format!(
                "field {:?}: found {:?}, expected a time in {:?}",
                self.time,
                cell.text(),
                self.unit
            ))
        };
        let number = cell.number().ok_or_else(wrong)?;
        let millis = match self.unit {
            TimeUnit::S => number * 1e3,
            TimeUnit::Ms => number,
            TimeUnit::Us => number / 1e3,
        };
        if millis.abs() < 9e15 { Ok(millis.floor() as i64) } else { Err(wrong()) }
    }
}

/// What was counted of one key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tally {
    records: u64,
    numbers: Vec<Numbers>,
}

/// What is known of the numbers of one field, if there were any.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Numbers {
    n: u64,
    sum: Number,
    min: Number,
    max: Number,
}

impl Numbers {
    const NONE: Self = Numbers { n: 0, sum: Number::ZERO, min: Number::ZERO, max: Number::ZERO };

    fn plus(self, other: Self) -> Self {
        let least = |a: Number, b: Number| if b.as_f64() < a.as_f64() { b } else { a };
        let greatest = |a: Number, b: Number| if b.as_f64() > a.as_f64() { b } else { a };
        match (self.n, other.n) {
            (0, _) => other,
            (_, 0) => self,
            (n, m) => Numbers {
                n: n + m,
                sum: self.sum.plus(other.sum),
                min: least(self.min, other.min),
                max: greatest(self.max, other.max),
            },
        }
    }

    fn of(self, kind: &str) -> Cell {
        match kind {
            "sum" => Cell::of_exact(self.sum),
            _ if self.n == 0 => Cell::Null,
            "mean" => Cell::of_number(self.sum.as_f64() / self.n as f64),
            "min" => Cell::of_exact(self.min),
            _ => Cell::of_exact(self.max),
        }
    }
}

/// Counts, and adds up so many numbers.
struct Tallying(usize);

impl AggregateFunction for Tallying {
    type In = Measured;
    type Acc = Tally;
    type Out = Tally;

    fn create_accumulator(&self) -> Tally {
        Tally { records: 0, numbers: vec![Numbers::NONE; self.0] }
    }

    fn add(&self, tally: &mut Tally, (_key, numbers): Measured) {
        tally.records += 1;
        for (so_far, number) in tally.numbers.iter_mut().zip(numbers) {
            if let Some(x) = number {
                *so_far = so_far.plus(Numbers { n: 1, sum: x, min: x, max: x });
            }
        }
    }

    fn result(&self, tally: &Tally) -> Tally {
        tally.clone()
    }

    fn merge(&self, a: Tally, b: Tally) -> Tally {
        let numbers = a.numbers.into_iter().zip(b.numbers).map(|(a, b)| a.plus(b)).collect();
        Tally { records: a.records + b.records, numbers }
    }
}

//! Stages between the source and the sink of a job from a file.

use std::cmp::Ordering;

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use waterwheel::engine::{AggregateFunction, Windows};
use waterwheel::prelude::{BadRecordPolicy, DataStream, Error, Result, WatermarkStrategy};

use super::date;
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
    /// The field that has the time of a record: a number since 1970, or a date.
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
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// A date as 2026-01-31 23:59:58, with T in place of the space, a fraction and an offset if you like; else in UTC.
    Date,
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
            Stage::Select(select) => rows.map(move |row| select.of(row)).name(&format!("{uid} select")),
            Stage::Filter(filter) => {
                let kept = usable(rows, ("filter", uid), policy, move |row| filter.keep(row));
                kept.flat_map(|row| row).name(&format!("{uid} kept"))
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
        let by = format!("{uid} {stage}");
        let skipped = unusable.sink(move |letter| {
            say(format_args!("skipped by {by}: {}", letter.message));
            Ok(())
        });
        skipped.name("skipped").uid(&format!("{uid} skipped"));
    }
    read.name(&format!("{uid} {stage}")).uid(&format!("{uid} {stage}"))
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
        let order = of_key("field", field(row, &self.field))?.compare(&self.value);
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

/// Says which setting of the stage asks for what went wrong.
fn of_key<T>(setting: &str, outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| Error::data(format!("{setting}: {}", error.message())))
}

fn field<'r>(row: &'r Row, name: &str) -> Result<&'r Cell> {
    row.get(name)
        .ok_or_else(|| Error::data(format!("field {name:?} is missing; the record has {}", row.names())))
}

/// A record on its way to its aggregate: its key, and the numbers in the order of the settings.
type Measured = (Vec<Cell>, Vec<Option<Number>>);

impl Aggregate {
    /// The fields whose numbers are needed, each with the setting that asks for it.
    fn measures(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let settings = [("sum", &self.sum), ("mean", &self.mean), ("min", &self.min), ("max", &self.max)];
        settings.into_iter().flat_map(|(setting, names)| names.iter().map(move |name| (setting, name)))
    }

    fn measure(&self, row: &Row) -> Result<Measured> {
        let key = self.by.iter().map(|name| of_key("by", field(row, name).cloned()));
        let key = key.collect::<Result<_>>()?;
        let number = |name: &String| match field(row, name)? {
            Cell::Null => Ok(None),
            cell => cell.exact().map(Some).ok_or_else(|| {
                Error::data(format!("field {name:?}: found {:?}, expected a number", cell.text()))
            }),
        };
        let numbers = self.measures().map(|measure| of_key(measure.0, number(measure.1)));
        Ok((key, numbers.collect::<Result<_>>()?))
    }

    /// A result as a record: the key, the count, and the numbers.
    fn row(&self, key: Vec<Cell>, tally: Tally, extra: Vec<(String, Cell)>) -> Row {
        let mut row = Row(extra);
        row.0.extend(self.by.iter().cloned().zip(key));
        row.0.push(("count".into(), Cell::of_number(tally.records as f64)));
        let numbers = self.measures().zip(tally.numbers);
        row.0.extend(numbers.map(|((kind, name), number)| (format!("{kind}_{name}"), number.of(kind))));
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
        let tallies = tallies.name(&format!("{uid} results")).uid(uid);
        tallies.map(move |(key, tally)| self.row(key, tally, Vec::new())).name(&format!("{uid} rows"))
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
        let read = move |row: &Row| Ok((of_key("time", measure.millis(row))?, measure.of.measure(row)?));
        let timed = usable(rows, ("window", uid), policy, read);
        let strategy =
            WatermarkStrategy::bounded_out_of_orderness(disorder, |(millis, _): &(i64, Measured)| *millis);
        let timed = timed.assign_timestamps_and_watermarks(strategy);
        let timed = timed.name(&format!("{uid} time")).uid(&format!("{uid} time"));
        let measured = timed.map(|(_millis, measured)| measured).name(&format!("{uid} records"));
        let tallies = measured.key_by(|(key, _)| key.clone()).window(windows).aggregate(Tallying(n_measures));
        let results = tallies.results.name(&format!("{uid} results")).uid(uid).into_stream();
        let rows = results.map(move |result| {
            let bound = |name: &str, millis: i64| (name.to_string(), Cell::of_number(millis as f64));
            let window = vec![
                bound("window_start_ms", result.window.start),
                bound("window_end_ms", result.window.end),
            ];
            self.of.row(result.key, result.value, window)
        });
        Ok(rows.name(&format!("{uid} rows")))
    }

    fn millis(&self, row: &Row) -> Result<i64> {
        let cell = field(row, &self.time)?;
        let expected = match self.unit {
            TimeUnit::S => "a number of seconds since 1970",
            TimeUnit::Ms => "a number of milliseconds since 1970",
            TimeUnit::Us => "a number of microseconds since 1970",
            TimeUnit::Date => "a date such as 2026-01-31 23:59:58",
        };
        let wrong = || {
            let (name, found) = (&self.time, cell.text());
            let is_date = !matches!(self.unit, TimeUnit::Date) && date::millis(found).is_some();
            let hint = if is_date { "; unit = \"date\" is for dates" } else { "" };
            Error::data(format!("field {name:?}: found {found:?}, expected {expected}{hint}"))
        };
        let millis = match self.unit {
            TimeUnit::S => cell.number().map(|number| number * 1e3),
            TimeUnit::Ms => cell.number(),
            TimeUnit::Us => cell.number().map(|number| number / 1e3),
            TimeUnit::Date => return date::millis(cell.text()).ok_or_else(wrong),
        };
        let millis = millis.filter(|millis| millis.abs() < 9e15).ok_or_else(wrong)?;
        Ok(millis.floor() as i64)
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

//! Files: a gigabyte of CSV read into structs, beside the `csv` crate alone, which is what reads its fields here too; the
//! same as JSON lines beside `serde_json`. The clock runs from before the job is built to its end; the file is in the page
//! cache.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use common::{Bench, Figure, medians, ns_per};
use serde::{Deserialize, Serialize};
use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

/// A line of some 50 bytes, with a field of each usual kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sale {
    id: u64,
    shop: String,
    item: u32,
    price: f64,
    is_paid: bool,
}

fn sale(id: u64) -> Sale {
    let dice = sm(1, id);
    Sale {
        id,
        shop: format!("shop-{:05}", dice % 20_000),
        item: (dice >> 20) as u32 % 1_000_000,
        price: (dice >> 40) as f64 % 100_000.0 / 100.0,
        is_paid: dice & 1 == 1,
    }
}

/// What was read, so that nobody leaves it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum {
    records: u64,
    cents: i64,
    letters: u64,
}

impl Sum {
    fn plus(self, sale: &Sale) -> Self {
        let cents = (sale.price * 100.0).round() as i64 + i64::from(sale.item) + i64::from(sale.is_paid);
        Sum {
            records: self.records + 1,
            cents: self.cents + cents,
            letters: self.letters + sale.shop.len() as u64,
        }
    }
}

fn main() {
    let bench = Bench::from_args("csv");
    let bytes = if bench.quick { 50_000_000 } else { 1_000_000_000 };
    let directory = tempfile::tempdir().unwrap();
    let [csv, json] = ["sales.csv", "sales.ndjson"].map(|name| directory.path().join(name));
    write_csv(&csv, bytes);
    compare(&bench, "CSV", &csv, ("csv crate", csv_crate), ours_csv);
    std::fs::remove_file(&csv).unwrap();
    write_json(&json, bytes);
    compare(&bench, "JSON lines", &json, ("serde_json", serde_json_lines), ours_json);
}

fn write_csv(path: &Path, bytes: u64) {
    let mut out = csv::Writer::from_path(path).unwrap();
    for id in 0.. {
        out.serialize(sale(id)).unwrap();
        if id % 1000 == 0 && std::fs::metadata(path).unwrap().len() > bytes {
            break;
        }
    }
    out.flush().unwrap();
}

fn write_json(path: &Path, bytes: u64) {
    let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
    for id in 0.. {
        serde_json::to_writer(&mut out, &sale(id)).unwrap();
        out.write_all(b"\n").unwrap();
        if id % 1000 == 0 && std::fs::metadata(path).unwrap().len() > bytes {
            break;
        }
    }
    out.flush().unwrap();
}

fn csv_crate(path: &Path) -> Sum {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().fold(Sum::default(), |sum, sale| sum.plus(&sale.unwrap()))
}

fn serde_json_lines(path: &Path) -> Sum {
    let (mut lines, mut line) = (BufReader::new(std::fs::File::open(path).unwrap()), Vec::new());
    let mut sum = Sum::default();
    while lines.read_until(b'\n', &mut line).unwrap() > 0 {
        sum = sum.plus(&serde_json::from_slice(&line).unwrap());
        line.clear();
    }
    sum
}

/// Adds up records where they are read.
struct AddUp(Sum);

impl ProcessFunction<CsvRecord<Sale>> for AddUp {
    type Out = Sum;
    const WAITS_FOR_END: bool = true;

    fn process(&mut self, sale: CsvRecord<Sale>, _out: &mut Collector<Sum>) -> Result<()> {
        self.0 = self.0.plus(&sale.value);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<Sum>) -> Result<()> {
        out.emit(self.0);
        Ok(())
    }
}

fn total(sums: Vec<Vec<Sum>>) -> Sum {
    let add = |a: Sum, b: Sum| Sum {
        records: a.records + b.records,
        cents: a.cents + b.cents,
        letters: a.letters + b.letters,
    };
    sums.concat().into_iter().fold(Sum::default(), add)
}

fn ours_csv(path: &Path, workers: usize) -> Sum {
    let path = path.to_path_buf();
    let sums = execute(RuntimeConfig::threads(workers), move |env| {
        let (sales, _bad) = env.read_csv::<Sale>([&path], CsvOptions::default())?;
        Ok(sales.process_function(AddUp(Sum::default())).collect())
    });
    total(sums.unwrap())
}

fn ours_json(path: &Path, workers: usize) -> Sum {
    let path = path.to_path_buf();
    let sums = execute(RuntimeConfig::threads(workers), move |env| {
        let (sales, _bad) = env.read_ndjson::<Sale>([&path], BadRecordPolicy::Fail)?;
        Ok(sales.process_function(AddUp(Sum::default())).collect())
    });
    total(sums.unwrap())
}

/// Prints ours on one worker and on two beside the crate alone, in milliseconds for a gigabyte.
fn compare(
    bench: &Bench,
    case: &str,
    path: &Path,
    (floor_name, alone): (&str, fn(&Path) -> Sum),
    ours: fn(&Path, usize) -> Sum,
) {
    let expected = alone(path);
    let bytes = std::fs::metadata(path).unwrap().len() as usize;
    // Nanoseconds for a byte are seconds for a gigabyte.
    let time = |read: &dyn Fn() -> Sum| 1e3 * ns_per(bytes, || assert_eq!(read(), expected));
    let rounds = if bench.quick { 5 } else { 3 };
    let [floor, one, two] = medians(
        rounds,
        [&mut || time(&|| alone(path)), &mut || time(&|| ours(path, 1)), &mut || time(&|| ours(path, 2))],
    );
    for (workers, ours) in [(1, one), (2, two)] {
        bench.report(&Figure { case, workers, processes: 1, ours, floor, floor_name, unit: "ms/GB" });
    }
}

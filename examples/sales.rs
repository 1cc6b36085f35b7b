//! The first program of the guide, docs/guide/first-steps.md, word for word: what each shop of a CSV file has sold.
//!
//! `cargo run --example sales -- -w 2 examples/data/sales.csv`

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

/// A line of the file: fields are found by the names of the header.
#[derive(Clone, Serialize, Deserialize)]
struct Sale {
    shop: String,
    cents: u64,
}

/// The sum of each shop.
pub fn totals(config: RuntimeConfig, paths: Vec<String>) -> Result<Vec<(String, u64)>> {
    let workers = execute(config, move |env| {
        let (sales, _bad) = env.read_csv::<Sale>(&paths, CsvOptions::default())?;
        let sales = sales.map(|record| record.value);
        let sums = sales.key_by_ref(|sale| &sale.shop).at_end().sum(|sale| sale.cents);
        Ok(sums.collect())
    })?;
    let mut totals = workers.concat();
    totals.sort();
    Ok(totals)
}

fn main() -> Result<()> {
    let (config, paths) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    if paths.is_empty() {
        eprintln!("usage: sales [FLAGS] FILE...\n\n{}", RuntimeConfig::HELP);
        return Ok(());
    }
    for (shop, cents) in totals(config, paths)? {
        eprintln!("{shop}: {cents}");
    }
    Ok(())
}

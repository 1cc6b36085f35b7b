//! A job that begins from what another has saved, at another number of workers.

use std::collections::BTreeMap;

use waterwheel::prelude::*;
use waterwheel::ps::{self, ParameterServerClient, PsConfig, SavedModel, SimpleServer, WorkerLogic};

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::run;

const KEYS: u64 = 300;
const RECORDS: u64 = 5_000;

/// Adds its record's number to the record's key.
struct AddAll;

impl WorkerLogic for AddAll {
    type In = u64;
    type Key = String;
    type Pull = f64;
    type Push = f64;
    type Out = ();

    fn on_recv(&mut self, n: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(format!("key {}", n * n % KEYS), [1.0, n as f64 / 8.0])
    }

    fn on_pull_recv(&mut self, _: &String, _: &[f64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }
}

/// The model after these records, by hand.
fn expected(records: std::ops::Range<u64>) -> SavedModel<String, f64> {
    let mut sums = BTreeMap::new();
    for n in records {
        let row = sums.entry(format!("key {}", n * n % KEYS)).or_insert_with(|| vec![0.0; 2]);
        row[0] += 1.0;
        row[1] += n as f64 / 8.0;
    }
    SavedModel::new(sums.into_iter().collect(), 2).unwrap()
}

/// The model after these records, from a saved one.
fn trained(
    config: RuntimeConfig,
    saved: SavedModel<String, f64>,
    records: std::ops::Range<u64>,
) -> Vec<(String, Vec<f64>)> {
    let models = run(config, move |env| {
        let saved = saved.clone();
        let model = env.from_splits(3, move |split| saved.part(split, 3));
        let data = env.from_iter(records.clone()).rebalance();
        let server =
            SimpleServer::with_update(|_: &String, row: &mut Vec<f64>| row.extend([0.0; 2]), ps::Sum);
        let config = PsConfig::new().width(2);
        Ok(ps::transform_with_model_load(model, data, AddAll, server, &config)?.model.collect())
    });
    models.concat()
}

#[test]
fn job_that_begins_from_a_saved_model_ends_where_one_that_was_not_interrupted_does() {
    // Every process makes its own copy.
    let directory = tempfile::tempdir().unwrap();
    let whole = expected(0..RECORDS);
    everywhere(
        test_path!(job_that_begins_from_a_saved_model_ends_where_one_that_was_not_interrupted_does),
        |config| {
            expected(0..RECORDS / 2).save(directory.path()).unwrap();
            trained(config, SavedModel::load(directory.path(), 2).unwrap(), RECORDS / 2..RECORDS)
        },
        |model, shape| {
            // What came out can be saved in its turn, and is what one run over all records comes to.
            let model = SavedModel::new(model, 2).unwrap();
            model.save(directory.path()).unwrap();
            assert_eq!(SavedModel::load(directory.path(), 2).unwrap(), whole, "{shape}");
        },
    );
}

/// T-NEW-13, with a model that is saved and loaded between the numbers of workers.
#[test]
fn t_new_13_sums_are_exact_at_4_then_6_then_3_workers() {
    let directory = tempfile::tempdir().unwrap();
    expected(0..0).save(directory.path()).unwrap();
    for (part, workers) in [4, 6, 3].into_iter().enumerate() {
        let records = part as u64 * RECORDS..(part as u64 + 1) * RECORDS;
        let saved = SavedModel::load(directory.path(), 2).unwrap();
        let model = trained(RuntimeConfig::threads(workers), saved, records.clone());
        let model = SavedModel::new(model, 2).unwrap();
        assert_eq!(model, expected(0..records.end), "{workers} workers");
        model.save(directory.path()).unwrap();
    }
}

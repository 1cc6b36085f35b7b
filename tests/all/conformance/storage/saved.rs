//! A job that begins from what another has saved, at another number of workers.

use waterwheel::prelude::*;
use waterwheel::ps::{self, Consistency, ParameterServerClient, PsConfig, SavedModel, SimpleServer, WorkerLogic};

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

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

/// The model after these records, from a saved one if there is one.
fn trained(
    config: RuntimeConfig,
    saved: Option<SavedModel<String, f64>>,
    records: std::ops::Range<u64>,
) -> SavedModel<String, f64> {
    let models = run(config, move |env| {
        let data = env.from_iter(records.clone()).rebalance();
        let server = SimpleServer::with_update(|_: &String, row: &mut Vec<f64>| row.extend([0.0; 2]), ps::Sum);
        let config = PsConfig::new().width(2).consistency(Consistency::BULK_SYNCHRONOUS);
        let out = match saved.clone() {
            Some(saved) => {
                let model = env.from_splits(3, move |split| saved.part(split, 3));
                ps::transform_with_model_load(model, data, AddAll, server, &config)?
            }
            None => ps::transform(data, AddAll, server, &config)?,
        };
        Ok(out.model.collect())
    });
    SavedModel::new(sorted_rows(models), 2).unwrap()
}

fn sorted_rows(parts: Vec<Vec<(String, Vec<f64>)>>) -> Vec<(String, Vec<f64>)> {
    let bits = |(key, row): (String, Vec<f64>)| (key, row.into_iter().map(f64::to_bits).collect::<Vec<_>>());
    let rows = sorted(parts.into_iter().map(|part| part.into_iter().map(bits).collect()));
    rows.into_iter().map(|(key, row)| (key, row.into_iter().map(f64::from_bits).collect())).collect()
}

#[test]
fn job_that_begins_from_a_saved_model_ends_where_one_that_was_not_interrupted_does() {
    // Saved by one worker, whatever the number of those that load it. Every process makes its own copy.
    let directory = tempfile::tempdir().unwrap();
    let half = || trained(RuntimeConfig::threads(1), None, 0..RECORDS / 2);
    half().save(directory.path()).unwrap();
    let whole = trained(RuntimeConfig::threads(1), None, 0..RECORDS);
    assert_eq!(whole.len() as u64, (0..RECORDS).map(|n| n * n % KEYS).collect::<std::collections::BTreeSet<_>>().len() as u64);
    everywhere(
        test_path!(job_that_begins_from_a_saved_model_ends_where_one_that_was_not_interrupted_does),
        |config| {
            let saved = SavedModel::load(directory.path(), 2).unwrap();
            trained(config, Some(saved), RECORDS / 2..RECORDS)
        },
        |model, shape| {
            assert_eq!(model, whole, "{shape}");
            // And what it has come to can be saved and loaded in its turn.
            model.save(directory.path()).unwrap();
            assert_eq!(SavedModel::load(directory.path(), 2).unwrap(), whole, "{shape}");
            half().save(directory.path()).unwrap();
        },
    );
}

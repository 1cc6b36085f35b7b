//! Pulls of many keys with one answer, and fused operations.

use waterwheel::prelude::*;

use super::java::Random;
use super::support::{AddOne, add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

const KEYS: u64 = 100;

/// Pulls the keys of each record together and outputs them with their rows.
struct Many;

impl WorkerLogic for Many {
    type In = Vec<u64>;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (Vec<u64>, Vec<i64>);

    fn on_recv(&mut self, keys: Vec<u64>, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        // Others of its own between them.
        keys.first().map_or(Ok(()), |key| ps.pull(*key))?;
        ps.pull_many(keys)
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(row, row_of(*key));
        Ok(())
    }

    fn on_pull_many_recv(
        &mut self,
        keys: &[u64],
        rows: &[i64],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        ps.output((keys.to_vec(), rows.to_vec()));
        Ok(())
    }
}

fn row_of(key: u64) -> [i64; 2] {
    [key as i64, -(key as i64)]
}

/// Up to 300 keys a record, some more than once; sometimes none.
fn records(split: usize) -> impl Iterator<Item = Vec<u64>> {
    let mut random = Random::new(split as u64);
    (0..100).map(move |i| {
        let n = if i % 10 == 0 { 300 } else { random.next_int(8) };
        (0..n).map(|_| random.next_int(KEYS)).collect()
    })
}

/// As [`Many`], for the keys of all records that come together.
struct Collects(Vec<u64>);

impl WorkerLogic for Collects {
    type In = Vec<u64>;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = u64;

    fn on_recv(&mut self, keys: Vec<u64>, _: &mut ParameterServerClient<Self>) -> Result<()> {
        self.0.extend(keys);
        Ok(())
    }

    fn on_pause(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull_many(std::mem::take(&mut self.0))
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(row, row_of(*key));
        ps.output(*key);
        Ok(())
    }
}

/// The logic asks for nothing but when it is told that no record is to come for now.
fn assert_collected_keys_answered(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    everywhere(
        path,
        |config| {
            let settings = settings().width(2);
            run(config, move |env| {
                let server = SimpleServer::new(|key: &u64, row: &mut Vec<i64>| row.extend(row_of(*key)), add);
                let data = env.from_splits(4, records);
                Ok(ps::transform(data, Collects(Vec::new()), server, &settings)?.output.collect())
            })
        },
        |keys, shape| {
            assert_eq!(sorted(keys), sorted([(0..4).flat_map(records).flatten().collect()]), "{shape}");
        },
    );
}

#[test]
fn keys_of_records_that_come_together_are_pulled_when_no_more_come() {
    let path = test_path!(keys_of_records_that_come_together_are_pulled_when_no_more_come);
    assert_collected_keys_answered(path, PsConfig::new);
}

#[test]
fn keys_of_records_that_come_together_are_pulled_with_little_credit() {
    let path = test_path!(keys_of_records_that_come_together_are_pulled_with_little_credit);
    assert_collected_keys_answered(path, || PsConfig::new().credit(1).block_len(4));
}

fn answered(config: RuntimeConfig, ps_config: PsConfig<u64>) -> Vec<(Vec<u64>, Vec<i64>)> {
    let outputs = run(config, move |env| {
        let server = SimpleServer::new(|key: &u64, row: &mut Vec<i64>| row.extend(row_of(*key)), add);
        let out = ps::transform(env.from_splits(4, records), Many, server, &ps_config.clone().width(2))?;
        Ok(out.output.collect())
    });
    sorted(outputs)
}

fn assert_rows(answered: Vec<(Vec<u64>, Vec<i64>)>, shape: &str) {
    let all = (0..4).flat_map(records);
    let all = all.map(|keys| (keys.clone(), keys.into_iter().flat_map(row_of).collect()));
    assert_eq!(answered, sorted([all.collect()]), "{shape}");
}

#[test]
fn rows_of_many_keys_come_together_in_the_order_asked() {
    everywhere(
        test_path!(rows_of_many_keys_come_together_in_the_order_asked),
        |config| answered(config, PsConfig::new()),
        assert_rows,
    );
}

#[test]
fn rows_of_more_keys_than_there_is_credit_come_together() {
    everywhere(
        test_path!(rows_of_more_keys_than_there_is_credit_come_together),
        |config| answered(config, PsConfig::new().credit(10).block_len(3)),
        assert_rows,
    );
}

#[test]
fn rows_of_many_keys_come_together_from_batches_that_wait() {
    let parts = vec![SendPolicy::Count(3), SendPolicy::Interval(std::time::Duration::from_millis(1))];
    let policy = SendPolicy::Any(parts);
    everywhere(
        test_path!(rows_of_many_keys_come_together_from_batches_that_wait),
        |config| {
            let settings = PsConfig::new().credit(60).server_send(policy.clone());
            answered(config, settings.worker_send(policy.clone()))
        },
        assert_rows,
    );
}

#[test]
fn rows_of_many_keys_come_together_under_bulk_synchronous_training() {
    everywhere(
        test_path!(rows_of_many_keys_come_together_under_bulk_synchronous_training),
        |config| answered(config, PsConfig::new().credit(10).consistency(Consistency::BULK_SYNCHRONOUS)),
        assert_rows,
    );
}

/// Adds 1 to each key and outputs the counter after it.
struct Fused;

impl WorkerLogic for Fused {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64);

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push_pull(key, [1])
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, value[0]));
        Ok(())
    }
}

fn assert_every_value_seen_once(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    everywhere(
        path,
        |config| {
            let settings = settings();
            run(config, move |env| {
                let data = env.from_splits(4, |_| (0..1_000).map(|i| i % 10));
                let server = SimpleServer::new(zero, add);
                Ok(ps::transform(data, Fused, server, &settings)?.output.collect())
            })
        },
        |seen, shape| {
            let all = (0..10).flat_map(|key| (1..=400).map(move |value| (key, value)));
            assert!(sorted(seen).into_iter().eq(all), "{shape}");
        },
    );
}

#[test]
fn fused_push_and_pull_shows_every_value_once() {
    assert_every_value_seen_once(test_path!(fused_push_and_pull_shows_every_value_once), PsConfig::new);
}

#[test]
fn fused_push_and_pull_shows_every_value_once_with_little_credit() {
    assert_every_value_seen_once(
        test_path!(fused_push_and_pull_shows_every_value_once_with_little_credit),
        || PsConfig::new().credit(7).block_len(2),
    );
}

/// Adds 1 to the first element and the key to the second one, for all keys of a record together, and outputs the rows
/// after that.
struct FusedMany;

impl WorkerLogic for FusedMany {
    type In = Vec<u64>;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, [i64; 2]);

    fn on_recv(&mut self, keys: Vec<u64>, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push_pull_many(&keys, &ones_and_keys(&keys))
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, [row[0], row[1]]));
        Ok(())
    }
}

fn add_rows(row: &mut [i64], delta: &[i64]) {
    row.iter_mut().zip(delta).for_each(|(sum, x)| *sum += x);
}

fn ones_and_keys(keys: &[u64]) -> Vec<i64> {
    keys.iter().flat_map(|key| [1, *key as i64]).collect()
}

fn assert_every_row_seen_once(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    let mut pushes = [0; KEYS as usize];
    (0..4).flat_map(records).flatten().for_each(|key| pushes[key as usize] += 1);
    everywhere(
        path,
        |config| {
            let settings = settings().width(2);
            run(config, move |env| {
                let data = env.from_splits(4, records);
                let server = SimpleServer::new(|_: &u64, row: &mut Vec<i64>| row.extend([0, 0]), add_rows);
                Ok(ps::transform(data, FusedMany, server, &settings)?.output.collect())
            })
        },
        |seen, shape| {
            let all =
                (0..KEYS).flat_map(|key| (1..=pushes[key as usize]).map(move |n| (key, [n, n * key as i64])));
            assert!(sorted(seen).into_iter().eq(all), "{shape}");
        },
    );
}

#[test]
fn fused_operations_on_many_keys_show_every_row_once() {
    let path = test_path!(fused_operations_on_many_keys_show_every_row_once);
    assert_every_row_seen_once(path, PsConfig::new);
}

#[test]
fn fused_operations_on_many_keys_show_every_row_once_with_little_credit() {
    let path = test_path!(fused_operations_on_many_keys_show_every_row_once_with_little_credit);
    let placement = || Placement::Range(KEYS);
    assert_every_row_seen_once(path, || PsConfig::new().credit(9).block_len(4).placement(placement()));
}

/// As [`FusedMany`], and wants no rows.
struct PushMany;

impl WorkerLogic for PushMany {
    type In = Vec<u64>;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, keys: Vec<u64>, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push_many(&keys, &ones_and_keys(&keys))
    }

    fn on_pull_recv(&mut self, key: &u64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Err(Error::operator(format!("a row of {key}, which nobody pulled")))
    }
}

fn assert_all_pushes_applied(path: &str, combines: bool, settings: impl Fn() -> PsConfig<u64>) {
    let mut expected = vec![[0; 2]; KEYS as usize];
    (0..4).flat_map(records).flatten().for_each(|key| {
        expected[key as usize][0] += 1;
        expected[key as usize][1] += key as i64;
    });
    everywhere(
        path,
        |config| {
            let settings = settings().width(2);
            run(config, move |env| {
                let data = env.from_splits(4, records);
                let server = SimpleServer::new(|_: &u64, row: &mut Vec<i64>| row.extend([0, 0]), add_rows);
                let server = if combines { server.combine(add_rows) } else { server };
                Ok(ps::transform(data, PushMany, server, &settings)?.model.collect())
            })
        },
        |model, shape| {
            let all = expected.iter().enumerate().map(|(key, row)| (key as u64, row.to_vec()));
            assert!(sorted(model).into_iter().eq(all), "{shape}");
        },
    );
}

#[test]
fn pushes_of_many_keys_are_applied_each_once() {
    assert_all_pushes_applied(test_path!(pushes_of_many_keys_are_applied_each_once), false, PsConfig::new);
}

#[test]
fn pushes_of_many_keys_are_applied_each_once_when_they_are_combined() {
    let path = test_path!(pushes_of_many_keys_are_applied_each_once_when_they_are_combined);
    assert_all_pushes_applied(path, true, PsConfig::new);
}

#[test]
fn pushes_of_many_keys_are_applied_each_once_when_they_could_be_combined_and_are_not() {
    let path = test_path!(pushes_of_many_keys_are_applied_each_once_when_they_could_be_combined_and_are_not);
    assert_all_pushes_applied(path, true, || PsConfig::new().combine_pushes(false));
}

#[test]
fn pushes_of_many_keys_are_applied_each_once_under_bulk_synchronous_training() {
    assert_all_pushes_applied(
        test_path!(pushes_of_many_keys_are_applied_each_once_under_bulk_synchronous_training),
        false,
        || PsConfig::new().block_len(7).consistency(Consistency::BULK_SYNCHRONOUS),
    );
}

/// T-NEW-15: every key is pushed to by three parts of the data.
fn assert_three_of_each<K: Key + Sync + Copy>(path: &str, keys: &[K], placement: &Placement<K>) {
    everywhere(
        path,
        |config| {
            let (keys, settings) = (keys.to_vec(), PsConfig::new().placement(placement.clone()));
            run(config, move |env| {
                let keys = keys.clone();
                let data = env.from_splits(3, move |_| keys.clone());
                let server = SimpleServer::new(zero, add);
                Ok(ps::transform(data, AddOne::new(), server, &settings)?.model.collect())
            })
        },
        |model, shape| {
            let all = sorted([keys.iter().map(|key| (*key, vec![3])).collect::<Vec<_>>()]);
            assert_eq!(sorted(model), all, "{shape}");
        },
    );
}

#[test]
fn t_new_15_negative_keys_have_their_own_parameters() {
    let path = test_path!(t_new_15_negative_keys_have_their_own_parameters);
    assert_three_of_each(path, &[i32::MIN, -1, 0, i32::MAX], &Placement::Hash);
}

#[test]
fn t_new_15_small_and_huge_keys_have_their_own_parameters() {
    let path = test_path!(t_new_15_small_and_huge_keys_have_their_own_parameters);
    assert_three_of_each(path, &[0u64, 1, 2, 3, 4, 5, 6, 7, u64::MAX], &Placement::Hash);
}

#[test]
fn t_new_15_keys_of_a_small_range_have_their_own_parameters() {
    let path = test_path!(t_new_15_keys_of_a_small_range_have_their_own_parameters);
    assert_three_of_each(path, &[0u32, 1, 2, 3, 4, 5, 6, 7], &Placement::Range(8));
}

#[test]
fn t_new_15_model_of_one_key_has_one_parameter() {
    assert_three_of_each(
        test_path!(t_new_15_model_of_one_key_has_one_parameter),
        &[0u8],
        &Placement::Range(1),
    );
}

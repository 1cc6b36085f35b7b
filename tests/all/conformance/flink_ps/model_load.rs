//! T-FPS-05, T-FPS-06 and T-NEW-08: training that starts from a saved model.

use waterwheel::prelude::*;

use super::support::{AddOne, add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

type Model<K> = Vec<(K, Vec<i64>)>;

/// Saved parameters and the keys to train on.
#[derive(Clone)]
struct Input<K> {
    saved: Model<K>,
    keys: Vec<K>,
}

/// Part `split` of `splits` of some records.
fn part<D: Clone>(records: &[D], split: usize, splits: usize) -> Vec<D> {
    records.iter().skip(split).step_by(splits).cloned().collect()
}

/// Trains on `servers` servers, or as many as there are workers: the model, which must be all the output.
fn trained<K: Key + Sync>(
    config: RuntimeConfig,
    input: &Input<K>,
    servers: usize,
    placement: Placement<K>,
) -> Model<K> {
    let input = input.clone();
    let results = run(config, move |env| {
        let Input { saved, keys } = input.clone();
        let saved = env.from_splits(2, move |split| part(&saved, split, 2));
        let data = env.from_splits(3, move |split| part(&keys, split, 3));
        let server = SimpleServer::new(zero, add);
        let config = PsConfig::new().servers(servers.min(env.workers())).placement(placement.clone());
        let out = ps::transform_with_model_load(saved, data, AddOne::new(), server, &config)?;
        Ok((out.output.collect(), out.model.collect()))
    });
    let (worker_outputs, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    assert!(worker_outputs.concat().is_empty());
    sorted(model)
}

/// The numbers 0 to 49, each three times, in a mixed order.
fn thrice() -> impl Iterator<Item = usize> {
    (0..150).map(|i| 7 * i % 150 % 50)
}

/// The original's input: parameters `i -> 10 * i`, and every key three times.
fn tens<K: Clone>(id: fn(usize) -> K) -> Input<K> {
    Input { saved: (0..50).map(|i| (id(i), vec![10 * i as i64])).collect(), keys: thrice().map(id).collect() }
}

fn string_id(i: usize) -> String {
    format!("id{i}")
}

#[test]
fn t_fps_05_loaded_model_with_integer_keys_gets_every_push() {
    let input = tens(|i| i as i32);
    let expected: Model<i32> = (0..50).map(|i| (i, vec![10 * i64::from(i) + 3])).collect();
    everywhere(
        test_path!(t_fps_05_loaded_model_with_integer_keys_gets_every_push),
        |config| trained(config, &input, 3, Placement::Hash),
        |model, shape| assert_eq!(model, expected, "{shape}"),
    );
}

#[test]
fn t_fps_06_loaded_model_with_string_keys_gets_every_push() {
    let input = tens(string_id);
    let by_number = Placement::custom(|id: &String, servers| id[2..].parse::<usize>().unwrap() % servers);
    let expected = sorted([(0..50).map(|i| (string_id(i), vec![10 * i as i64 + 3])).collect()]);
    everywhere(
        test_path!(t_fps_06_loaded_model_with_string_keys_gets_every_push),
        |config| trained(config, &input, 3, by_number.clone()),
        |model, shape| assert_eq!(model, expected, "{shape}"),
    );
}

#[test]
fn t_new_08_empty_model_is_no_model() {
    let input = Input { saved: Vec::new(), keys: thrice().collect() };
    everywhere(
        test_path!(t_new_08_empty_model_is_no_model),
        |config| trained(config, &input, 3, Placement::Hash),
        |model, shape| assert_eq!(model, (0..50).map(|i| (i, vec![3])).collect::<Vec<_>>(), "{shape}"),
    );
}

#[test]
fn t_new_08_model_of_one_parameter_is_loaded() {
    let input = Input { saved: vec![(7, vec![70])], keys: thrice().collect() };
    let value = |i| if i == 7 { 73 } else { 3 };
    everywhere(
        test_path!(t_new_08_model_of_one_parameter_is_loaded),
        |config| trained(config, &input, 3, Placement::Hash),
        |model, shape| assert_eq!(model, (0..50).map(|i| (i, vec![value(i)])).collect::<Vec<_>>(), "{shape}"),
    );
}

#[test]
fn t_new_08_model_without_training_data_comes_out_as_it_was() {
    let input = Input { keys: Vec::new(), ..tens(|i| i as i32) };
    everywhere(
        test_path!(t_new_08_model_without_training_data_comes_out_as_it_was),
        |config| trained(config, &input, 3, Placement::Hash),
        |model, shape| assert_eq!(model, input.saved, "{shape}"),
    );
}

#[test]
fn t_new_08_more_servers_than_keys_leave_most_servers_empty() {
    let input = Input { saved: vec![(0, vec![10])], keys: vec![0; 150] };
    for workers in [1, 2, 3, 4, 8] {
        for placement in [Placement::Hash, Placement::Range(1), Placement::custom(|_, servers| servers - 1)] {
            let model = trained(RuntimeConfig::threads(workers), &input, workers, placement);
            assert_eq!(model, [(0, vec![160])], "{workers} workers");
        }
    }
}

#[test]
fn t_new_08_model_and_training_data_of_one_source_do_not_wait_for_each_other() {
    everywhere(
        test_path!(t_new_08_model_and_training_data_of_one_source_do_not_wait_for_each_other),
        |config| {
            run(config, |env| {
                // Training records come first and find little credit; their source must be read on.
                let all = env.from_splits(4, |split| (0..10_000).map(move |i| (split, i)));
                let keys = all.clone().filter(|(_, i)| *i < 9_950).map(|(_, i)| i % 50);
                let saved = all.filter(|(split, i)| *split == 3 && *i >= 9_950);
                let saved = saved.map(|(_, i)| (i % 50, vec![10 * i64::from(i % 50)]));
                let server = SimpleServer::new(zero, add);
                let config = PsConfig::new().credit(8);
                let out = ps::transform_with_model_load(saved, keys, AddOne::new(), server, &config)?;
                Ok(out.model.collect())
            })
        },
        |model, shape| {
            let expected = (0..50).map(|i| (i, vec![10 * i64::from(i) + 4 * 199]));
            assert!(sorted(model).into_iter().eq(expected), "{shape}");
        },
    );
}

/// Outputs the user's value, which the worker has loaded, beside the item's, which the server has.
#[derive(Default)]
struct Pairs {
    users: std::collections::BTreeMap<u64, i64>,
    waiting: std::collections::BTreeMap<u64, std::collections::VecDeque<u64>>,
}

impl WorkerLogic for Pairs {
    type In = (u64, u64);
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64, i64);

    fn on_recv(&mut self, (user, item): (u64, u64), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.waiting.entry(item).or_default().push_back(user);
        ps.pull(item)
    }

    fn on_pull_recv(
        &mut self,
        item: &u64,
        value: &[i64],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        let user = self.waiting.get_mut(item).and_then(|users| users.pop_front()).unwrap();
        ps.output((user, self.users.get(&user).copied().unwrap_or(-1), value[0]));
        Ok(())
    }
}

impl ps::LoadModel for Pairs {
    type Saved = (u64, i64);

    fn on_load(&mut self, (user, value): (u64, i64)) -> Result<()> {
        assert!(self.waiting.is_empty(), "a record came before the model was loaded");
        self.users.insert(user, value);
        Ok(())
    }
}

/// Loads values of the first `items` items and `users` users, and trains on so many records.
fn assert_both_parts_loaded(path: &str, (items, users, trained): (u64, u64, u64)) {
    everywhere(
        path,
        |config| {
            let outputs = run(config, move |env| {
                let workers = 2.min(env.workers());
                // All part their records as the workers are.
                let of = move |user: u64| (user % workers as u64) as usize;
                let saved = move |n: u64| move |split: usize| (split as u64..n).step_by(3);
                let items = env.from_splits(3, saved(items)).map(|item| (item, vec![10 * item as i64]));
                let users = env.from_splits(3, saved(users)).map(|user| (user, 7 * user as i64));
                let users = users.partition_custom(move |(user, _), _| of(*user));
                let data = env.from_splits(3, saved(trained)).map(|i| (i % 50, i * 7 % 50));
                let data = data.partition_custom(move |(user, _), _| of(*user));
                let config = PsConfig::new().workers(workers).credit(20);
                let (worker, server) = (Pairs::default(), SimpleServer::new(zero, add));
                let out = ps::transform_with_double_model_load(items, users, data, worker, server, &config)?;
                Ok(out.output.collect())
            });
            sorted(outputs)
        },
        |outputs, shape| {
            let user_value = |user| if user < users { 7 * user as i64 } else { -1 };
            let item_value = |item| if item < items { 10 * item as i64 } else { 0 };
            let pairs = (0..trained).map(|i| (i % 50, i * 7 % 50));
            let expected = pairs.map(|(user, item)| (user, user_value(user), item_value(item)));
            assert_eq!(outputs, sorted([expected.collect()]), "{shape}");
        },
    );
}

#[test]
fn t_new_08_both_parts_of_a_model_are_loaded_before_training() {
    let path = test_path!(t_new_08_both_parts_of_a_model_are_loaded_before_training);
    assert_both_parts_loaded(path, (50, 50, 150));
}

#[test]
fn t_new_08_both_parts_of_a_model_may_have_one_parameter() {
    assert_both_parts_loaded(test_path!(t_new_08_both_parts_of_a_model_may_have_one_parameter), (1, 1, 150));
}

#[test]
fn t_new_08_both_parts_of_a_model_may_be_empty() {
    assert_both_parts_loaded(test_path!(t_new_08_both_parts_of_a_model_may_be_empty), (0, 0, 150));
}

#[test]
fn t_new_08_both_parts_of_a_model_are_loaded_without_training_data() {
    let path = test_path!(t_new_08_both_parts_of_a_model_are_loaded_without_training_data);
    assert_both_parts_loaded(path, (50, 50, 0));
}

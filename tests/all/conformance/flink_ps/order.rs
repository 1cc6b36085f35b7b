//! Read-your-writes: a pull sees exactly those pushes of its own worker that were issued before it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use waterwheel::prelude::*;

use super::java::Random;
use super::paced::Trickle;
use super::support::{run, sorted};
use crate::cluster::{everywhere, test_path};

const KEYS: u64 = 7;
/// Elements of a row; worker `i` adds to element `i` only.
const WIDTH: usize = 4;

/// What a worker is told to do.
type Step = (u64, Option<i64>);

/// Pushes and pulls as told, and checks each answer against what it has pushed before.
#[derive(Default)]
struct Reader {
    index: usize,
    /// Sum of the worker's own pushes, per key.
    written: BTreeMap<u64, i64>,
    /// That sum at each unanswered pull, per key and in order.
    expected: BTreeMap<u64, VecDeque<i64>>,
}

impl Reader {
    fn push(&mut self, key: u64, value: i64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        *self.written.entry(key).or_default() += value;
        let mut row = [0; WIDTH];
        row[self.index] = value;
        // Both ways are one.
        if value % 2 == 0 { ps.push_many(&[key], &row) } else { ps.push(key, row) }
    }

    fn pull(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let written = self.written.get(&key).copied().unwrap_or_default();
        self.expected.entry(key).or_default().push_back(written);
        ps.pull(key)
    }
}

impl WorkerLogic for Reader {
    type In = Step;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, usize, i64);

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        self.index = context.index;
        Ok(())
    }

    fn on_recv(&mut self, (key, value): Step, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match value {
            Some(value) => self.push(key, value, ps),
            None => self.pull(key, ps),
        }
    }

    fn intent(&self, (key, value): &Step, keys: &mut Vec<u64>) -> Result<()> {
        keys.extend(value.is_none().then_some(key));
        Ok(())
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let expected = self.expected.get_mut(key).and_then(VecDeque::pop_front);
        assert_eq!(expected, Some(row[self.index]), "worker {} key {key}", self.index);
        // Answers push and pull too, on keys of other servers, but not for ever.
        match row[self.index] % 4 {
            1 => self.push((key + 1) % KEYS, 1, ps),
            2 => {
                self.push((key + 2) % KEYS, 1, ps)?;
                self.pull((key + 2) % KEYS, ps)
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, out: &mut Collector<(u64, usize, i64)>) -> Result<()> {
        let index = self.index;
        self.written.iter().for_each(|(key, sum)| out.emit((*key, index, *sum)));
        Ok(())
    }
}

/// Random steps: half of them pulls.
fn steps(seed: usize) -> impl Iterator<Item = Step> {
    let mut random = Random::new(seed as u64);
    std::iter::repeat_with(move || {
        let key = random.next_int(KEYS);
        (key, (random.next_int(2) == 0).then(|| 1 + random.next_int(5) as i64))
    })
    .take(2_000)
}

/// What the workers have written and what the servers hold, element by element.
type Written = Vec<(u64, usize, i64)>;

/// Runs the steps with a server of this update, from a saved model of `loaded` parameters, all zero, that comes while
/// the steps begin.
fn outcome<U: ps::Update<i64, i64>>(
    config: RuntimeConfig,
    ps_config: PsConfig<u64>,
    loaded: u64,
    update: fn() -> U,
) -> (Written, Written) {
    let results = run(config, move |env| {
        let server =
            SimpleServer::with_update(|_: &u64, row: &mut Vec<i64>| row.extend([0; WIDTH]), update());
        let out = if loaded == 0 {
            ps::transform(env.from_splits(4, steps), Reader::default(), server, &ps_config)?
        } else {
            let saved = move || (0..loaded).map(|key| (key, vec![0; WIDTH]));
            let saved = env.source("model", 4, move |_split| Ok(Trickle(saved())));
            let data = env.source("data", 4, |split| Ok(Trickle(steps(split))));
            ps::transform_with_model_load(saved, data, Reader::default(), server, &ps_config)?
        };
        let elements = |(key, row): (u64, Vec<i64>)| {
            row.into_iter().enumerate().map(move |(worker, sum)| (key, worker, sum))
        };
        Ok((out.output.collect(), out.model.flat_map(elements).collect()))
    });
    let (written, held): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let touched = |parts| sorted(parts).into_iter().filter(|(_, _, sum)| *sum > 0).collect();
    (touched(written), touched(held))
}

/// With an update that is a plain function.
fn written_and_held(config: RuntimeConfig, ps_config: PsConfig<u64>, loaded: u64) -> (Written, Written) {
    outcome(config, ps_config, loaded, || {
        |row: &mut [i64], delta: &[i64]| row.iter_mut().zip(delta).for_each(|(v, d)| *v += d)
    })
}

fn assert_same((written, held): (Written, Written), shape: &str) {
    assert!(!written.is_empty(), "{shape}");
    assert_eq!(written, held, "{shape}");
}

/// Settings for the rows of this file.
fn wide() -> PsConfig<u64> {
    PsConfig::new().width(WIDTH)
}

#[test]
fn t_fps_order_pull_sees_the_earlier_pushes_of_its_worker_and_no_later_ones() {
    everywhere(
        test_path!(t_fps_order_pull_sees_the_earlier_pushes_of_its_worker_and_no_later_ones),
        |config| written_and_held(config, wide(), 0),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_with_a_credit_of_one() {
    everywhere(
        test_path!(t_fps_order_holds_with_a_credit_of_one),
        |config| written_and_held(config, wide().credit(1), 0),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_when_pulls_wait_for_credit_in_small_blocks() {
    everywhere(
        test_path!(t_fps_order_holds_when_pulls_wait_for_credit_in_small_blocks),
        |config| written_and_held(config, wide().credit(7).block_len(3), 0),
        assert_same,
    );
}

/// Settings with which both sides wait for five operations or for a millisecond.
fn batched() -> PsConfig<u64> {
    let parts = vec![SendPolicy::Count(5), SendPolicy::Interval(Duration::from_millis(1))];
    let policy = SendPolicy::Any(parts);
    wide().credit(80).worker_send(policy.clone()).server_send(policy)
}

#[test]
fn t_fps_order_holds_with_send_policies() {
    everywhere(
        test_path!(t_fps_order_holds_with_send_policies),
        |config| written_and_held(config, batched(), 0),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_with_send_policies_while_a_model_is_loaded() {
    everywhere(
        test_path!(t_fps_order_holds_with_send_policies_while_a_model_is_loaded),
        |config| written_and_held(config, batched(), 1_000),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_when_answers_wait_for_their_count_while_a_model_is_loaded() {
    let ps_config = || wide().server_send(SendPolicy::Count(1_000));
    everywhere(
        test_path!(t_fps_order_holds_when_answers_wait_for_their_count_while_a_model_is_loaded),
        |config| written_and_held(config, ps_config(), 1_000),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_while_a_model_is_loaded() {
    everywhere(
        test_path!(t_fps_order_holds_while_a_model_is_loaded),
        |config| written_and_held(config, wide().credit(10_000), 1_000),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_while_a_model_is_loaded_and_records_wait() {
    everywhere(
        test_path!(t_fps_order_holds_while_a_model_is_loaded_and_records_wait),
        |config| written_and_held(config, wide().credit(20), 1_000),
        assert_same,
    );
}

/// Settings with which rows are kept at the workers, and age soon.
fn kept() -> PsConfig<u64> {
    wide().credit(3).intents(16).replicas(4).replica_age(40)
}

#[test]
fn t_fps_order_holds_where_rows_are_kept_at_workers_and_pushes_end_them() {
    everywhere(
        test_path!(t_fps_order_holds_where_rows_are_kept_at_workers_and_pushes_end_them),
        |config| written_and_held(config, kept(), 0),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_where_rows_are_kept_at_workers_and_pushes_show_in_them() {
    everywhere(
        test_path!(t_fps_order_holds_where_rows_are_kept_at_workers_and_pushes_show_in_them),
        |config| outcome(config, kept(), 0, || ps::Sum),
        assert_same,
    );
}

#[test]
fn t_fps_order_holds_where_rows_are_kept_at_workers_and_batches_wait() {
    everywhere(
        test_path!(t_fps_order_holds_where_rows_are_kept_at_workers_and_batches_wait),
        |config| {
            let policy = SendPolicy::Count(3);
            let settings = kept().credit(50).worker_send(policy.clone()).server_send(policy);
            outcome(config, settings, 0, || ps::Sum)
        },
        assert_same,
    );
}

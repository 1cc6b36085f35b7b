//! Rows of every type of number, and of any other type.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::support::PushAll;
use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

/// Sums 1 to 100, by key modulo 7, in rows of some type: by hash, and by position.
fn sums<E>(config: RuntimeConfig, number: fn(u32) -> E) -> [Vec<(u32, Vec<E>)>; 2]
where
    E: ps::Element + Sync + std::fmt::Debug + PartialOrd,
    ps::Sum: ps::Algebra<E>,
{
    let models = run(config, move |env| {
        let model = |placement| {
            let data = env.from_iter((1..=100u32).map(move |n| (n % 7, number(n)))).rebalance();
            let init = move |_: &u32, row: &mut Vec<E>| row.push(number(0));
            let server = SimpleServer::with_update(init, ps::Sum);
            let config = PsConfig::new().placement(placement);
            Ok(ps::transform(data, PushAll::new(), server, &config)?.model.collect())
        };
        Ok((model(Placement::Hash)?, model(Placement::Range(7))?))
    });
    let (hashed, dense): (Vec<_>, Vec<_>) = models.into_iter().unzip();
    [hashed, dense].map(|rows| {
        let mut rows = rows.concat();
        rows.sort_by_key(|row| row.0);
        rows
    })
}

fn assert_number<E>(path: &str, number: fn(u32) -> E)
where
    E: ps::Element + Sync + std::fmt::Debug + PartialOrd,
    ps::Sum: ps::Algebra<E>,
{
    let sum = |key| vec![number((1..=100).filter(|n| n % 7 == key).sum())];
    let expected: Vec<_> = (0..7).map(|key| (key, sum(key))).collect();
    everywhere(
        path,
        |config| sums(config, number),
        |found, shape| found.iter().for_each(|sums| assert_eq!(*sums, expected, "{shape}")),
    );
}

#[test]
fn rows_of_floats_are_summed() {
    assert_number(test_path!(rows_of_floats_are_summed), |n| n as f32);
}

#[test]
fn rows_of_doubles_are_summed() {
    assert_number(test_path!(rows_of_doubles_are_summed), f64::from);
}

#[test]
fn rows_of_integers_are_summed() {
    assert_number(test_path!(rows_of_integers_are_summed), |n| -(n as i32));
}

#[test]
fn rows_of_longs_are_summed() {
    assert_number(test_path!(rows_of_longs_are_summed), |n| i64::from(n) << 40);
}

#[test]
fn rows_of_unsigned_longs_are_summed() {
    assert_number(test_path!(rows_of_unsigned_longs_are_summed), |n| u64::from(n) << 50);
}

/// A row of one map, under keys of text and number: any serde type will do.
#[test]
fn rows_of_maps_take_pushes_of_text() {
    type Counts = BTreeMap<String, u32>;
    let counted = |config| {
        let models = run(config, |env| {
            let words = ["to", "be", "or", "not", "to", "be"].into_iter().enumerate();
            let data = env.from_iter(words.map(|(i, word)| ((i % 2, "words".to_string()), word.to_string())));
            let server = SimpleServer::new(
                |_: &(usize, String), row: &mut Vec<Counts>| row.push(Counts::new()),
                |row: &mut [Counts], word: &[String]| *row[0].entry(word[0].clone()).or_default() += 1,
            );
            Ok(ps::transform(data.rebalance(), Words, server, &PsConfig::new())?.model.collect())
        });
        sorted(models)
    };
    everywhere(test_path!(rows_of_maps_take_pushes_of_text), counted, |found, shape| {
        let counts = |words: &[(&str, u32)]| words.iter().map(|(word, n)| (word.to_string(), *n)).collect();
        let row = |key, words| ((key, "words".to_string()), vec![counts(words)]);
        assert_eq!(found, [row(0, &[("or", 1), ("to", 2)]), row(1, &[("be", 2), ("not", 1)])], "{shape}");
    });
}

struct Words;

impl WorkerLogic for Words {
    type In = ((usize, String), String);
    type Key = (usize, String);
    type Pull = BTreeMap<String, u32>;
    type Push = String;
    type Out = ();

    fn on_recv(&mut self, (key, word): Self::In, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(key, [word])
    }

    fn on_pull_recv(
        &mut self,
        _: &Self::Key,
        _: &[Self::Pull],
        _: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        Ok(())
    }
}

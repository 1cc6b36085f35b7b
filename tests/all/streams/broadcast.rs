//! A stream beside one that every worker gets.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::fixture::{Pair, after_end, pairs, sorted};
use crate::cluster::{everywhere, test_path};

/// The sum of the rules of each key.
type Rules = BTreeMap<u64, i64>;

fn add_rule(rules: &mut Rules, (key, value): Pair) {
    *rules.entry(key).or_default() += value;
}

fn applied(rules: &Rules, (key, value): Pair) -> Option<(u64, i64)> {
    rules.get(&key).map(|rule| (key, value * rule))
}

/// Keeps records back until all rules are there.
#[derive(Default)]
struct AfterRules {
    early: Vec<Pair>,
    complete: bool,
    ends: u32,
}

impl BroadcastProcessFunction<Pair, Pair> for AfterRules {
    type Broadcast = Rules;
    type Out = Pair;

    fn process(&mut self, rules: &Rules, pair: Pair, out: &mut Collector<Pair>) -> Result<()> {
        if self.complete {
            out.batch().extend(applied(rules, pair));
        } else {
            self.early.push(pair);
        }
        Ok(())
    }

    fn process_broadcast(&mut self, rules: &mut Rules, rule: Pair, _: &mut Collector<Pair>) -> Result<()> {
        add_rule(rules, rule);
        Ok(())
    }

    fn end_of_input(&mut self, _rules: &Rules, out: &mut Collector<Pair>) -> Result<()> {
        self.ends += 1;
        out.emit((u64::MAX, 1));
        Ok(())
    }

    fn end_of_broadcast(&mut self, rules: &mut Rules, out: &mut Collector<Pair>) -> Result<()> {
        self.complete = true;
        out.batch().extend(self.early.drain(..).filter_map(|pair| applied(rules, pair)));
        Ok(())
    }
}

fn naive(rules: &[Pair], records: &[Pair]) -> Vec<Pair> {
    let mut all = Rules::new();
    rules.iter().for_each(|rule| add_rule(&mut all, *rule));
    records.iter().filter_map(|pair| applied(&all, *pair)).collect()
}

#[test]
fn broadcast_state_is_whole_on_every_worker_when_the_broadcast_has_ended() {
    let job = |config| {
        execute(config, |env| {
            let workers = env.workers();
            let rules = env.from_splits(4, |split| pairs(20 + split as u64, 30, 50));
            let records = env.from_iter(pairs(14, 3000, 90)).rebalance();
            let done = records.connect_broadcast(rules).process_function(AfterRules::default());
            Ok(done.map(move |pair| (workers, pair)).collect())
        })
        .unwrap()
        .concat()
    };
    let path = test_path!(broadcast_state_is_whole_on_every_worker_when_the_broadcast_has_ended);
    everywhere(path, job, |found, shape| {
        let workers = found[0].0;
        let (ends, found): (Vec<Pair>, Vec<Pair>) =
            found.into_iter().map(|(_, pair)| pair).partition(|pair| pair.0 == u64::MAX);
        assert_eq!(ends.len(), workers, "{shape}");
        let rules: Vec<Pair> = (20..24).flat_map(|seed| pairs(seed, 30, 50)).collect();
        assert_eq!(sorted(found), sorted(naive(&rules, &pairs(14, 3000, 90))), "{shape}");
    });
}

/// Keeps the records of a key in its state until all rules are there.
struct KeyedAfterRules;

impl KeyedBroadcastProcessFunction<u64, Pair, Pair> for KeyedAfterRules {
    /// Early values, whether the rules are complete, and the number of values.
    type State = (Vec<i64>, bool, u64);
    type Broadcast = Rules;
    type Out = Pair;

    fn process(
        &mut self,
        key: &u64,
        (early, complete, n): &mut Self::State,
        rules: &Rules,
        (_, value): Pair,
        out: &mut Collector<Pair>,
    ) -> Result<()> {
        *n += 1;
        if *complete {
            out.batch().extend(applied(rules, (*key, value)));
        } else {
            early.push(value);
        }
        Ok(())
    }

    fn process_broadcast(&mut self, rules: &mut Rules, rule: Pair, _: &mut Collector<Pair>) -> Result<()> {
        add_rule(rules, rule);
        Ok(())
    }

    fn end_of_input(
        &mut self,
        key: &u64,
        (_, _, n): &mut Self::State,
        _rules: &Rules,
        out: &mut Collector<Pair>,
    ) -> Result<()> {
        out.emit((1_000_000 + key, *n as i64));
        Ok(())
    }

    fn end_of_broadcast(
        &mut self,
        key: &u64,
        (early, complete, _): &mut Self::State,
        rules: &Rules,
        out: &mut Collector<Pair>,
    ) -> Result<()> {
        if std::mem::replace(complete, true) {
            return Err(Error::internal("told of the end twice"));
        }
        out.batch().extend(early.drain(..).filter_map(|value| applied(rules, (*key, value))));
        Ok(())
    }
}

#[test]
fn keyed_records_read_the_broadcast_state_beside_that_of_their_key() {
    let job = |config| {
        execute(config, |env| {
            let rules = env.from_splits(3, |split| pairs(30 + split as u64, 30, 50));
            // Even keys are new to the function when it has heard that the rules are complete.
            let (even, odd) = pairs(15, 3000, 90).into_iter().partition::<Vec<_>, _>(|pair| pair.0 % 2 == 0);
            let records = env.from_iter(odd).rebalance().union(after_end(rules.clone(), even));
            let records = records.key_by(|pair| pair.0);
            Ok(records.connect_broadcast(rules).process_function(KeyedAfterRules).collect())
        })
        .unwrap()
        .concat()
    };
    let path = test_path!(keyed_records_read_the_broadcast_state_beside_that_of_their_key);
    everywhere(path, job, |found, shape| {
        let rules: Vec<Pair> = (30..33).flat_map(|seed| pairs(seed, 30, 50)).collect();
        let mut expected = naive(&rules, &pairs(15, 3000, 90));
        let mut counts = Rules::new();
        pairs(15, 3000, 90).iter().for_each(|(key, _)| add_rule(&mut counts, (1_000_000 + key, 1)));
        expected.extend(counts);
        assert_eq!(sorted(found), sorted(expected), "{shape}");
    });
}

#[test]
fn broadcast_closures_apply_each_rule_on_every_worker() {
    let job = |config| {
        execute(config, |env| {
            let (rules, records) = (env.from_iter(pairs(16, 200, 50)), env.from_iter(pairs(17, 500, 50)));
            let plain = records.clone().rebalance().connect_broadcast(rules.clone()).process(
                |_: &Rules, pair, out| out.emit((0u8, pair)),
                |rules: &mut Rules, rule, out: &mut Collector<(u8, Pair)>| {
                    add_rule(rules, rule);
                    out.emit((1, rule));
                },
            );
            let keyed = records.key_by(|pair| pair.0).connect_broadcast(rules).process(
                |_key, n: &mut i64, _: &Rules, pair, out| {
                    *n += 1;
                    out.emit((2u8, (pair.0, *n)));
                },
                |rules: &mut Rules, rule, out: &mut Collector<(u8, Pair)>| {
                    add_rule(rules, rule);
                    out.emit((1, rule));
                },
            );
            let workers = env.workers();
            Ok(plain.union(keyed).map(move |found| (workers, found)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(broadcast_closures_apply_each_rule_on_every_worker), job, |found, shape| {
        let workers = found[0].0;
        let lane = |which| {
            let lane = found.iter().filter(|(_, (lane, _))| *lane == which).map(|(_, (_, pair))| *pair);
            sorted(lane.collect())
        };
        assert_eq!(lane(0), sorted(pairs(17, 500, 50)), "{shape}");
        let rules = std::iter::repeat_n(pairs(16, 200, 50), 2 * workers).flatten();
        assert_eq!(lane(1), sorted(rules.collect()), "{shape}");
        let mut n = Rules::new();
        let counted = pairs(17, 500, 50).into_iter().map(|(key, _)| {
            add_rule(&mut n, (key, 1));
            (key, n[&key])
        });
        assert_eq!(lane(2), sorted(counted.collect()), "{shape}");
    });
}

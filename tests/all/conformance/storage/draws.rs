//! Rows that servers draw among those that they have.

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

const WORDS: u64 = 500;
const ROWS: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Key {
    Word(String),
    Draw { server: usize, by: usize },
}

fn word(n: u64) -> String {
    format!("word {n}")
}

/// Pushes every word once, on one of the workers, and draws from every server when all have.
#[derive(Default)]
struct Drawer {
    index: usize,
    servers: usize,
}

impl WorkerLogic for Drawer {
    type In = u64;
    type Key = Key;
    type Pull = u64;
    type Push = u64;
    type Out = (String, u64);

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        (self.index, self.servers) = (context.index, context.servers);
        Ok(())
    }

    fn on_recv(&mut self, n: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(Key::Word(word(n)), [n])
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.advance_clock();
        Ok(())
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let by = self.index;
        (0..self.servers).try_for_each(|server| ps.pull(Key::Draw { server, by }))
    }

    fn on_pull_recv(&mut self, key: &Key, row: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match key {
            Key::Word(word) => ps.output((word.clone(), row[0])),
            Key::Draw { .. } => panic!("a draw is answered with words"),
        }
        Ok(())
    }
}

#[test]
fn rows_that_servers_draw_are_theirs_and_come_under_their_keys() {
    let drawn = |config: RuntimeConfig| {
        let workers = config.workers();
        let drawn = run(config, |env| {
            let place = Placement::custom(|key: &Key, servers| match key {
                Key::Word(word) => hash::key_owner(word, servers),
                Key::Draw { server, .. } => *server,
            });
            let server = SimpleServer::with_update(|_: &Key, row: &mut Vec<u64>| row.push(0), ps::Sum);
            let server = server.emit(Emit::Never).draw_on(|key| match key {
                Key::Word(_) => None,
                Key::Draw { by, .. } => Some(ps::Draw { rows: ROWS, seed: *by as u64 }),
            });
            let words = env.from_iter(0..WORDS).rebalance();
            let config = PsConfig::new().placement(place);
            Ok(ps::transform(words, Drawer::default(), server, &config)?.output.collect())
        });
        (workers, sorted(drawn))
    };
    everywhere(
        test_path!(rows_that_servers_draw_are_theirs_and_come_under_their_keys),
        drawn,
        |(workers, mut drawn), shape| {
            assert_eq!(drawn.len(), workers * workers * ROWS, "{shape}");
            assert!(drawn.iter().all(|(key, n)| *key == word(*n) && *n < WORDS), "{shape}");
            drawn.dedup();
            assert!(drawn.len() > 100, "{shape}: {} different words", drawn.len());
        },
    );
}

#[test]
fn rows_that_servers_draw_by_weight_have_the_shares_of_their_weights() {
    const DRAWS: usize = 20_000;
    let drawn = |config: RuntimeConfig| {
        let drawn = run(config, |env| {
            let place = Placement::custom(|key: &Key, servers| match key {
                Key::Word(word) => word.len() % servers,
                Key::Draw { server, .. } => *server,
            });
            let server = SimpleServer::with_update(|_: &Key, row: &mut Vec<u64>| row.push(0), ps::Sum);
            let server = server.emit(Emit::Never).draw_by_weight(
                |key| match key {
                    Key::Word(_) => None,
                    Key::Draw { by, .. } => Some(ps::Draw { rows: DRAWS, seed: *by as u64 }),
                },
                |_, row| (row[0] % 5) as f64,
            );
            // Ten words of one length, so that one server has them all.
            let words = env.from_iter(10..20u64).rebalance();
            let config = PsConfig::new().placement(place);
            Ok(ps::transform(words, Drawer::default(), server, &config)?.output.collect())
        });
        drawn.concat()
    };
    everywhere(
        test_path!(rows_that_servers_draw_by_weight_have_the_shares_of_their_weights),
        drawn,
        |drawn, shape| {
            let workers = if shape == "2 processes" { 2 } else { shape[..1].parse().unwrap() };
            assert_eq!(drawn.len(), workers * DRAWS, "{shape}");
            for n in 10..20u64 {
                let share = drawn.iter().filter(|(_, row)| *row == n).count() as f64 / drawn.len() as f64;
                let expected = (n % 5) as f64 / 20.0;
                // Five standard deviations of as many draws.
                let near = 5.0 * (expected * (1.0 - expected) / drawn.len() as f64).sqrt();
                assert!((share - expected).abs() <= near, "{shape}: {n} has {share}, expected {expected}");
            }
        },
    );
}

//! T-AD-03: a value is set, and all workers push to it, for fifty rounds.

use waterwheel::prelude::random::sm;
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::run;

const RANKS: u64 = 8;
const ROUNDS: u64 = 50;
const PUSHES: usize = 100;
const KEY: u64 = 9;

/// A push that adds, or that sets.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
enum Change {
    Add(i64, i64),
    Set(i64, i64),
}

fn apply(row: &mut [i64], change: &[Change]) {
    match change[0] {
        Change::Add(a, b) => (row[0], row[1]) = (row[0] + a, row[1] + b),
        Change::Set(a, b) => (row[0], row[1]) = (a, b),
    }
}

/// The pair that a round begins with.
fn first(round: u64) -> (i64, i64) {
    ((sm(1, round) % 10_000) as i64, (sm(2, round) % 10_000) as i64)
}

/// A round takes three clocks: rank 0 sets, all push, all pull.
#[derive(Default)]
struct Rounds {
    ranks: Vec<u64>,
}

impl Rounds {
    fn act(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let (round, phase) = (clock / 3, clock % 3);
        if round == ROUNDS {
            return Ok(());
        }
        match phase {
            0 if self.ranks.contains(&0) => {
                let (a, b) = first(round);
                ps.push(KEY, [Change::Set(a, b)])?;
            }
            0 => {}
            1 => {
                for rank in self.ranks.iter().map(|rank| *rank as i64) {
                    (0..PUSHES).try_for_each(|_| ps.push(KEY, [Change::Add(rank, 2 * rank)]))?;
                }
            }
            _ => ps.pull(KEY)?,
        }
        ps.advance_clock();
        Ok(())
    }
}

impl WorkerLogic for Rounds {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = Change;
    type Out = u64;

    fn on_recv(&mut self, rank: u64, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.ranks.push(rank);
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.act(0, ps)
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.act(clock, ps)
    }

    fn on_pull_recv(&mut self, _: &u64, row: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let (round, (a, b)) = (ps.clock() / 3, first(ps.clock() / 3));
        assert_eq!(row, [a + 2_800, b + 5_600], "round {round}");
        ps.output(round);
        Ok(())
    }
}

#[test]
fn t_ad_03_value_that_is_set_and_pushed_to_is_exact_in_every_round() {
    let rounds = |config: RuntimeConfig| {
        let workers = config.workers() as u64;
        let rounds = run(config, |env| {
            let data = env.from_splits(RANKS as usize, |rank| [rank as u64]);
            let server = SimpleServer::new(|_: &u64, row: &mut Vec<i64>| row.extend([0; 2]), apply);
            let config = PsConfig::new().pull_width(2);
            Ok(ps::transform(data, Rounds::default(), server, &config)?.output.collect())
        });
        (workers, rounds.concat())
    };
    everywhere(
        test_path!(t_ad_03_value_that_is_set_and_pushed_to_is_exact_in_every_round),
        rounds,
        |(workers, mut found), shape| {
            found.sort();
            let expected: Vec<_> =
                (0..ROUNDS).flat_map(|round| std::iter::repeat_n(round, workers as usize)).collect();
            assert_eq!(found, expected, "{shape}");
        },
    );
}

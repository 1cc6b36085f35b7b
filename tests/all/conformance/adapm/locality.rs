//! T-AD-02: keys are local at their home and, while there is an intent, where it was announced.

use waterwheel::prelude::*;
use waterwheel::ps::{
    self, ParameterServerClient, PsConfig, PsState, SimpleServer, WorkerContext, WorkerLogic,
};

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

const KEYS: u64 = 36;
/// Keys that nobody announces, enough to have one of each server.
const MARKERS: std::ops::Range<u64> = 32..36;

/// What a worker does when its last marker is answered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Its intents are there.
    #[default]
    Announced,
    /// They are there again, at the next clock.
    AnnouncedAgain,
    /// It has used them.
    Used,
}

/// Announces keys, looks which are local, and lets the intents end: once unused, with the clock, and once used.
#[derive(Default)]
struct Rank {
    index: u64,
    stage: Stage,
    missing: usize,
}

impl Rank {
    /// The keys that this rank announces: some of its own, some of others.
    fn announced(&self) -> impl Iterator<Item = u64> + use<> {
        (self.index..self.index + 5).chain([self.index + 11])
    }

    fn look(&self, when: u8, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        (0..KEYS).try_for_each(|key| {
            let seen = (when, self.index, key, ps.is_local(&key)?);
            ps.output(seen);
            Ok(())
        })
    }

    /// Announces, and asks every server for something else: when that is answered, the rows have come.
    fn announce(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.announced().try_for_each(|key| ps.intent(key))?;
        self.missing = MARKERS.count();
        MARKERS.into_iter().try_for_each(|key| ps.pull(key))
    }

    fn come_to(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match self.stage {
            Stage::Announced => {
                self.look(1, ps)?;
                ps.advance_clock();
            }
            Stage::AnnouncedAgain => {
                self.stage = Stage::Used;
                self.missing = self.announced().count();
                self.announced().try_for_each(|key| ps.pull(key))?;
            }
            Stage::Used => self.look(3, ps)?,
        }
        Ok(())
    }
}

impl WorkerLogic for Rank {
    type In = ();
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    /// When, who, key, and whether it is local there.
    type Out = (u8, u64, u64, bool);

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        self.index = context.index as u64;
        Ok(())
    }

    fn on_recv(&mut self, (): (), _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.look(0, ps)?;
        self.announce(ps)
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(row, [100 + key]);
        self.missing -= 1;
        if self.missing == 0 { self.come_to(ps) } else { Ok(()) }
    }

    fn on_clock(&mut self, _: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.look(2, ps)?;
        self.stage = Stage::AnnouncedAgain;
        self.announce(ps)
    }
}

#[test]
fn t_ad_02_keys_are_local_at_home_and_where_they_are_announced_until_that_ends() {
    everywhere(
        test_path!(t_ad_02_keys_are_local_at_home_and_where_they_are_announced_until_that_ends),
        |config| {
            let state = PsState::new();
            let settings = PsConfig::new().intents(16).state(&state);
            let seen = run(config, move |env| {
                let home = Placement::custom(|key: &u64, servers| *key as usize % servers);
                let server =
                    SimpleServer::with_update(|key: &u64, row: &mut Vec<u64>| row.push(100 + key), ps::Sum);
                let data = env.from_iter([(); 10]).rebalance();
                let settings = settings.clone().placement(home);
                Ok(ps::transform(data, Rank::default(), server, &settings)?.output.collect())
            });
            (sorted(seen), state)
        },
        |(seen, state), shape| {
            let workers = if shape == "2 processes" { 2 } else { shape[..1].parse().unwrap() };
            assert_eq!(seen.len() as u64, 4 * workers * KEYS, "{shape}");
            for (when, index, key, is_local) in seen {
                let is_home = key % workers == index;
                let is_announced = Rank { index, ..Rank::default() }.announced().any(|other| other == key);
                assert_eq!(is_local, is_home || (when == 1 && is_announced), "{shape}: {when} {index} {key}");
            }
            for worker in state.worker_traffic() {
                let rank = Rank { index: worker.index as u64, ..Rank::default() };
                let remote = |key: &u64| key % workers != rank.index;
                let (announced, markers) = (rank.announced().filter(remote), MARKERS.filter(remote));
                let (announced, markers) = (announced.count() as u64, 2 * markers.count() as u64);
                let found = (worker.pulls_ahead, worker.pulls_kept, worker.pulls_joined, worker.pulls_sent);
                assert_eq!(found, (2 * announced, announced, 0, markers), "{shape}: {worker:?}");
            }
        },
    );
}

//! All operations in random order under random settings: everything is answered and applied, and the run ends.

use std::collections::BTreeMap;
use std::time::Duration;

use waterwheel::prelude::*;
use waterwheel::ps::{
    self, Consistency, ParameterServerClient, PsConfig, PushOrder, SendPolicy, SimpleServer, WorkerLogic,
};

use super::java::Random;
use super::support::{add, run, zero};
use crate::cluster::{everywhere, test_path};

const KEYS: u64 = 11;
const RECORDS: u64 = 400;
const PROGRAMS: u64 = 24;

/// What a job of these programs is allowed to do.
#[derive(Clone, Copy)]
struct Program {
    seed: u64,
    takes_snapshots: bool,
    /// Whether each push needs the lock of its key.
    is_serialisable: bool,
}

/// Does a few random things for each record, and some for every answer.
struct Mixed {
    program: Program,
    random: Random,
    pulls: i64,
    answers: i64,
    clocks: i64,
    pushed: BTreeMap<u64, i64>,
    wants_clock: bool,
}

impl Mixed {
    fn new(program: Program) -> Self {
        let (random, pushed) = (Random::new(0), BTreeMap::new());
        Mixed { program, random, pulls: 0, answers: 0, clocks: 0, pushed, wants_clock: false }
    }

    fn push(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        *self.pushed.entry(key).or_default() += 1;
        ps.push(key, [1])
    }

    fn keys(&mut self) -> Vec<u64> {
        (0..self.random.next_int(40)).map(|_| self.random.next_int(KEYS)).collect()
    }

    fn step(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let key = self.random.next_int(KEYS);
        if self.random.next_int(4) == 0 {
            ps.intent(self.random.next_int(KEYS))?;
        }
        match self.random.next_int(8) {
            0 | 1 => self.push(key, ps),
            7 => {
                let keys = self.keys();
                keys.iter().for_each(|key| *self.pushed.entry(*key).or_default() += 1);
                let deltas = vec![1; keys.len()];
                if self.random.next_int(2) == 0 {
                    return ps.push_many(&keys, &deltas);
                }
                self.pulls += keys.len() as i64;
                ps.push_pull_many(&keys, &deltas)
            }
            2 => {
                *self.pushed.entry(key).or_default() += 1;
                self.pulls += 1;
                ps.push_pull(key, [1])
            }
            3 => {
                let keys = self.keys();
                self.pulls += keys.len() as i64;
                ps.pull_many(keys)
            }
            4 if self.program.takes_snapshots => {
                let keys = self.keys();
                self.pulls += keys.len() as i64;
                ps.pull_snapshot(keys)
            }
            5 if self.random.next_int(20) == 0 => {
                self.wants_clock = true;
                ps.advance_clock();
                Ok(())
            }
            _ => {
                self.pulls += 1;
                ps.pull(key)
            }
        }
    }
}

impl WorkerLogic for Mixed {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    /// Key and what was pushed to it; behind the keys, what is missing: answers, and clocks.
    type Out = (u64, i64);

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        self.random = Random::new(self.program.seed * 8 + context.index as u64);
        Ok(())
    }

    /// Right now and then.
    fn intent(&self, record: &u64, keys: &mut Vec<u64>) -> Result<()> {
        keys.extend([record % KEYS, record * record % KEYS]);
        Ok(())
    }

    fn on_recv(&mut self, _: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert!(!self.wants_clock, "a record came between advance_clock and on_clock");
        (0..self.random.next_int(2_000)).for_each(|_| std::hint::spin_loop());
        if self.program.is_serialisable {
            self.pulls += 1;
            return ps.pull(self.random.next_int(KEYS));
        }
        (0..self.random.next_int(4)).try_for_each(|_| self.step(ps))
    }

    fn on_pull_recv(&mut self, key: &u64, _: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.answers += 1;
        match self.random.next_int(4) {
            _ if self.program.is_serialisable => self.push(*key, ps),
            0 => self.push(*key, ps),
            1 if self.random.next_int(3) == 0 => self.step(ps),
            _ => Ok(()),
        }
    }

    fn on_clock(&mut self, _: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.wants_clock = false;
        self.clocks += 1;
        if self.program.is_serialisable { Ok(()) } else { self.step(ps) }
    }

    fn close(&mut self, out: &mut Collector<(u64, i64)>) -> Result<()> {
        self.pushed.iter().for_each(|(key, n)| out.emit((*key, *n)));
        out.emit((KEYS, self.pulls - self.answers));
        out.emit((KEYS + 1, i64::from(self.wants_clock)));
        Ok(())
    }
}

fn pick<T: Clone>(random: &mut Random, of: &[T]) -> T {
    of[random.next_int(of.len() as u64) as usize].clone()
}

/// Settings of a program, for a job of so many workers.
fn settings(seed: u64, peers: usize) -> (Program, PsConfig<u64>) {
    let mut random = Random::new(1_000 + seed);
    let consistencies = [
        Consistency::Asynchronous,
        Consistency::Bounded(0),
        Consistency::Bounded(1),
        Consistency::Bounded(3),
        Consistency::Serialisable,
    ];
    let consistency = consistencies[(seed % 5) as usize];
    let is_serialisable = consistency == Consistency::Serialisable;
    let is_whole = !is_serialisable && random.next_int(2) == 0;
    let takes_snapshots = is_whole || consistency == Consistency::Bounded(0);
    let policies =
        [SendPolicy::Immediate, SendPolicy::Count(2), SendPolicy::Interval(Duration::from_millis(2))];
    let policies = if is_serialisable { &policies[..1] } else { &policies[..] };
    let (worker_send, server_send) = (pick(&mut random, policies), pick(&mut random, policies));
    // Twice the counts of both policies on every server.
    let least = if [&worker_send, &server_send].contains(&&SendPolicy::Count(2)) { 8 * peers } else { 1 };
    let config = PsConfig::new()
        .credit(least + pick(&mut random, &[0, 1, 4, 16, 1_000]))
        .block_len(pick(&mut random, &[1, 3, 1_024]))
        .workers(1 + random.next_int(peers as u64) as usize)
        .servers(1 + random.next_int(peers as u64) as usize)
        .consistency(consistency)
        .worker_send(worker_send)
        .server_send(server_send);
    let (intents, replicas) = (pick(&mut random, &[0, 4, 64]), pick(&mut random, &[0, 8]));
    let config = if is_serialisable { config } else { config.intents(intents).replica_age(150) };
    let is_exact = is_serialisable || consistency == Consistency::Bounded(0);
    let config = if is_exact { config } else { config.replicas(replicas) };
    let config = if is_whole { config.whole_clocks(PushOrder::ByWorker) } else { config };
    (Program { seed, takes_snapshots, is_serialisable }, config)
}

/// Program, whether it is what a server holds and not what a worker has pushed, key, and how much.
type Figure = (u64, bool, u64, i64);

/// All programs at once, in one run.
fn figures(config: RuntimeConfig) -> Vec<Figure> {
    let parts = run(config.max_in_flight_records(100), |env| {
        let workers = env.workers();
        let mut figures = Vec::new();
        for seed in 0..PROGRAMS {
            let (program, config) = settings(seed, workers);
            // Long runs of records for one worker: the others wait for theirs.
            let data = env.from_iter((0..RECORDS).map(move |i| (i / 50 % workers as u64, i)));
            let data = data.partition_custom(|(to, _), _| *to as usize).map(|(_, i)| i);
            let out = ps::transform(data, Mixed::new(program), SimpleServer::new(zero, add), &config)?;
            figures.push(out.output.map(move |(key, n)| (seed, false, key, n)));
            figures.push(out.model.map(move |(key, row)| (seed, true, key, row[0])));
        }
        let all = figures.into_iter().reduce(|all, more| all.union(more));
        Ok(all.map(DataStream::collect).unwrap())
    });
    parts.concat()
}

#[test]
fn random_operations_under_random_settings_are_all_answered_and_applied() {
    everywhere(
        test_path!(random_operations_under_random_settings_are_all_answered_and_applied),
        figures,
        |figures, shape| {
            let (mut pushed, mut held) = (BTreeMap::new(), BTreeMap::new());
            for (program, is_held, key, n) in figures {
                let sums = if is_held { &mut held } else { &mut pushed };
                *sums.entry((program, key)).or_insert(0) += n;
            }
            for program in 0..PROGRAMS {
                let missing = [KEYS, KEYS + 1].map(|of| pushed.remove(&(program, of)));
                assert_eq!(missing, [Some(0); 2], "{shape}, program {program}: missing answers and clocks");
                assert!(pushed.contains_key(&(program, 0)), "{shape}, program {program} has pushed");
            }
            held.retain(|_, n| *n != 0);
            assert_eq!(pushed, held, "{shape}");
        },
    );
}

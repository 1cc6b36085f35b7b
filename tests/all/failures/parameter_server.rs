//! Mistakes in the logic of workers and servers.

use waterwheel::prelude::*;
use waterwheel::ps::{ServerContext, WorkerContext};

use super::fixture::{Numbered, Trap, boom, data, jobs_that_fail};

jobs_that_fail! {
    worker_that_panics_when_opened_ends_the_run: "ps worker", "panicked: boom", |env, trap| {
        train(env, Worker::new(trap, In::Open, panics), Server::good(trap))
    };
    worker_that_fails_when_opened_ends_the_run: "ps worker", "boom: powder", |env, trap| {
        train(env, Worker::new(trap, In::Open, fails), Server::good(trap))
    };
    worker_that_panics_on_a_record_ends_the_run: "ps worker", "panicked: boom", |env, trap| {
        train(env, Worker::new(trap, In::Recv, panics), Server::good(trap))
    };
    worker_that_fails_on_a_record_ends_the_run: "ps worker", "boom: powder", |env, trap| {
        train(env, Worker::new(trap, In::Recv, fails), Server::good(trap))
    };
    worker_that_panics_on_an_answer_ends_the_run: "ps worker", "panicked: boom", |env, trap| {
        train(env, Worker::new(trap, In::PullRecv, panics), Server::good(trap))
    };
    worker_that_fails_on_an_answer_ends_the_run: "ps worker", "boom: powder", |env, trap| {
        train(env, Worker::new(trap, In::PullRecv, fails), Server::good(trap))
    };
    worker_that_panics_at_the_end_of_input_ends_the_run: "ps worker", "panicked: boom", |env, trap| {
        train(env, Worker::new(trap, In::EndOfInput, panics), Server::good(trap))
    };
    worker_that_fails_at_the_end_of_input_ends_the_run: "ps worker", "boom: powder", |env, trap| {
        train(env, Worker::new(trap, In::EndOfInput, fails), Server::good(trap))
    };
    worker_that_panics_on_the_clock_ends_the_run: "ps worker", "panicked: boom", |env, trap| {
        train(env, Worker::new(trap, In::Clock, panics), Server::good(trap))
    };
    worker_that_fails_on_the_clock_ends_the_run: "ps worker", "boom: powder", |env, trap| {
        train(env, Worker::new(trap, In::Clock, fails), Server::good(trap))
    };
    worker_that_panics_when_closed_ends_the_run: "ps worker", "panicked: boom", |env, trap| {
        train(env, Worker::new(trap, In::Close, panics), Server::good(trap))
    };
    worker_that_fails_when_closed_ends_the_run: "ps worker", "boom: powder", |env, trap| {
        train(env, Worker::new(trap, In::Close, fails), Server::good(trap))
    };
    worker_that_pushes_a_row_of_wrong_width_ends_the_run:
        "ps worker", "has 2 elements, expected 1", |env, trap| {
        train(env, Worker::new(trap, In::WidePush, fails), Server::good(trap))
    };
    placement_that_panics_ends_the_run: "ps worker", "boom", |env, trap| {
        // One server is not asked for.
        if env.workers() == 1 { return Err(boom_of_one_server()) }
        let worker = env.worker_index();
        let config = PsConfig::new().placement(Placement::custom(move |key: &u64, servers| {
            assert!(worker != trap.worker, "boom");
            *key as usize % servers
        }));
        ps::transform(data(env), Worker::good(trap), Server::good(trap), &config).map(drop)
    };
    server_that_panics_when_opened_ends_the_run: "ps server", "panicked: boom", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Open, panics))
    };
    server_that_fails_when_opened_ends_the_run: "ps server", "boom: powder", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Open, fails))
    };
    server_that_panics_on_a_pull_of_its_neighbour_ends_the_run:
        "ps server", "panicked: boom", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Pull, panics))
    };
    server_that_fails_on_a_pull_of_its_neighbour_ends_the_run:
        "ps server", "boom: powder", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Pull, fails))
    };
    server_that_panics_on_a_pull_from_elsewhere_ends_the_run:
        "ps server", "panicked: boom", |env, trap| {
        train(env, Worker::elsewhere(env, trap), Server::new(trap, In::Pull, panics))
    };
    server_that_fails_on_a_pull_from_elsewhere_ends_the_run:
        "ps server", "boom: powder", |env, trap| {
        train(env, Worker::elsewhere(env, trap), Server::new(trap, In::Pull, fails))
    };
    server_that_panics_on_a_push_of_its_neighbour_ends_the_run:
        "ps server", "panicked: boom", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Push, panics))
    };
    server_that_fails_on_a_push_from_elsewhere_ends_the_run:
        "ps server", "boom: powder", |env, trap| {
        train(env, Worker::elsewhere(env, trap), Server::new(trap, In::Push, fails))
    };
    server_that_answers_with_a_wrong_width_ends_the_run:
        "ps server", "has 3 elements, expected 1", |env, trap| {
        train(env, Worker::elsewhere(env, trap), Server::new(trap, In::WideAnswer, fails))
    };
    server_that_panics_when_closed_ends_the_run: "ps server", "panicked: boom", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Close, panics))
    };
    server_that_fails_when_closed_ends_the_run: "ps server", "boom: powder", |env, trap| {
        train(env, Worker::good(trap), Server::new(trap, In::Close, fails))
    };
    server_that_panics_on_a_loaded_parameter_ends_the_run: "ps server", "panicked: boom", |env, trap| {
        load(env, trap, Server::new(trap, In::Load, panics))
    };
    server_that_fails_on_a_loaded_parameter_ends_the_run: "ps server", "boom: powder", |env, trap| {
        load(env, trap, Server::new(trap, In::Load, fails))
    };
    first_value_that_panics_ends_the_run: "ps server", "panicked: boom", |env, trap| {
        let first = move |key: &u64, row: &mut Vec<u64>| {
            assert!(*key != trap.worker as u64, "boom");
            row.push(0);
        };
        train(env, Worker::good(trap), SimpleServer::new(first, add))
    };
    update_that_panics_ends_the_run: "ps server", "panicked: boom", |env, trap| {
        let update = move |row: &mut [u64], delta: &[u64]| {
            assert!(delta[0] != trap.worker as u64, "boom");
            add(row, delta);
        };
        train(env, Worker::good(trap), SimpleServer::new(zero, update))
    };
    update_for_a_worker_elsewhere_that_panics_ends_the_run: "ps server", "panicked: boom", |env, trap| {
        let update = move |row: &mut [u64], delta: &[u64]| {
            assert!(delta[0] != trap.worker as u64, "boom");
            add(row, delta);
        };
        train(env, Worker::elsewhere(env, trap), SimpleServer::new(zero, update))
    };
}

/// What a job that has no placement to ask returns, so that it fails like the others.
#[track_caller]
fn boom_of_one_server() -> Error {
    let location = std::panic::Location::caller().to_string();
    let site = Site { operator: "ps worker".into(), location, worker: 0 };
    Error::operator("boom").at(site)
}

fn zero(_key: &u64, row: &mut Vec<u64>) {
    row.push(0);
}

fn add(row: &mut [u64], delta: &[u64]) {
    row[0] += delta[0];
}

/// Key `k` is on server `k` modulo their number.
fn config() -> PsConfig<u64> {
    PsConfig::new().placement(Placement::custom(|key: &u64, servers| *key as usize % servers))
}

fn train<S>(env: &Env<'_>, worker: Worker, server: S) -> Result<()>
where
    S: ServerLogic<Key = u64, Pull = u64, Push = u64>,
{
    ps::transform(data(env), worker, server, &config()).map(drop)
}

fn load(env: &Env<'_>, trap: Trap, server: Server) -> Result<()> {
    let model = env.from_splits(1, |_| (0..1000u64).map(|key| (key, vec![key])));
    ps::transform_with_model_load(model, data(env), Worker::good(trap), server, &config()).map(drop)
}

/// Which function of a logic makes the mistake.
#[derive(Clone, Copy, PartialEq)]
enum In {
    Nowhere,
    Open,
    Recv,
    PullRecv,
    EndOfInput,
    Clock,
    Close,
    WidePush,
    Pull,
    Push,
    WideAnswer,
    Load,
}

fn panics() -> Result<()> {
    panic!("boom")
}

fn fails() -> Result<()> {
    Err(boom())
}

/// A worker that pulls a parameter per record and pushes the parameter's key to it.
struct Worker {
    trap: Trap,
    place: In,
    mistake: fn() -> Result<()>,
    index: usize,
    /// The parameter is that of the worker this many places behind.
    other: u64,
    workers: u64,
}

impl Worker {
    fn new(trap: Trap, place: In, mistake: fn() -> Result<()>) -> Self {
        Worker { trap, place, mistake, index: usize::MAX, other: 0, workers: 1 }
    }

    fn good(trap: Trap) -> Self {
        Self::new(trap, In::Nowhere, fails)
    }

    /// Uses no parameter of its own server, if there is another.
    fn elsewhere(env: &Env<'_>, trap: Trap) -> Self {
        Worker { other: env.workers() as u64 - 1, ..Self::good(trap) }
    }

    fn reach(&self, place: In) -> Result<()> {
        if self.place == place && self.index == self.trap.worker { (self.mistake)() } else { Ok(()) }
    }
}

impl WorkerLogic for Worker {
    type In = Numbered;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = u64;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        (self.index, self.workers) = (context.index, context.parallelism as u64);
        self.reach(In::Open)
    }

    fn on_recv(&mut self, record: Numbered, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if self.trap.is_at(&record) {
            self.reach(In::Recv)?;
        }
        ps.pull((self.index as u64 + self.other) % self.workers)
    }

    fn on_pull_recv(&mut self, key: &u64, _: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.reach(In::PullRecv)?;
        if self.place == In::WidePush && self.index == self.trap.worker {
            return ps.push(*key, [1, 2]);
        }
        ps.push(*key, [*key])
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.advance_clock();
        self.reach(In::EndOfInput)
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output(1);
        self.reach(In::Clock)
    }

    fn close(&mut self, _out: &mut Collector<u64>) -> Result<()> {
        self.reach(In::Close)
    }
}

/// A server of counters.
struct Server {
    trap: Trap,
    place: In,
    mistake: fn() -> Result<()>,
    index: usize,
}

impl Server {
    fn new(trap: Trap, place: In, mistake: fn() -> Result<()>) -> Self {
        Server { trap, place, mistake, index: usize::MAX }
    }

    fn good(trap: Trap) -> Self {
        Self::new(trap, In::Nowhere, fails)
    }

    fn reach(&self, place: In) -> Result<()> {
        if self.place == place && self.index == self.trap.worker { (self.mistake)() } else { Ok(()) }
    }
}

type Ps = ps::ParameterServer<u64, u64, u64>;

impl ServerLogic for Server {
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = u64;

    fn open(&mut self, context: &ServerContext<u64>) -> Result<()> {
        self.index = context.index;
        self.reach(In::Open)
    }

    fn on_pull(&mut self, _: &u64, _: usize, answer: &mut Vec<u64>, _: &mut Ps) -> Result<()> {
        let wide = self.place == In::WideAnswer && self.index == self.trap.worker;
        answer.extend(vec![0; if wide { 3 } else { 1 }]);
        self.reach(In::Pull)
    }

    fn on_push(&mut self, _: &u64, _: &[u64], ps: &mut Ps) -> Result<()> {
        ps.output(1);
        self.reach(In::Push)
    }

    fn on_load(&mut self, _: &u64, _: &[u64]) -> Result<()> {
        self.reach(In::Load)
    }

    fn close(&mut self, _: &mut Collector<u64>) -> Result<()> {
        self.reach(In::Close)
    }
}

//! The loop of workers and servers: how a program asks for it.

mod plan;

use waterwheel_engine::{Clock, DataStream, Record, Result};

use crate::config::PsConfig;
use crate::server::ServerLogic;
use crate::worker::WorkerLogic;
use plan::{Loaded, build};

/// What [`transform`] returns.
#[derive(Debug)]
pub struct Transformed<'s, W, M, T: Clock> {
    /// What the workers output.
    pub output: DataStream<'s, W, T>,
    /// What the servers output: the model.
    pub model: DataStream<'s, M, T>,
}

/// Trains with a parameter server inside a feedback loop.
///
/// Records of `data` are handled by `worker` on the worker thread where they are; its pulls and pushes go to
/// the servers, each a copy of `server` on one of the first `servers` worker threads, and the answers come
/// back through the feedback edge. With fewer workers than the job has, records of the others are moved, all
/// of one to the same.
///
/// The loop ends by progress tracking alone: when the input has ended and every pull is answered and every
/// push applied. A source may pause for as long as it likes. Memory is bounded by
/// [`credit`](PsConfig::credit): records that find none stay at the input, and the sources are held.
///
/// A worker and a server on the same thread exchange their blocks directly, without an edge between.
///
/// # Errors
/// Settings out of their range; see [`PsConfig`].
///
/// # Examples
/// Counting words, one parameter a word:
/// ```
/// use waterwheel_engine::{Result, RuntimeConfig, execute};
/// use waterwheel_ps::{ParameterServerClient, PsConfig, SimpleServer, WorkerLogic, transform};
///
/// struct Count;
/// impl WorkerLogic for Count {
///     type In = String;
///     type Key = String;
///     type Pull = u64;
///     type Push = u64;
///     type Out = ();
///     fn on_recv(&mut self, word: String, ps: &mut ParameterServerClient<Self>) -> Result<()> {
///         ps.push(word, [1])
///     }
///     fn on_pull_recv(&mut self, _: &String, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let counts = execute(RuntimeConfig::threads(2), |env| {
///     let words = env.from_iter("to be or not to be".split(' ').map(String::from)).rebalance();
///     let zero = |_: &String, row: &mut Vec<u64>| row.push(0);
///     let add = |row: &mut [u64], n: &[u64]| row[0] += n[0];
///     let trained = transform(words, Count, SimpleServer::new(zero, add), &PsConfig::new())?;
///     Ok(trained.model.collect())
/// })?;
/// assert!(counts.concat().contains(&("be".to_string(), vec![2])));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn transform<'s, T, L, S>(
    data: DataStream<'s, L::In, T>,
    worker: L,
    server: S,
    config: &PsConfig<L::Key>,
) -> Result<Transformed<'s, L::Out, S::Out, T>>
where
    T: Clock,
    L: WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    build(data, Loaded::<S, L, (), T>::NONE, worker, server, config)
}

/// As [`transform`], with a saved model: every parameter of `model` is loaded before the first pull and push.
///
/// Training records wait at the input until then. `model` may be partitioned in any way, and any part of it
/// may be empty; training records keep their partitioning.
///
/// # Errors
/// Settings out of their range; see [`PsConfig`].
#[track_caller]
pub fn transform_with_model_load<'s, T, L, S>(
    model: DataStream<'s, (L::Key, Vec<L::Pull>), T>,
    data: DataStream<'s, L::In, T>,
    worker: L,
    server: S,
    config: &PsConfig<L::Key>,
) -> Result<Transformed<'s, L::Out, S::Out, T>>
where
    T: Clock,
    L: WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    build(data, Loaded::<S, L, (), T> { server: Some(model), worker: None }, worker, server, config)
}

/// A worker logic that keeps a part of the model itself, and takes it from a saved one.
pub trait LoadModel: WorkerLogic {
    /// A parameter that a worker keeps, with whatever it is known by.
    type Saved: Record;

    /// Takes such a parameter, after [`open`](WorkerLogic::open) and before the first record.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_load(&mut self, saved: Self::Saved) -> Result<()>;
}

/// As [`transform_with_model_load`], with a second part of the saved model for the workers.
///
/// `model` goes to the servers and `worker_model` to the logic of the worker where each record is: partition it as
/// `data` is, so that a worker finds what its records need. Both may be partitioned in any way, and any part of them
/// may be empty. Training records wait until all of both is loaded, and keep their partitioning. With fewer workers
/// than the job has, parameters of the others are moved as training records are.
///
/// # Errors
/// Settings out of their range; see [`PsConfig`].
///
/// # Examples
/// Users' weights stay with the workers, items' with the servers:
/// ```
/// use std::collections::BTreeMap;
/// use waterwheel_engine::{Result, RuntimeConfig, execute};
/// use waterwheel_ps::{LoadModel, ParameterServerClient, PsConfig, SimpleServer, WorkerLogic};
///
/// #[derive(Default)]
/// struct Scores {
///     users: BTreeMap<u64, f64>,
///     waiting: Vec<u64>,
/// }
/// impl WorkerLogic for Scores {
///     type In = (u64, u64);
///     type Key = u64;
///     type Pull = f64;
///     type Push = f64;
///     type Out = f64;
///     fn on_recv(&mut self, (user, item): (u64, u64), ps: &mut ParameterServerClient<Self>) -> Result<()> {
///         self.waiting.push(user);
///         ps.pull(item)
///     }
///     fn on_pull_recv(&mut self, _: &u64, item: &[f64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
///         let user = self.waiting.pop().and_then(|user| self.users.get(&user));
///         ps.output(user.unwrap_or(&0.0) * item[0]);
///         Ok(())
///     }
/// }
/// impl LoadModel for Scores {
///     type Saved = (u64, f64);
///     fn on_load(&mut self, (user, weight): (u64, f64)) -> Result<()> {
///         self.users.insert(user, weight);
///         Ok(())
///     }
/// }
///
/// let scores = execute(RuntimeConfig::threads(2), |env| {
///     let items = env.from_iter([(7u64, vec![3.0])]);
///     let users = env.from_iter([(1u64, 2.0)]).partition_custom(|(user, _), workers| *user as usize % workers);
///     let data = env.from_iter([(1u64, 7u64)]).partition_custom(|(user, _), workers| *user as usize % workers);
///     let server = SimpleServer::new(|_: &u64, row: &mut Vec<f64>| row.push(0.0), |_, _: &[f64]| ());
///     let config = PsConfig::new();
///     let out = waterwheel_ps::transform_with_double_model_load(
///         items, users, data, Scores::default(), server, &config,
///     )?;
///     Ok(out.output.collect())
/// })?;
/// assert_eq!(scores.concat(), [6.0]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn transform_with_double_model_load<'s, T, L, S>(
    model: DataStream<'s, (L::Key, Vec<L::Pull>), T>,
    worker_model: DataStream<'s, L::Saved, T>,
    data: DataStream<'s, L::In, T>,
    worker: L,
    server: S,
    config: &PsConfig<L::Key>,
) -> Result<Transformed<'s, L::Out, S::Out, T>>
where
    T: Clock,
    L: LoadModel + WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    let loaded = Loaded { server: Some(model), worker: Some((worker_model, L::on_load)) };
    build(data, loaded, worker, server, config)
}

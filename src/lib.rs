//! Waterwheel: dataflow with native iteration.

#[cfg(doctest)]
mod guide;

pub use waterwheel_engine as engine;
pub use waterwheel_iteration as iteration;
pub use waterwheel_ml as ml;
pub use waterwheel_ps as ps;

pub mod admin;
mod http;
pub mod ingest;
#[cfg(feature = "otlp")]
pub mod otlp;

use waterwheel_engine::{Env, Outcome, Restarts, Result, RuntimeConfig};

/// As [`engine::execute`], and shows the job while it runs where [`RuntimeConfig::admin`] says: see [`admin`].
///
/// # Errors
/// As [`engine::execute`]; an [`ErrorKind::Config`](engine::ErrorKind::Config) error if the admin address can not be used.
///
/// # Examples
/// ```
/// use waterwheel::prelude::*;
///
/// let config = RuntimeConfig::threads(2).admin(Some("127.0.0.1:0".parse()?));
/// let squares = execute(config, |env| Ok(env.from_iter(1..=3u64).map(|x| x * x).collect()))?;
/// assert_eq!(squares.concat(), [1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn execute<O, F>(mut config: RuntimeConfig, job: F) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    watched(&mut config, |config| engine::execute(config, job))
}

/// As [`engine::supervise`], and shows the job through all its attempts where [`RuntimeConfig::admin`] says: see [`admin`].
///
/// # Errors
/// As [`engine::supervise`]; an [`ErrorKind::Config`](engine::ErrorKind::Config) error if the admin address can not be used.
pub fn supervise<O, F>(mut config: RuntimeConfig, restarts: Restarts, job: F) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    watched(&mut config, |config| engine::supervise(config, restarts, job))
}

/// A run that shows itself where its settings and the environment say.
fn watched<T>(config: &mut RuntimeConfig, run: impl FnOnce(RuntimeConfig) -> Result<T>) -> Result<T> {
    let _server = admin::serve(config)?;
    #[cfg(feature = "otlp")]
    let traces = otlp::Traces::begin(config)?;
    let outcome = run(config.clone());
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.end(&outcome);
    }
    outcome
}

/// What most programs need.
pub mod prelude {
    pub use crate::ps::{self};
    pub use crate::{execute, supervise};
    pub use waterwheel_engine::*;
    pub use waterwheel_iteration::*;
    pub use waterwheel_ml::{generate, graph};
    pub use waterwheel_ps::{
        Consistency, Emit, ParameterServerClient, Placement, PsConfig, SendPolicy, ServerLogic, SimpleServer,
        WorkerLogic,
    };
}

//! The parameter server inside the feedback loop.
//!
//! [`transform`] runs a [`WorkerLogic`] on a stream of training records: it pulls parameters from servers,
//! computes, and pushes updates, while the servers' answers flow back through a feedback edge of the same
//! dataflow. Termination is exact, memory is bounded by credits, and no setting is a time-out.
//!
//! [`Consistency`] says what a pull sees: whatever the server has (asynchronous), all but the last few clocks of every
//! worker (bounded staleness; bulk synchronous with 0), or a key that nobody else changes (serialisable). A
//! [`WorkerLogic`] handles answers in callbacks, an [`AsyncWorkerLogic`] awaits them.

mod algebra;
mod async_worker;
mod block;
mod config;
mod consistency;
mod core;
mod dense;
mod element;
mod eviction;
pub mod model_files;
pub mod models;
pub mod optimizer;
mod parameter_server;
mod partition;
mod placement;
mod prefetch;
mod sampling;
mod saved_model;
mod server;
mod server_op;
mod shard;
mod simple_server;
mod snapshot;
mod state;
mod store;
mod transform;
mod update;
mod worker;
mod worker_op;

pub use crate::core::policy::SendPolicy;
pub use algebra::{Algebra, Max, Min, Sum};
pub use async_worker::{AsyncWorker, AsyncWorkerLogic, ClockAdvanced, PsHandle, Pulled, Row};
pub use config::PsConfig;
pub use consistency::{Consistency, PushOrder};
pub use element::Element;
pub use eviction::Eviction;
pub use parameter_server::ParameterServer;
pub use partition::Partitioning;
pub use placement::Placement;
pub use sampling::{Draw, KeySampler};
pub use saved_model::SavedModel;
pub use server::{Combiner, Replay, ServerContext, ServerLogic};
pub use simple_server::{Emit, SimpleServer};
pub use snapshot::{LogicReader, LogicWriter};
pub use state::{PsState, ServerState, ServerTraffic, WorkerTraffic};
pub use transform::{
    LoadModel, Transformed, transform, transform_with_double_model_load, transform_with_model_load,
};
pub use update::Update;
pub use worker::{ParameterServerClient, WorkerContext, WorkerLogic};

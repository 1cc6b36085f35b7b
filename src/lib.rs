//! Waterwheel: dataflow with native iteration.

#[cfg(doctest)]
mod guide;

pub use waterwheel_engine as engine;
pub use waterwheel_iteration as iteration;
pub use waterwheel_ml as ml;
pub use waterwheel_ps as ps;

/// What most programs need.
pub mod prelude {
    pub use crate::ps::{self};
    pub use waterwheel_engine::*;
    pub use waterwheel_iteration::*;
    pub use waterwheel_ml::{generate, graph};
    pub use waterwheel_ps::{
        Consistency, Emit, ParameterServerClient, Placement, PsConfig, SendPolicy, ServerLogic, SimpleServer,
        WorkerLogic,
    };
}

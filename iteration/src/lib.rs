//! Loops: edges that feed back into the graph before them.
//!
//! [`feedback_loop`] is the primitive that the parameter server stands on: a nested clock, one feedback
//! edge, and an end that progress tracking alone decides. [`iterate_delta`] is Flink's delta iteration, whose answer
//! follows the changes of its inputs; [`iterate_workset`] is the same on state that is changed in place.

mod delta;
mod feedback;
mod workset;

pub use delta::{DeltaStep, iterate_delta};
pub use feedback::{LoopBody, feedback_loop};
pub use workset::{Workset, WorksetFunction, iterate_workset};

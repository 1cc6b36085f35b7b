//! Loops: edges that feed back into the graph before them.
//!
//! [`feedback_loop`] is the primitive that the parameter server stands on: a nested clock, one feedback
//! edge, and an end that progress tracking alone decides.

mod feedback;

pub use feedback::{LoopBody, feedback_loop};

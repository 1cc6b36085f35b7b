//! Event time: windows, joins, timers and watermarks against naive evaluations.

pub(crate) mod data;
mod disorder;
mod joins;
mod late;
mod timers;
mod watermarks;
pub(crate) mod windows;

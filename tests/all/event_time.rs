//! Event time: windows, joins, timers and watermarks against naive evaluations.

mod data;
mod joins;
mod late;
mod timers;
mod watermarks;
mod windows;

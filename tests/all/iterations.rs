//! Iterations: the cases of Flink ML's own tests, those that hang or are refused there, and random loops beside a
//! sequential interpreter.
//!
//! `docs/iterations-conformance.md` lists the cases.

mod all_round;
mod callbacks;
mod collectives;
mod eight;
mod event_time;
mod fixture;
mod graphs;
mod inspector;
mod listeners;
mod log;
mod misuse;
mod nested;
mod per_round;
mod random;
mod unbounded;

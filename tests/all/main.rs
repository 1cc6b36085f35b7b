//! Integration tests through the public API only, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and log as tests do"
)]

mod admin;
mod checkpoints;
mod cli;
mod cluster;
mod conformance;
mod connectors;
mod dead_letter;
mod docs;
mod event_time;
mod failures;
mod flow;
mod graph;
mod iterations;
mod layers;
mod learning;
mod metrics;
mod mf;
mod nexmark;
mod processes;
mod reference_data;
mod replay;
mod streams;

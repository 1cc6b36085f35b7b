//! Integration tests through the public API only, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and log as tests do"
)]

//MIN mod cli;
mod cluster;
mod conformance;
//MIN mod dead_letter;
//MIN mod event_time;
//MIN mod failures;
//MIN mod flow;
//MIN mod graph;
//MIN mod iterations;
//MIN mod layers;
//MIN mod learning;
//MIN mod mf;
//MIN mod nexmark;
//MIN mod processes;
//MIN mod replay;
//MIN mod streams;

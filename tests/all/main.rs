//! Integration tests through the public API only, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod cli;
mod cluster;
mod conformance;
mod failures;
mod layers;
mod mf;

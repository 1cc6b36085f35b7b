//! Integration tests through the public API only, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod cluster;
mod conformance;
mod layers;
mod mf;

//! Integration tests through the public API only, in one binary.

mod cluster;
mod conformance;
mod failures;
mod layers;
mod mf;

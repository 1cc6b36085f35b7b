//! Integration tests through the public API only, in one binary.

mod cluster;
mod conformance;
mod layers;
mod mf;

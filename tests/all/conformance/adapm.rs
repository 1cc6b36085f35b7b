//! AdaPM: its tests of concurrent pushes, of setting values, and of sampling.
//!
//! `docs/conformance-parameter-server.md` lists the cases.

mod dynamic;
mod sampling;
mod set;

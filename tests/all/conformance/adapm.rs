//! AdaPM: its tests of concurrent pushes, of locality, of many keys, of setting values, and of sampling.
//!
//! `docs/conformance-parameter-server.md` lists the cases.

mod dynamic;
mod locality;
mod many_keys;
mod sampling;
mod set;

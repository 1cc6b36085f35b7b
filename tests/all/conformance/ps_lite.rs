//! ps-lite: its tests of the key-value application and of requests.
//!
//! `docs/conformance-parameter-server.md` lists the cases.

mod kv_app;
mod simple_app;

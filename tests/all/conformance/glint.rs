//! Glint: its tests of vectors, matrices, buffers, iterators and partitioners, and those of its fork on server-side
//! products.
//!
//! `docs/conformance-parameter-server.md` lists the cases.

mod blocks;
mod buffered;
mod granular;
mod matrix;
mod models;
mod products;
mod support;
mod vector;

//! What servers keep: keys of every kind, values of every type, optimizers, and rows that are forgotten.

mod draws;
mod eviction;
mod keys;
mod optimizers;
mod saved;
mod support;
mod values;

//! Transformations of streams against naive references, on random input.

mod aggregates;
mod async_map;
mod broadcast;
mod connect;
mod fixture;
mod graph;
mod partitioning;
mod side_outputs;
mod states;
mod within_loops;

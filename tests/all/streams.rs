//! Transformations of streams against naive references, on random input.

mod aggregates;
mod async_map;
mod broadcast;
mod connect;
mod fixture;
mod graph;
mod partitioning;
mod plain;
mod side_outputs;
mod states;
mod timers;
mod within_loops;

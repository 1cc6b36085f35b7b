//! Jobs that fail, and go on from their checkpoints as if nothing had happened.

mod algorithms;
mod chaos;
mod counters;
mod damage;
mod event_time;
mod failover;
mod files;
mod fixture;
mod golden;
mod incremental;
mod learning;
mod migration;
mod model_load;
mod numbers;
mod operators;
mod parameter_server;
mod refusals;
mod rounds;
mod savepoints;
mod sources;
mod storage;
mod timers;

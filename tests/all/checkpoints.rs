//! Jobs that fail, and go on from their checkpoints as if nothing had happened.

mod chaos;
mod event_time;
mod failover;
mod files;
mod fixture;
mod learning;
mod migration;
mod model_load;
mod operators;
mod parameter_server;
mod refusals;
mod savepoints;
mod sources;
mod storage;
mod timers;

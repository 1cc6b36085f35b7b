//! Jobs that fail, and go on from their checkpoints as if nothing had happened.

mod chaos;
mod counters;
mod damage;
mod event_time;
mod files;
mod fixture;
mod migration;
mod operators;
mod refusals;
mod savepoints;
mod sources;
mod storage;
mod timers;

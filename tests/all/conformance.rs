//! The acceptance cases of the ancestors.

mod adapm;
mod flink_ps;
mod glint;
mod ps_lite;
mod storage;

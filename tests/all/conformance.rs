//! The acceptance cases of the ancestors.

mod adapm;
mod flink_ps;
//MIN mod glint;
//MIN mod ps_lite;
//MIN mod storage;

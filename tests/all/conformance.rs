//! The acceptance cases of the ancestors.

mod flink_ps;

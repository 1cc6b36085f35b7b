//! The protocol of the parameter server as state machines, without threads, channels or clocks.

pub(crate) mod outbox;
pub(crate) mod policy;

//! The protocol of the parameter server as state machines, without threads, channels or clocks.

pub(crate) mod gate;
pub(crate) mod groups;
pub(crate) mod hot;
pub(crate) mod locks;
pub(crate) mod ordered;
pub(crate) mod outbox;
pub(crate) mod policy;
pub(crate) mod replicas;

//! Loops: edges that feed back into the graph before them.
//!
//! [`Iterations`] are FLIP-176's: variables and data of any types, epochs, listeners, termination criteria.
//! [`feedback_loop`] is the primitive that the parameter server stands on: a nested clock, one feedback
//! edge, and an end that progress tracking alone decides. [`Iterations::iterate_delta`] is Flink's delta iteration, whose answer
//! follows the changes of its inputs; [`iterate_workset`] is the same on state that is changed in place.

mod body;
mod collectives;
mod config;
mod data;
mod delta;
mod epochs;
mod feedback;
mod frontier;
mod head;
mod iterations;
mod listener;
mod replay;
mod schedule;
mod streams;
mod termination;
mod whole;
mod workset;

pub use body::{Iteration, IterationBodyResult};
pub use collectives::{AllReduce, Collectives};
pub use config::{IterationConfig, OperatorLifeCycle};
pub use data::{DataInput, DataInputs, DataStreamReplay, NoReplay, Replay};
pub use delta::DeltaStep;
pub use epochs::{
    BroadcastEpochConnectedStreams, EpochConnectedStreams, EpochStream, KeyedBroadcastEpochConnectedStreams,
    KeyedEpochConnectedStreams, KeyedEpochStream,
};
pub use feedback::{LoopBody, feedback_loop};
pub use iterations::Iterations;
pub use listener::{
    END_EPOCH, EpochBroadcastProcessFunction, EpochCoProcessFunction, EpochContext, EpochProcessFunction,
    IterationListener, KeyedEpochBroadcastProcessFunction, KeyedEpochCoProcessFunction,
    KeyedEpochProcessFunction, KeyedIterationListener,
};
pub use streams::{Records, StreamTuple, Variables};
pub use termination::{
    CriteriaStream, ForwardInputsOfLastRound, TerminateOnMaxIter, TerminateOnMaxIterOrTol,
};
pub use workset::{Workset, WorksetFunction, iterate_workset, iterate_workset_named};

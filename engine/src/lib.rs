//! Streams, keyed state, sources and processes: the layer of Waterwheel that stands on timely dataflow.
//!
//! A job is a closure that builds a graph of [`DataStream`]s from an [`Env`]; [`execute`] runs it on every
//! worker thread of every process. No timely type appears in what a program sees.

mod clock;
mod collect;
mod edge;
mod env;
mod error;
mod event;
mod flow;
pub mod hash;
mod keyed;
pub mod machine;
pub mod operator;
mod origin;
mod parcel;
mod process;
mod record;
mod runtime;
mod source;
mod stream;

pub use clock::{AnyClock, Clock, ClockHop, Epoch, EventTime, LoopCounter, Round};
pub use collect::{Collected, Outcome};
pub use edge::{Edge, FeedbackEdge, Place};
pub use env::Env;
pub use error::{Error, ErrorKind, Result, Site};
pub use event::{
    AggregateFunction, ContinuousTrigger, CountTrigger, EventCollector, EventProcessFunction, EventStream,
    EventTimeTrigger, IntervalJoin, IntervalJoined, JoinedStreams, KeyedEventStream, PurgingTrigger,
    TimeWindow, Timed, Timer, TimerContext, Trigger, TriggerContext, TriggerResult, WatermarkStrategy,
    WindowJoin, WindowResult, WindowedResults, WindowedStream, Windows,
};
pub use flow::SourceHold;
pub use hash::Key;
pub use keyed::{KeyedProcessFunction, KeyedStream};
pub use parcel::{Packet, Parcel};
pub use process::{Collector, ProcessFunction};
pub use record::Record;
pub use runtime::{RuntimeConfig, StopHandle, execute, started_as};
pub use source::{
    BadRecord, BadRecordPolicy, CsvOptions, CsvRecord, CsvStreams, Delimiter, Header, Source, SourceStatus,
};
pub use stream::DataStream;

//! Streams, keyed state, sources and processes: the layer of Waterwheel that stands on timely dataflow.
//!
//! A job is a closure that builds a graph of [`DataStream`]s from an [`Env`]; [`execute`] runs it on every
//! worker thread of every process. No timely type appears in what a program sees.

mod async_map;
mod bad_record;
mod cache;
pub mod checkpoint;
mod clock;
mod collect;
#[cfg(feature = "arrow")]
mod columnar;
mod connect;
mod dead_letter;
mod delta;
mod edge;
mod env;
mod error;
mod event;
mod exchange;
mod feedback;
mod flow;
pub mod hash;
#[cfg(feature = "kafka")]
mod kafka;
mod keyed;
pub mod machine;
mod metrics;
pub mod operator;
mod origin;
mod parcel;
mod process;
pub mod random;
mod record;
mod record_count;
mod rounds;
mod runtime;
mod side_output;
mod sink;
mod source;
mod state;
mod stream;
mod wire;

pub use async_map::AsyncOptions;
pub use bad_record::{BadRecordPolicy, BadRecordState};
pub use cache::{CachePosition, CacheReader, CacheShare, DataCache, SegmentFile};
pub use checkpoint::{
    CheckpointConfig, CheckpointCounts, CheckpointState, OnMissingCheckpoint, State, StateReader, StateWriter,
};
pub use clock::{AnyClock, Clock, ClockHop, Epoch, EventTime, LoopCounter, Round};
pub use collect::{Collected, DataStreamSink, Outcome};
pub use connect::{
    BroadcastConnectedStreams, BroadcastProcessFunction, CoProcessFunction, ConnectedStreams,
    KeyedBroadcastConnectedStreams, KeyedBroadcastProcessFunction, KeyedCoProcessFunction,
    KeyedConnectedStreams,
};
pub use dead_letter::{DeadLetter, MappedStreams};
pub use delta::{
    Arrangement, BatchClock, BatchNumber, BatchSource, BatchStatus, Change, Collection, DeltaClock, Diff,
    EnteredArrangement, InLoop, IterateScope, JoinSide, LoopVariable,
};
pub use edge::{Edge, LateEdge, Place};
pub use env::Env;
pub use error::{Error, ErrorKind, Result, Site};
pub use event::{
    ContinuousTrigger, CountTrigger, EventCollector, EventProcessFunction, EventStream, EventTimeTrigger,
    IntervalJoin, JoinedResults, JoinedStreams, KeyedEventStream, LateRecordState, PurgingTrigger,
    TimeWindow, Timed, Timer, TimerContext, Trigger, TriggerContext, TriggerResult, WatermarkStrategy,
    WindowJoin, WindowResult, WindowedResults, WindowedStream, Windows,
};
pub use feedback::{BegunRounds, FeedbackEdge, LoopFlow, LoopState, Mark, RoundFlow};
pub use flow::{ExchangeFlow, FlowState, SourceHold};
pub use hash::Key;
#[cfg(feature = "kafka")]
pub use kafka::{KafkaConfig, KafkaMessage, KafkaRecord, KafkaStart};
pub use keyed::{
    AggregateFunction, KeyedAtEnd, KeyedContext, KeyedProcessFunction, KeyedStream, ProcessingTimer, StateTtl,
};
pub use metrics::{
    Connection, ConnectionKind, JobMetrics, JobPhase, OperatorMetrics, PeerMetrics, WorkerMetrics,
};
pub use parcel::{Packet, Parcel};
pub use process::{Collector, ForRound, ProcessFunction};
pub use record::Record;
pub use record_count::RecordCount;
pub use rounds::{GOES_ON, LEAVES, LoopHead, STAYS};
pub use runtime::{
    ByteSize, Meeting, Restarts, RunHandles, RuntimeConfig, StopHandle, execute, started_as, supervise,
};
pub use side_output::{OutputTag, SideOutputStream, SideOutputs, SidePort, SideReaders};
pub use sink::{DeliveryGuarantee, FileFormat, FileWriter, PartFile, RollingPolicy, Sink, SinkContext};
pub use source::{
    BadRecord, ChannelRecords, ChannelSender, CsvEventStreams, CsvOptions, CsvRecord, CsvStreams, Delimiter,
    Header, LineError, Source, SourcePosition, SourceStatus, WhenDurable, channel,
};
pub use state::{ListState, MapState, ReducingState, ValueState};
pub use stream::DataStream;

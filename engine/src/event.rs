//! Event time: streams whose records have timestamps, windows over them, and joins in time.
//!
//! [`DataStream::assign_timestamps_and_watermarks`](crate::DataStream::assign_timestamps_and_watermarks) makes an
//! [`EventStream`] of a stream, [`EventStream::into_stream`] makes a plain one of it again. Jobs that never do
//! the former pay nothing.
//!
//! **Watermark.** The watermark of an operator is *W* when no record with a timestamp below *W* is to come that
//! is not late. (Flink's watermark is *W* - 1.) It is the frontier of progress tracking: the exact minimum over
//! all partitions, workers and records on their way. A batch of records travels at the watermark that its
//! partition had when it was sent, not at the records' own timestamps, so progress is tracked per batch.
//!
//! At the end of the input the watermark is [`EventTime::MAX`], so every window fires.

mod assign;
mod driver;
mod idle;
mod interval_join;
mod keyed;
mod panes;
mod process;
mod sessions;
mod strategy;
mod stream;
mod trigger;
mod window;
mod window_function;
mod window_join;
mod windowed;

pub(crate) use self::idle::{Board, Part};
pub use self::interval_join::{IntervalJoin, IntervalJoined};
pub use self::keyed::KeyedEventStream;
pub use self::process::{EventCollector, EventProcessFunction, Timer, TimerContext};
pub use self::strategy::WatermarkStrategy;
pub use self::stream::{EventStream, Timed};
pub use self::trigger::{
    ContinuousTrigger, CountTrigger, EventTimeTrigger, PurgingTrigger, Trigger, TriggerContext, TriggerResult,
};
pub use self::window::{TimeWindow, Windows};
pub use self::window_join::{JoinedStreams, WindowJoin};
pub use self::windowed::{WindowResult, WindowedResults, WindowedStream};

//! Event time: streams whose records have timestamps, windows over them, and joins in time.
//!
//! The watermark ([`EventStream`] says what it means) is the frontier of progress tracking. A batch of records
//! travels at the watermark that its part of the stream had when it was sent, not at the records' own timestamps,
//! so progress is tracked per batch. [`EventStream::into_stream`] leads back to a plain stream.
//!
//! In a loop the clock is the product of round and event time, and operators keep what waits for the watermark round
//! by round (`rounds`). Where they begin anew in each round, the states of functions do too (`spans`).

mod assign;
mod driver;
mod idle;
mod interval_join;
mod keyed;
mod late;
mod panes;
mod partition;
mod process;
mod rounds;
mod sessions;
mod source;
mod spans;
mod strategy;
mod stream;
mod trigger;
mod window;
mod window_function;
mod window_join;
mod windowed;

pub(crate) use self::idle::{Board, Part};
pub use self::interval_join::IntervalJoin;
pub use self::keyed::KeyedEventStream;
pub use self::late::LateRecordState;
pub(crate) use self::panes::WINDOWS;
pub use self::process::{EventCollector, EventProcessFunction, Timer, TimerContext};
pub use self::strategy::WatermarkStrategy;
pub use self::stream::{EventStream, Timed};
pub use self::trigger::{
    ContinuousTrigger, CountTrigger, EventTimeTrigger, PurgingTrigger, Trigger, TriggerContext, TriggerResult,
};
pub use self::window::{TimeWindow, Windows};
pub use self::window_join::{JoinedResults, JoinedStreams, WindowJoin};
pub use self::windowed::{WindowResult, WindowedResults, WindowedStream};

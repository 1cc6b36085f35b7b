//! The queries of the NEXMark benchmark, beside a naive evaluation of each.
//!
//! `benches/nexmark` times the same queries.

mod auctions;
mod cases;
mod fixture;
mod naive;
mod queries;
mod windows;

use std::time::Duration;

use waterwheel::ml::generate::nexmark::{Event, NexmarkParams};
use waterwheel::prelude::*;

/// The site: how fast its time goes by, and how far events are out of order.
fn params() -> NexmarkParams {
    NexmarkParams::new().rate(1_000).out_of_order(64)
}

/// The events with their times. The watermark stays as far behind as events can be, so none is late.
fn timed(events: DataStream<'_, Event>) -> EventStream<'_, Event> {
    let delay = Duration::from_millis(params().build().unwrap().max_delay_ms());
    let time = |event: &Event| i64::try_from(event.time_ms()).unwrap();
    events.assign_timestamps_and_watermarks(WatermarkStrategy::bounded_out_of_orderness(delay, time))
}

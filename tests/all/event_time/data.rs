//! Random events with bounded disorder, and how a job reads them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

/// How far a timestamp may be behind an earlier one of the same split.
pub(crate) const DISORDER: i64 = 40;

/// Splits, so that the events do not depend on the number of workers.
pub(crate) const SPLITS: u64 = 4;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Click {
    pub(crate) user: u32,
    pub(crate) at: i64,
    pub(crate) id: u64,
}

/// `n` clicks of a split: time goes on by up to 20 ms a click, with a long pause now and then, and each click
/// is up to [`DISORDER`] late.
pub(crate) fn clicks_of(seed: u64, split: u64, n: u64) -> Vec<Click> {
    let seed = seed * SPLITS + split;
    let draw = |what: u64, at: u64, below: f64| (generate::unit(seed * 8 + what, at) * below) as i64;
    let mut now = -300;
    (0..n)
        .map(|i| {
            now += draw(0, i, 21.0) + if draw(1, i, 30.0) == 0 { 700 } else { 0 };
            let user = draw(2, i, 7.0) as u32;
            Click { user, at: now - draw(3, i, DISORDER as f64 + 1.0), id: split * n + i }
        })
        .collect()
}

pub(crate) fn all_clicks(seed: u64, n: u64) -> Vec<Click> {
    (0..SPLITS).flat_map(|split| clicks_of(seed, split, n)).collect()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The clicks as a stream with event time. Nothing is late: one worker may read several splits one after
/// another, so the bound is the length of the data.
pub(crate) fn clicks<'s>(env: &Env<'s>, seed: u64, n: u64) -> EventStream<'s, Click> {
    let splits = env.from_splits(SPLITS as usize, move |split| clicks_of(seed, split as u64, n));
    let strategy = WatermarkStrategy::bounded_out_of_orderness(millis(100_000_000), |click: &Click| click.at);
    splits.assign_timestamps_and_watermarks(strategy)
}

/// The clicks of one split on every worker, each worker's in its own order: the watermark moves.
pub(crate) fn live_clicks<'s>(env: &Env<'s>, seed: u64, n: u64) -> EventStream<'s, Click> {
    let worker = env.worker_index();
    let splits = env.from_splits(env.workers(), move |split| {
        assert_eq!(split, worker, "split i is read by worker i");
        clicks_of(seed, split as u64, n)
    });
    let strategy =
        WatermarkStrategy::bounded_out_of_orderness(millis(DISORDER as u64), |click: &Click| click.at);
    splits.assign_timestamps_and_watermarks(strategy)
}

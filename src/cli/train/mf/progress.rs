//! What a person or a program sees while training runs.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use waterwheel::engine::machine;
use waterwheel::ml::mf::EpochReport;
use waterwheel::prelude::BadRecord;

use crate::cli::say;

/// Bad records that are shown one by one; the rest is counted.
const BAD_RECORDS_SHOWN: usize = 10;

/// Progress of a run: a bar on a terminal, plain lines elsewhere, JSON lines on request.
pub(crate) struct Progress {
    json: bool,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    training_since: Option<Instant>,
    epoch_since: Option<Instant>,
    /// Ratings trained on so far, and how long that took.
    trained: u64,
    seconds: f64,
    bad_records: usize,
}

/// The last line of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) train_rmse: Option<f64>,
    pub(crate) test_rmse: Option<f64>,
    pub(crate) ratings_per_second: Option<f64>,
    pub(crate) epochs: usize,
    /// Of this process, the first.
    pub(crate) peak_rss_bytes: Option<u64>,
    pub(crate) ratings: u64,
    pub(crate) test_ratings: usize,
    pub(crate) users: usize,
    pub(crate) items: usize,
    pub(crate) bad_records: usize,
}

/// One line per epoch.
#[derive(Debug, Serialize)]
struct EpochLine {
    epoch: u32,
    train_rmse: f64,
    ratings: u64,
    ratings_per_second: f64,
}

impl Progress {
    pub(crate) fn new(epochs: u32, json: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !json;
        let bar = on_terminal.then(|| {
            let bar = ProgressBar::new(u64::from(epochs));
            // The template is a constant; a bar without it would still do.
            if let Ok(style) = ProgressStyle::with_template("{bar:30} epoch {pos}/{len}  {msg}") {
                bar.set_style(style);
            }
            bar.set_message("reading");
            bar.tick();
            bar
        });
        Progress { json, bar, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All ratings are read.
    pub(crate) fn training_starts(&self) {
        let now = machine::now();
        let mut state = self.state();
        (state.training_since, state.epoch_since) = (Some(now), Some(now));
    }

    /// A pass has ended.
    pub(crate) fn epoch_ends(&self, report: &EpochReport) {
        let Some(epoch) = report.epoch else { return };
        let now = machine::now();
        let rate = {
            let mut state = self.state();
            let since = state.epoch_since.replace(now).unwrap_or(now);
            let seconds = (now - since).as_secs_f64();
            state.trained += report.ratings;
            state.seconds += seconds;
            report.ratings as f64 / seconds.max(1e-9)
        };
        let line = EpochLine {
            epoch,
            train_rmse: report.rmse,
            ratings: report.ratings,
            ratings_per_second: rate.round(),
        };
        if self.json {
            print_json(&line);
        } else if let Some(bar) = &self.bar {
            bar.set_message(format!("rmse {:.4}  {}", report.rmse, per_second(rate)));
            bar.set_position(u64::from(epoch));
        } else {
            say(format_args!("epoch {epoch:>3}  rmse {:.4}  {}", report.rmse, per_second(rate)));
        }
    }

    /// A line that is no rating was skipped.
    pub(crate) fn bad_record(&self, record: &BadRecord) {
        let n = {
            let mut state = self.state();
            state.bad_records += 1;
            state.bad_records
        };
        let show = |text: String| match &self.bar {
            Some(bar) => bar.suspend(|| say(format_args!("{text}"))),
            None => say(format_args!("{text}")),
        };
        if n <= BAD_RECORDS_SHOWN {
            show(format!("skipped {record}"));
        }
        if n == BAD_RECORDS_SHOWN + 1 {
            show("more lines are skipped; they are counted at the end".into());
        }
    }

    /// Ratings per second over all epochs.
    pub(crate) fn overall_rate(&self) -> Option<f64> {
        let state = self.state();
        (state.seconds > 0.0).then(|| (state.trained as f64 / state.seconds).round())
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Prints the results.
    pub(crate) fn finish(&self, summary: &Summary) -> anyhow::Result<()> {
        self.write(summary).context("can not write to standard output")
    }

    fn write(&self, summary: &Summary) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(summary)?)?;
            return out.flush();
        }
        let number = |value: Option<f64>| value.map_or("none".into(), |value| format!("{value:.4}"));
        writeln!(
            out,
            "trained on {} ratings of {} users and {} items: train rmse {}, test rmse {} ({} ratings), {}",
            summary.ratings,
            summary.users,
            summary.items,
            number(summary.train_rmse),
            number(summary.test_rmse),
            summary.test_ratings,
            per_second(summary.ratings_per_second.unwrap_or(0.0)),
        )?;
        if summary.bad_records > 0 {
            writeln!(out, "skipped {} lines that are no ratings", summary.bad_records)?;
        }
        out.flush()
    }
}

fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.1} M ratings/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.0} k ratings/s", rate / 1e3),
        rate => format!("{rate:.0} ratings/s"),
    }
}

fn print_json(line: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(line) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

//! The metrics of a job, in the text form that Prometheus reads.

mod list;

use std::fmt::Write as _;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::admin::view::Snapshot;
use list::METRICS;

/// A number of a snapshot, for some values of the labels.
type Samples = Vec<(Vec<String>, f64)>;

/// One metric.
#[derive(Debug)]
struct Metric {
    /// Without the `_total` of counters.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: &'static [&'static str],
    samples: fn(&Snapshot) -> Samples,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// The numbers of a job as a scrape finds them.
#[derive(Debug)]
struct Scrape(Snapshot);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        METRICS.iter().try_for_each(|metric| metric.encode(&self.0, &mut encoder))
    }
}

impl Metric {
    fn encode(&self, snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let samples = (self.samples)(snapshot);
        if samples.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(self.name, self.help, None, self.kind.metric_type())?;
        for (values, value) in samples {
            if values.is_empty() {
                self.kind.encode(&mut family, value)?;
            } else {
                let labels: Vec<(&str, String)> = self.labels.iter().copied().zip(values).collect();
                self.kind.encode(&mut family.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }

    /// The name as Prometheus shows it.
    fn full_name(&self) -> String {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{suffix}", self.name)
    }
}

impl Kind {
    fn encode(self, encoder: &mut MetricEncoder<'_>, value: f64) -> std::fmt::Result {
        match self {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, f64, u64>(&value, None),
            Kind::Gauge => encoder.encode_gauge(&value),
        }
    }

    fn metric_type(self) -> MetricType {
        match self {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// All metrics of a snapshot as OpenMetrics text.
///
/// # Errors
/// The text can not be written; it always can.
pub(super) fn openmetrics(snapshot: Snapshot) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(snapshot)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The page that lists all metrics, as `docs/metrics.md` has it.
pub fn metrics_page() -> String {
    let mut page = String::from(PAGE_HEAD);
    for metric in METRICS {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let (name, kind, help) = (metric.full_name(), metric.kind.name(), metric.help);
        // A text can always be written to.
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
    }
    page
}

const PAGE_HEAD: &str = "\
# Metrics

What `/metrics` of the [admin port](admin.md) tells, in the text form of OpenMetrics, which Prometheus reads. Each process
of a job tells of itself; add up over processes what is not said to be of the whole job. Counters begin at zero with every
run. `operator` is the path of an operator, as in errors, and `id` its number, the same on all workers; `operator` of an
exchange is who reads from it: what is in flight there is the queue of that operator. Operators that read on their own worker
take what is sent at once, and have none.

This page is made from the program (`waterwheel::admin::metrics_page`); a test compares them.

| metric | type | labels | meaning |
|---|---|---|---|
";

//! Traces of runs for OpenTelemetry, feature `otlp`.
//!
//! Where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, such as `http://127.0.0.1:4318`, every run of
//! [`execute`](crate::execute) and [`supervise`](crate::supervise) sends it spans by OTLP over HTTP, as protobuf:
//!
//! | span | is | attributes |
//! |---|---|---|
//! | `job` | the run in this process | the settings of the run, such as `waterwheel.job-name`; its error, if it failed |
//! | `checkpoint` | from its beginning until it was durable | `epoch`, `bytes`; a failed one has its reason |
//! | `round` | a round of a loop | `loop`, `round`, `records` |
//!
//! They are made of what the run shows of itself ([`RuntimeConfig::handles`]), which is read four times a second: of a loop
//! that is faster than 64 rounds in that time some have no span. The service has the name of the job, unless
//! `OTEL_SERVICE_NAME` is set. A collector that can not be reached is warned of, and the job goes on.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Span, SpanBuilder, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use waterwheel_engine::{Error, LoopFlow, Result, RoundFlow, RunHandles, RuntimeConfig, machine};

/// Variables of the environment that name a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// How often the run is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// Sends the spans of one run, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Traces {
    end: Sender<Option<String>>,
    thread: JoinHandle<()>,
}

impl Traces {
    /// Of the run that `config` is for, if there is somewhere to send them to.
    ///
    /// # Errors
    /// The environment says something else than the address of a collector.
    pub(crate) fn begin(config: &mut RuntimeConfig) -> Result<Option<Self>> {
        if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(None);
        }
        config.validate()?;
        let settings = config.settings();
        let provider = provider(&settings)?;
        let attributes = settings.into_iter().filter(|(_, value)| !value.is_empty());
        let attributes = attributes.map(|(name, value)| KeyValue::new(format!("waterwheel.{name}"), value));
        let (end, ended) = channel();
        let tracer = provider.tracer("waterwheel");
        let job = SpanBuilder::from_name("job").with_start_time(now()).with_attributes(attributes);
        let job = Context::new().with_span(tracer.build_with_context(job, &Context::new()));
        let watch = Watch {
            tracer,
            job,
            run: config.handles(),
            rounds: BTreeMap::new(),
            checkpoints: (0, 0),
            bytes: 0,
        };
        let thread = std::thread::Builder::new().name("waterwheel:otlp".into());
        let thread = thread.spawn(move || {
            watch.until(&ended);
            if let Err(error) = provider.shutdown() {
                tracing::warn!("spans of the run were not sent: {error}");
            }
        });
        let thread = thread.map_err(|error| Error::config("can not start a thread").caused_by(error))?;
        Ok(Some(Traces { end, thread }))
    }

    /// The run has ended, with this. Returns when all spans are sent or can not be sent.
    pub(crate) fn end<T>(self, outcome: &Result<T>) {
        // A thread that has panicked hears nothing, and the run is none the worse.
        let _ = self.end.send(outcome.as_ref().err().map(Error::full_message));
        let _ = self.thread.join();
    }
}

fn provider(settings: &[(&'static str, String)]) -> Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.map_err(|error| Error::config("can not send traces").caused_by(error))?;
    let resource = Resource::builder();
    let resource = match settings.iter().find(|(name, _)| *name == "job-name") {
        Some((_, job)) if std::env::var_os("OTEL_SERVICE_NAME").is_none() => {
            resource.with_service_name(job.clone())
        }
        _ => resource,
    };
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

fn now() -> SystemTime {
    UNIX_EPOCH + machine::unix_time()
}

/// Makes spans of what a run shows.
struct Watch {
    tracer: SdkTracer,
    /// The span that all others are in.
    job: Context,
    run: RunHandles,
    /// The last round of each loop that has a span.
    rounds: BTreeMap<usize, Vec<u64>>,
    /// Checkpoints that were seen, durable and failed ones.
    checkpoints: (u64, u64),
    /// State that they have written.
    bytes: u64,
}

impl Watch {
    /// Looks at the run now and then until it has ended.
    fn until(mut self, ended: &Receiver<Option<String>>) {
        let failure = loop {
            match ended.recv_timeout(EVERY) {
                Err(RecvTimeoutError::Timeout) => self.look(false),
                Ok(failure) => break failure,
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        self.look(true);
        let job = self.job.span();
        if let Some(failure) = failure {
            job.set_status(Status::error(failure));
        }
        job.end_with_timestamp(now());
    }

    fn look(&mut self, has_ended: bool) {
        for (index, flow) in self.run.loops.loops().iter().enumerate() {
            self.look_at_loop(index, flow, has_ended);
        }
        self.look_at_checkpoints();
    }

    /// The rounds that are over. Each ends where the next one begins.
    fn look_at_loop(&mut self, index: usize, flow: &LoopFlow, has_ended: bool) {
        let mut end = now();
        let mut over = Vec::new();
        for (back, round) in flow.rounds.iter().rev().enumerate() {
            let begin = end - round.took;
            let is_new = self.rounds.get(&index).is_none_or(|last| round.clock > *last);
            if is_new && (back > 0 || has_ended) {
                over.push((round, begin, end));
            }
            end = begin;
        }
        for (round, begin, end) in over.into_iter().rev() {
            self.round(flow, round, (begin, end));
            self.rounds.insert(index, round.clock.clone());
        }
    }

    fn round(&self, flow: &LoopFlow, round: &RoundFlow, span: (SystemTime, SystemTime)) {
        let number = round.clock.last().copied().unwrap_or(0);
        let attributes = [
            KeyValue::new("loop", flow.name.clone()),
            KeyValue::new("round", number as i64),
            KeyValue::new("records", round.records as i64),
        ];
        self.span("round", span, attributes.to_vec(), Status::Unset);
    }

    fn look_at_checkpoints(&mut self) {
        let Some(counts) = self.run.checkpoints.as_ref().map(|state| state.counts()) else { return };
        let (completed, failed) = std::mem::replace(&mut self.checkpoints, (counts.completed, counts.failed));
        if let (true, Some(at), Some(epoch)) = (counts.completed > completed, counts.newest_at, counts.newest)
        {
            let bytes = counts.bytes.saturating_sub(std::mem::replace(&mut self.bytes, counts.bytes));
            let end = UNIX_EPOCH + at;
            let attributes = vec![KeyValue::new("epoch", epoch as i64), KeyValue::new("bytes", bytes as i64)];
            self.span("checkpoint", (end - counts.duration, end), attributes, Status::Unset);
        }
        if counts.failed > failed {
            let reason = counts.last_failure.unwrap_or_default();
            self.span("checkpoint", (now(), now()), Vec::new(), Status::error(reason));
        }
    }

    /// A span in that of the job.
    fn span(
        &self,
        name: &'static str,
        (begin, end): (SystemTime, SystemTime),
        attributes: Vec<KeyValue>,
        status: Status,
    ) {
        let builder = SpanBuilder::from_name(name).with_start_time(begin).with_attributes(attributes);
        let mut span = self.tracer.build_with_context(builder, &self.job);
        span.set_status(status);
        span.end_with_timestamp(end);
    }
}

//! What the admin port shows of one job.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use waterwheel_engine::{
    CheckpointCounts, Connection, ConnectionKind, ExchangeFlow, JobPhase, LoopFlow, OperatorMetrics,
    PeerMetrics, RecordCount, RunHandles, RuntimeConfig, WorkerMetrics, machine,
};
use waterwheel_ps::{PsState, WorkerTraffic};

/// All that an [`AdminServer`](crate::admin::AdminServer) shows of a job: handles that read it while it runs.
///
/// # Examples
/// ```
/// use waterwheel::admin::JobView;
/// use waterwheel::prelude::*;
///
/// let mut config = RuntimeConfig::threads(2);
/// let view = JobView::of(&mut config);
/// execute(config, |env| {
///     env.from_iter(0..100).rebalance().sink(|_| Ok(()));
///     Ok(())
/// })?;
/// assert!(view.graph_json().contains("rebalance"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JobView {
    handles: RunHandles,
    settings: Arc<[(&'static str, String)]>,
    servers: Arc<Mutex<Vec<(String, PsState)>>>,
}

impl JobView {
    /// A view of the run that `config` is for, by the handles in it.
    pub fn of(config: &mut RuntimeConfig) -> Self {
        JobView { handles: config.handles(), settings: config.settings().into(), servers: Arc::default() }
    }

    /// Shows the servers that are given this handle, under a name. Those that are given none are shown by themselves.
    pub fn parameter_server(&self, name: impl Into<String>) -> PsState {
        let state = PsState::new();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.push((name.into(), state.clone()));
        state
    }

    /// Where the job is between its start and its end.
    pub fn phase(&self) -> JobPhase {
        self.handles.operators.phase()
    }

    /// What `/graph` answers: the operators of the job, how they are connected, and their numbers.
    pub fn graph_json(&self) -> String {
        serde_json::to_string(&self.snapshot()).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    /// What `/config` answers.
    pub fn config_json(&self) -> String {
        let settings: serde_json::Map<_, _> =
            self.settings.iter().map(|(name, value)| ((*name).to_string(), value.clone().into())).collect();
        serde_json::Value::Object(settings).to_string()
    }

    /// All numbers, as they are now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = servers.clone();
        all.extend(self.handles.operators.figures::<PsState>());
        Snapshot {
            time: machine::unix_time().as_secs_f64(),
            phase: self.phase().into(),
            operators: self.handles.operators.operators().iter().map(OperatorRow::new).collect(),
            connections: self.handles.operators.connections().into_iter().map(ConnectionRow::new).collect(),
            peers: self.handles.operators.peers().iter().map(PeerRow::new).collect(),
            exchanges: self.handles.flow.exchanges().iter().map(ExchangeRow::new).collect(),
            loops: self.handles.loops.loops().iter().enumerate().map(LoopRow::new).collect(),
            parameter_servers: all.iter().flat_map(|(name, state)| PsRow::of(name, state)).collect(),
            ps_workers: all.iter().flat_map(|(name, state)| PsWorkerRow::of(name, state)).collect(),
            bad_records: self.handles.bad_records.operators().into_iter().map(CountRow::new).collect(),
            late_records: self.handles.late_records.operators().into_iter().map(CountRow::new).collect(),
            checkpoints: self
                .handles
                .checkpoints
                .iter()
                .map(|state| CheckpointRow::new(&state.counts()))
                .collect(),
        }
    }
}

/// All numbers of a job at one time, as JSON has them. Times are in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    /// Seconds since 1970.
    pub(super) time: f64,
    pub(super) phase: &'static str,
    pub(super) operators: Vec<OperatorRow>,
    connections: Vec<ConnectionRow>,
    pub(super) peers: Vec<PeerRow>,
    pub(super) exchanges: Vec<ExchangeRow>,
    pub(super) loops: Vec<LoopRow>,
    pub(super) parameter_servers: Vec<PsRow>,
    pub(super) ps_workers: Vec<PsWorkerRow>,
    pub(super) bad_records: Vec<CountRow>,
    pub(super) late_records: Vec<CountRow>,
    /// One row where the job makes checkpoints.
    pub(super) checkpoints: Vec<CheckpointRow>,
}

#[derive(Debug, Serialize)]
pub(super) struct CheckpointRow {
    /// Of the newest.
    pub(super) epoch: Option<u64>,
    /// When the newest was durable, in seconds since 1970.
    pub(super) time: Option<f64>,
    /// How long the newest took.
    pub(super) seconds: f64,
    /// The longest time for which sources were held.
    pub(super) longest_pause: f64,
    pub(super) bytes: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    last_failure: Option<String>,
}

impl CheckpointRow {
    fn new(counts: &CheckpointCounts) -> Self {
        CheckpointRow {
            epoch: counts.newest,
            time: counts.newest_at.as_ref().map(Duration::as_secs_f64),
            seconds: counts.duration.as_secs_f64(),
            longest_pause: counts.longest_pause.as_secs_f64(),
            bytes: counts.bytes,
            completed: counts.completed,
            failed: counts.failed,
            last_failure: counts.last_failure.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct OperatorRow {
    pub(super) id: usize,
    pub(super) name: String,
    location: String,
    uid: Option<String>,
    /// What a sink promises.
    delivery: Option<&'static str>,
    pub(super) workers: Vec<WorkerRow>,
}

#[derive(Debug, Serialize)]
pub(super) struct WorkerRow {
    pub(super) worker: usize,
    pub(super) records_in: u64,
    pub(super) batches_in: u64,
    pub(super) bytes_in: u64,
    pub(super) records_out: u64,
    pub(super) batches_out: u64,
    pub(super) bytes_out: u64,
    pub(super) activations: u64,
    pub(super) busy: f64,
    pub(super) held: f64,
    /// Seconds since 1970.
    pub(super) watermark: Option<f64>,
    pub(super) keys: Option<u64>,
    pub(super) state_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct PeerRow {
    pub(super) process: usize,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

#[derive(Debug, Serialize)]
struct ConnectionRow {
    from: usize,
    to: usize,
    kind: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct ExchangeRow {
    pub(super) id: usize,
    pub(super) operator: String,
    pub(super) in_flight: u64,
    pub(super) peak: u64,
    pub(super) limit: u64,
    pub(super) holds: bool,
    pub(super) times_held: u64,
    pub(super) held: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct LoopRow {
    /// In the order in which loops are built.
    pub(super) id: usize,
    pub(super) name: String,
    pub(super) round: u64,
    /// Of the last round that is over.
    pub(super) round_seconds: Option<f64>,
    /// Fed back into the last round that is over.
    pub(super) round_records: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct PsRow {
    pub(super) name: String,
    pub(super) server: usize,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) evicted: u64,
    pub(super) pulls: u64,
    pub(super) pushes: u64,
    pub(super) left_open: u64,
    pub(super) max_staleness: u64,
    /// With about how many of 1,024 pulls were for each.
    hot_keys: Vec<(String, u64)>,
}

#[derive(Debug, Serialize)]
pub(super) struct PsWorkerRow {
    pub(super) name: String,
    pub(super) worker: usize,
    /// By the way in which they were answered.
    pub(super) pulls: [(&'static str, u64); 5],
    pub(super) pushes: u64,
    pub(super) credit_used: u64,
    pub(super) max_staleness: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct CountRow {
    pub(super) id: usize,
    pub(super) operator: String,
    pub(super) records: u64,
}

impl OperatorRow {
    fn new(operator: &OperatorMetrics) -> Self {
        OperatorRow {
            id: operator.id,
            name: operator.name.clone(),
            location: operator.location.clone(),
            uid: operator.uid.clone(),
            delivery: operator.delivery.map(Into::into),
            workers: operator.workers.iter().map(WorkerRow::new).collect(),
        }
    }
}

impl WorkerRow {
    fn new(metrics: &WorkerMetrics) -> Self {
        WorkerRow {
            worker: metrics.worker,
            records_in: metrics.records_in,
            batches_in: metrics.batches_in,
            bytes_in: metrics.bytes_in,
            records_out: metrics.records_out,
            batches_out: metrics.batches_out,
            bytes_out: metrics.bytes_out,
            activations: metrics.activations,
            busy: metrics.busy.as_secs_f64(),
            held: metrics.held.as_secs_f64(),
            watermark: metrics.watermark.map(|millis| millis as f64 / 1000.0),
            keys: metrics.keys,
            state_bytes: metrics.state_bytes,
        }
    }
}

impl PeerRow {
    fn new(metrics: &PeerMetrics) -> Self {
        let PeerMetrics { process, bytes_sent, bytes_received, .. } = *metrics;
        PeerRow { process, bytes_sent, bytes_received }
    }
}

impl ConnectionRow {
    fn new(connection: Connection) -> Self {
        let kind = match connection.kind {
            ConnectionKind::Forward => "forward",
            ConnectionKind::Exchange => "exchange",
            ConnectionKind::Feedback => "feedback",
        };
        ConnectionRow { from: connection.from, to: connection.to, kind }
    }
}

impl ExchangeRow {
    fn new(flow: &ExchangeFlow) -> Self {
        ExchangeRow {
            id: flow.id,
            operator: flow.operator.clone(),
            in_flight: flow.in_flight,
            peak: flow.peak,
            limit: flow.limit,
            holds: flow.holds,
            times_held: flow.times_held,
            held: flow.time_held.as_secs_f64(),
        }
    }
}

impl LoopRow {
    fn new((id, flow): (usize, &LoopFlow)) -> Self {
        let over = flow.rounds.len().checked_sub(2).and_then(|at| flow.rounds.get(at));
        LoopRow {
            id,
            name: flow.name.clone(),
            round: flow.round,
            round_seconds: over.map(|round| round.took).as_ref().map(Duration::as_secs_f64),
            round_records: over.map(|round| round.records),
        }
    }
}

impl PsRow {
    /// What servers hold, and what they were asked, of those that say one or the other.
    fn of(name: &str, state: &PsState) -> Vec<Self> {
        let (held, asked) = (state.servers(), state.server_traffic());
        let mut indices: Vec<usize> =
            held.iter().map(|one| one.index).chain(asked.iter().map(|one| one.index)).collect();
        indices.sort_unstable();
        indices.dedup();
        let row = |server| {
            let held = held.iter().find(|one| one.index == server);
            let asked = asked.iter().find(|one| one.index == server).cloned().unwrap_or_default();
            PsRow {
                name: name.into(),
                server,
                rows: held.map_or(0, |held| held.rows),
                bytes: held.map_or(0, |held| held.bytes),
                evicted: held.map_or(0, |held| held.evicted),
                pulls: asked.pulls,
                pushes: asked.pushes,
                left_open: asked.left_open,
                max_staleness: asked.max_staleness,
                hot_keys: asked.hot_keys,
            }
        };
        indices.into_iter().map(row).collect()
    }
}

impl PsWorkerRow {
    fn of(name: &str, state: &PsState) -> Vec<Self> {
        let row = |worker: WorkerTraffic| PsWorkerRow {
            name: name.into(),
            worker: worker.index,
            pulls: [
                ("beside", worker.pulls_beside),
                ("sent", worker.pulls_sent),
                ("ahead", worker.pulls_ahead),
                ("kept", worker.pulls_kept),
                ("joined", worker.pulls_joined),
            ],
            pushes: worker.pushes,
            credit_used: worker.credit_used,
            max_staleness: worker.max_staleness,
        };
        state.worker_traffic().into_iter().map(row).collect()
    }
}

impl CountRow {
    fn new(count: RecordCount) -> Self {
        CountRow { id: count.id, operator: count.operator, records: count.records }
    }
}

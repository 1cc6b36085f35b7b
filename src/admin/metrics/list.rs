//! Every metric: its name, its labels, what it means, and where its numbers are.

use super::{Kind, Metric, Samples};
use crate::admin::view::{
    CheckpointRow, CountRow, ExchangeRow, LoopRow, OperatorRow, PeerRow, PsRow, PsWorkerRow, Snapshot,
    WorkerRow,
};

const OPERATOR: &[&str] = &["operator", "id", "worker"];
const EXCHANGE: &[&str] = &["operator", "exchange"];
const PEER: &[&str] = &["process"];
const COUNT: &[&str] = &["operator", "id"];
const LOOP: &[&str] = &["loop", "id"];
const SERVER: &[&str] = &["name", "server"];
const PS_WORKER: &[&str] = &["name", "worker"];
const PS_PULLS: &[&str] = &["name", "worker", "way"];

macro_rules! metric {
    ($name:literal, $kind:ident, $labels:expr, $samples:expr, $help:literal) => {
        Metric { name: $name, kind: Kind::$kind, help: $help, labels: $labels, samples: $samples }
    };
}

/// Every metric, in the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    metric!(
        "waterwheel_up",
        Gauge,
        &["phase"],
        |s| vec![(vec![s.phase.into()], 1.0)],
        "Always 1; the label says where the job is: waiting, running, ended or failed."
    ),
    metric!(
        "waterwheel_operator_records_in",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.records_in as f64)),
        "Records that an operator has read, of all inputs."
    ),
    metric!(
        "waterwheel_operator_records_out",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.records_out as f64)),
        "Records that an operator has sent, of all outputs."
    ),
    metric!(
        "waterwheel_operator_batches_in",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.batches_in as f64)),
        "Batches that an operator has read, of all inputs."
    ),
    metric!(
        "waterwheel_operator_batches_out",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.batches_out as f64)),
        "Batches that an operator has sent, of all outputs."
    ),
    metric!(
        "waterwheel_operator_bytes_in",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.bytes_in as f64)),
        "Memory of the records that an operator has read, without what they point to, as the letters of a text."
    ),
    metric!(
        "waterwheel_operator_bytes_out",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.bytes_out as f64)),
        "Memory of the records that an operator has sent, without what they point to."
    ),
    metric!(
        "waterwheel_operator_activations",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.activations as f64)),
        "How often an operator was run."
    ),
    metric!(
        "waterwheel_operator_busy_seconds",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.busy)),
        "How long an operator ran, with the way to it from the one before; its rate is the share of its worker's time that \
         it took."
    ),
    metric!(
        "waterwheel_operator_held_seconds",
        Counter,
        OPERATOR,
        |s| by_worker(s, |w| Some(w.held)),
        "How long a source could not read because too much was in flight."
    ),
    metric!(
        "waterwheel_operator_watermark_timestamp_seconds",
        Gauge,
        OPERATOR,
        |s| by_worker(s, |w| w.watermark),
        "The watermark at an operator with event time, in seconds since 1970: the least of all workers."
    ),
    metric!(
        "waterwheel_operator_watermark_lag_seconds",
        Gauge,
        OPERATOR,
        |s| by_worker(s, |w| w.watermark.map(|at| s.time - at)),
        "How far the watermark at an operator is behind the clock of this machine."
    ),
    metric!(
        "waterwheel_operator_keys",
        Gauge,
        OPERATOR,
        |s| by_worker(s, |w| w.keys.map(|keys| keys as f64)),
        "Keys whose state an operator keeps, in each window by itself."
    ),
    metric!(
        "waterwheel_operator_state_bytes",
        Gauge,
        OPERATOR,
        |s| by_worker(s, |w| w.state_bytes.map(|bytes| bytes as f64)),
        "Memory of these keys and states, without what they point to and free room in tables."
    ),
    metric!(
        "waterwheel_peer_bytes_sent",
        Counter,
        PEER,
        |s| by_peer(s, |p| p.bytes_sent as f64),
        "Bytes of records and progress that were sent to another process."
    ),
    metric!(
        "waterwheel_peer_bytes_received",
        Counter,
        PEER,
        |s| by_peer(s, |p| p.bytes_received as f64),
        "Bytes of records and progress that came from another process."
    ),
    metric!(
        "waterwheel_exchange_in_flight_records",
        Gauge,
        EXCHANGE,
        |s| by_exchange(s, |e| e.in_flight as f64),
        "Records that were sent into an exchange or a feedback edge and not read yet, in the whole job."
    ),
    metric!(
        "waterwheel_exchange_in_flight_peak_records",
        Gauge,
        EXCHANGE,
        |s| by_exchange(s, |e| e.peak as f64),
        "The most records that were in flight at once."
    ),
    metric!(
        "waterwheel_exchange_in_flight_limit_records",
        Gauge,
        EXCHANGE,
        |s| by_exchange(s, |e| e.limit as f64),
        "Records in flight above which sources are held."
    ),
    metric!(
        "waterwheel_exchange_holds_sources",
        Gauge,
        EXCHANGE,
        |s| by_exchange(s, |e| f64::from(u8::from(e.holds))),
        "1 while an exchange holds its sources, else 0."
    ),
    metric!(
        "waterwheel_exchange_held_seconds",
        Counter,
        EXCHANGE,
        |s| by_exchange(s, |e| e.held),
        "How long an exchange has held its sources."
    ),
    metric!(
        "waterwheel_exchange_holds",
        Counter,
        EXCHANGE,
        |s| by_exchange(s, |e| e.times_held as f64),
        "How often an exchange has taken a hold on its sources."
    ),
    metric!(
        "waterwheel_loop_round",
        Gauge,
        LOOP,
        |s| by_loop(s, |l| Some(l.round as f64)),
        "The last round that a record was fed back into; of a loop inside another one, of its last run."
    ),
    metric!(
        "waterwheel_loop_round_duration_seconds",
        Gauge,
        LOOP,
        |s| by_loop(s, |l| l.round_seconds),
        "How long the last round took that is over."
    ),
    metric!(
        "waterwheel_loop_round_records",
        Gauge,
        LOOP,
        |s| by_loop(s, |l| l.round_records.map(|n| n as f64)),
        "Records that were fed back into the last round that is over, in this process."
    ),
    metric!(
        "waterwheel_parameter_server_rows",
        Gauge,
        SERVER,
        |s| by_server(s, |p| p.rows as f64),
        "Rows that a server holds."
    ),
    metric!(
        "waterwheel_parameter_server_bytes",
        Gauge,
        SERVER,
        |s| by_server(s, |p| p.bytes as f64),
        "Memory of the rows of a server, of what their update keeps, and of their index."
    ),
    metric!(
        "waterwheel_parameter_server_evicted_rows",
        Counter,
        SERVER,
        |s| by_server(s, |p| p.evicted as f64),
        "Rows that a server has evicted."
    ),
    metric!(
        "waterwheel_parameter_server_pulls",
        Counter,
        SERVER,
        |s| by_server(s, |p| p.pulls as f64),
        "Pulls that a server has served, those too that were then left open."
    ),
    metric!(
        "waterwheel_parameter_server_pushes",
        Counter,
        SERVER,
        |s| by_server(s, |p| p.pushes as f64),
        "Pushes that a server has served."
    ),
    metric!(
        "waterwheel_parameter_server_open_pulls",
        Counter,
        SERVER,
        |s| by_server(s, |p| p.left_open as f64),
        "Pulls that a server has not answered at once: left open by its logic or for a lock."
    ),
    metric!(
        "waterwheel_parameter_server_staleness_clocks",
        Gauge,
        SERVER,
        |s| by_server(s, |p| p.max_staleness as f64),
        "Most clocks that were not complete when a server has answered a pull of a later one."
    ),
    metric!(
        "waterwheel_parameter_server_worker_pulls",
        Counter,
        PS_PULLS,
        |s| {
            let rows = s.ps_workers.iter();
            let each = |row: &PsWorkerRow| row.pulls.map(|(way, n)| (ps_labels(row, Some(way)), n as f64));
            rows.flat_map(each).collect()
        },
        "Pulls of a worker: from the server beside it, sent to others, sent ahead, answered by a row that it keeps, or \
         joined to one on its way."
    ),
    metric!(
        "waterwheel_parameter_server_worker_pushes",
        Counter,
        PS_WORKER,
        |s| by_ps_worker(s, |w| w.pushes),
        "Pushes of a worker, after those to one key were combined."
    ),
    metric!(
        "waterwheel_parameter_server_worker_credit_used",
        Gauge,
        PS_WORKER,
        |s| by_ps_worker(s, |w| w.credit_used),
        "Operations of a worker that are under way. Over the rate of its pulls and pushes that were sent, this is the mean \
         time that one takes."
    ),
    metric!(
        "waterwheel_parameter_server_worker_staleness_clocks",
        Gauge,
        PS_WORKER,
        |s| by_ps_worker(s, |w| w.max_staleness),
        "Most clocks that a kept row has missed when it has answered a pull."
    ),
    metric!(
        "waterwheel_bad_records",
        Counter,
        COUNT,
        |s| counts(&s.bad_records),
        "Records that could not be read or handled, and were skipped or set aside."
    ),
    metric!(
        "waterwheel_late_records",
        Counter,
        COUNT,
        |s| counts(&s.late_records),
        "Records that came too late at an operator with event time."
    ),
    metric!(
        "waterwheel_checkpoints_completed",
        Counter,
        &[],
        |s| of_checkpoints(s, |c| Some(c.completed as f64)),
        "Checkpoints that are durable."
    ),
    metric!(
        "waterwheel_checkpoints_failed",
        Counter,
        &[],
        |s| of_checkpoints(s, |c| Some(c.failed as f64)),
        "Checkpoints that could not be written; the job went on."
    ),
    metric!(
        "waterwheel_checkpoint_epoch",
        Gauge,
        &[],
        |s| of_checkpoints(s, |c| c.epoch.map(|epoch| epoch as f64)),
        "The epoch of the newest checkpoint."
    ),
    metric!(
        "waterwheel_checkpoint_age_seconds",
        Gauge,
        &[],
        |s| of_checkpoints(s, |c| c.time.map(|at| s.time - at)),
        "How long ago the newest checkpoint was durable."
    ),
    metric!(
        "waterwheel_checkpoint_duration_seconds",
        Gauge,
        &[],
        |s| of_checkpoints(s, |c| Some(c.seconds)),
        "From the beginning of the newest checkpoint until it was durable."
    ),
    metric!(
        "waterwheel_checkpoint_longest_pause_seconds",
        Gauge,
        &[],
        |s| of_checkpoints(s, |c| Some(c.longest_pause)),
        "The longest time for which a checkpoint has held the sources."
    ),
    metric!(
        "waterwheel_checkpoint_bytes",
        Counter,
        &[],
        |s| of_checkpoints(s, |c| Some(c.bytes as f64)),
        "State that this process has handed to storage, before compression."
    ),
];

fn by_worker(snapshot: &Snapshot, value: impl Fn(&WorkerRow) -> Option<f64>) -> Samples {
    let of_operator = |operator: &OperatorRow| {
        let sample = |worker: &WorkerRow| {
            let labels = vec![operator.name.clone(), operator.id.to_string(), worker.worker.to_string()];
            value(worker).map(|value| (labels, value))
        };
        operator.workers.iter().filter_map(sample).collect::<Vec<_>>()
    };
    snapshot.operators.iter().flat_map(of_operator).collect()
}

fn by_peer(snapshot: &Snapshot, value: impl Fn(&PeerRow) -> f64) -> Samples {
    snapshot.peers.iter().map(|peer| (vec![peer.process.to_string()], value(peer))).collect()
}

fn by_exchange(snapshot: &Snapshot, value: impl Fn(&ExchangeRow) -> f64) -> Samples {
    snapshot
        .exchanges
        .iter()
        .map(|exchange| (vec![exchange.operator.clone(), exchange.id.to_string()], value(exchange)))
        .collect()
}

fn by_loop(snapshot: &Snapshot, value: impl Fn(&LoopRow) -> Option<f64>) -> Samples {
    let sample = |row: &LoopRow| value(row).map(|value| (vec![row.name.clone(), row.id.to_string()], value));
    snapshot.loops.iter().filter_map(sample).collect()
}

fn of_checkpoints(snapshot: &Snapshot, value: impl Fn(&CheckpointRow) -> Option<f64>) -> Samples {
    snapshot.checkpoints.iter().filter_map(|row| value(row).map(|value| (Vec::new(), value))).collect()
}

fn counts(rows: &[CountRow]) -> Samples {
    rows.iter().map(|row| (vec![row.operator.clone(), row.id.to_string()], row.records as f64)).collect()
}

fn by_server(snapshot: &Snapshot, value: impl Fn(&PsRow) -> f64) -> Samples {
    let labels = |row: &PsRow| vec![row.name.clone(), row.server.to_string()];
    snapshot.parameter_servers.iter().map(|row| (labels(row), value(row))).collect()
}

fn by_ps_worker(snapshot: &Snapshot, value: impl Fn(&PsWorkerRow) -> u64) -> Samples {
    snapshot.ps_workers.iter().map(|row| (ps_labels(row, None), value(row) as f64)).collect()
}

fn ps_labels(row: &PsWorkerRow, way: Option<&str>) -> Vec<String> {
    let labels = [row.name.clone(), row.worker.to_string()];
    labels.into_iter().chain(way.map(String::from)).collect()
}

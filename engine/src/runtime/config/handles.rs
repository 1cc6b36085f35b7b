//! What shows a run while it goes on.

use std::net::SocketAddr;

use crate::bad_record::BadRecordState;
use crate::checkpoint::CheckpointState;
use crate::event::LateRecordState;
use crate::feedback::LoopState;
use crate::flow::FlowState;
use crate::metrics::JobMetrics;
use crate::runtime::config::RuntimeConfig;
use crate::runtime::launch::started_as;

/// All handles that read a run while it goes on; see [`RuntimeConfig::handles`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RunHandles {
    /// Its operators.
    pub operators: JobMetrics,
    /// What is in flight.
    pub flow: FlowState,
    /// Its loops.
    pub loops: LoopState,
    /// Records that could not be read or handled.
    pub bad_records: BadRecordState,
    /// Records that came too late.
    pub late_records: LateRecordState,
    /// Its checkpoints, if it makes any.
    pub checkpoints: Option<CheckpointState>,
}

impl RuntimeConfig {
    /// Shows the number of bad records of each operator to `state`. Default: nobody looks.
    #[must_use]
    pub fn bad_record_state(mut self, state: BadRecordState) -> Self {
        self.bad_record_state = state;
        self
    }

    /// Sets where to show how many records came too late at operators with event time.
    #[must_use]
    pub fn late_record_state(mut self, state: LateRecordState) -> Self {
        self.late_record_state = state;
        self
    }

    /// Shows the loops of the job to `state`. Default: nobody looks, and nothing is counted.
    #[must_use]
    pub fn loop_state(mut self, state: LoopState) -> Self {
        self.loop_state = Some(state);
        self
    }

    /// The handles that read the run while it goes on: those that were set, and new ones where none was.
    pub fn handles(&mut self) -> RunHandles {
        RunHandles {
            operators: self.job_metrics.get_or_insert_default().clone(),
            flow: self.flow_state.clone(),
            loops: self.loop_state.get_or_insert_default().clone(),
            bad_records: self.bad_record_state.clone(),
            late_records: self.late_record_state.clone(),
            checkpoints: self.checkpoints.as_ref().map(|checkpoints| checkpoints.state.clone()),
        }
    }

    /// Sets where the job can be watched by HTTP while it runs: the process of index `i` listens on the port that is `i`
    /// higher, but where the port is 0, any free one. None by default.
    ///
    /// This crate has no HTTP; `waterwheel::execute` serves it. An address that other machines reach is refused unless
    /// [`allow_insecure`](Self::allow_insecure) is set.
    #[must_use]
    pub fn admin(mut self, address: Option<SocketAddr>) -> Self {
        self.admin = address;
        self
    }

    /// Where this process can be watched by HTTP, if it can; see [`admin`](Self::admin).
    pub fn admin_address(&self) -> Option<SocketAddr> {
        let index = self.process.or_else(started_as).unwrap_or(0);
        let port = |address: SocketAddr| match address.port() {
            0 => 0,
            port => port.saturating_add(index.try_into().unwrap_or(u16::MAX)),
        };
        self.admin.map(|address| SocketAddr::new(address.ip(), port(address)))
    }

    /// Lets `metrics` show what the operators of the run do. Nothing is watched by default.
    #[must_use]
    pub fn job_metrics(mut self, metrics: JobMetrics) -> Self {
        self.job_metrics = Some(metrics);
        self
    }

    /// Sets the handle that shows what is in flight on which exchange while the job runs.
    #[must_use]
    pub fn flow_state(mut self, state: FlowState) -> Self {
        self.flow_state = state;
        self
    }
}

//! What a worker counts of its requests, if somebody looks.

use std::sync::Arc;

use crate::block::Block;
use crate::core::replicas::{AHEAD, RENEWED};
use crate::state::{WorkerFigures, WorkerTraffic};
use crate::worker::{ParameterServerClient, WorkerLogic};

/// The counts of one worker.
pub(super) struct Watch {
    figures: Arc<WorkerFigures>,
    traffic: WorkerTraffic,
}

impl Watch {
    pub(super) fn new(figures: Arc<WorkerFigures>) -> Self {
        Watch { figures, traffic: WorkerTraffic::default() }
    }

    /// Counts a request that leaves, for the server beside the worker or for another.
    pub(super) fn count<K, E, D>(&mut self, block: &Block<K, E, D>, is_beside: bool) {
        for run in &block.runs {
            let n = u64::from(run.n);
            self.traffic.pushes += if run.op.pushes() { n } else { 0 };
            if run.op.pulls() {
                match run.group {
                    _ if is_beside => self.traffic.pulls_beside += n,
                    AHEAD | RENEWED => self.traffic.pulls_ahead += n,
                    _ => self.traffic.pulls_sent += n,
                }
            }
        }
    }

    /// Shows the counts.
    pub(super) fn show<L: WorkerLogic>(&mut self, client: &ParameterServerClient<L>) {
        self.traffic.credit_used = client.outbox.credit_used() as u64;
        if let Some(replicas) = &client.replicas {
            let hits = replicas.hits;
            (self.traffic.pulls_kept, self.traffic.pulls_joined) = (hits.here, hits.joined);
            self.traffic.max_staleness = hits.staleness;
        }
        self.figures.write(&self.traffic);
    }
}

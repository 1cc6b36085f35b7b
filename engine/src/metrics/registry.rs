//! The operators of one run in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::error::Site;
use crate::metrics::{Connection, Gauges, JobPhase, OperatorMetrics};
use crate::runtime::state::lock;

/// All operators of a run in one process, by number, and the connections between them.
#[derive(Default)]
pub(crate) struct Registry {
    operators: Mutex<BTreeMap<usize, Entry>>,
    connections: Mutex<BTreeSet<Connection>>,
    phase: Mutex<JobPhase>,
}

#[derive(Default)]
struct Entry {
    /// Changes while the graph is built: programs name operators after they have built them.
    description: Option<(String, String, Option<String>)>,
    gauges: BTreeMap<usize, Arc<Gauges>>,
}

impl Registry {
    /// The gauges of an operator on a worker.
    pub(crate) fn gauges(&self, id: usize, worker: usize) -> Arc<Gauges> {
        let mut operators = lock(&self.operators);
        let gauges = &mut operators.entry(id).or_default().gauges;
        Arc::clone(gauges.entry(worker).or_insert_with(|| Arc::new(Gauges::new(worker))))
    }

    /// Says what an operator is called.
    pub(crate) fn describe(&self, id: usize, site: Site, uid: Option<String>) {
        lock(&self.operators).entry(id).or_default().description = Some((site.operator, site.location, uid));
    }

    /// Says where the run is.
    pub(crate) fn set_phase(&self, phase: JobPhase) {
        *lock(&self.phase) = phase;
    }

    pub(crate) fn phase(&self) -> JobPhase {
        *lock(&self.phase)
    }

    pub(crate) fn connect(&self, connection: Connection) {
        lock(&self.connections).insert(connection);
    }

    pub(crate) fn operators(&self) -> Vec<OperatorMetrics> {
        let operators = lock(&self.operators);
        let described = operators.iter().filter_map(|(id, entry)| {
            let (name, location, uid) = entry.description.clone()?;
            let workers = entry.gauges.values().map(|gauges| gauges.read()).collect();
            Some(OperatorMetrics { id: *id, name, location, uid, workers })
        });
        described.collect()
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        lock(&self.connections).iter().copied().collect()
    }
}

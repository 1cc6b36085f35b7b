//! The operators of one run in one process.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::error::Site;
use crate::metrics::{Connection, Gauges, JobPhase, OperatorMetrics, PeerMetrics};
use crate::runtime::link::Peer;
use crate::runtime::state::lock;
use crate::sink::DeliveryGuarantee;

/// All operators of a run in one process, by number, and the connections between them.
#[derive(Default)]
pub(crate) struct Registry {
    operators: Mutex<BTreeMap<usize, Entry>>,
    connections: Mutex<BTreeSet<Connection>>,
    phase: Mutex<JobPhase>,
    figures: Mutex<Figures>,
    peers: Mutex<Vec<Peer>>,
}

/// Figures of layers above, which know what they mean.
#[derive(Default)]
struct Figures {
    /// In the order in which a worker asks for them, which is that in which the graph is built.
    all: Vec<(String, Box<dyn Any + Send>)>,
    /// How many each worker has asked for.
    asked: BTreeMap<usize, usize>,
}

#[derive(Clone)]
struct Description {
    site: Site,
    uid: Option<String>,
    delivery: Option<DeliveryGuarantee>,
}

#[derive(Default)]
struct Entry {
    /// Changes while the graph is built: programs name operators after they have built them.
    description: Option<Description>,
    gauges: BTreeMap<usize, Arc<Gauges>>,
}

impl Registry {
    /// The gauges of an operator on a worker.
    pub(crate) fn gauges(&self, id: usize, worker: usize) -> Arc<Gauges> {
        let mut operators = lock(&self.operators);
        let gauges = &mut operators.entry(id).or_default().gauges;
        Arc::clone(gauges.entry(worker).or_insert_with(|| Arc::new(Gauges::new(worker))))
    }

    /// Says what an operator is called, and what it promises, if it is a sink.
    pub(crate) fn describe(
        &self,
        id: usize,
        site: Site,
        uid: Option<String>,
        delivery: Option<DeliveryGuarantee>,
    ) {
        let description = Description { site, uid, delivery };
        lock(&self.operators).entry(id).or_default().description = Some(description);
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
            let Description { site, uid, delivery } = entry.description.clone()?;
            let workers = entry.gauges.values().map(|gauges| gauges.read()).collect();
            let (name, location) = (site.operator, site.location);
            Some(OperatorMetrics { id: *id, name, location, uid, delivery, workers })
        });
        described.collect()
    }

    /// Says which other processes there are.
    pub(crate) fn set_peers(&self, peers: Vec<Peer>) {
        *lock(&self.peers) = peers;
    }

    pub(crate) fn peers(&self) -> Vec<PeerMetrics> {
        let peers = lock(&self.peers);
        let metrics = |Peer { name, traffic }: &Peer| {
            let (bytes_sent, bytes_received) = traffic.bytes();
            PeerMetrics { process: name.process, bytes_sent, bytes_received }
        };
        peers.iter().map(metrics).collect()
    }

    /// The figures that a worker asks for now: the same on all workers that have built the same graph.
    pub(crate) fn join_figures<F: Default + Clone + Send + 'static>(&self, worker: usize, name: String) -> F {
        let mut figures = lock(&self.figures);
        let asked = figures.asked.entry(worker).or_default();
        let at = *asked;
        *asked += 1;
        if at >= figures.all.len() {
            let before =
                figures.all.iter().filter(|(other, _)| other.split(" #").next() == Some(&name)).count();
            let name = if before == 0 { name } else { format!("{name} #{}", before + 1) };
            figures.all.push((name, Box::new(F::default())));
        }
        // Workers with another graph end the run before it begins.
        let known = figures.all.get(at).and_then(|(_name, figures)| figures.downcast_ref::<F>());
        known.cloned().unwrap_or_default()
    }

    /// The figures of one type, with their names.
    pub(crate) fn figures<F: Clone + 'static>(&self) -> Vec<(String, F)> {
        let figures = lock(&self.figures);
        let known = figures.all.iter();
        known
            .filter_map(|(name, figures)| Some((name.clone(), figures.downcast_ref::<F>()?.clone())))
            .collect()
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        lock(&self.connections).iter().copied().collect()
    }
}

//! Whether all workers of all processes have built the same graph. Nothing is sent before they agree: a
//! worker with another graph would take the records of one operator for those of another.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::runtime::link::PeerName;
use crate::runtime::state::lock;

/// Operators that are told by name; of further ones only a hash is compared.
const MAX_NAMED: usize = 2048;
/// Longest description of an operator: all of them fit into one notice.
const MAX_LABEL_BYTES: usize = 256;

/// What a worker has built: its operators in order, each with its first name and source line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Graph {
    /// The first operators.
    named: Vec<String>,
    n_operators: u64,
    /// Hash of all operators.
    digest: u64,
}

impl Graph {
    fn of(operators: &[String]) -> Self {
        let mut digest = Xxh3::new();
        for operator in operators {
            digest.update(&(operator.len() as u64).to_le_bytes());
            digest.update(operator.as_bytes());
        }
        let named = operators.iter().take(MAX_NAMED).cloned().collect();
        Graph { named, n_operators: operators.len() as u64, digest: digest.digest() }
    }

    /// The first operator that is another one here than in `expected`.
    fn difference(&self, expected: &Graph) -> Option<String> {
        if self == expected {
            return None;
        }
        let name = |graph: &Graph, at: usize| {
            graph.named.get(at).cloned().unwrap_or_else(|| {
                if (at as u64) < graph.n_operators { "another one".into() } else { "none".into() }
            })
        };
        let n = self.named.len().max(expected.named.len());
        let first = (0..n).find(|at| self.named.get(*at) != expected.named.get(*at)).unwrap_or(n);
        let (found, expected) = (name(self, first), name(expected, first));
        Some(format!("operator {first} is {found}, expected {expected}"))
    }
}

/// The comparison of the graphs of all workers: first of those of one process, then at process 0.
#[derive(Default)]
pub(crate) struct Agreement {
    state: Mutex<State>,
    reached: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Operators by worker of this process, while the graph is built.
    operators: BTreeMap<usize, Vec<String>>,
    /// Workers of this process that have built theirs.
    n_built: usize,
    /// At process 0: its own graph, and how many other processes there are.
    own: Option<(Graph, usize)>,
    others: Vec<(PeerName, Graph)>,
    n_same: usize,
}

impl Agreement {
    /// Notes that a worker builds an operator.
    pub(crate) fn note(&self, worker: usize, name: &str, location: &Location<'_>) {
        let mut label = format!("{name:?} ({location})");
        if label.len() > MAX_LABEL_BYTES {
            let end = (0..=MAX_LABEL_BYTES).rev().find(|at| label.is_char_boundary(*at)).unwrap_or(0);
            label.truncate(end);
        }
        if !self.is_reached() {
            lock(&self.state).operators.entry(worker).or_default().push(label);
        }
    }

    /// Notes that a worker of this process has built all it will; gives the graph of the process with the
    /// last of its `threads` workers.
    ///
    /// # Errors
    /// Two workers of this process have built different graphs.
    pub(crate) fn worker_has_built(&self, worker: usize, threads: usize) -> Result<Option<Graph>> {
        let mut state = lock(&self.state);
        state.operators.entry(worker).or_default();
        state.n_built += 1;
        if state.n_built < threads {
            return Ok(None);
        }
        let mut built = std::mem::take(&mut state.operators).into_iter();
        let (first, expected) = built
            .next()
            .map(|(first, operators)| (first, Graph::of(&operators)))
            .ok_or_else(|| Error::internal("a graph without workers"))?;
        for (other, operators) in built {
            if let Some(difference) = Graph::of(&operators).difference(&expected) {
                return Err(Error::config(format!(
                    "worker {other} has built another graph than worker {first}: {difference}"
                )));
            }
        }
        Ok(Some(expected))
    }

    /// At process 0, notes what its own workers have built; true when all `n_others` have the same.
    ///
    /// # Errors
    /// Names a process that has built another graph.
    pub(crate) fn expect(&self, own: Graph, n_others: usize) -> Result<bool> {
        let mut state = lock(&self.state);
        state.own = Some((own, n_others));
        state.compare()
    }

    /// At process 0, notes what another process has built; true when all have the same.
    ///
    /// # Errors
    /// Names a process that has built another graph.
    pub(crate) fn peer_has_built(&self, peer: &PeerName, graph: Graph) -> Result<bool> {
        let mut state = lock(&self.state);
        state.others.push((peer.clone(), graph));
        state.compare()
    }

    pub(crate) fn reach(&self) {
        self.reached.store(true, Ordering::Release);
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }
}

impl State {
    fn compare(&mut self) -> Result<bool> {
        let Some((own, n_others)) = &self.own else { return Ok(false) };
        for (peer, graph) in self.others.drain(..) {
            if let Some(difference) = graph.difference(own) {
                return Err(Error::config(format!(
                    "{peer} has built another graph than process 0: {difference}"
                )));
            }
            self.n_same += 1;
        }
        Ok(self.n_same == *n_others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(names: &[&str]) -> Graph {
        Graph::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn difference_names_the_first_operator_that_differs() {
        let expected = graph(&["a", "b", "c"]);
        assert_eq!(graph(&["a", "b", "c"]).difference(&expected), None);
        let say = |names| graph(names).difference(&expected).unwrap();
        assert_eq!(say(&["a", "x", "c"]), "operator 1 is x, expected b");
        assert_eq!(say(&["a", "b"]), "operator 2 is none, expected c");
        assert_eq!(say(&["a", "b", "c", "d"]), "operator 3 is d, expected none");
    }

    #[test]
    fn difference_behind_the_named_operators_is_found_too() {
        let mut long = vec!["a"; MAX_NAMED + 2];
        let expected = graph(&long);
        long[MAX_NAMED + 1] = "b";
        let found = graph(&long).difference(&expected).unwrap();
        assert_eq!(found, format!("operator {MAX_NAMED} is another one, expected another one"));
    }

    #[test]
    fn graph_of_a_peer_that_is_faster_waits_for_that_of_process_0() {
        let peer = |process| PeerName { process, address: format!("p{process}") };
        let agreement = Agreement::default();
        assert!(!agreement.peer_has_built(&peer(2), graph(&["a"])).unwrap());
        assert!(!agreement.expect(graph(&["a"]), 2).unwrap());
        assert!(agreement.peer_has_built(&peer(1), graph(&["a"])).unwrap());
        let disagreement = Agreement::default();
        assert!(!disagreement.peer_has_built(&peer(1), graph(&["b"])).unwrap());
        let error = disagreement.expect(graph(&["a"]), 1).unwrap_err();
        let expected = "process 1 (p1) has built another graph than process 0: operator 0 is b, expected a";
        assert_eq!(error.message(), expected);
    }

    #[test]
    fn workers_of_one_process_are_compared_with_the_first() {
        let (here, agreement) = (Location::caller(), Agreement::default());
        for (worker, name) in [(4, "a"), (5, "a"), (4, "b"), (5, "c")] {
            agreement.note(worker, name, here);
        }
        assert_eq!(agreement.worker_has_built(5, 2).unwrap(), None);
        let error = agreement.worker_has_built(4, 2).unwrap_err();
        assert!(
            error
                .message()
                .starts_with("worker 5 has built another graph than worker 4: operator 1 is \"c\"")
        );
    }
}

//! How far the operators of a process are with a checkpoint.

use std::collections::BTreeMap;

use crate::checkpoint::store::SectionKey;
use crate::clock::Epoch;

/// What the operators of a process have said.
#[derive(Debug)]
pub(super) struct Progress {
    /// Workers of this process that have not built the graph yet.
    building: usize,
    /// Those that have not ended yet.
    working: usize,
    operators: Vec<Operator>,
    /// State of operators that have ended, by number of the operator.
    standing: BTreeMap<usize, Standing>,
    /// The epoch that is being closed, until all have marked it; and the one that is being written.
    marking: Option<Epoch>,
    sweeping: Option<Epoch>,
}

/// The state of an operator that has ended: in all checkpoints from the epoch in which it did.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) worker: usize,
    pub(super) since: Epoch,
    pub(super) sections: Vec<(SectionKey, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct Operator {
    marked: Option<Epoch>,
    swept: Option<Epoch>,
    has_ended: bool,
}

impl Progress {
    pub(super) fn new(threads: usize) -> Self {
        Progress {
            building: threads,
            working: threads,
            operators: Vec::new(),
            standing: BTreeMap::new(),
            marking: None,
            sweeping: None,
        }
    }

    /// Notes that one more worker has built the graph; with the last, all `n_operators` are known.
    pub(super) fn note_built(&mut self, n_operators: usize) {
        self.building = self.building.saturating_sub(1);
        if self.is_built() {
            self.operator(n_operators.saturating_sub(1));
            self.operators.truncate(n_operators);
        }
    }

    pub(super) fn is_built(&self) -> bool {
        self.building == 0
    }

    fn operator(&mut self, number: usize) -> &mut Operator {
        if self.operators.len() <= number {
            self.operators.resize(number + 1, Operator::default());
        }
        &mut self.operators[number]
    }

    pub(super) fn note_marked(&mut self, operator: usize, epoch: Epoch) {
        self.operator(operator).marked = Some(epoch);
    }

    pub(super) fn note_swept(&mut self, operator: usize, epoch: Epoch) {
        self.operator(operator).swept = Some(epoch);
    }

    pub(super) fn note_ended(&mut self, operator: usize, standing: Standing) {
        self.operator(operator).has_ended = true;
        self.standing.insert(operator, standing);
    }

    /// Notes that one more worker has ended; whether it was the last.
    pub(super) fn note_worker_ended(&mut self) -> bool {
        self.working = self.working.saturating_sub(1);
        self.working == 0
    }

    /// A checkpoint of this epoch has begun.
    pub(super) fn close(&mut self, epoch: Epoch) {
        (self.marking, self.sweeping) = (Some(epoch), Some(epoch));
    }

    /// The epoch that all operators have marked, once.
    pub(super) fn newly_marked(&mut self) -> Option<Epoch> {
        let epoch = self.marking.filter(|_| self.is_built())?;
        let all = self.operators.iter().all(|operator| operator.has_ended || operator.marked >= Some(epoch));
        if all { self.marking.take() } else { None }
    }

    /// The epoch that all operators have handed over, once.
    pub(super) fn newly_swept(&mut self) -> Option<Epoch> {
        let epoch = self.sweeping.filter(|_| self.is_built() && self.marking.is_none())?;
        // Whoever has ended has handed over before what it had marked.
        let all = self.operators.iter().all(|operator| operator.has_ended || operator.swept >= Some(epoch));
        if all { self.sweeping.take() } else { None }
    }

    /// The state at the end of an epoch of operators that had ended, with their workers.
    pub(super) fn standing(&self, epoch: Epoch) -> Vec<(usize, SectionKey, Vec<u8>)> {
        let ended = self.standing.values().filter(|standing| standing.since <= epoch);
        ended
            .flat_map(|Standing { worker, sections, .. }| {
                sections.iter().map(|(key, bytes)| (*worker, key.clone(), bytes.clone()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_is_marked_and_swept_once_all_operators_of_all_workers_are() {
        let mut progress = Progress::new(2);
        progress.close(0);
        progress.note_built(1);
        progress.note_marked(1, 0);
        assert_eq!(progress.newly_marked(), None, "one worker still builds its operators");
        progress.note_built(3);
        progress.note_swept(1, 0);
        progress.note_marked(0, 0);
        assert_eq!((progress.newly_marked(), progress.newly_swept()), (None, None));
        progress.note_ended(2, Standing { worker: 1, since: 0, sections: Vec::new() });
        assert_eq!((progress.newly_marked(), progress.newly_marked()), (Some(0), None));
        assert_eq!(progress.newly_swept(), None);
        progress.note_swept(0, 0);
        assert_eq!((progress.newly_swept(), progress.newly_swept()), (Some(0), None));
    }

    #[test]
    fn state_of_an_operator_that_has_ended_stands_for_all_checkpoints_to_come() {
        let mut progress = Progress::new(1);
        progress.note_built(1);
        let key = SectionKey::new("a", "ended");
        progress.note_ended(0, Standing { worker: 3, since: 1, sections: vec![(key.clone(), vec![1])] });
        for epoch in 0..3 {
            progress.close(epoch);
            assert_eq!((progress.newly_marked(), progress.newly_swept()), (Some(epoch), Some(epoch)));
            // What ends while the epoch before is still being stored had not ended in that one.
            let expected = if epoch == 0 { vec![] } else { vec![(3, key.clone(), vec![1])] };
            assert_eq!(progress.standing(epoch), expected);
        }
        assert!(progress.note_worker_ended());
    }
}

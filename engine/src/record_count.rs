//! Records of each operator that something has happened to, counted while a job runs.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::origin::Origin;
use crate::runtime::state::{RunState, lock};

/// A count of records of one operator, on the workers of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordCount {
    /// Number of the operator, or of one beside it: the same on all workers, and that of no other count.
    pub id: usize,
    /// Path of the operator, as in errors.
    pub operator: String,
    /// Source line where the operator was made, as `file:line:column`.
    pub location: String,
    /// Number of records.
    pub records: u64,
}

/// The counts of one run in one process, by number of the operator, which is the same on all workers.
#[derive(Default)]
pub(crate) struct RecordCounts {
    operators: Mutex<BTreeMap<usize, Counted>>,
}

struct Counted {
    operator: String,
    location: String,
    records: Arc<AtomicU64>,
}

impl RecordCounts {
    fn all(&self) -> Vec<RecordCount> {
        let count = |(id, counted): (&usize, &Counted)| RecordCount {
            id: *id,
            operator: counted.operator.clone(),
            location: counted.location.clone(),
            records: counted.records.load(Ordering::Relaxed),
        };
        lock(&self.operators).iter().map(count).collect()
    }

    fn cell(&self, id: usize, origin: &Origin) -> Arc<AtomicU64> {
        let mut operators = lock(&self.operators);
        let make = || {
            let site = origin.site();
            Counted { operator: site.operator, location: site.location, records: Arc::default() }
        };
        Arc::clone(&operators.entry(id).or_insert_with(make).records)
    }
}

/// Sees the counts of the run that was started last.
#[derive(Clone, Default)]
pub(crate) struct WatchedCounts(Arc<Mutex<Option<Arc<RecordCounts>>>>);

impl WatchedCounts {
    /// All operators that have counted something, in the order in which they were built.
    pub(crate) fn operators(&self) -> Vec<RecordCount> {
        let counts = lock(&self.0).clone();
        counts.map(|counts| counts.all()).unwrap_or_default()
    }

    pub(crate) fn watch(&self, counts: &Arc<RecordCounts>) {
        *lock(&self.0) = Some(Arc::clone(counts));
    }
}

/// Counts records of one operator. Its count on this worker is in checkpoints, if the operator has a part in them.
pub(crate) struct Counter {
    origin: Rc<Origin>,
    tally: Rc<Tally>,
}

/// What an operator has counted on this worker.
pub(crate) struct Tally {
    id: usize,
    /// Which counts of the run these are.
    of: fn(&RunState) -> &Arc<RecordCounts>,
    own: Cell<u64>,
    /// That of all workers of the process: found with the first record, when the operator has got its last name.
    all: OnceCell<Arc<AtomicU64>>,
}

impl Tally {
    /// Counts so many more; `origin` is that of the operator.
    pub(crate) fn add(&self, records: u64, origin: &Origin) {
        let find = || (self.of)(origin.run()).cell(self.id, origin);
        self.all.get_or_init(find).fetch_add(records, Ordering::Relaxed);
        self.own.set(self.own.get() + records);
    }

    /// How many there were on this worker.
    pub(crate) fn records(&self) -> u64 {
        self.own.get()
    }
}

impl Counter {
    /// The counter of `origin`, known by the number of its operator, or of one beside it.
    pub(crate) fn new(of: fn(&RunState) -> &Arc<RecordCounts>, origin: Rc<Origin>, id: usize) -> Self {
        let tally = Rc::new(Tally { id, of, own: Cell::new(0), all: OnceCell::new() });
        origin.note_tally(&tally);
        Counter { origin, tally }
    }

    /// Counts so many more.
    pub(crate) fn add(&self, records: u64) {
        self.tally.add(records, &self.origin);
    }
}

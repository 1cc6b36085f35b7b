//! Records of each operator that something has happened to, counted while a job runs.

use std::cell::OnceCell;
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

/// Counts records of one operator.
pub(crate) struct Counter {
    origin: Rc<Origin>,
    id: usize,
    /// Which counts of the run these are.
    of: fn(&RunState) -> &Arc<RecordCounts>,
    /// Found with the first record, when the operator has got its last name.
    cell: OnceCell<Arc<AtomicU64>>,
}

impl Counter {
    /// The counter of `origin`, known by the number of its operator, or of one beside it.
    pub(crate) fn new(of: fn(&RunState) -> &Arc<RecordCounts>, origin: Rc<Origin>, id: usize) -> Self {
        Counter { origin, id, of, cell: OnceCell::new() }
    }

    /// Counts so many more.
    pub(crate) fn add(&self, records: u64) {
        let find = || (self.of)(self.origin.run()).cell(self.id, &self.origin);
        self.cell.get_or_init(find).fetch_add(records, Ordering::Relaxed);
    }
}

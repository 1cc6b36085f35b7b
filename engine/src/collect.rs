//! What a job returns: handles that become values when the dataflow has ended.

use std::cell::RefCell;
use std::rc::Rc;

use crate::checkpoint::{Saved, Snapshot, Written};
use crate::error::Result;
use crate::record::Record;

/// The records of a stream, gathered on worker 0; see [`DataStream::collect`](crate::DataStream::collect).
#[derive(Debug)]
pub struct Collected<D> {
    pub(crate) records: Rc<RefCell<Vec<D>>>,
}

/// The records that were gathered on a worker so far, as what its operator keeps. They are written where they stand: what
/// comes later stands behind them.
pub(crate) struct Gathered<D> {
    records: Rc<RefCell<Vec<D>>>,
    /// Those that are still to be written.
    marked: std::ops::Range<usize>,
}

/// Records that are written in one slice.
const SLICE: usize = 1024;

impl<D> Gathered<D> {
    pub(crate) fn new(records: Rc<RefCell<Vec<D>>>) -> Self {
        Gathered { records, marked: 0..0 }
    }

    pub(crate) fn add(&self, batch: &mut Vec<D>) {
        self.records.borrow_mut().append(batch);
    }
}

impl<D: Record> Snapshot for Gathered<D> {
    fn mark(&mut self, _to: &mut Written) -> Result<()> {
        self.marked = 0..self.records.borrow().len();
        Ok(())
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        let records = self.records.borrow();
        self.marked.by_ref().take(SLICE).try_for_each(|at| to.items.put(&records[at]))?;
        Ok(!self.marked.is_empty())
    }

    /// All of them are wanted where the first worker is, whoever that was.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let (mut items, mut records) = (from.items()?, self.records.borrow_mut());
        while let Some(record) = items.next_item()? {
            records.push(record);
        }
        Ok(())
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        self.records.borrow().iter().try_for_each(|record| to.items.put(record))
    }
}

/// What a job may return: something that becomes a value once the dataflow has ended on this worker.
pub trait Outcome {
    /// The value.
    type Value: Send + 'static;

    /// Turns the handle into its value.
    ///
    /// # Errors
    /// The value can not be made; the run fails with this error.
    fn finish(self) -> Result<Self::Value>;
}

impl<D: Send + 'static> Outcome for Collected<D> {
    type Value = Vec<D>;

    fn finish(self) -> Result<Vec<D>> {
        Ok(self.records.take())
    }
}

impl Outcome for () {
    type Value = ();

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

impl<O: Outcome> Outcome for Vec<O> {
    type Value = Vec<O::Value>;

    fn finish(self) -> Result<Self::Value> {
        self.into_iter().map(Outcome::finish).collect()
    }
}

macro_rules! outcome_of_tuples {
    ($(($($name:ident $index:tt),+))+) => { $(
        impl<$($name: Outcome),+> Outcome for ($($name,)+) {
            type Value = ($($name::Value,)+);

            fn finish(self) -> Result<Self::Value> {
                Ok(($(self.$index.finish()?,)+))
            }
        }
    )+ };
}
outcome_of_tuples! { (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }

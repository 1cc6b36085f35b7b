//! Where streams end: sinks, and what a job returns, handles that become values when the dataflow has ended.

use std::cell::RefCell;
use std::rc::Rc;

use crate::checkpoint::{Saved, Snapshot, Written};
use crate::clock::AnyClock;
use crate::error::Result;
use crate::operator::{Input, OperatorBuilder};
use crate::origin::Origin;
use crate::record::Record;

/// The end of a stream; see [`DataStream::sink`](crate::DataStream::sink).
pub struct DataStreamSink {
    origin: Rc<Origin>,
}

impl DataStreamSink {
    pub(crate) fn new(origin: Rc<Origin>) -> Self {
        DataStreamSink { origin }
    }

    /// Names the sink, for its errors. Default `sink`.
    #[expect(
        clippy::must_use_candidate,
        reason = "the sink is there, whether or not somebody goes on naming it"
    )]
    pub fn name(self, name: &str) -> Self {
        self.origin.rename(name);
        self
    }

    /// Gives the sink a stable identity; see [`DataStream::uid`](crate::DataStream::uid).
    #[expect(
        clippy::must_use_candidate,
        reason = "the sink is there, whether or not somebody goes on naming it"
    )]
    pub fn uid(self, uid: &str) -> Self {
        self.origin.set_uid(uid);
        self
    }
}

impl std::fmt::Debug for DataStreamSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DataStreamSink").field(&self.origin.site().operator).finish()
    }
}

/// The records of a stream, gathered on worker 0; see [`DataStream::collect`](crate::DataStream::collect).
#[derive(Debug)]
pub struct Collected<D> {
    pub(crate) records: Rc<RefCell<Vec<D>>>,
    pub(crate) sink: DataStreamSink,
}

impl<D> Collected<D> {
    /// Names the operator that gathers the records, for its errors. Default `collect`, or `collect_local`.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Collected { sink: self.sink.name(name), ..self }
    }

    /// Gives the operator that gathers the records a stable identity; see [`DataStream::uid`](crate::DataStream::uid).
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        Collected { sink: self.sink.uid(uid), ..self }
    }
}

/// The records that were gathered on a worker so far, as what its operator keeps. They are written where they stand: what
/// comes later stands behind them.
struct Gathered<D> {
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
        self.marked.by_ref().take(SLICE).try_for_each(|at| to.items().put(&records[at]))?;
        Ok(!self.marked.is_empty())
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let (mut items, mut records) = (from.items()?, self.records.borrow_mut());
        while let Some(record) = items.next_item()? {
            records.push(record);
        }
        Ok(())
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        self.records.borrow().iter().try_for_each(|record| to.items().put(record))
    }
}

/// Finishes an operator that keeps all records that come.
pub(crate) fn gather<D: Record, T: AnyClock>(
    mut op: OperatorBuilder<'_, T>,
    mut input: Input<Vec<D>, T>,
) -> Collected<D> {
    let records = Rc::new(RefCell::new(Vec::new()));
    let mut gathered = Gathered::new(Rc::clone(&records));
    let sink = DataStreamSink::new(op.origin());
    let mut part = op.part(&gathered);
    op.build(move |_promises, _activation| {
        move |frontiers| {
            part.begin(&mut gathered)?;
            input.for_each(|_token, batch| gathered.add(batch));
            part.step(frontiers, &mut gathered)?;
            if part.is_taken() && frontiers.epoch().is_none() {
                part.end(&mut gathered)?;
            }
            Ok(())
        }
    });
    Collected { records, sink }
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

//! Where streams end: sinks, and what a job returns, handles that become values when the dataflow has ended.

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::Result;
use crate::origin::Origin;

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

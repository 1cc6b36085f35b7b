//! What a job returns: handles that become values when the dataflow has ended.

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::Result;

/// The records of a stream, gathered on worker 0; see [`DataStream::collect`](crate::DataStream::collect).
#[derive(Debug)]
pub struct Collected<D> {
    pub(crate) records: Rc<RefCell<Vec<D>>>,
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

//! The data streams of an iteration: delivered once, or in every round.

use std::panic::Location;

#[cfg(doc)]
use waterwheel_engine::DataCache;
use waterwheel_engine::{Clock, DataStream, Error, Place, Record, Round};

use crate::replay;
use crate::streams::Records;
use crate::whole::whole;

/// Source line of the iteration that a stream is brought into.
type Line = &'static Location<'static>;

/// A data stream that is delivered again in every round.
///
/// Its records are kept in a [`DataCache`] on the worker that they come to, and are never read from their source again:
/// in memory up to a budget of the process
/// ([`cache_memory_bytes`](waterwheel_engine::RuntimeConfig::cache_memory_bytes), 1 GiB by default), then in files that
/// are removed when the loop has ended. A loop inside of another one has a cache for each of its runs.
#[derive(Clone, Debug)]
pub struct Replay<S>(pub S);

/// A data stream that is delivered once, in round 0, as a plain one is.
#[derive(Clone, Debug)]
pub struct NoReplay<S>(pub S);

/// Choices for a data stream of an iteration.
pub trait DataStreamReplay: Sized {
    /// Delivers the stream again in every round: on each worker the same batches, in the same order.
    ///
    /// # Errors
    /// The run ends with an error of the operator `replay` if records that do not fit into memory can not be written
    /// to the cache directory or read from there; it names the file and says what was found.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{DataStreamReplay, IterationBodyResult, IterationConfig, Iterations};
    ///
    /// // All of the data on disk, to see that it makes no difference.
    /// let runtime = RuntimeConfig::threads(1).cache_memory_bytes(0);
    /// let seen = execute(runtime, |env| {
    ///     let (x, words) = (env.from_iter([0u64]), env.from_iter(["to", "be"].map(String::from)));
    ///     let config = IterationConfig::new().max_rounds(3);
    ///     let (seen,) = Iterations::iterate_bounded((x,), (words.replay(),), config, |_it, (x,), (words,)| {
    ///         IterationBodyResult::new((x,), (words,))
    ///     });
    ///     Ok(seen.collect())
    /// })?;
    /// assert_eq!(seen.concat(), ["to", "be"].repeat(3));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    fn replay(self) -> Replay<Self> {
        Replay(self)
    }

    /// Delivers the stream once, in round 0. That is also what happens to a plain stream.
    fn no_replay(self) -> NoReplay<Self> {
        NoReplay(self)
    }
}

impl<D, T: Clock> DataStreamReplay for DataStream<'_, D, T> {}

/// A stream that can be brought into a bounded iteration.
pub trait DataInput<'s, U: Clock> {
    /// Its records.
    type Record: 'static;

    /// The stream inside the loop.
    #[doc(hidden)]
    fn bring<'i>(self, place: &Place<'i, (U, Round)>, at: Line) -> DataStream<'i, Self::Record, (U, Round)>;

    /// Ends the run if the stream is to be replayed, in a loop whose rounds are never complete.
    #[doc(hidden)]
    fn refuse_replay(&self) {}
}

impl<'s, D: 'static, U: Clock> DataInput<'s, U> for DataStream<'s, D, U> {
    type Record = D;

    fn bring<'i>(self, place: &Place<'i, (U, Round)>, at: Line) -> DataStream<'i, D, (U, Round)> {
        whole(DataStream::from_edge(place.enter(self.into_edge())), at)
    }
}

impl<'s, D: 'static, U: Clock> DataInput<'s, U> for NoReplay<DataStream<'s, D, U>> {
    type Record = D;

    fn bring<'i>(self, place: &Place<'i, (U, Round)>, at: Line) -> DataStream<'i, D, (U, Round)> {
        self.0.bring(place, at)
    }
}

impl<'s, D: Record, U: Clock> DataInput<'s, U> for Replay<DataStream<'s, D, U>> {
    type Record = D;

    fn bring<'i>(self, place: &Place<'i, (U, Round)>, at: Line) -> DataStream<'i, D, (U, Round)> {
        replay::replay(self.0.bring(place, at), at)
    }

    fn refuse_replay(&self) {
        self.0.clone().into_edge().refuse(Error::config(
            "the stream is to be replayed in every round, but an unbounded iteration has no rounds that are complete: \
             use iterate_bounded, or no_replay",
        ));
    }
}

/// A tuple of up to 8 data streams of a bounded iteration, each plain, [`Replay`] or [`NoReplay`].
pub trait DataInputs<'s, U: Clock> {
    /// Types of their records.
    type Records: Records;

    /// The streams inside the loop.
    #[doc(hidden)]
    fn bring<'i>(
        self,
        place: &Place<'i, (U, Round)>,
        at: Line,
    ) -> <Self::Records as Records>::Streams<'i, (U, Round)>;

    #[doc(hidden)]
    fn refuse_replay(&self) {}
}

impl<U: Clock> DataInputs<'_, U> for () {
    type Records = ();

    fn bring<'i>(self, _place: &Place<'i, (U, Round)>, _at: Line) {}
}

macro_rules! tuples {
    ($(($($S:ident $i:tt),+))+) => { $(
        impl<'s, U: Clock, $($S: DataInput<'s, U>),+> DataInputs<'s, U> for ($($S,)+) {
            type Records = ($($S::Record,)+);

            fn bring<'i>(
                self,
                place: &Place<'i, (U, Round)>,
                at: Line,
            ) -> <Self::Records as Records>::Streams<'i, (U, Round)> {
                ($(self.$i.bring(place, at),)+)
            }

            fn refuse_replay(&self) {
                $(self.$i.refuse_replay();)+
            }
        }
    )+ };
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

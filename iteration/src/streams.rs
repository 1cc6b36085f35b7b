//! Tuples of streams of different records.

use std::panic::Location;

use waterwheel_engine::{Clock, DataStream, Edge, Mark, Place, Round};

use crate::head::{Head, SharedFeedback};
use crate::whole::whole;

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The record types of a tuple of streams, as a tuple: `(A, B)` for a stream of `A` and one of `B`. Of up to 8
/// types, or none.
pub trait Records: sealed::Sealed + Sized + 'static {
    /// The tuple of streams.
    type Streams<'s, T: Clock>;

    /// The same streams, whose readers are at `place`.
    #[doc(hidden)]
    fn read_at<'s, T: Clock>(streams: Self::Streams<'s, T>, place: &Place<'s, T>) -> Self::Streams<'s, T>;

    /// Brings streams of a loop out.
    #[doc(hidden)]
    fn leave<'s, U: Clock>(
        streams: Self::Streams<'_, (U, Round)>,
        outer: &Place<'s, U>,
    ) -> Self::Streams<'s, U>;
}

/// The record types of the variables of a loop: at least one.
pub trait Variables: Records {
    #[doc(hidden)]
    type Open<'i, T: Clock>;

    /// The place of the first stream.
    #[doc(hidden)]
    fn place<'s, T: Clock>(streams: &Self::Streams<'s, T>) -> Place<'s, T>;

    /// Brings first values into a loop, and opens a feedback edge for each.
    #[doc(hidden)]
    fn open<'i, U: Clock>(
        init: Self::Streams<'_, U>,
        the_loop: &Loop<'_, 'i, U>,
    ) -> (Self::Streams<'i, (U, Round)>, Self::Open<'i, (U, Round)>);

    /// Closes the feedback edges.
    #[doc(hidden)]
    fn close<'i, U: Clock>(
        feedback: Self::Streams<'i, (U, Round)>,
        open: Self::Open<'i, (U, Round)>,
        end: &Ending<'i, U>,
    );
}

/// A tuple of streams.
pub trait StreamTuple<'s, T: Clock> {
    /// Types of their records.
    type Records: Records;

    /// The same tuple, as its record types know it.
    #[doc(hidden)]
    fn into_streams(self) -> <Self::Records as Records>::Streams<'s, T>;
}

/// A loop that is being built.
#[doc(hidden)]
pub struct Loop<'a, 'i, U: Clock> {
    pub(crate) place: &'a Place<'i, (U, Round)>,
    pub(crate) head: &'a Head<'i, U>,
}

/// What lets the feedback of a loop pass.
#[doc(hidden)]
pub struct Ending<'i, U: Clock> {
    /// No round has this number or a higher one.
    pub(crate) max_rounds: Round,
    /// A mark for every worker in each round that another one is to follow.
    pub(crate) go: Option<Edge<'i, Vec<Mark>, (U, Round)>>,
}

#[track_caller]
fn open<'i, D: 'static, U: Clock>(
    init: DataStream<'_, D, U>,
    the_loop: &Loop<'_, 'i, U>,
) -> (DataStream<'i, D, (U, Round)>, SharedFeedback<'i, D, (U, Round)>) {
    let (edge, fed_back) = the_loop.head.open();
    let init = DataStream::from_edge(the_loop.place.enter(init.into_edge()));
    (whole(init.union(DataStream::from_edge(fed_back)), Location::caller()), edge)
}

fn close<'i, D: 'static, U: Clock>(
    feedback: DataStream<'i, D, (U, Round)>,
    open: SharedFeedback<'i, D, (U, Round)>,
    end: &Ending<'i, U>,
) {
    let Some(edge) = open.take() else { return };
    let max_rounds = end.max_rounds;
    let admits = move |(_, round): &(U, Round)| *round < max_rounds;
    match &end.go {
        Some(go) => edge.close_gated(feedback.into_edge(), go.clone(), admits),
        None => edge.close_if(feedback.into_edge(), admits),
    }
}

impl sealed::Sealed for () {}

impl Records for () {
    type Streams<'s, T: Clock> = ();

    fn read_at<'s, T: Clock>((): (), _place: &Place<'s, T>) {}

    fn leave<'s, U: Clock>((): (), _outer: &Place<'s, U>) {}
}

impl<'s, T: Clock> StreamTuple<'s, T> for () {
    type Records = ();

    fn into_streams(self) {}
}

macro_rules! tuples {
    ($(($($D:ident $i:tt),+))+) => { $(
        impl<$($D: 'static),+> sealed::Sealed for ($($D,)+) {}

        impl<$($D: 'static),+> Records for ($($D,)+) {
            type Streams<'s, T: Clock> = ($(DataStream<'s, $D, T>,)+);

            fn read_at<'s, T: Clock>(streams: Self::Streams<'s, T>, place: &Place<'s, T>) -> Self::Streams<'s, T> {
                ($(DataStream::from_edge(streams.$i.into_edge().read_at(place)),)+)
            }

            fn leave<'s, U: Clock>(
                streams: Self::Streams<'_, (U, Round)>,
                outer: &Place<'s, U>,
            ) -> Self::Streams<'s, U> {
                ($(DataStream::from_edge(outer.leave(streams.$i.into_edge())),)+)
            }
        }

        impl<$($D: 'static),+> Variables for ($($D,)+) {
            type Open<'i, T: Clock> = ($(SharedFeedback<'i, $D, T>,)+);

            fn place<'s, T: Clock>(streams: &Self::Streams<'s, T>) -> Place<'s, T> {
                streams.0.place()
            }

            #[track_caller]
            fn open<'i, U: Clock>(
                init: Self::Streams<'_, U>,
                the_loop: &Loop<'_, 'i, U>,
            ) -> (Self::Streams<'i, (U, Round)>, Self::Open<'i, (U, Round)>) {
                let opened = ($(open(init.$i, the_loop),)+);
                (($(opened.$i.0,)+), ($(opened.$i.1,)+))
            }

            fn close<'i, U: Clock>(
                feedback: Self::Streams<'i, (U, Round)>,
                open: Self::Open<'i, (U, Round)>,
                end: &Ending<'i, U>,
            ) {
                $(close(feedback.$i, open.$i, end);)+
            }
        }

        impl<'s, T: Clock, $($D: 'static),+> StreamTuple<'s, T> for ($(DataStream<'s, $D, T>,)+) {
            type Records = ($($D,)+);

            fn into_streams(self) -> Self {
                self
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

impl<U: Clock> std::fmt::Debug for Loop<'_, '_, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Loop").field(self.place).finish()
    }
}

impl<U: Clock> std::fmt::Debug for Ending<'_, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending").field("max_rounds", &self.max_rounds).finish_non_exhaustive()
    }
}

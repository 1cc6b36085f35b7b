//! Where the records of a stream with event time go, and where they end.

use crate::clock::Clock;
use crate::collect::DataStreamSink;
use crate::error::Result;
use crate::event::stream::EventStream;
use crate::record::Record;

impl<'s, D: Record, T: Clock> EventStream<'s, D, T> {
    /// Gives the operator that made this stream a stable identity; see [`DataStream::uid`](crate::DataStream::uid).
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.uid(uid), around)
    }

    /// Spreads the records evenly over all workers, in turn.
    #[track_caller]
    pub fn rebalance(self) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.rebalance(), around)
    }

    /// Spreads the records evenly over the workers of the same process, in turn: none crosses the network.
    #[track_caller]
    pub fn rescale(self) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.rescale(), around)
    }

    /// Moves each record to a worker that is drawn at random; see [`DataStream::shuffle`](crate::DataStream::shuffle).
    #[track_caller]
    pub fn shuffle(self, seed: u64) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.shuffle(seed), around)
    }

    /// Moves all records to worker 0.
    #[track_caller]
    pub fn global(self) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.global(), around)
    }

    /// Moves each record to worker `partition(record, n)`, which must be below `n`, the number of workers that have
    /// records of this stream.
    #[track_caller]
    pub fn partition_custom(self, partition: impl Fn(&D, usize) -> usize + 'static) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.partition_custom(move |timed, n| partition(&timed.value, n)), around)
    }

    /// Gives every worker a copy of each record.
    #[track_caller]
    pub fn broadcast(self) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.broadcast(), around)
    }

    /// Lets what follows run on the first `n` workers; see
    /// [`DataStream::set_parallelism`](crate::DataStream::set_parallelism).
    #[must_use]
    #[track_caller]
    pub fn set_parallelism(self, n: usize) -> Self {
        let (inner, around) = self.into_inner();
        EventStream::of(inner.set_parallelism(n), around)
    }

    /// Hands each record to `write`; see [`DataStream::sink`](crate::DataStream::sink).
    #[track_caller]
    pub fn sink(self, write: impl FnMut(D) -> Result<()> + 'static) -> DataStreamSink {
        self.into_stream().sink(write)
    }
}

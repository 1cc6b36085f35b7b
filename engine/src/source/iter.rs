//! Sources from iterators.

use crate::env::Env;
use crate::error::Result;
use crate::source::{Source, SourceStatus};
use crate::stream::DataStream;

/// Reads an iterator to its end.
struct IterSource<I>(I);

impl<I: Iterator<Item: 'static> + 'static> Source for IterSource<I> {
    type Item = I::Item;

    fn read(&mut self, limit: usize, out: &mut Vec<I::Item>) -> Result<SourceStatus> {
        let before = out.len();
        out.extend(self.0.by_ref().take(limit));
        Ok(if out.len() - before < limit { SourceStatus::Done } else { SourceStatus::Ready })
    }
}

impl<'s> Env<'s> {
    /// A stream of the items of an iterator, read by worker 0; use [`rebalance`](DataStream::rebalance) or
    /// [`from_splits`](Self::from_splits) to spread the work.
    #[track_caller]
    pub fn from_iter<I>(&self, items: I) -> DataStream<'s, I::Item>
    where
        I: IntoIterator<Item: 'static, IntoIter: 'static>,
    {
        let items = std::cell::Cell::new(Some(items.into_iter()));
        self.source("from_iter", 1, move |_split| Ok(IterSource(items.take().into_iter().flatten())))
    }

    /// A stream of the items of `splits` iterators; split `i` is read by worker `i mod workers`.
    ///
    /// The records do not depend on the number of workers, only where they are read does.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let numbers = execute(RuntimeConfig::threads(2), |env| {
    ///     Ok(env.from_splits(4, |split| (0..3).map(move |i| 10 * split + i)).collect())
    /// })?;
    /// assert_eq!(numbers.concat().len(), 12);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn from_splits<I>(
        &self,
        splits: usize,
        open: impl Fn(usize) -> I + 'static,
    ) -> DataStream<'s, I::Item>
    where
        I: IntoIterator<Item: 'static, IntoIter: 'static>,
    {
        self.source("from_splits", splits, move |split| Ok(IterSource(open(split).into_iter())))
    }
}

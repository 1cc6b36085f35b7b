//! Sources from iterators.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::source::{Source, SourcePosition, SourceStatus};
use crate::stream::DataStream;

/// Reads an iterator to its end, and counts.
struct IterSource<I> {
    items: I,
    n_read: u64,
}

impl<I: Iterator<Item: 'static> + 'static> IterSource<I> {
    fn new(items: impl IntoIterator<IntoIter = I>) -> Self {
        IterSource { items: items.into_iter(), n_read: 0 }
    }
}

impl<I: Iterator<Item: 'static> + 'static> Source for IterSource<I> {
    type Item = I::Item;

    fn read(&mut self, limit: usize, out: &mut Vec<I::Item>) -> Result<SourceStatus> {
        let before = out.len();
        out.extend(self.items.by_ref().take(limit));
        let n = out.len() - before;
        self.n_read += n as u64;
        Ok(if n < limit { SourceStatus::Done } else { SourceStatus::Ready })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.n_read).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        let target = position.get::<u64>()?;
        while self.n_read < target {
            let ahead = usize::try_from(target - self.n_read - 1).unwrap_or(usize::MAX);
            if self.items.nth(ahead).is_none() {
                return Err(Error::data(format!(
                    "the iterator has fewer than the {target} items that were read of it before the checkpoint: it must \
                     give the same items in every run"
                )));
            }
            self.n_read += ahead as u64 + 1;
        }
        Ok(())
    }
}

impl<'s> Env<'s> {
    /// A stream of the items of an iterator, read by worker 0; use [`rebalance`](DataStream::rebalance) or
    /// [`from_splits`](Self::from_splits) to spread the work.
    ///
    /// A run that goes on from a checkpoint passes over the items that were read before it, so they must be the same in
    /// every run.
    #[track_caller]
    pub fn from_iter<I>(&self, items: I) -> DataStream<'s, I::Item>
    where
        I: IntoIterator<Item: 'static, IntoIter: 'static>,
    {
        let items = std::cell::Cell::new(Some(items.into_iter()));
        self.source("from_iter", 1, move |_split| Ok(IterSource::new(items.take().into_iter().flatten())))
    }

    /// A stream of the items of `splits` iterators; split `i` is read by worker `i mod workers`.
    ///
    /// The records do not depend on the number of workers, only where they are read does. As for
    /// [`from_iter`](Self::from_iter), a run that goes on from a checkpoint passes over items that were read before.
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
        self.source("from_splits", splits, move |split| Ok(IterSource::new(open(split))))
    }
}

//! Sources that take their time.

use std::time::{Duration, Instant};

use waterwheel::engine::machine;
use waterwheel::prelude::*;

/// Reads items, each of which comes some time after the one before.
pub(super) struct Paced<D, I> {
    items: I,
    next: Option<(Instant, D)>,
}

impl<D, I: Iterator<Item = (Duration, D)>> Paced<D, I> {
    pub(super) fn new(items: impl IntoIterator<IntoIter = I>) -> Self {
        let mut paced = Paced { items: items.into_iter(), next: None };
        paced.advance();
        paced
    }

    /// Takes the item that has come and starts to wait for the one after it.
    fn advance(&mut self) -> Option<D> {
        let after = self.items.next().map(|(pause, item)| (machine::now() + pause, item));
        std::mem::replace(&mut self.next, after).map(|(_due, item)| item)
    }
}

impl<D: 'static, I: Iterator<Item = (Duration, D)> + 'static> Source for Paced<D, I> {
    type Item = D;

    fn read(&mut self, limit: usize, out: &mut Vec<D>) -> Result<SourceStatus> {
        for _ in 0..limit {
            let Some((due, _item)) = &self.next else { return Ok(SourceStatus::Done) };
            let rest = due.saturating_duration_since(machine::now());
            if !rest.is_zero() {
                return Ok(SourceStatus::Idle(rest));
            }
            out.extend(self.advance());
        }
        Ok(SourceStatus::Ready)
    }
}

/// Reads an iterator one item at a time.
pub(super) struct Trickle<I>(pub(super) I);

impl<I: Iterator<Item: 'static> + 'static> Source for Trickle<I> {
    type Item = I::Item;

    fn read(&mut self, _limit: usize, out: &mut Vec<I::Item>) -> Result<SourceStatus> {
        let item = self.0.next();
        let status = if item.is_some() { SourceStatus::Ready } else { SourceStatus::Done };
        out.extend(item);
        Ok(status)
    }
}

//! A source that keeps step with the checkpoints.

use std::time::Duration;

use waterwheel::prelude::*;

use super::fixture::BURNT;

/// Numbers, of which one comes with each checkpoint, until it fails behind so many.
pub(super) struct Numbers {
    next: u64,
    /// How many come at once.
    at_once: u64,
    end: u64,
    state: CheckpointState,
    /// Checkpoints that had been made when the last number came.
    completed: Option<u64>,
    /// Numbers that are still to come one by one.
    left: Option<u64>,
}

impl Numbers {
    /// So many at once, and the others up to the end one by one; `left` of these, and then an error.
    pub(super) fn new((at_once, end): (u64, u64), state: CheckpointState, left: Option<u64>) -> Self {
        Numbers { next: 0, at_once, end, state, completed: None, left }
    }
}

impl Source for Numbers {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        if self.next < self.at_once {
            out.extend(self.next..self.at_once);
            self.next = self.at_once;
            return Ok(SourceStatus::Ready);
        }
        if self.next >= self.end {
            return Ok(SourceStatus::Done);
        }
        if let Some(left) = &mut self.left {
            let completed = Some(self.state.counts().completed);
            if std::mem::replace(&mut self.completed, completed) == completed {
                return Ok(SourceStatus::Idle(Duration::from_millis(1)));
            }
            *left = left.checked_sub(1).ok_or_else(|| Error::operator(BURNT))?;
        }
        out.push(self.next);
        self.next += 1;
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

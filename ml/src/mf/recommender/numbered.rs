//! The number of each interaction, in order of arrival.

use waterwheel_engine::{Collector, ProcessFunction, Result, StateReader, StateWriter};

use super::Interaction;

/// Numbers interactions; on one worker.
pub(super) struct Numbered {
    pub(super) next: u64,
}

impl ProcessFunction<Interaction> for Numbered {
    type Out = (u64, Interaction);
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, interaction: Interaction, out: &mut Collector<Self::Out>) -> Result<()> {
        out.emit((self.next, interaction));
        self.next += 1;
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&self.next)
    }

    /// The workers beside the one have numbered nothing.
    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(next) = state.next_item()? {
            self.next = self.next.max(next);
        }
        Ok(())
    }
}

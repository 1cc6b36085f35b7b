//! When the job closes a checkpoint epoch and when it may go on: decided by process 0 alone. No clock, thread or
//! socket here; [`keeper`](super::keeper) tells what happens and does what is decided.
//!
//! ```text
//! due -> Close(e) -> all have marked e -> Open(e + 1) -> all have stored e -> Commit(e) -> committed
//! ```
//!
//! One checkpoint is under way at a time. A job whose workers have all ended makes a last one, which commits what sinks
//! have written since the one before.

use std::collections::BTreeSet;

use crate::clock::Epoch;

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event<P> {
    /// It is time for a checkpoint.
    Due,
    /// All operators of a process have marked their state as of the end of this epoch.
    Marked { process: usize, epoch: Epoch },
    /// All workers of a process have ended: whatever epoch it is asked about, nothing will change it.
    Ended { process: usize },
    /// A process has written its parts, or could not.
    Stored { process: usize, epoch: Epoch, parts: Result<Vec<P>, String> },
    /// The manifest is there, or could not be written.
    Committed(Result<(), String>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command<P> {
    /// Tell all processes that sources leave this epoch.
    Close(Epoch),
    /// Tell all processes that sources may read in this epoch.
    Open(Epoch),
    /// Write the manifest.
    Commit { epoch: Epoch, parts: Vec<P> },
    /// Tell all processes that the checkpoint of this epoch is durable; after the last one there will be none.
    Announce { epoch: Epoch, is_last: bool },
    /// The checkpoint of this epoch has failed. The job goes on, unless it was the last.
    GiveUp { epoch: Epoch, is_last: bool, reason: String },
}

/// The state machine of process 0.
#[derive(Debug)]
pub(super) struct Coordinator<P> {
    n_processes: usize,
    /// The epoch that sources read in, unless it is being closed.
    epoch: Epoch,
    phase: Phase<P>,
    ended: BTreeSet<usize>,
}

#[derive(Debug)]
enum Phase<P> {
    Running,
    /// Waiting for these processes to have marked.
    Closing {
        marked: BTreeSet<usize>,
        stored: Stored<P>,
    },
    /// The next epoch is open; waiting for all parts.
    Storing {
        stored: Stored<P>,
    },
    /// Waiting for the manifest.
    Committing {
        is_last: bool,
    },
    Finished,
}

/// What processes have stored of the epoch that is being closed.
#[derive(Debug)]
struct Stored<P> {
    by: BTreeSet<usize>,
    parts: Vec<P>,
    failure: Option<String>,
    is_last: bool,
}

impl<P> Coordinator<P> {
    pub(super) fn new(n_processes: usize) -> Self {
        Coordinator { n_processes, epoch: 0, phase: Phase::Running, ended: BTreeSet::new() }
    }

    /// Whether a checkpoint is under way.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Running)
    }

    /// Takes note of an event; appends what follows from it, in order. Whoever speaks of an epoch that is not the one
    /// at hand is late and changes nothing.
    pub(super) fn note(&mut self, event: Event<P>, commands: &mut Vec<Command<P>>) {
        match event {
            Event::Due => self.close(false, commands),
            Event::Ended { process } => {
                self.ended.insert(process);
            }
            Event::Marked { process, epoch } => {
                if let Phase::Closing { marked, .. } = &mut self.phase
                    && epoch == self.epoch
                {
                    marked.insert(process);
                }
            }
            Event::Stored { process, epoch, parts } => self.note_stored(process, epoch, parts),
            Event::Committed(outcome) => self.note_committed(outcome, commands),
        }
        self.go_on(commands);
    }

    fn close(&mut self, is_last: bool, commands: &mut Vec<Command<P>>) {
        if let Phase::Running = self.phase {
            let stored = Stored { by: BTreeSet::new(), parts: Vec::new(), failure: None, is_last };
            self.phase = Phase::Closing { marked: BTreeSet::new(), stored };
            commands.push(Command::Close(self.epoch));
        }
    }

    fn note_stored(&mut self, process: usize, epoch: Epoch, outcome: Result<Vec<P>, String>) {
        let (stored, at) = match &mut self.phase {
            Phase::Closing { stored, .. } => (stored, self.epoch),
            Phase::Storing { stored } => (stored, self.epoch - 1),
            _ => return,
        };
        if epoch == at && stored.by.insert(process) {
            match outcome {
                Ok(parts) => stored.parts.extend(parts),
                Err(reason) => {
                    stored.failure.get_or_insert(format!("process {process}: {reason}"));
                }
            }
        }
    }

    fn note_committed(&mut self, outcome: Result<(), String>, commands: &mut Vec<Command<P>>) {
        if let Phase::Committing { is_last } = self.phase {
            let epoch = self.epoch - 1;
            self.phase = if is_last { Phase::Finished } else { Phase::Running };
            commands.push(match outcome {
                Ok(()) => Command::Announce { epoch, is_last },
                Err(reason) => Command::GiveUp { epoch, is_last, reason },
            });
        }
    }

    /// Takes the steps that nothing stands in the way of any more.
    fn go_on(&mut self, commands: &mut Vec<Command<P>>) {
        let all_ended = self.ended.len() == self.n_processes;
        if all_ended {
            self.close(true, commands);
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Running) {
            Phase::Closing { marked, stored } if marked.len() == self.n_processes => {
                self.epoch += 1;
                commands.push(Command::Open(self.epoch));
                Phase::Storing { stored }
            }
            phase => phase,
        };
        self.phase = match std::mem::replace(&mut self.phase, Phase::Running) {
            Phase::Storing { stored } if stored.by.len() == self.n_processes => self.commit(stored, commands),
            phase => phase,
        };
    }

    fn commit(&mut self, stored: Stored<P>, commands: &mut Vec<Command<P>>) -> Phase<P> {
        let (epoch, is_last) = (self.epoch - 1, stored.is_last);
        match stored.failure {
            None => {
                commands.push(Command::Commit { epoch, parts: stored.parts });
                Phase::Committing { is_last }
            }
            Some(reason) => {
                commands.push(Command::GiveUp { epoch, is_last, reason });
                if is_last { Phase::Finished } else { Phase::Running }
            }
        }
    }
}

#[cfg(test)]
mod tests;

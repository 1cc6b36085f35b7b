//! What the keepers of a job's processes tell each other.

use serde::{Deserialize, Serialize};

use crate::checkpoint::store::PartInfo;
use crate::clock::Epoch;

/// A word between keepers. Epochs are those of this run, from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// From process 0, once and first: what the run goes on from.
    Begin { checkpoint: Option<Epoch>, first_epoch: Epoch, attempt: u64 },
    /// From process 0: sources leave this epoch.
    Close(Epoch),
    /// From process 0: sources may read in this epoch.
    Open(Epoch),
    /// To process 0: all operators have marked their state at the end of this epoch.
    Marked(Epoch),
    /// To process 0: all workers have ended.
    Ended,
    /// To process 0: the parts of this epoch are durable, or why they are not.
    Stored { epoch: Epoch, parts: Result<Vec<PartInfo>, String> },
    /// From process 0: the checkpoint of this epoch is durable.
    Committed { epoch: Epoch, is_last: bool },
    /// From process 0: there is no checkpoint of this epoch.
    GivenUp { epoch: Epoch, is_last: bool, reason: String },
}

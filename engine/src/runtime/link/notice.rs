//! What processes tell each other over their control links, and its bytes.
//!
//! A notice travels as one frame with its postcard encoding.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Word;
use crate::error::{Error, ErrorKind, Site};
use crate::runtime::graph::Graph;

/// Longest error message that is sent on; the rest is cut.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// What one process tells the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// An operator failed.
    Failed { kind: u8, message: String, site: Option<(String, String, usize)> },
    /// An operator of the sender holds, or no longer holds, a source.
    Hold { source: usize, held: bool },
    /// All workers of the sender have finished in good order.
    Farewell,
    /// The sender's workers have sent so many records into an exchange more than they have read from it.
    InFlight { exchange: usize, sum: i64 },
    /// A worker's part of a stream has come to this watermark in a round of its loop, or has fallen silent at it.
    Watermark { stream: usize, worker: usize, round: Vec<u64>, watermark: i64, is_active: bool },
    /// The sender is alive, and has sent so many frames over its data connection to the receiver.
    Alive { frames: u64 },
    /// What the workers of the sender have built; to process 0.
    Built(Graph),
    /// All processes have built the same graph; from process 0.
    SameGraph,
    /// What the keepers of the checkpoints tell each other.
    Checkpoint(Word),
}

impl Notice {
    pub(crate) fn failed(error: &Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Config => 0,
            ErrorKind::Data => 1,
            ErrorKind::Operator => 2,
            ErrorKind::Peer => 3,
            ErrorKind::Interrupted => 4,
            ErrorKind::Internal => 5,
            ErrorKind::Storage => 6,
            ErrorKind::Fenced => 7,
        };
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let mut message = format!("{}{cause}", error.message());
        if message.len() > MAX_MESSAGE_BYTES {
            let end = (0..=MAX_MESSAGE_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
            message.push_str(" (cut)");
        }
        Notice::Failed {
            kind,
            message,
            site: error.site().map(|site| (site.operator.clone(), site.location.clone(), site.worker)),
        }
    }

    pub(super) fn into_error(kind: u8, message: String, site: Option<(String, String, usize)>) -> Error {
        let kinds = [
            ErrorKind::Config,
            ErrorKind::Data,
            ErrorKind::Operator,
            ErrorKind::Peer,
            ErrorKind::Interrupted,
            ErrorKind::Internal,
            ErrorKind::Storage,
            ErrorKind::Fenced,
        ];
        let kind = kinds.get(usize::from(kind)).copied().unwrap_or(ErrorKind::Internal);
        let error = Error::new(kind, message);
        match site {
            Some((operator, location, worker)) => error.at(Site { operator, location, worker }),
            None => error,
        }
    }
}

/// The bytes of a notice.
pub(super) fn encode(notice: &Notice) -> Option<Vec<u8>> {
    postcard::to_stdvec(notice).ok()
}

pub(super) fn decode(bytes: &[u8]) -> std::io::Result<Notice> {
    postcard::from_bytes(bytes).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_crosses_the_link_with_its_site() {
        let site = Site { operator: "map".into(), location: "a.rs:1:2".into(), worker: 3 };
        let error = Error::operator("boom").at(site.clone());
        let Notice::Failed { kind, message, site: back } =
            decode(&encode(&Notice::failed(&error)).unwrap()).unwrap()
        else {
            panic!("another notice");
        };
        let back = Notice::into_error(kind, message, back);
        assert_eq!((back.kind(), back.message(), back.site()), (ErrorKind::Operator, "boom", Some(&site)));
    }
}

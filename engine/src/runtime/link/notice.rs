//! What processes tell each other over their control links, and its bytes.
//!
//! A notice travels as its length (4 bytes, little-endian) and its postcard encoding.

use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Word;
use crate::error::{Error, ErrorKind, Site};
use crate::runtime::graph::Graph;

/// Longest notice that is accepted, in bytes: an error message with room to spare.
const MAX_NOTICE_BYTES: usize = 1 << 20;

/// Length of the length before a notice.
const LEN_BYTES: usize = 4;

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
    /// The sender is alive.
    Alive,
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

/// The bytes of a notice on the wire.
pub(super) fn encode(notice: &Notice) -> std::io::Result<Vec<u8>> {
    let bytes = postcard::to_stdvec(notice).map_err(std::io::Error::other)?;
    let mut frame = (bytes.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&bytes);
    Ok(frame)
}

/// Reads notices from a connection that may time out in the middle of one.
#[derive(Default)]
pub(super) struct NoticeReader {
    frame: Vec<u8>,
}

impl NoticeReader {
    /// The next notice.
    ///
    /// # Errors
    /// Those of the connection; after a time-out it goes on where it was.
    pub(super) fn read(&mut self, stream: &mut impl Read) -> std::io::Result<Notice> {
        self.fill(stream, LEN_BYTES)?;
        let len = self.frame[..LEN_BYTES].iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte));
        if len > MAX_NOTICE_BYTES {
            return Err(std::io::Error::other(format!("notice of {len} bytes, at most {MAX_NOTICE_BYTES}")));
        }
        self.fill(stream, LEN_BYTES + len)?;
        let notice = postcard::from_bytes(&self.frame[LEN_BYTES..]).map_err(std::io::Error::other);
        self.frame.clear();
        notice
    }

    /// Reads until the frame has `end` bytes, and never more.
    fn fill(&mut self, stream: &mut impl Read, end: usize) -> std::io::Result<()> {
        let mut chunk = [0; 4096];
        while self.frame.len() < end {
            let room = (end - self.frame.len()).min(chunk.len());
            match stream.read(&mut chunk[..room]) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.frame.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_crosses_the_link_with_its_site() {
        let site = Site { operator: "map".into(), location: "a.rs:1:2".into(), worker: 3 };
        let error = Error::operator("boom").at(site.clone());
        let wire = encode(&Notice::failed(&error)).unwrap();
        let Notice::Failed { kind, message, site: back } =
            NoticeReader::default().read(&mut wire.as_slice()).unwrap()
        else {
            panic!("another notice");
        };
        let back = Notice::into_error(kind, message, back);
        assert_eq!((back.kind(), back.message(), back.site()), (ErrorKind::Operator, "boom", Some(&site)));
    }

    #[test]
    fn notice_of_absurd_length_is_refused_before_memory_is_taken() {
        let wire = u32::MAX.to_le_bytes();
        let error = NoticeReader::default().read(&mut wire.as_slice()).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
    }

    /// A connection that gives one byte at a time and times out before each.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn notice_that_comes_in_pieces_between_timeouts_is_whole() {
        let notices = [Notice::Hold { source: 70_000, held: true }, Notice::Alive, Notice::Farewell];
        let wire: Vec<u8> = notices.iter().flat_map(|notice| encode(notice).unwrap()).collect();
        let (mut slow, mut reader) = (Slow(&wire, false), NoticeReader::default());
        let mut heard = Vec::new();
        while heard.len() < notices.len() {
            match reader.read(&mut slow) {
                Ok(notice) => heard.push(notice),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(heard, notices);
        assert!(reader.read(&mut slow).is_err() && reader.read(&mut slow).is_err());
    }
}

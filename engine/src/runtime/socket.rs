//! The data connection as timely sees it: a broken one ends the run instead of panicking in a thread that
//! nobody can catch.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use timely::communication::allocator::zero_copy::stream::Stream;

use crate::error::Error;
use crate::runtime::link::PeerName;
use crate::runtime::state::RunState;

/// Length of the header of a message: six big-endian `u64`.
const HEADER_BYTES: usize = 48;
/// Where the header says how long the message behind it is; zero ends a connection in good order.
const LENGTH: std::ops::Range<usize> = 32..40;

/// A data connection to one peer.
pub(crate) struct DataSocket {
    stream: TcpStream,
    peer: PeerName,
    run: Arc<RunState>,
    framing: Framing,
}

/// How far the messages of a connection have been read: what a connection without a word of its end must be told
/// from is any message, one of zeros too.
#[derive(Debug, Default)]
struct Framing {
    header: Vec<u8>,
    /// Bytes to come of the message whose header was read.
    left: usize,
    has_ended: bool,
}

impl Framing {
    /// Follows the bytes that were read.
    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.has_ended {
            let of_message = self.left.min(bytes.len());
            (self.left, bytes) = (self.left - of_message, &bytes[of_message..]);
            let of_header = (HEADER_BYTES - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..of_header]);
            bytes = &bytes[of_header..];
            if self.header.len() == HEADER_BYTES {
                let length = self.header[LENGTH].iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
                (self.left, self.has_ended) = (length, length == 0);
                self.header.clear();
            }
        }
    }
}

impl DataSocket {
    pub(crate) fn new(stream: TcpStream, peer: PeerName, run: Arc<RunState>) -> Self {
        DataSocket { stream, peer, run, framing: Framing::default() }
    }

    /// Ends the run and parks the calling communication thread for good. timely would panic on an error,
    /// with workers of this process none the wiser; they are woken here and leave by themselves.
    fn lost(&self, error: io::Error) -> ! {
        self.run.await_reason();
        self.run.fail(Error::peer(format!("lost {}", self.peer)).caused_by(error));
        loop {
            std::thread::park();
        }
    }
}

impl Read for DataSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) if !self.framing.has_ended => {
                    self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed"));
                }
                Ok(n) => {
                    self.framing.note(&buffer[..n]);
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.lost(error),
            }
        }
    }
}

impl Write for DataSocket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.stream.write(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => self.lost(error),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for DataSocket {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(DataSocket::new(self.stream.try_clone()?, self.peer.clone(), Arc::clone(&self.run)))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // A peer that is already gone has nothing left to be told.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as it is sent: its header, and so many zeros.
    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + length];
        bytes[LENGTH].copy_from_slice(&(length as u64).to_be_bytes());
        bytes
    }

    fn ends(bytes: &[u8], piece: usize) -> bool {
        let mut framing = Framing::default();
        bytes.chunks(piece).for_each(|piece| framing.note(piece));
        framing.has_ended
    }

    /// A peer that was killed after such a message used to be taken for one that had ended in good order.
    #[test]
    fn message_of_zeros_is_not_taken_for_the_end_of_the_connection() {
        assert!(!ends(&message(200), 7));
        assert!(ends(&[message(200), message(0)].concat(), 7));
    }

    proptest! {
        #[test]
        fn connection_has_ended_after_its_last_header_however_its_bytes_come(
            lengths in prop::collection::vec(1usize..300, 0..8),
            piece in 1usize..400,
        ) {
            let mut bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            prop_assert!(!ends(&bytes, piece));
            bytes.extend(message(0));
            prop_assert!(!ends(&bytes[..bytes.len() - 1], piece));
            prop_assert!(ends(&bytes, piece));
        }
    }
}

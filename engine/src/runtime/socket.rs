//! The data connection as timely sees it: a broken one ends the run instead of panicking in a thread that
//! nobody can catch, and so does one on which a message is missing, comes twice or out of turn.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use timely::communication::allocator::zero_copy::stream::Stream;

use crate::error::Error;
use crate::runtime::link::PeerName;
use crate::runtime::state::RunState;

/// Length of the header of a message: six big-endian `u64`.
const HEADER_BYTES: usize = 48;

/// A data connection to one peer.
pub(crate) struct DataSocket {
    stream: TcpStream,
    peer: PeerName,
    run: Arc<RunState>,
    framing: Framing,
}

/// How far the messages of a connection have been read: what a connection without a word of its end must be told
/// from is any message, one of zeros too. Messages of one sender on one channel are numbered, so that one that got lost on
/// its way, or comes a second time, is noticed before anything behind it is believed.
#[derive(Debug, Default)]
struct Framing {
    header: Vec<u8>,
    /// Bytes to come of the message whose header was read.
    left: usize,
    has_ended: bool,
    /// The number of the next message, by channel, sender, and first and last receiver.
    next: FxHashMap<[u64; 4], u64>,
}

impl Framing {
    /// Follows the bytes that were read.
    ///
    /// # Errors
    /// A message is not the one whose turn it is.
    fn note(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() && !self.has_ended {
            let of_message = self.left.min(bytes.len());
            (self.left, bytes) = (self.left - of_message, &bytes[of_message..]);
            let of_header = (HEADER_BYTES - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..of_header]);
            bytes = &bytes[of_header..];
            if self.header.len() == HEADER_BYTES {
                self.begin_message()?;
                self.header.clear();
            }
        }
        Ok(())
    }

    /// A header has channel, sender, first and last receiver, length, and number among the messages of the first four. A
    /// length of zero ends a connection in good order.
    fn begin_message(&mut self) -> Result<(), String> {
        let mut fields = [0; 6];
        for (field, bytes) in fields.iter_mut().zip(self.header.as_chunks().0) {
            *field = u64::from_be_bytes(*bytes);
        }
        let [channel, sender, first, last, length, found] = fields;
        self.left =
            usize::try_from(length).map_err(|error| format!("a message of {length} bytes: {error}"))?;
        self.has_ended = self.left == 0;
        if self.has_ended {
            return Ok(());
        }
        let next = self.next.entry([channel, sender, first, last]).or_default();
        if found == *next {
            *next += 1;
            return Ok(());
        }
        Err(format!("found message {found} of worker {sender} on channel {channel}, expected {next}"))
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
                Ok(n) => match self.framing.note(&buffer[..n]) {
                    Ok(()) => return Ok(n),
                    Err(what) => self.lost(io::Error::new(io::ErrorKind::InvalidData, what)),
                },
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
    fn message(length: usize, number: u64) -> Vec<u8> {
        message_of([7, 1, 0, 1], length, number)
    }

    fn message_of(route: [u64; 4], length: usize, number: u64) -> Vec<u8> {
        let header = route.into_iter().chain([length as u64, number]).flat_map(u64::to_be_bytes);
        header.chain(vec![0; length]).collect()
    }

    fn ends(bytes: &[u8], piece: usize) -> bool {
        let mut framing = Framing::default();
        bytes.chunks(piece).for_each(|piece| framing.note(piece).unwrap());
        framing.has_ended
    }

    /// What is wrong with messages with these numbers.
    fn error_in(numbers: &[u64]) -> Option<String> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| message(9, *number)).collect();
        Framing::default().note(&bytes).err()
    }

    #[test]
    fn message_that_is_missing_comes_twice_or_out_of_turn_is_noticed() {
        assert_eq!(error_in(&[0, 1, 2, 3]), None);
        assert_eq!(error_in(&[0, 1, 3]).unwrap(), "found message 3 of worker 1 on channel 7, expected 2");
        assert!(error_in(&[0, 1, 1]).unwrap().ends_with("expected 2"));
        assert!(error_in(&[1, 0]).unwrap().ends_with("expected 0"));
        // Each sender counts for itself.
        let mut framing = Framing::default();
        for route in [[7, 1, 0, 1], [8, 1, 0, 1], [7, 2, 0, 1], [7, 1, 0, 2]] {
            framing.note(&message_of(route, 3, 0)).unwrap();
        }
        framing.note(&message(3, 1)).unwrap();
    }

    /// A peer that was killed after such a message used to be taken for one that had ended in good order.
    #[test]
    fn message_of_zeros_is_not_taken_for_the_end_of_the_connection() {
        assert!(!ends(&message(200, 0), 7));
        assert!(ends(&[message(200, 0), message(0, 0)].concat(), 7));
    }

    proptest! {
        #[test]
        fn connection_has_ended_after_its_last_header_however_its_bytes_come(
            lengths in prop::collection::vec(1usize..300, 0..8),
            piece in 1usize..400,
        ) {
            let numbered = lengths.iter().zip(0..);
            let mut bytes: Vec<u8> = numbered.flat_map(|(length, number)| message(*length, number)).collect();
            prop_assert!(!ends(&bytes, piece));
            bytes.extend(message(0, 0));
            prop_assert!(!ends(&bytes[..bytes.len() - 1], piece));
            prop_assert!(ends(&bytes, piece));
        }
    }
}

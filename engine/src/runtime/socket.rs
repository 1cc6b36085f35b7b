//! The data connection as timely sees it: a broken one ends the run instead of panicking in a thread that
//! nobody can catch.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use timely::communication::allocator::zero_copy::stream::Stream;

use crate::error::Error;
use crate::runtime::link::PeerName;
use crate::runtime::state::RunState;

/// Length of the all-zero header with which timely ends a connection in good order.
const END_HEADER_BYTES: usize = 48;

/// A data connection to one peer.
pub(crate) struct DataSocket {
    stream: TcpStream,
    peer: PeerName,
    run: Arc<RunState>,
    /// Zero bytes read last: a connection that ends after a whole end header ended in good order.
    trailing_zeros: usize,
}

impl DataSocket {
    pub(crate) fn new(stream: TcpStream, peer: PeerName, run: Arc<RunState>) -> Self {
        DataSocket { stream, peer, run, trailing_zeros: 0 }
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

    fn note(&mut self, bytes: &[u8]) {
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        self.trailing_zeros = if zeros == bytes.len() { self.trailing_zeros + zeros } else { zeros };
    }
}

impl Read for DataSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) if self.trailing_zeros < END_HEADER_BYTES => {
                    self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed"));
                }
                Ok(n) => {
                    self.note(&buffer[..n]);
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

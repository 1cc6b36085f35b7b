//! The data connection as timely sees it: a broken one ends the run instead of panicking in a thread that
//! nobody can catch, and bytes that were lost, doubled or changed on the way are an error.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use timely::communication::allocator::zero_copy::stream::Stream;

use crate::error::Error;
use crate::runtime::frames::{FrameReader, FrameWriter};
use crate::runtime::link::{PeerName, Traffic};
use crate::runtime::state::RunState;

/// How much goes into one frame. An empty one ends the connection in good order.
const FRAME_BYTES: usize = 256 << 10;

/// A data connection to one peer.
pub(crate) struct DataSocket {
    stream: TcpStream,
    peer: PeerName,
    traffic: Arc<Traffic>,
    run: Arc<RunState>,
    writer: FrameWriter,
    reader: FrameReader,
    /// How much of the frame that came last was read.
    n_read: usize,
    has_ended: bool,
}

impl DataSocket {
    pub(crate) fn new(stream: TcpStream, peer: PeerName, traffic: Arc<Traffic>, run: Arc<RunState>) -> Self {
        DataSocket {
            stream,
            peer,
            traffic,
            run,
            writer: FrameWriter::default(),
            reader: FrameReader::default(),
            n_read: 0,
            has_ended: false,
        }
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

    /// Waits for the next frame.
    fn next_frame(&mut self) -> io::Result<()> {
        let has_come = self.reader.read(&mut self.stream)?;
        self.n_read = 0;
        self.traffic.note_received(self.reader.content().len(), self.reader.n_received());
        self.has_ended = has_come && self.reader.content().is_empty();
        if has_come { Ok(()) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed")) }
    }
}

impl Read for DataSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.n_read == self.reader.content().len() && !self.has_ended {
            if let Err(error) = self.next_frame() {
                self.lost(error);
            }
        }
        let unread = &self.reader.content()[self.n_read..];
        let n = unread.len().min(buffer.len());
        buffer[..n].copy_from_slice(&unread[..n]);
        self.n_read += n;
        Ok(n)
    }
}

impl Write for DataSocket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = buffer.len().min(FRAME_BYTES);
        if n > 0 {
            if let Err(error) = self.writer.write(&mut self.stream, &buffer[..n]) {
                self.lost(error);
            }
            self.traffic.note_sent(n, self.writer.n_sent());
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for DataSocket {
    fn try_clone(&self) -> io::Result<Self> {
        let (peer, traffic, run) = (self.peer.clone(), Arc::clone(&self.traffic), Arc::clone(&self.run));
        Ok(DataSocket::new(self.stream.try_clone()?, peer, traffic, run))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // A peer that is already gone has nothing left to be told.
        let _ = self.writer.clone().write(&mut &self.stream, &[]);
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}

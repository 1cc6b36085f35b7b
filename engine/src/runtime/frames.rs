//! Frames of a connection between processes: what was dropped, doubled, moved or changed on the way is found out.
//!
//! A frame is a header of 24 bytes and up to [`MAX_FRAME`] bytes. The header has, in little-endian, the number of the frame
//! on its connection (8 bytes, from 0), the length of what follows (4), the low half of the xxh3 of these twelve (4), and
//! the xxh3 of what follows, with the number as its seed (8). Format: `docs/formats/frames.md`.

use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Longest content of a frame, in bytes.
pub(crate) const MAX_FRAME: usize = 1 << 20;
pub(super) const HEADER_BYTES: usize = 24;
/// How much is read at a time, and more where a frame is longer.
const READ_BYTES: usize = 256 << 10;

fn header(number: u64, content: &[u8]) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
    let check = xxh3_64(&bytes[..12]) as u32;
    bytes[12..16].copy_from_slice(&check.to_le_bytes());
    bytes[16..].copy_from_slice(&xxh3_64_with_seed(content, number).to_le_bytes());
    bytes
}

/// The sending end of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameWriter {
    next: u64,
}

impl FrameWriter {
    /// Sends `content` as one frame.
    ///
    /// # Errors
    /// Those of the connection; half a frame may be on its way then.
    pub(crate) fn write(&mut self, stream: &mut impl Write, content: &[u8]) -> io::Result<()> {
        if content.len() > MAX_FRAME {
            let (found, most) = (content.len(), MAX_FRAME);
            return Err(io::Error::other(format!("a frame of {found} bytes, at most {most}")));
        }
        let header = header(self.next, content);
        self.next += 1;
        let mut sent = 0;
        while sent < HEADER_BYTES + content.len() {
            let parts = [
                IoSlice::new(&header[sent.min(HEADER_BYTES)..]),
                IoSlice::new(&content[sent.saturating_sub(HEADER_BYTES)..]),
            ];
            match stream.write_vectored(&parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many frames were sent.
    pub(crate) fn n_sent(&self) -> u64 {
        self.next
    }
}

/// The receiving end of a connection, which may time out in the middle of a frame.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    next: u64,
    buffer: Vec<u8>,
    /// What was read and not yet given out is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Where the content of the last frame is.
    content: Range<usize>,
}

impl FrameReader {
    /// Reads the next frame; `false` if the connection has ended behind the one before.
    ///
    /// # Errors
    /// Those of the connection; after a time-out it goes on where it was. A frame that is not the next one, or not as it
    /// was sent.
    pub(crate) fn read(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        if !self.fill(stream, HEADER_BYTES)? {
            return Ok(false);
        }
        let length = self.check_header()?;
        self.fill(stream, HEADER_BYTES + length)?;
        let from = self.start + HEADER_BYTES;
        let sum = u64_at(&self.buffer[self.start..], 16);
        self.start = from + length;
        self.content = from..from + length;
        if xxh3_64_with_seed(self.content(), self.next) != sum {
            return Err(damaged(format!("frame {} is not as it was sent", self.next)));
        }
        self.next += 1;
        Ok(true)
    }

    /// What was in the frame that was read last.
    pub(crate) fn content(&self) -> &[u8] {
        &self.buffer[self.content.clone()]
    }

    /// How many frames have come.
    pub(crate) fn n_received(&self) -> u64 {
        self.next
    }

    /// Checks the header that is at the start. The length of what follows it.
    fn check_header(&self) -> io::Result<usize> {
        let header = &self.buffer[self.start..self.start + HEADER_BYTES];
        if xxh3_64(&header[..12]) as u32 != u32_at(header, 12) {
            return Err(damaged(format!("the header of frame {} is not as it was sent", self.next)));
        }
        let (number, length) = (u64_at(header, 0), u32_at(header, 8) as usize);
        if number != self.next {
            return Err(damaged(format!("frame {number} has come, expected {}", self.next)));
        }
        if length > MAX_FRAME {
            return Err(damaged(format!("frame {number} has {length} bytes, at most {MAX_FRAME}")));
        }
        Ok(length)
    }

    /// Reads until there are `n` bytes. `false` if the connection has ended before the first.
    fn fill(&mut self, stream: &mut impl Read, n: usize) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() < self.start + n.max(HEADER_BYTES) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.buffer.resize(self.buffer.len().max(n.next_multiple_of(READ_BYTES)), 0);
        }
        while self.end - self.start < n {
            match stream.read(&mut self.buffer[self.end..]) {
                Ok(0) if self.end == self.start => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn damaged(what: String) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what}: the connection loses, doubles or changes bytes"),
    )
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    (0..4).rev().fold(0, |n, i| n << 8 | u32::from(bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    (0..8).rev().fold(0, |n, i| n << 8 | u64::from(bytes[at + i]))
}

#[cfg(test)]
mod tests;

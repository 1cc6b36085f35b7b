//! Records on their way between processes: by width, chosen by their type, without a copy of the names.
//!
//! A batch is written as four lanes: all of its eight-byte numbers, then all of four, two and one byte, each lane
//! in the order in which serde visits the records. Rows of numbers are so their bytes and nothing else; the texts
//! of a batch lie side by side, and their lengths too. Inside a process batches move by ownership and are never
//! written. The format is in `docs/formats/rows.md`.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod lanes;
mod pact;
mod plain;

use std::cell::RefCell;
use std::io::Write;

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

use crate::record::Record;
use lanes::Lanes;
pub(crate) use pact::Wired;

/// A batch of records as it travels between workers.
pub(crate) struct Rows<D>(pub(crate) Vec<D>);

impl<D> Accountable for Rows<D> {
    #[inline]
    fn record_count(&self) -> i64 {
        self.0.len() as i64
    }
}

thread_local! {
    /// What was written last on this thread, and of which batch: timely asks for the length, then for the bytes.
    static WRITTEN: RefCell<Written> = RefCell::default();
}

#[derive(Default)]
struct Written {
    lanes: Lanes,
    /// Where the records of the batch are and how many, until its bytes are taken.
    batch: Option<(*const (), usize)>,
}

impl Written {
    /// The lanes of a batch, written now unless they are there.
    fn of<D: Record>(&mut self, rows: &Vec<D>) -> &Lanes {
        let batch = (rows.as_ptr().cast(), rows.len());
        if self.batch != Some(batch) {
            // timely has no way to hand an error on; the worker's guard turns this into one.
            if let Err(error) = encode::write(rows, &mut self.lanes) {
                panic!("{} can not be sent to another process: {error}", std::any::type_name::<D>());
            }
            self.batch = Some(batch);
        }
        &self.lanes
    }
}

impl<D: Record> ContainerBytes for Rows<D> {
    fn from_bytes(bytes: Bytes) -> Self {
        match decode::read(&bytes) {
            Ok(rows) => Rows(rows),
            Err(error) => {
                panic!(
                    "a batch of {} from another process can not be read: {error}",
                    std::any::type_name::<D>()
                )
            }
        }
    }

    fn length_in_bytes(&self) -> usize {
        WRITTEN.with_borrow_mut(|written| {
            written.batch = None;
            written.of(&self.0).encoded_len()
        })
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        WRITTEN.with_borrow_mut(|written| {
            // The writer is a reserved slice of the send buffer: it is as long as we said.
            if let Err(error) = written.of(&self.0).write_to(self.0.len(), writer) {
                panic!("a batch does not fit the space reserved for it: {error}");
            }
            written.batch = None;
        });
    }
}

/// Why a batch could not be written or read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WireError(String);

impl WireError {
    fn new(message: impl Into<String>) -> Self {
        WireError(message.into())
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WireError {}

impl serde::ser::Error for WireError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        WireError(message.to_string())
    }
}

impl serde::de::Error for WireError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        WireError(message.to_string())
    }
}

#[cfg(test)]
mod tests;

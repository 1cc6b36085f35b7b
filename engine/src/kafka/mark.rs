//! What says of a record in a topic which transaction of a sink it is of.
//!
//! The layout is told in docs/formats/kafka-records.md.

use rdkafka::message::{Header, Headers, OwnedHeaders};
use serde::{Deserialize, Serialize};

/// Name of the header that a mark is.
pub(super) const HEADER: &str = "waterwheel-transaction";
/// Bytes of a mark.
pub(super) const LEN_BYTES: usize = 29;
const VERSION: u8 = 1;

/// A transaction, among all of all sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TransactionKey {
    /// Of the [`SinkContext`](crate::SinkContext).
    pub(super) sink: u64,
    pub(super) worker: u32,
    pub(super) number: u64,
}

/// A record of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) transaction: TransactionKey,
    /// Number of the record in its transaction, from 0.
    pub(super) sequence: u64,
}

impl Mark {
    pub(super) fn encode(&self) -> [u8; LEN_BYTES] {
        let TransactionKey { sink, worker, number } = self.transaction;
        let mut bytes = [0; LEN_BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&sink.to_le_bytes());
        bytes[9..13].copy_from_slice(&worker.to_le_bytes());
        bytes[13..21].copy_from_slice(&number.to_le_bytes());
        bytes[21..29].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }

    /// `None` where the bytes are something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = bytes.split_first_chunk()? else { return None };
        let (sink, rest) = rest.split_first_chunk()?;
        let (worker, rest) = rest.split_first_chunk()?;
        let (number, sequence) = rest.split_first_chunk()?;
        let sequence = u64::from_le_bytes(sequence.try_into().ok()?);
        let (sink, worker) = (u64::from_le_bytes(*sink), u32::from_le_bytes(*worker));
        let transaction = TransactionKey { sink, worker, number: u64::from_le_bytes(*number) };
        Some(Mark { transaction, sequence })
    }

    /// The headers of a record that is marked.
    pub(super) fn to_headers(self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(&self.encode()) })
    }

    /// The mark among the headers of a record, if there is one.
    pub(super) fn among(headers: &impl Headers) -> Option<Self> {
        let mut values = headers.iter().filter(|header| header.key == HEADER);
        values.find_map(|header| Mark::decode(header.value?))
    }
}

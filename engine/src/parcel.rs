//! Batches that travel whole to one worker, with a wire form of their own.

use std::io::Write;

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

use crate::error::Result;
use crate::operator::Batch;

/// A batch that is routed as one piece to the worker it names.
///
/// Inside a process it moves by ownership; between processes as the bytes of [`encode`](Self::encode).
pub trait Packet: Default + Send + 'static {
    /// Index of the worker it goes to, below the number of workers.
    fn destination(&self) -> usize;

    /// Number of records, as progress tracking counts them: the same before and after the wire, and above
    /// zero for anything that is to be delivered.
    fn records(&self) -> usize;

    /// Memory of what it holds, in bytes, without what that points to: for metrics, at a constant cost.
    fn bytes(&self) -> usize;

    /// Number of bytes that [`encode`](Self::encode) writes.
    fn encoded_len(&self) -> usize;

    /// Writes the wire form, exactly [`encoded_len`](Self::encoded_len) bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads the wire form; `bytes` may have padding behind it.
    ///
    /// # Errors
    /// The bytes are not such a packet; the message says what was found and expected.
    fn decode(bytes: &[u8]) -> Result<Self>;
}

/// A [`Packet`] as the dataflow carries it.
#[derive(Clone, Debug, Default)]
pub struct Parcel<P>(pub P);

impl<P: Packet> Accountable for Parcel<P> {
    #[inline]
    fn record_count(&self) -> i64 {
        self.0.records() as i64
    }
}

impl<P: Packet> Batch for Parcel<P> {
    #[inline]
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl<P: Packet> ContainerBytes for Parcel<P> {
    fn from_bytes(bytes: Bytes) -> Self {
        match P::decode(&bytes) {
            Ok(packet) => Parcel(packet),
            // timely has no way to hand an error on; the worker's guard turns this into one.
            Err(error) => panic!("a packet from another process can not be read: {error}"),
        }
    }

    fn length_in_bytes(&self) -> usize {
        self.0.encoded_len().next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let len = self.length_in_bytes();
        let mut bytes = Vec::with_capacity(len);
        self.0.encode(&mut bytes);
        debug_assert_eq!(bytes.len(), self.0.encoded_len());
        bytes.resize(len, 0);
        // The writer is a reserved slice of the send buffer: it is as long as we said.
        if let Err(error) = writer.write_all(&bytes) {
            panic!("a packet does not fit the space reserved for it: {error}");
        }
    }
}

/// Sends each parcel to its destination, unopened.
pub(crate) struct ByDestination;

impl<P: Packet> Distributor<Parcel<P>> for ByDestination {
    fn partition<T: Clone, Q: Push<Message<T, Parcel<P>>>>(
        &mut self,
        parcel: &mut Parcel<P>,
        stamp: &Stamp<T>,
        pushers: &mut [Q],
    ) {
        let destination = parcel.0.destination();
        Message::push_at(parcel, stamp.clone(), &mut pushers[destination]);
    }

    fn flush<T: Clone, Q: Push<Message<T, Parcel<P>>>>(&mut self, _stamp: &Stamp<T>, _pushers: &mut [Q]) {}
}

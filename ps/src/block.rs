//! The message of the parameter server: many operations of one worker on one server, moved as one piece.

use waterwheel_engine::{Error, Key, Packet, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::element::{self, Element};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Pull,
    Push,
    /// A push, then a pull of the same key.
    PushPull,
}

impl Op {
    #[inline]
    pub(crate) fn pulls(self) -> bool {
        self != Op::Push
    }

    #[inline]
    pub(crate) fn pushes(self) -> bool {
        self != Op::Pull
    }
}

/// A run of equal operations; in an answer, of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) op: Op,
    pub(crate) n: u32,
    /// The pull of many keys that these are part of; 0 if they stand alone.
    pub(crate) group: u32,
}

impl Run {
    /// Counts one more operation at the end of `runs`.
    #[inline]
    pub(crate) fn note(runs: &mut Vec<Run>, op: Op, group: u32) {
        Self::note_many(runs, op, group, 1);
    }

    /// Counts `n` more operations, which are not none, at the end of `runs`.
    #[inline]
    pub(crate) fn note_many(runs: &mut Vec<Run>, op: Op, group: u32, n: usize) {
        let n = n as u32;
        match runs.last_mut() {
            Some(last) if last.op == op && last.group == group => last.n += n,
            _ => runs.push(Run { op, n, group }),
        }
    }
}

/// Operations on their way to a server, or answers on their way back.
///
/// Keys stand in the order in which the worker issued the operations; `runs` says how many pulls and pushes
/// follow each other. `values` holds one row per key once it is an answer, `deltas` one per pushed key. A
/// block keeps its allocations when it turns from request to answer to request.
#[derive(Debug)]
pub(crate) struct Block<K, E, D> {
    /// Worker thread (of the engine) that it goes to.
    pub(crate) destination: u32,
    /// Worker thread that made it.
    pub(crate) from: u32,
    /// Whether the sender wants its answer at once, past any sending policy.
    pub(crate) urgent: bool,
    /// Whether the sender has ended, or finished an epoch: a block without operations and without an answer.
    pub(crate) finished: bool,
    /// Whether its pulls are to see all clocks before the present one, and nothing else.
    pub(crate) snapshot: bool,
    /// Whether the keys are those that are hot on a server, in place of an answer.
    pub(crate) hot: bool,
    /// Runs of equal operations; of rows in an answer, where all stand alone if there are none.
    pub(crate) runs: Vec<Run>,
    pub(crate) keys: Vec<K>,
    pub(crate) values: Vec<E>,
    pub(crate) deltas: Vec<D>,
    /// Pulls that are settled, in an answer.
    pub(crate) answered: u64,
    /// Pushes that the server has applied, in an answer.
    pub(crate) applied: u64,
    /// By how much an answer changes the number of pulls that stay open.
    pub(crate) open: i32,
}

impl<K, E, D> Default for Block<K, E, D> {
    fn default() -> Self {
        Block {
            destination: 0,
            from: 0,
            urgent: false,
            finished: false,
            snapshot: false,
            hot: false,
            runs: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
            deltas: Vec::new(),
            answered: 0,
            applied: 0,
            open: 0,
        }
    }
}

impl<K, E, D> Block<K, E, D> {
    /// An empty request to the server with this index.
    pub(crate) fn for_server(server: usize) -> Self {
        Block { destination: server as u32, ..Block::default() }
    }

    /// Number of pulls in a request.
    /// The word that workers are to leave the checkpoint epoch with their next clock.
    pub(crate) fn leave() -> Self {
        Block { snapshot: true, urgent: true, ..Block::default() }
    }

    /// Whether this is that word.
    pub(crate) fn is_leave(&self) -> bool {
        let says_nothing = self.answered == 0 && self.applied == 0 && self.open == 0;
        self.snapshot && self.keys.is_empty() && says_nothing
    }

    pub(crate) fn pulls(&self) -> usize {
        self.count(Op::pulls)
    }

    /// Number of pushes in a request.
    pub(crate) fn pushes(&self) -> usize {
        self.count(Op::pushes)
    }

    fn count(&self, counts: impl Fn(Op) -> bool) -> usize {
        self.runs.iter().filter(|run| counts(run.op)).map(|run| run.n as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.answered == 0
            && self.applied == 0
            && self.open == 0
            && !self.urgent
            && !self.finished
            && !self.hot
    }

    /// Notes in an answer that the rows of these keys, pulls of `group`, have been appended.
    #[inline]
    pub(crate) fn note_rows(&mut self, keys: &[K], group: u32)
    where
        K: Clone,
    {
        if keys.is_empty() {
            return;
        }
        let n = keys.len() as u32;
        match self.runs.last_mut() {
            Some(last) if last.group == group => last.n += n,
            _ => self.runs.push(Run { op: Op::Pull, n, group }),
        }
        self.keys.extend_from_slice(keys);
        self.answered += u64::from(n);
    }

    /// Adds an answer to the same worker at the end.
    pub(crate) fn append(&mut self, mut more: Self) {
        if !(self.runs.is_empty() && more.runs.is_empty()) {
            self.name_plain_runs();
            more.name_plain_runs();
            self.runs.append(&mut more.runs);
        }
        self.keys.append(&mut more.keys);
        self.values.append(&mut more.values);
        self.answered += more.answered;
        self.applied += more.applied;
        self.open += more.open;
        self.urgent |= more.urgent;
    }

    /// Says of the rows of an answer without runs that all stand alone.
    fn name_plain_runs(&mut self) {
        if self.runs.is_empty() && !self.keys.is_empty() {
            self.runs.push(Run { op: Op::Pull, n: self.keys.len() as u32, group: 0 });
        }
    }

    /// Leaves out the runs of an answer if all its rows stand alone.
    pub(crate) fn drop_plain_runs(&mut self) {
        if self.runs.iter().all(|run| run.group == 0) {
            self.runs.clear();
        }
    }

    /// Empties it but keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.keys.clear();
        self.values.clear();
        self.deltas.clear();
        (self.answered, self.applied, self.open) = (0, 0, 0);
        self.set_flags(0);
    }

    fn flags(&self) -> u32 {
        let flags = [self.urgent, self.finished, self.snapshot, self.hot];
        flags.iter().rev().fold(0, |bits, flag| bits << 1 | u32::from(*flag))
    }

    fn set_flags(&mut self, bits: u32) {
        let flags = [&mut self.urgent, &mut self.finished, &mut self.snapshot, &mut self.hot];
        flags.into_iter().enumerate().for_each(|(i, flag)| *flag = bits >> i & 1 == 1);
    }
}

/// First word of the wire form: the letters `WB` and the version of the format.
const FORMAT: u32 = u32::from_le_bytes([b'W', b'B', 3, 0]);
const HEADER_WORDS: usize = 12;
const HEADER_BYTES: usize = 4 * HEADER_WORDS + 24;
/// Bytes of a run.
const RUN_BYTES: usize = 12;

/// Wire form, little-endian: twelve `u32` (format, destination, from, flags; number of runs, keys, values,
/// deltas; bytes of keys, values, deltas; open), `u64` answered, `u64` applied, `u64` checksum (XXH3 of what is
/// before it, xor XXH3 of what follows), then the runs (three `u32` each: 0 pull, 1 push or 2 push and pull;
/// how many; group), keys, values and deltas as the module `element` writes them. Flags are the bits urgent,
/// finished, snapshot and hot, from the lowest; `open` is signed.
impl<K: Key, E: Element, D: Element> Packet for Block<K, E, D> {
    fn destination(&self) -> usize {
        self.destination as usize
    }

    fn records(&self) -> usize {
        if self.is_empty() { 0 } else { self.keys.len().max(1) }
    }

    fn bytes(&self) -> usize {
        size_of_val(self.runs.as_slice())
            + size_of_val(self.keys.as_slice())
            + size_of_val(self.values.as_slice())
            + size_of_val(self.deltas.as_slice())
    }

    fn encoded_len(&self) -> usize {
        HEADER_BYTES
            + RUN_BYTES * self.runs.len()
            + element::encoded_len(&self.keys)
            + element::encoded_len(&self.values)
            + element::encoded_len(&self.deltas)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        for run in &self.runs {
            [run.op as u32, run.n, run.group].iter().for_each(|word| out.extend(word.to_le_bytes()));
        }
        let mut ends = [0; 4];
        ends[0] = out.len();
        element::encode(&self.keys, out);
        ends[1] = out.len();
        element::encode(&self.values, out);
        ends[2] = out.len();
        element::encode(&self.deltas, out);
        ends[3] = out.len();
        let lens = [1, 2, 3].map(|i| ends[i] - ends[i - 1]);
        let counts = [self.runs.len(), self.keys.len(), self.values.len(), self.deltas.len()];
        let mut words = vec![FORMAT, self.destination, self.from, self.flags()];
        words.extend(counts.into_iter().chain(lens).map(|n| n as u32));
        words.push(self.open.cast_unsigned());
        let header = &mut out[start..start + HEADER_BYTES];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        header[HEADER_BYTES - 24..HEADER_BYTES - 16].copy_from_slice(&self.answered.to_le_bytes());
        header[HEADER_BYTES - 16..HEADER_BYTES - 8].copy_from_slice(&self.applied.to_le_bytes());
        let sum = checksum(&out[start..]);
        out[start + HEADER_BYTES - 8..start + HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let header = Header::read(bytes)?;
        let [runs, keys, values, deltas] = header.sections(bytes)?;
        let mut block = Block {
            destination: header.words[1],
            from: header.words[2],
            runs: decode_runs(runs)?,
            keys: element::decode(keys, header.count(5))?,
            values: element::decode(values, header.count(6))?,
            deltas: element::decode(deltas, header.count(7))?,
            answered: header.answered,
            applied: header.applied,
            open: header.words[11].cast_signed(),
            ..Block::default()
        };
        block.set_flags(header.words[3]);
        let operations = block.count(|_op| true);
        if !block.runs.is_empty() && operations != block.keys.len() {
            let keys = block.keys.len();
            return Err(Error::data(format!("block of {keys} keys with {operations} operations")));
        }
        Ok(block)
    }
}

/// Checksum of an encoded block, with its own place left out.
fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(&bytes[..HEADER_BYTES - 8]) ^ xxh3_64(&bytes[HEADER_BYTES..])
}

struct Header {
    words: [u32; HEADER_WORDS],
    answered: u64,
    applied: u64,
    sum: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < HEADER_BYTES {
            return Err(Error::data(format!(
                "block of {} bytes, expected {HEADER_BYTES} or more",
                bytes.len()
            )));
        }
        let mut words = [0; HEADER_WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let long = |at: usize| bytes[at..at + 8].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
        if words[0] != FORMAT {
            return Err(Error::data(format!("block format {:#x}, expected {FORMAT:#x}", words[0])));
        }
        let (answered, applied) = (long(HEADER_BYTES - 24), long(HEADER_BYTES - 16));
        Ok(Header { words, answered, applied, sum: long(HEADER_BYTES - 8) })
    }

    fn count(&self, at: usize) -> usize {
        self.words[at] as usize
    }

    /// The bytes of runs, keys, values and deltas, after their checksum was found right. Padding may follow.
    fn sections<'a>(&self, bytes: &'a [u8]) -> Result<[&'a [u8]; 4]> {
        let lens = [RUN_BYTES * self.count(4), self.count(8), self.count(9), self.count(10)];
        let total = HEADER_BYTES + lens.iter().sum::<usize>();
        if bytes.len() < total {
            return Err(Error::data(format!("block of {} bytes, its header says {total}", bytes.len())));
        }
        if checksum(&bytes[..total]) != self.sum {
            return Err(Error::data("block with a wrong checksum"));
        }
        let mut rest = &bytes[HEADER_BYTES..total];
        Ok(lens.map(|len| {
            let (section, more) = rest.split_at(len);
            rest = more;
            section
        }))
    }
}

fn decode_runs(bytes: &[u8]) -> Result<Vec<Run>> {
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let read = |run: &[u8]| {
        let op = match word(run) {
            0 => Op::Pull,
            1 => Op::Push,
            2 => Op::PushPull,
            other => return Err(Error::data(format!("operation {other} in a block, expected 0 to 2"))),
        };
        Ok(Run { op, n: word(&run[4..]), group: word(&run[8..]) })
    };
    bytes.chunks_exact(RUN_BYTES).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type NumberBlock = Block<u64, f32, f32>;

    fn sample() -> NumberBlock {
        Block {
            destination: 1,
            from: 2,
            urgent: true,
            finished: false,
            snapshot: true,
            hot: true,
            runs: [(Op::Pull, 1, 3), (Op::Push, 2, 0)].map(|(op, n, group)| Run { op, n, group }).to_vec(),
            keys: vec![7, u64::MAX, 0],
            values: vec![],
            deltas: vec![0.5, -1.0],
            answered: 8,
            applied: 9,
            open: -4,
        }
    }

    fn encoded(block: &NumberBlock) -> Vec<u8> {
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        assert_eq!(bytes.len(), block.encoded_len());
        bytes
    }

    fn fields(block: &NumberBlock) -> impl PartialEq + std::fmt::Debug {
        let numbers = (block.destination, block.from, block.answered, block.applied, block.open);
        let numbers = (numbers, block.flags());
        (numbers, block.runs.clone(), block.keys.clone(), block.values.clone(), block.deltas.clone())
    }

    /// The wire form is part of the protocol between processes of one version.
    #[test]
    fn block_has_its_golden_bytes() {
        let bytes = encoded(&sample());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    /// Made with another implementation of XXH3.
    const GOLDEN: &str = "5742030001000000020000000d00000002000000030000000000000002000000180000000000000008000000fcffffff08000000000000000900000000000000814737611300b8da0000000001000000\
                          030000000100000002000000000000000700000000000000ffffffffffffffff00000000000000000000003f000080bf";

    #[test]
    fn every_flipped_byte_of_a_block_is_detected() {
        let bytes = encoded(&sample());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert!(NumberBlock::decode(&bad).is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(NumberBlock::decode(&bytes[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn block_of_strings_survives_the_wire() {
        let block: Block<String, Vec<i32>, bool> = Block {
            keys: vec!["a".into(), "bb".into()],
            values: vec![vec![1, 2], vec![]],
            deltas: vec![true],
            ..Block::default()
        };
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        bytes.extend([0; 7]);
        let back = Block::<String, Vec<i32>, bool>::decode(&bytes).unwrap();
        assert_eq!((back.keys, back.values, back.deltas), (block.keys, block.values, block.deltas));
    }

    proptest! {
        #[test]
        fn block_survives_the_wire(keys in prop::collection::vec(any::<u64>(), 0..50), width in 1usize..4) {
            let values = keys.iter().flat_map(|key| vec![*key as f32; width]).collect();
            let block = NumberBlock { keys, values, ..sample() };
            let block = NumberBlock { runs: vec![], ..block };
            let back = NumberBlock::decode(&encoded(&block)).unwrap();
            prop_assert_eq!(fields(&back), fields(&block));
        }

        #[test]
        fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(NumberBlock::decode(&bytes).is_err());
        }
    }
}

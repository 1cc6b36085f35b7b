//! Records of equal width, side by side in chunks: growth never copies more than one chunk.

/// Bytes of a chunk at most, unless one record is larger.
const CHUNK_BYTES: usize = 4 << 20;

/// Records of `width` elements, numbered from 0.
pub(crate) struct Slab<T> {
    width: usize,
    /// A chunk holds two to this power of records.
    shift: u32,
    chunks: Vec<Vec<T>>,
    records: usize,
    /// Elements that there is memory for.
    capacity: usize,
    /// A chunk that became empty, so that coming and going at its edge costs nothing.
    spare: Option<Vec<T>>,
}

impl<T: Clone> Slab<T> {
    /// For records of `width` elements.
    pub(crate) fn new(width: usize) -> Self {
        Self::with_chunks(width, (CHUNK_BYTES / (width * size_of::<T>()).max(1)).max(1).ilog2())
    }

    /// With chunks of two to the power of `shift` records.
    fn with_chunks(width: usize, shift: u32) -> Self {
        Slab { width, shift, chunks: Vec::new(), records: 0, capacity: 0, spare: None }
    }

    /// Chunk of a record and where it begins there.
    #[inline]
    fn place(&self, record: usize) -> (usize, usize) {
        (record >> self.shift, (record & ((1 << self.shift) - 1)) * self.width)
    }

    /// The elements of a record that is there.
    #[inline]
    pub(crate) fn get(&self, record: usize) -> Option<&[T]> {
        let (chunk, at) = self.place(record);
        self.chunks.get(chunk)?.get(at..at + self.width)
    }

    /// The elements of a record that is there.
    #[inline]
    pub(crate) fn get_mut(&mut self, record: usize) -> Option<&mut [T]> {
        let (chunk, at) = self.place(record);
        self.chunks.get_mut(chunk)?.get_mut(at..at + self.width)
    }

    /// The records that there is memory for, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.chunks.iter().enumerate().flat_map(move |(chunk, records)| {
            let records = records.chunks_exact(self.width.max(1)).enumerate();
            records.map(move |(i, record)| ((chunk << self.shift) + i, record))
        })
    }

    /// The number behind that of the last record that there may be memory for.
    pub(crate) fn end(&self) -> usize {
        self.chunks.len() << self.shift
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// Memory of the records, used or not, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.capacity * size_of::<T>()
    }

    /// Appends a record of exactly `width` elements and returns its number.
    pub(crate) fn push(&mut self, record: impl IntoIterator<Item = T>) -> usize {
        let (number, full) = (self.records, self.width << self.shift);
        if number >> self.shift == self.chunks.len() {
            let chunk = self.spare.take().unwrap_or_else(|| match self.chunks.is_empty() {
                // The first chunk grows with its records; the others come whole.
                true => Vec::new(),
                false => Vec::with_capacity(full),
            });
            self.capacity += chunk.capacity();
            self.chunks.push(chunk);
        }
        if let Some(chunk) = self.chunks.last_mut() {
            let before = chunk.capacity();
            chunk.extend(record);
            self.capacity += chunk.capacity() - before;
        }
        self.records += 1;
        number
    }

    /// Removes a record; the last one takes its number.
    pub(crate) fn swap_remove(&mut self, record: usize) {
        let last = self.records - 1;
        let (chunk, start) = self.place(record);
        for at in (start..start + self.width).rev() {
            let moved = self.chunks.last_mut().and_then(Vec::pop);
            if let Some(element) = moved.filter(|_| record != last) {
                self.chunks[chunk][at] = element;
            }
        }
        self.records = last;
        if let Some(empty) = self.chunks.pop_if(|chunk| chunk.is_empty()) {
            self.capacity -= empty.capacity();
            self.spare = Some(empty);
        }
    }

    /// Makes the chunk of a record, filled with `blank`, if it is not there; in all there are to be `total` records.
    pub(crate) fn make(&mut self, record: usize, total: usize, blank: &T) {
        let (chunk, _) = self.place(record);
        if chunk >= self.chunks.len() {
            self.chunks.resize_with(chunk + 1, Vec::new);
        }
        if self.chunks[chunk].is_empty() {
            let records = (total - (chunk << self.shift)).min(1 << self.shift);
            self.chunks[chunk] = vec![blank.clone(); records * self.width];
            self.capacity += records * self.width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Records so wide that a chunk holds four.
    fn wide() -> Slab<[u8; 1 << 19]> {
        Slab::new(2)
    }

    fn record(n: u8) -> Vec<[u8; 1 << 19]> {
        vec![[n; 1 << 19]; 2]
    }

    #[test]
    fn slab_grows_by_chunks_and_leaves_records_where_they_are() {
        let mut slab = wide();
        (0..4).for_each(|n| assert_eq!(slab.push(record(n)), n as usize));
        let first = slab.get(0).unwrap().as_ptr();
        (4..9).for_each(|n| assert_eq!(slab.push(record(n)), n as usize));
        assert_eq!(slab.get(0).unwrap().as_ptr(), first);
        assert_eq!((slab.len(), slab.bytes()), (9, 3 * CHUNK_BYTES));
        assert!((0..9).all(|n| slab.get(n).unwrap()[1][7] == n as u8));
    }

    #[test]
    fn made_chunks_hold_blanks_and_the_last_one_is_short() {
        let mut slab: Slab<u64> = Slab::new(1 << 17);
        slab.make(9, 10, &7);
        assert_eq!(slab.bytes(), 2 << 20);
        assert!(slab.get(0).is_none() && slab.get(10).is_none());
        assert_eq!(slab.get(9).unwrap()[..2], [7, 7]);
    }

    proptest! {
        /// Against a vector of records.
        #[test]
        fn slab_does_what_a_vector_does(ops in prop::collection::vec(any::<u8>(), 1..60)) {
            let (mut slab, mut reference) = (Slab::with_chunks(3, 2), Vec::new());
            for op in ops {
                if op % 3 == 0 && !reference.is_empty() {
                    let at = op as usize % reference.len();
                    slab.swap_remove(at);
                    reference.swap_remove(at);
                } else {
                    slab.push([op; 3]);
                    reference.push(op);
                }
                prop_assert_eq!(slab.len(), reference.len());
                for (at, expected) in reference.iter().enumerate() {
                    prop_assert_eq!(slab.get(at).unwrap(), [*expected; 3]);
                }
            }
            prop_assert!(slab.get(reference.len()).is_none());
        }
    }
}

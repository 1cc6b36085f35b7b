//! Vectors by id, in buckets ordered by length.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Result};

use super::bucket::Bucket;

/// Greatest length of a vector. The product of two is finite in `f32`, and so is each sum on the way to it.
const MAX_LENGTH: f64 = 1e18;

/// An index of vectors by id for exact top-K queries by inner product, kept up under inserts, updates and removals.
///
/// The vectors lie in buckets, and the buckets are ordered by length, longest first. A change touches one bucket; one
/// that is full is split in two, and one that is nearly empty joins its neighbour. An update that keeps its vector in
/// its bucket, as a step of training mostly does, is a write in place. A change costs `O(log n + dim)`, and in the mean
/// a share of splitting buckets; queries copy and rebuild nothing. Memory is about `4 dim + 40` bytes a vector, and up to twice
/// that where buckets are half full.
///
/// Vectors are `f32`, as the factors of [`mf`](crate::mf). A score is the sum of the products of all coordinates,
/// from the first on, in `f32`.
///
/// # Examples
/// ```
/// use waterwheel_ml::retrieval::{InnerProductIndex, Pruning};
///
/// let mut index = InnerProductIndex::new(2)?;
/// index.insert(7, &[3.0, 0.0])?;
/// index.insert(8, &[1.0, 1.0])?;
/// index.insert(9, &[-5.0, 0.5])?;
/// let found = index.top_k(&[1.0, 2.0], 2, Pruning::default(), |_id| false)?;
/// let found: Vec<_> = found.best.iter().map(|scored| (scored.item, scored.score)).collect();
/// assert_eq!(found, [(7, 3.0), (8, 3.0)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InnerProductIndex {
    dim: usize,
    bucket_size: usize,
    /// By slot, some of them free.
    buckets: Vec<Bucket>,
    free: Vec<u32>,
    /// The buckets in use, longest vectors first; the first one begins before every vector.
    order: Vec<Range>,
    places: FxHashMap<u64, Place>,
}

/// A bucket that holds the vectors from `first` to where the next range begins.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: Rank,
    slot: u32,
}

/// Where a vector stands in the order: longer ones first, equal ones by id. No two have the same rank.
#[derive(Clone, Copy, Debug)]
struct Rank {
    length: f32,
    id: u64,
}

impl Rank {
    const FIRST: Rank = Rank { length: f32::INFINITY, id: 0 };

    fn order(&self, other: &Self) -> Ordering {
        other.length.total_cmp(&self.length).then(self.id.cmp(&other.id))
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u32,
    row: u32,
}

impl InnerProductIndex {
    /// Vectors of a bucket, at most, where nothing else is said.
    pub const BUCKET_SIZE: usize = 1_024;

    /// An empty index of vectors with so many coordinates, 1 to 65,536.
    ///
    /// # Errors
    /// The number of coordinates is out of its range.
    pub fn new(dim: usize) -> Result<Self> {
        Self::with_bucket_size(dim, Self::BUCKET_SIZE)
    }

    /// The same with buckets of so many vectors at most, 16 to 65,536. Smaller buckets rule out more as a whole, and
    /// larger ones cost less each; a bucket should fit the second-level cache. It changes no answer.
    ///
    /// # Errors
    /// A size is out of its range.
    pub fn with_bucket_size(dim: usize, bucket_size: usize) -> Result<Self> {
        for (what, size, least) in [("coordinates", dim, 1), ("bucket size", bucket_size, 16)] {
            if !(least..=65_536).contains(&size) {
                return Err(Error::config(format!("index: {what}: found {size}, expected {least} to 65536")));
            }
        }
        Ok(InnerProductIndex {
            dim,
            bucket_size,
            buckets: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            places: FxHashMap::default(),
        })
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The vector of an id.
    pub fn get(&self, id: u64) -> Option<Vec<f32>> {
        let place = self.places.get(&id)?;
        Some(self.buckets[place.slot as usize].vector(place.row as usize).collect())
    }

    /// Adds the vector of an id, or replaces the one it has. Returns whether the id is new.
    ///
    /// # Errors
    /// The vector has another number of coordinates, one that is not finite, or a length above 1e18. The index is as
    /// before then.
    pub fn insert(&mut self, id: u64, vector: &[f32]) -> Result<bool> {
        let length = self.length_of(vector).map_err(|what| Error::data(format!("vector {id}: {what}")))?;
        let rank = Rank { length, id };
        let old = self.places.get(&id).copied();
        if let Some(place) = old {
            if self.order[self.position(&rank)].slot == place.slot {
                let bucket = &mut self.buckets[place.slot as usize];
                bucket.replace(place.row as usize, length, vector.iter().copied());
                return Ok(false);
            }
            self.take_out(id, place);
        }
        if self.order.is_empty() {
            let slot = self.slot();
            self.order.push(Range { first: Rank::FIRST, slot });
        }
        let position = self.position(&rank);
        let slot = self.order[position].slot;
        let bucket = &mut self.buckets[slot as usize];
        self.places.insert(id, Place { slot, row: bucket.rows() as u32 });
        bucket.push(id, length, vector.iter().copied());
        if bucket.rows() > self.bucket_size {
            self.split(position);
        }
        Ok(old.is_none())
    }

    /// Takes out the vector of an id. Returns whether there was one.
    pub fn remove(&mut self, id: u64) -> bool {
        match self.places.remove(&id) {
            Some(place) => {
                self.take_out(id, place);
                true
            }
            None => false,
        }
    }

    /// Buckets from the longest vectors on.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Bucket> {
        self.order.iter().map(|range| &self.buckets[range.slot as usize])
    }

    /// The length of a vector of this index, rounded up, so that it is never below the true one; 0 only for zeros.
    pub(super) fn length_of(&self, vector: &[f32]) -> Result<f32, String> {
        let (found, expected) = (vector.len(), self.dim);
        if found != expected {
            return Err(format!("found {found} coordinates, expected {expected}"));
        }
        if let Some(at) = vector.iter().position(|x| !x.is_finite()) {
            return Err(format!("coordinate {at} is {}, expected a finite number", vector[at]));
        }
        let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if length > MAX_LENGTH {
            return Err(format!("its length is {length}, expected at most {MAX_LENGTH:e}"));
        }
        // The sum is off by 65,536 roundings of 2^-53 at most, the cast by half a step of f32, and this is a whole one.
        Ok(if length == 0.0 { 0.0 } else { (length as f32).next_up() })
    }

    /// Which range a rank falls in; there is one.
    fn position(&self, rank: &Rank) -> usize {
        self.order.partition_point(|range| range.first.order(rank).is_le()).saturating_sub(1)
    }

    /// A slot with an empty bucket.
    fn slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.buckets.push(Bucket::new(self.dim));
            self.buckets.len() as u32 - 1
        })
    }

    fn take_out(&mut self, id: u64, place: Place) {
        let (slot, row) = (place.slot as usize, place.row as usize);
        let position = self.position(&Rank { length: self.buckets[slot].length(row), id });
        let bucket = &mut self.buckets[slot];
        bucket.swap_remove(row);
        let rows = bucket.rows();
        if row < rows {
            self.places.insert(bucket.id(row), place);
        }
        if rows <= self.bucket_size / 4 {
            self.join(position);
        }
    }

    /// Halves a bucket: the longer vectors stay.
    fn split(&mut self, position: usize) {
        let slot = self.order[position].slot;
        let full = std::mem::replace(&mut self.buckets[slot as usize], Bucket::new(self.dim));
        let mut ranks: Vec<(Rank, usize)> =
            (0..full.rows()).map(|row| (Rank { length: full.length(row), id: full.id(row) }, row)).collect();
        ranks.sort_unstable_by(|(a, _), (b, _)| a.order(b));
        let half = ranks.len() / 2;
        let right = self.slot();
        self.order.insert(position + 1, Range { first: ranks[half].0, slot: right });
        for (slot, ranks) in [(slot, &ranks[..half]), (right, &ranks[half..])] {
            ranks.iter().for_each(|(_, row)| self.move_to(slot, &full, *row));
        }
    }

    /// Moves all vectors of a bucket and of its neighbour into one, if that leaves room for more.
    fn join(&mut self, position: usize) {
        let left = position.min(self.order.len().saturating_sub(2));
        let Some(&[Range { slot: to, .. }, Range { slot: from, .. }]) = self.order[left..].first_chunk::<2>()
        else {
            return;
        };
        let [to_rows, from_rows] = [to, from].map(|slot| self.buckets[slot as usize].rows());
        if to_rows > 0 && from_rows > 0 && to_rows + from_rows > self.bucket_size / 4 * 3 {
            return;
        }
        self.order.remove(left + 1);
        let emptied = std::mem::replace(&mut self.buckets[from as usize], Bucket::new(self.dim));
        (0..emptied.rows()).for_each(|row| self.move_to(to, &emptied, row));
        self.free.push(from);
    }

    /// Copies a row of a bucket that is no longer in use.
    fn move_to(&mut self, slot: u32, from: &Bucket, row: usize) {
        let (id, to) = (from.id(row), &mut self.buckets[slot as usize]);
        self.places.insert(id, Place { slot, row: to.rows() as u32 });
        to.push(id, from.length(row), from.vector(row));
    }
}

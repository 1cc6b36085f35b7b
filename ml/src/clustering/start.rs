//! First centroids that depend on the points and a seed alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The `k` different points with the least hashes: the same whoever has seen which of them, in whatever order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    k: usize,
    seed: u64,
    /// By hash and bits.
    points: BTreeMap<(u64, Vec<u64>), Vec<f64>>,
}

impl Sample {
    pub(crate) fn new(k: usize, seed: u64) -> Self {
        Sample { k, seed, points: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, point: &[f64]) {
        // 0 and -0 are one point.
        let bits = point.iter().map(|x| if *x == 0.0 { 0 } else { x.to_bits() });
        let bytes: Vec<u8> = bits.clone().flat_map(u64::to_le_bytes).collect();
        let hash = xxh3_64_with_seed(&bytes, self.seed);
        if self.points.len() == self.k
            && self.points.last_key_value().is_some_and(|((last, _), _)| *last < hash)
        {
            return;
        }
        self.points.entry((hash, bits.collect())).or_insert_with(|| point.to_vec());
        if self.points.len() > self.k {
            self.points.pop_last();
        }
    }

    pub(crate) fn merge(&mut self, other: Sample) {
        other.points.into_values().for_each(|point| self.add(&point));
    }

    pub(crate) fn into_points(self) -> impl Iterator<Item = Vec<f64>> {
        self.points.into_values()
    }
}

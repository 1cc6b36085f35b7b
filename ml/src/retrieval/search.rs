//! The search: from the longest vectors on, bucket by bucket, for many queries at once.

use waterwheel_engine::{Error, Result};

use super::bucket::{Bucket, Tile};
use super::filter::Filter;
use super::query::Query;
use super::{InnerProductIndex, Pruning, Scored, TopK};

/// Queries that go through the buckets together: few enough that what they need stays in the cache beside a bucket.
const BATCH: usize = 128;

/// Tiles that one filter is for.
const TILES: usize = 16;

/// The answer to a query, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrieved {
    /// Best first: the highest score, and of equal scores the lowest id.
    pub best: Vec<Scored>,
    /// Vectors that the pruning strategy has kept.
    pub kept: usize,
    /// Vectors that were scored: those kept, and the others of their tiles of sixteen.
    pub scored: usize,
}

impl InnerProductIndex {
    /// The `k` vectors with the highest inner products with `query`; all if there are no more. Ids for which `skip` is
    /// true are left out.
    ///
    /// # Errors
    /// The query has another number of coordinates, one that is not finite, or a length above 1e18; or the strategy has
    /// a number out of its range.
    pub fn top_k(
        &self,
        query: &[f32],
        k: usize,
        pruning: Pruning,
        skip: impl Fn(u64) -> bool,
    ) -> Result<Retrieved> {
        pruning.check()?;
        self.length_of(query).map_err(|what| Error::data(format!("query: {what}")))?;
        let mut search = Search::new(query, k, pruning);
        for bucket in self.in_order() {
            if !search.visit(bucket, pruning, &skip) {
                break;
            }
        }
        Ok(search.into_retrieved())
    }

    /// The same for many queries, one after the other in `queries`. Each bucket is read once for up to 128 of them, so
    /// that a query takes less time than alone. `skip` is asked with the number of the query, from 0, and the id.
    ///
    /// # Errors
    /// Those of [`top_k`](Self::top_k) for any query, or `queries` ends within one.
    pub fn top_k_batch(
        &self,
        queries: &[f32],
        k: usize,
        pruning: Pruning,
        skip: impl Fn(usize, u64) -> bool,
    ) -> Result<Vec<Retrieved>> {
        pruning.check()?;
        for (number, query) in queries.chunks(self.dim()).enumerate() {
            self.length_of(query).map_err(|what| Error::data(format!("query {number}: {what}")))?;
        }
        let mut found = Vec::with_capacity(queries.len() / self.dim());
        for queries in queries.chunks(self.dim() * BATCH) {
            let first = found.len();
            let mut searches: Vec<_> = queries
                .chunks_exact(self.dim())
                .enumerate()
                .map(|(at, query)| (first + at, Search::new(query, k, pruning), true))
                .collect();
            for bucket in self.in_order() {
                let mut any = false;
                for (number, search, goes_on) in searches.iter_mut().filter(|(_, _, goes_on)| *goes_on) {
                    *goes_on = search.visit(bucket, pruning, &|id| skip(*number, id));
                    any |= *goes_on;
                }
                if !any {
                    break;
                }
            }
            found.extend(searches.into_iter().map(|(_, search, _)| search.into_retrieved()));
        }
        Ok(found)
    }
}

/// One query on its way through the buckets.
struct Search<'q> {
    query: Query<'q>,
    k: usize,
    top: TopK,
    kept: usize,
    scored: usize,
}

impl<'q> Search<'q> {
    fn new(query: &'q [f32], k: usize, pruning: Pruning) -> Self {
        Search { query: Query::new(query, pruning.focus()), k, top: TopK::new(k), kept: 0, scored: 0 }
    }

    /// Looks for better ones in a bucket. Returns whether there can be more in the next.
    fn visit(&mut self, bucket: &Bucket, pruning: Pruning, skip: &impl Fn(u64) -> bool) -> bool {
        if self.k == 0 {
            return false;
        }
        // The threshold rises within the bucket, most of all in the first one, so the filter is made anew now and then.
        let mut tiles = bucket.tiles();
        loop {
            let theta = self.top.threshold();
            let Some(filter) = Filter::new(pruning, bucket, &self.query, theta) else { return false };
            let mut any = false;
            for tile in tiles.by_ref().take(TILES) {
                any = true;
                let kept = filter.kept(tile, &self.query);
                if kept > 0 {
                    self.kept += kept;
                    self.scored += tile.ids.len();
                    self.score(tile, skip);
                }
            }
            if !any {
                return true;
            }
        }
    }

    fn score(&mut self, tile: Tile<'_>, skip: &impl Fn(u64) -> bool) {
        let scores = self.query.scores(tile.columns);
        let theta = self.top.threshold().unwrap_or(f32::NEG_INFINITY);
        // Without branches: most tiles have none.
        if !scores.iter().fold(false, |any, score| any | (*score >= theta)) {
            return;
        }
        for (item, score) in tile.ids.iter().zip(scores) {
            if score >= theta && !skip(*item) {
                self.top.offer(Scored { item: *item, score });
            }
        }
    }

    fn into_retrieved(self) -> Retrieved {
        Retrieved { best: self.top.into_best(), kept: self.kept, scored: self.scored }
    }
}

//! Drawing keys at random, to pull what belongs to them.

mod alias;

use std::sync::Arc;

use rustc_hash::FxHashSet;
use waterwheel_engine::random::{below, mixed, sm, unit};
use waterwheel_engine::{Error, Result};

use crate::placement::Placement;
use alias::AliasTable;

/// Draws keys among `0..n`, all alike or by weight: negative samples, mini-batches of parameters.
///
/// What it draws depends on the seed, on the worker and on how much was drawn before, and on nothing else. It draws
/// where it is, on the worker, so that a sample costs no message beyond the pulls of its keys; they can be drawn, and
/// pulled, long before they are needed.
///
/// | setting | default |
/// |---|---|
/// | `seed` | 0 |
/// | `worker`: index of the worker that draws, for draws of its own | 0 |
/// | `on_server`: only keys that are on one server | all keys |
///
/// Time and memory: a draw takes constant time; weights take 24 bytes for each key, shared by clones.
///
/// # References
/// Vose, *A linear algorithm for generating random numbers with a given distribution*, 1991; Lemire, *Fast random
/// integer generation in an interval*, 2019; Efraimidis and Spirakis, *Weighted random sampling with a reservoir*, 2006.
///
/// # Examples
/// Negative samples by the counts of words, to the power of three quarters:
/// ```
/// use waterwheel_ps::KeySampler;
///
/// let counts = [3.0f64, 1.0, 4.0, 2.0];
/// let weights: Vec<f64> = counts.iter().map(|count| count.powf(0.75)).collect();
/// let mut sampler = KeySampler::weighted(&weights)?.seed(7).worker(1);
/// let negatives = sampler.draw_many(5);
/// assert!(negatives.len() == 5 && negatives.iter().all(|key| *key < 4));
/// let mut distinct = sampler.draw_distinct(4)?;
/// distinct.sort();
/// assert_eq!(distinct, [0, 1, 2, 3]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySampler {
    n: u64,
    weights: Option<Arc<AliasTable>>,
    /// The key of each number that is drawn, where they are not the numbers themselves.
    keys: Option<Arc<[u64]>>,
    seed: u64,
    worker: u64,
    drawn: u64,
}

impl KeySampler {
    /// All keys of `0..n` with the same chance, exactly.
    ///
    /// # Errors
    /// There are no keys.
    pub fn uniform(n: u64) -> Result<Self> {
        if n == 0 {
            return Err(Error::config("sampling among 0 keys, expected 1 or more"));
        }
        Ok(KeySampler { n, weights: None, keys: None, seed: 0, worker: 0, drawn: 0 })
    }

    /// Key `i` in proportion to `weights[i]`, exactly up to the rounding of `f64`. A key of weight 0 is never drawn.
    ///
    /// # Errors
    /// A weight is negative or not finite, or all are 0.
    pub fn weighted(weights: &[f64]) -> Result<Self> {
        let weights = AliasTable::new(weights)?;
        let sampler = Self::uniform(weights.len())?;
        Ok(KeySampler { weights: Some(Arc::new(weights)), ..sampler })
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the index of the worker that draws, see [`WorkerContext`](crate::WorkerContext).
    #[must_use]
    pub fn worker(mut self, index: usize) -> Self {
        self.worker = index as u64;
        self
    }

    /// Leaves only the keys that `placement` has on `server` of `servers`; among them, chances are as they were. With
    /// the server beside a worker no sample takes a message. (This is the *local* scheme of AdaPM.)
    ///
    /// # Errors
    /// The placement does not know a key, or no key that can be drawn is left.
    pub fn on_server(self, placement: &Placement<u64>, server: usize, servers: usize) -> Result<Self> {
        let mut keys = Vec::new();
        for number in 0..self.n {
            let key = self.key(number);
            if placement.server_of(&key, servers)? == server {
                keys.push((number, key));
            }
        }
        if keys.is_empty() {
            return Err(Error::config(format!("no key to sample is on server {server} of {servers}")));
        }
        let weights = match &self.weights {
            None => None,
            Some(table) => {
                let left: Vec<f64> = keys.iter().map(|(number, _)| table.weight(*number)).collect();
                Some(Arc::new(AliasTable::new(&left)?))
            }
        };
        let keys: Vec<u64> = keys.into_iter().map(|(_, key)| key).collect();
        Ok(KeySampler { n: keys.len() as u64, weights, keys: Some(keys.into()), ..self })
    }

    /// How far it is: for a [snapshot](crate::WorkerLogic::snapshot). All else is made anew as it was made first.
    pub fn position(&self) -> u64 {
        self.drawn
    }

    /// Goes to a [position](Self::position): what is drawn next is what would have been drawn there.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_ps::KeySampler;
    ///
    /// let mut sampler = KeySampler::uniform(1000)?.seed(7);
    /// sampler.draw_many(10);
    /// let mut restored = KeySampler::uniform(1000)?.seed(7);
    /// restored.seek(sampler.position());
    /// assert_eq!(restored.draw_many(5), sampler.draw_many(5));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn seek(&mut self, position: u64) {
        self.drawn = position;
    }

    /// Draws one key.
    pub fn draw(&mut self) -> u64 {
        let number = self.draw_number();
        self.key(number)
    }

    /// Draws keys with replacement: a key may come more than once.
    pub fn draw_many(&mut self, n: usize) -> Vec<u64> {
        (0..n).map(|_| self.draw()).collect()
    }

    /// Draws keys without replacement: one after the other, each among those that are left.
    ///
    /// # Errors
    /// There are not as many keys of a weight above 0.
    pub fn draw_distinct(&mut self, n: usize) -> Result<Vec<u64>> {
        let available = self.weights.as_ref().map_or(self.n, |table| table.above_zero());
        if n as u64 > available {
            return Err(Error::operator(format!("a sample of {n} different keys of {available}")));
        }
        let (mut chosen, mut sample) = (FxHashSet::default(), Vec::with_capacity(n));
        let mut repeats = 0;
        while sample.len() < n && repeats <= 4 * n + 64 {
            let number = self.draw_number();
            if chosen.insert(number) {
                sample.push(number);
            } else {
                repeats += 1;
            }
        }
        if sample.len() < n {
            // Most of the weight is taken. What is drawn next depends on the keys that are left alone, so the rest can
            // be drawn in another way.
            let rest = self.order_of_the_others(&chosen);
            sample.extend(rest.into_iter().take(n - sample.len()));
        }
        Ok(sample.into_iter().map(|number| self.key(number)).collect())
    }

    /// The numbers that are not chosen, in the order in which they would be drawn: each waits for a time that is
    /// distributed exponentially, with its weight as the rate.
    fn order_of_the_others(&mut self, chosen: &FxHashSet<u64>) -> Vec<u64> {
        let mut times = Vec::new();
        for number in (0..self.n).filter(|number| !chosen.contains(number)) {
            let weight = self.weights.as_ref().map_or(1.0, |table| table.weight(number));
            let (seed, draw) = self.next_draw();
            if weight > 0.0 {
                times.push((-(1.0 - unit(seed, draw)).ln() / weight, number));
            }
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        times.into_iter().map(|(_, number)| number).collect()
    }

    fn draw_number(&mut self) -> u64 {
        let place = self.draw_below();
        let Some(table) = self.weights.clone() else { return place };
        let (seed, draw) = self.next_draw();
        table.at(place, unit(seed, draw))
    }

    /// A number below `n`, all with exactly the same chance: draws that would favour some are drawn again.
    fn draw_below(&mut self) -> u64 {
        loop {
            let (seed, draw) = self.next_draw();
            let draw = sm(seed, draw);
            // The low half of the product tells whether the draw is one of those that are too many.
            if draw.wrapping_mul(self.n) >= self.n.wrapping_neg() % self.n {
                return below(self.n, draw);
            }
        }
    }

    /// The seed of this worker, and the number of its next draw.
    fn next_draw(&mut self) -> (u64, u64) {
        self.drawn += 1;
        (mixed(self.seed ^ mixed(self.worker.wrapping_add(1))), self.drawn)
    }

    fn key(&self, number: u64) -> u64 {
        self.keys.as_ref().and_then(|keys| keys.get(number as usize).copied()).unwrap_or(number)
    }
}

/// How many rows a server is to draw among those that it has; see
/// [`SimpleServer::draw_on`](crate::SimpleServer::draw_on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Number of rows, with replacement.
    pub rows: usize,
    /// What is drawn is a function of the seed and of the rows that are there.
    pub seed: u64,
}

impl Draw {
    /// The random numbers of the draws.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u64> {
        (0..self.rows as u64).map(move |n| sm(mixed(self.seed), n))
    }
}

/// Place that a random number chooses among weights with these running sums; `None` if all are 0.
pub(crate) fn pick(sums: &[f64], number: u64) -> Option<usize> {
    let sum = sums.last().copied().filter(|sum| *sum > 0.0)?;
    let at = (number >> 11) as f64 / (1u64 << 53) as f64 * sum;
    let place = sums.partition_point(|sum| *sum <= at);
    // A product that is rounded up to the whole sum belongs to the last place that has a weight.
    Some(place.min(sums.partition_point(|before| *before < sum)))
}

#[cfg(test)]
mod tests;

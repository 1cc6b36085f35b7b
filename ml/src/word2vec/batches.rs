//! Pairs of words from sentences, batch by batch.

use waterwheel_engine::Result;
use waterwheel_ps::KeySampler;

use super::Word2Vec;
use crate::generate::{sm, unit};

/// Pairs of words, row by row of both matrices, and whether they were near each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) left: Vec<u64>,
    pub(super) right: Vec<u64>,
    pub(super) near: Vec<bool>,
    pub(super) rate: f32,
}

/// Cuts the text of a worker into batches, epoch by epoch.
#[derive(Debug)]
pub(super) struct Batches {
    window: usize,
    negatives: usize,
    batch: usize,
    first_rate: f64,
    /// The chance of each word to stay.
    stays: Vec<f64>,
    sampler: KeySampler,
    seed: u64,
    drawn: u64,
    /// Tokens of all epochs, and those that are done.
    tokens: u64,
    done: u64,
    /// Where the next sentence begins in the epoch.
    sentence: usize,
    /// Words of the present sentence that have stayed, and the next one that is looked at.
    words: Vec<u32>,
    next: usize,
}

/// What the step size falls to.
const LAST_RATE: f64 = 1e-4;

impl Batches {
    pub(super) fn new(word2vec: &Word2Vec, worker: usize) -> Result<Self> {
        let counts = word2vec.counts();
        let total = counts.iter().map(|count| *count as f64).sum::<f64>();
        let stays = |count: &u64| {
            let ratio = word2vec.subsample() * total / *count as f64;
            if word2vec.subsample() == 0.0 || *count == 0 { 1.0 } else { ratio.sqrt() + ratio }
        };
        let weights: Vec<f64> = counts.iter().map(|count| (*count as f64).powf(0.75)).collect();
        Ok(Batches {
            window: word2vec.window(),
            negatives: word2vec.negatives(),
            batch: word2vec.batch(),
            first_rate: word2vec.learning_rate(),
            stays: counts.iter().map(stays).collect(),
            sampler: KeySampler::weighted(&weights)?.seed(word2vec.seed()).worker(worker),
            seed: sm(sm(word2vec.seed(), 2), worker as u64),
            drawn: 0,
            tokens: 1,
            done: 0,
            sentence: 0,
            words: Vec::new(),
            next: 0,
        })
    }

    /// Says how many tokens there are in all epochs.
    pub(super) fn expect(&mut self, tokens: u64) {
        self.tokens = tokens.max(1);
    }

    /// Where it is, between two epochs: numbers that were drawn, words that were drawn, tokens that are done.
    pub(super) fn position(&self) -> (u64, u64, u64) {
        (self.drawn, self.sampler.position(), self.done)
    }

    /// Goes where another one was.
    pub(super) fn seek(&mut self, (drawn, words, done): (u64, u64, u64)) {
        (self.drawn, self.done) = (drawn, done);
        self.sampler.seek(words);
    }

    /// Begins an epoch.
    pub(super) fn begin_epoch(&mut self) {
        (self.sentence, self.next) = (0, 0);
        self.words.clear();
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        sm(self.seed, self.drawn)
    }

    /// The next batch of the epoch: full, or the last one; `None` at the end.
    pub(super) fn next_batch(&mut self, sentences: &[(u64, Vec<u32>)]) -> Option<Batch> {
        let left = 1.0 - self.done as f64 / self.tokens as f64;
        let rate = self.first_rate * left.max(LAST_RATE);
        let mut batch = Batch { rate: rate as f32, ..Batch::default() };
        while batch.near.len() < self.batch {
            if self.next < self.words.len() {
                self.look_at(self.next, &mut batch);
                self.next += 1;
            } else if self.sentence < sentences.len() {
                self.take_sentence(&sentences[self.sentence].1);
            } else {
                break;
            }
        }
        (!batch.near.is_empty()).then_some(batch)
    }

    /// Goes on to a sentence, without the words that are left out this time.
    fn take_sentence(&mut self, sentence: &[u32]) {
        self.sentence += 1;
        self.next = 0;
        self.done += sentence.len() as u64;
        self.words.clear();
        for word in sentence {
            self.drawn += 1;
            if unit(self.seed, self.drawn) < self.stays[*word as usize] {
                self.words.push(*word);
            }
        }
    }

    /// Adds the pairs of a word with those near it, each with words drawn in place of it.
    fn look_at(&mut self, at: usize, batch: &mut Batch) {
        let reach = 1 + (self.draw() % self.window as u64) as usize;
        let near = at.saturating_sub(reach)..(at + reach + 1).min(self.words.len());
        let word = u64::from(self.words[at]);
        for other in near.filter(|other| *other != at) {
            let other = u64::from(self.words[other]);
            batch.push(word, other, true);
            for _ in 0..self.negatives {
                let drawn = self.sampler.draw();
                // One that really is near says nothing.
                if drawn != other {
                    batch.push(word, drawn, false);
                }
            }
        }
    }
}

impl Batch {
    fn push(&mut self, left: u64, right: u64, near: bool) {
        self.left.push(left);
        self.right.push(right);
        self.near.push(near);
    }

    /// By how much each pair moves, given the products of its vectors.
    pub(super) fn factors(&self, products: &[f32]) -> Vec<f32> {
        let factor = |(near, product): (&bool, &f32)| {
            let label = if *near { 1.0 } else { 0.0 };
            self.rate * (label - 1.0 / (1.0 + (-product).exp()))
        };
        self.near.iter().zip(products).map(factor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word2vec::Word2VecParams;

    fn all(params: Word2VecParams, counts: Vec<u64>, sentences: &[Vec<u32>]) -> Vec<Batch> {
        let mut batches = Batches::new(&params.build(counts).unwrap(), 0).unwrap();
        batches.expect(sentences.iter().map(|sentence| sentence.len() as u64).sum());
        batches.begin_epoch();
        let sentences: Vec<_> = (0..).zip(sentences.to_vec()).collect();
        std::iter::from_fn(|| batches.next_batch(&sentences)).collect()
    }

    #[test]
    fn pairs_are_within_the_window_and_both_ways() {
        let params = Word2VecParams::new().window(1).subsample(0.0).negatives(2).batch(4);
        let batches = all(params, vec![1; 4], &[vec![0, 1, 2], vec![3]]);
        let near: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.left.iter().zip(&batch.right).zip(&batch.near))
            .filter(|(_, near)| **near)
            .map(|((left, right), _)| (*left, *right))
            .collect();
        assert_eq!(near, [(0, 1), (1, 0), (1, 2), (2, 1)]);
        for batch in &batches {
            let mut present = 0;
            for ((left, right), near) in batch.left.iter().zip(&batch.right).zip(&batch.near) {
                present = if *near { *right } else { present };
                assert!(*near || *right != present, "{left} {right}");
            }
        }
    }

    #[test]
    fn frequent_words_are_left_out_and_the_rate_falls() {
        let text = vec![vec![0u32; 1_000]; 10];
        let pairs = |subsample| {
            let params = Word2VecParams::new().subsample(subsample).window(1).negatives(1);
            all(params, vec![10_000, 10], &text).iter().flat_map(|batch| batch.near.clone()).count()
        };
        let (kept, all_pairs) = (pairs(1e-3), pairs(0.0));
        // sqrt(0.001) + 0.001 of the words.
        assert!((kept as f64 / all_pairs as f64 - 0.033).abs() < 0.01, "{kept} of {all_pairs}");
        let batches = all(Word2VecParams::new().subsample(0.0).batch(64), vec![1, 1], &text);
        let rates: Vec<f32> = batches.iter().map(|batch| batch.rate).collect();
        assert!(rates[0] == 0.025 && rates.is_sorted_by(|a, b| a >= b) && *rates.last().unwrap() > 0.0);
    }

    #[test]
    fn factors_pull_near_pairs_together_and_push_others_apart() {
        let batch = Batch { left: vec![0; 3], right: vec![1; 3], near: vec![true, false, true], rate: 0.5 };
        assert_eq!(batch.factors(&[0.0, 0.0, 1e9]), [0.25, -0.25, 0.0]);
    }
}

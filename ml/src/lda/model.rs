//! A trained model: words by topic.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::Lda;
use crate::generate::{sm, unit};

/// How often each topic is in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentTopics {
    /// The document.
    pub id: u64,
    /// Tokens by topic.
    pub counts: Vec<u32>,
}

/// How often each word was given each topic, with the priors.
#[derive(Clone, Debug, PartialEq)]
pub struct LdaModel {
    words: u32,
    topics: u32,
    alpha: f64,
    beta: f64,
    /// By word and topic.
    counts: Vec<u64>,
    /// By topic.
    totals: Vec<u64>,
}

impl LdaModel {
    /// Of counts by word and topic, row by row.
    ///
    /// # Errors
    /// There are no words or topics, not as many counts as pairs of both, or a prior is not finite and above 0.
    pub fn from_parts(words: u32, topics: u32, priors: (f64, f64), counts: Vec<u64>) -> Result<Self> {
        let (alpha, beta) = priors;
        let expected = words as usize * topics as usize;
        if expected == 0 || counts.len() != expected {
            let found = counts.len();
            return Err(Error::data(format!(
                "lda model: found {found} counts, expected {expected} of {words} words and {topics} topics, 1 or more"
            )));
        }
        if !(alpha.is_finite() && alpha > 0.0 && beta.is_finite() && beta > 0.0) {
            return Err(Error::data(format!(
                "lda model: found the priors {alpha} and {beta}, expected finite numbers above 0"
            )));
        }
        let mut totals = vec![0u64; topics as usize];
        for row in counts.chunks_exact(topics as usize) {
            totals.iter_mut().zip(row).for_each(|(total, n)| *total = total.saturating_add(*n));
        }
        Ok(LdaModel { words, topics, alpha, beta, counts, totals })
    }

    /// Of the rows that servers have at the end.
    pub(super) fn from_counts(lda: &Lda, rows: Vec<(u32, Vec<i64>)>) -> Result<Self> {
        let (words, topics) = (lda.words(), lda.topics() as usize);
        let mut counts = vec![0u64; words as usize * topics];
        for (word, row) in rows.into_iter().filter(|(word, _)| *word < words) {
            for (count, n) in counts[word as usize * topics..].iter_mut().zip(row) {
                *count = u64::try_from(n)
                    .map_err(|_| Error::internal(format!("word {word} was given a topic {n} times")))?;
            }
        }
        Self::from_parts(words, lda.topics(), (lda.alpha(), lda.beta()), counts)
    }

    /// Number of different words.
    pub fn words(&self) -> u32 {
        self.words
    }

    /// Number of topics.
    pub fn topics(&self) -> u32 {
        self.topics
    }

    /// The priors: `alpha`, `beta`.
    pub fn priors(&self) -> (f64, f64) {
        (self.alpha, self.beta)
    }

    /// How often a word was given each topic, if there is the word.
    pub fn row(&self, word: u32) -> Option<&[u64]> {
        let topics = self.topics as usize;
        self.counts.chunks_exact(topics).nth(word as usize)
    }

    /// The probability of a word in a topic: `(n_wk + beta) / (n_k + beta words)`; `None` if there is no such word or topic.
    pub fn probability(&self, word: u32, topic: u32) -> Option<f64> {
        let count = *self.row(word)?.get(topic as usize)?;
        let total = self.totals[topic as usize];
        Some((count as f64 + self.beta) / (total as f64 + self.beta * f64::from(self.words)))
    }

    /// The `n` most likely words of a topic, each with its probability; of equal ones the first.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn top_words(&self, topic: u32, n: usize) -> Result<Vec<(u32, f64)>> {
        if topic >= self.topics {
            return Err(Error::data(format!("found topic {topic}, expected 0 to {}", self.topics - 1)));
        }
        let words = (0..self.words).filter_map(|word| Some((word, self.probability(word, topic)?)));
        let mut words: Vec<_> = words.collect();
        words.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        words.truncate(n);
        Ok(words)
    }

    /// The share of each topic in a document that was not trained on: the mean over the second half of `sweeps` sweeps of
    /// Gibbs sampling with the words' counts as they are. Words that the model does not know are left out; of a document
    /// without any other all shares are the same.
    pub fn infer(&self, words: &[u32], sweeps: u32, seed: u64) -> Vec<f64> {
        let topics = self.topics as usize;
        let words: Vec<u32> = words.iter().copied().filter(|word| *word < self.words).collect();
        let mut drawn = 0;
        let mut draw = || {
            drawn += 1;
            unit(sm(seed, 0), drawn)
        };
        let mut chosen: Vec<usize> = words.iter().map(|_| (draw() * topics as f64) as usize).collect();
        let mut counts = vec![0.0; topics];
        chosen.iter().for_each(|topic| counts[*topic] += 1.0);
        let mut shares = vec![0.0; topics];
        let mut cumulated = vec![0.0; topics];
        for sweep in 0..sweeps.max(1) {
            for (word, topic) in words.iter().zip(&mut chosen) {
                counts[*topic] -= 1.0;
                let mut sum = 0.0;
                for (candidate, place) in cumulated.iter_mut().enumerate() {
                    let likely = self.probability(*word, candidate as u32).unwrap_or_default();
                    sum += (counts[candidate] + self.alpha) * likely;
                    *place = sum;
                }
                let at = draw() * sum;
                *topic = cumulated.partition_point(|sum| *sum <= at).min(topics - 1);
                counts[*topic] += 1.0;
            }
            if 2 * (sweep + 1) > sweeps {
                shares.iter_mut().zip(&counts).for_each(|(share, n)| *share += n + self.alpha);
            }
        }
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Topic 0 is words 0 and 1, topic 1 is words 2 and 3.
    fn model() -> LdaModel {
        LdaModel::from_parts(4, 2, (0.1, 0.01), vec![30, 0, 10, 0, 0, 20, 0, 20]).unwrap()
    }

    #[test]
    fn top_words_are_the_most_likely() {
        let words: Vec<_> = model().top_words(0, 2).unwrap().iter().map(|(word, _)| *word).collect();
        assert_eq!(words, [0, 1]);
        assert_eq!(model().probability(0, 0), Some(30.01 / 40.04));
        assert_eq!(model().probability(9, 0), None);
        assert_eq!(model().top_words(2, 1).unwrap_err().message(), "found topic 2, expected 0 to 1");
    }

    #[test]
    fn topics_of_a_new_document_are_those_of_its_words() {
        let shares = model().infer(&[0, 1, 0, 77], 20, 1);
        assert!(shares[0] > 0.9 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
        assert_eq!(model().infer(&[0, 1, 0, 77], 20, 1), shares);
        assert_eq!(model().infer(&[], 0, 1), [0.5, 0.5]);
    }

    #[test]
    fn counts_that_make_no_model_are_refused() {
        let error = LdaModel::from_parts(2, 2, (0.1, 0.1), vec![1; 3]).unwrap_err();
        assert!(error.message().starts_with("lda model: found 3 counts, expected 4"), "{error}");
        assert!(LdaModel::from_parts(1, 1, (0.0, 0.1), vec![1]).is_err());
        assert!(LdaModel::from_parts(0, 1, (0.1, 0.1), vec![]).is_err());
    }
}

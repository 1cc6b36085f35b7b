//! Draws of a topic for each token of a word.

use waterwheel_engine::Result;
use waterwheel_ps::KeySampler;

use super::Lda;
use super::documents::Documents;
use crate::generate::{sm, unit};

/// What a sampler changes, and what it needs to know.
#[derive(Debug)]
pub(super) struct Sampler {
    alpha: f64,
    beta: f64,
    /// `beta` times the number of words.
    beta_sum: f64,
    topics: usize,
    mh_steps: u32,
    seed: u64,
    /// How many numbers were drawn.
    pub(super) drawn: u64,
    /// Tokens by topic, over all documents of all workers.
    pub(super) totals: Vec<i64>,
    /// The proposal of the present word: how likely each topic was when the table was made.
    weights: Vec<f64>,
    /// Of the present token the sums of the likelihoods of the topics up to each.
    cumulated: Vec<f64>,
}

/// A token among those of its document.
struct Token<'d> {
    /// The topic of each token.
    topics: &'d [u32],
    /// Which of them it is.
    own: usize,
    /// How often each topic is there, without it.
    counts: &'d [u32],
}

impl Sampler {
    pub(super) fn new(lda: &Lda, worker: usize) -> Self {
        Sampler {
            alpha: lda.alpha(),
            beta: lda.beta(),
            beta_sum: lda.beta() * f64::from(lda.words()),
            topics: lda.topics() as usize,
            mh_steps: lda.mh_steps(),
            seed: sm(sm(lda.seed(), 1), worker as u64),
            drawn: 0,
            totals: Vec::new(),
            weights: Vec::new(),
            cumulated: vec![0.0; lda.topics() as usize],
        }
    }

    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        unit(self.seed, self.drawn)
    }

    /// Draws new topics for all tokens of the word at a place, whose counts by topic are `row`.
    pub(super) fn sample_word(
        &mut self,
        documents: &mut Documents,
        place: usize,
        row: &mut [i64],
    ) -> Result<()> {
        let mut proposals = if self.mh_steps > 0 { Some(self.proposals(row)?) } else { None };
        for token in 0..documents.tokens_of(place).len() {
            let (at, document) = documents.tokens_of(place)[token];
            self.sample_token(documents, (at, document), row, proposals.as_mut());
        }
        Ok(())
    }

    /// Draws topics by the counts of a word as they are now.
    fn proposals(&mut self, row: &[i64]) -> Result<KeySampler> {
        self.weights = (0..self.topics).map(|topic| self.of_word(row, topic)).collect();
        self.drawn += 1;
        Ok(KeySampler::weighted(&self.weights)?.seed(sm(self.seed, self.drawn)))
    }

    /// A new topic for one token, which is taken out of all counts meanwhile.
    fn sample_token(
        &mut self,
        documents: &mut Documents,
        (at, document): (usize, u32),
        row: &mut [i64],
        proposals: Option<&mut KeySampler>,
    ) {
        let range = documents.range(document);
        let first = document as usize * self.topics;
        let old = documents.topics[at] as usize;
        documents.counts[first + old] -= 1;
        row[old] -= 1;
        self.totals[old] -= 1;
        let counts = &documents.counts[first..first + self.topics];
        let topic = match proposals {
            None => self.draw_conditional(counts, row),
            Some(proposals) => {
                let token = Token { topics: &documents.topics[range.clone()], own: at - range.start, counts };
                self.walk(&token, row, old, proposals)
            }
        };
        documents.topics[at] = topic as u32;
        documents.counts[first + topic] += 1;
        row[topic] += 1;
        self.totals[topic] += 1;
    }

    /// A draw of the conditional distribution.
    fn draw_conditional(&mut self, counts: &[u32], row: &[i64]) -> usize {
        let mut sum = 0.0;
        for (topic, count) in counts.iter().enumerate() {
            sum += (f64::from(*count) + self.alpha) * self.of_word(row, topic);
            self.cumulated[topic] = sum;
        }
        let at = self.unit() * sum;
        self.cumulated.partition_point(|sum| *sum <= at).min(self.topics - 1)
    }

    /// A chain of proposals, by the word and by the document in turn.
    fn walk(&mut self, token: &Token<'_>, row: &[i64], old: usize, proposals: &mut KeySampler) -> usize {
        let mut topic = old;
        for _ in 0..self.mh_steps {
            let by_word = proposals.draw() as usize;
            if by_word != topic {
                let in_document = |t: usize| f64::from(token.counts[t]) + self.alpha;
                let ratio = in_document(by_word) * self.of_word(row, by_word) * self.weights[topic]
                    / (in_document(topic) * self.of_word(row, topic) * self.weights[by_word]);
                if self.unit() < ratio {
                    topic = by_word;
                }
            }
            let by_document = self.propose_by_document(token, topic);
            // The proposal has the document's part of the distribution already.
            if by_document != topic && self.unit() < self.of_word(row, by_document) / self.of_word(row, topic)
            {
                topic = by_document;
            }
        }
        topic
    }

    /// How likely a topic is by the word alone.
    #[inline]
    fn of_word(&self, row: &[i64], topic: usize) -> f64 {
        (row[topic].max(0) as f64 + self.beta) / (self.totals[topic].max(0) as f64 + self.beta_sum)
    }

    /// A topic in proportion to its count in the document and `alpha`: the topic of a token, or any.
    #[inline]
    fn propose_by_document(&mut self, token: &Token<'_>, present: usize) -> usize {
        let draw = self.unit() * (token.topics.len() as f64 + self.topics as f64 * self.alpha);
        match token.topics.get(draw as usize) {
            Some(_) if draw as usize == token.own => present,
            Some(topic) => *topic as usize,
            None => (self.unit() * self.topics as f64) as usize,
        }
    }

    /// Sum of the logarithms of the likelihoods of all tokens of the word at a place, by the present counts.
    pub(super) fn log_likelihood(&self, documents: &Documents, place: usize, row: &[i64]) -> f64 {
        let by_topic: Vec<f64> = (0..self.topics).map(|topic| self.of_word(row, topic)).collect();
        let of_token = |(_, document): &(usize, u32)| {
            let first = *document as usize * self.topics;
            let counts = &documents.counts[first..first + self.topics];
            let tokens = documents.range(*document).len() as f64 + self.topics as f64 * self.alpha;
            let products = counts.iter().zip(&by_topic).map(|(n, p)| (f64::from(*n) + self.alpha) * p);
            (products.sum::<f64>() / tokens).ln()
        };
        documents.tokens_of(place).iter().map(of_token).sum()
    }
}

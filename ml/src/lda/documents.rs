//! The documents of a worker, with a topic for each token.

use waterwheel_engine::{Error, Result};

use super::{Document, Lda};
use crate::generate::sm;

/// Documents, and where each word is in them.
#[derive(Debug, Default)]
pub(super) struct Documents {
    ids: Vec<u64>,
    /// Where the tokens of each document begin, and where those of the last one end.
    starts: Vec<usize>,
    words: Vec<u32>,
    /// The topic of each token.
    pub(super) topics: Vec<u32>,
    /// How often each topic is in each document, row by row.
    pub(super) counts: Vec<u32>,
    /// The different words, rising, and where the tokens of each begin in `tokens`.
    pub(super) vocabulary: Vec<u32>,
    word_starts: Vec<usize>,
    /// Tokens by word, and the document of each.
    tokens: Vec<(usize, u32)>,
}

impl Documents {
    pub(super) fn new() -> Self {
        Documents { starts: vec![0], ..Documents::default() }
    }

    /// Adds a document; each token gets a topic that depends on the seed, the document and its place there.
    pub(super) fn add(&mut self, document: Document, lda: &Lda) -> Result<()> {
        let Document { id, mut words } = document;
        if let Some(word) = words.iter().find(|word| **word >= lda.words()) {
            let last = lda.words() - 1;
            return Err(Error::data(format!("document {id}: found word {word}, expected 0 to {last}")));
        }
        // In an order that does not depend on the file's.
        words.sort_unstable();
        let seed = sm(sm(lda.seed(), 0), id);
        let topics = (0..words.len() as u64).map(|at| (sm(seed, at) % u64::from(lda.topics())) as u32);
        self.topics.extend(topics);
        self.ids.push(id);
        self.words.extend(words);
        self.starts.push(self.words.len());
        Ok(())
    }

    /// Every document in the order in which it came or, once built, of its id: its words, and a topic for each.
    pub(super) fn words_and_topics(&self) -> impl Iterator<Item = (u64, &[u32], &[u32])> {
        let documents = self.ids.iter().zip(self.starts.windows(2));
        documents.map(|(id, at)| (*id, &self.words[at[0]..at[1]], &self.topics[at[0]..at[1]]))
    }

    /// Adds a document whose tokens have topics already.
    pub(super) fn add_with_topics(
        &mut self,
        id: u64,
        words: &[u32],
        topics: &[u32],
        lda: &Lda,
    ) -> Result<()> {
        if topics.len() != words.len() || topics.iter().any(|topic| *topic >= lda.topics()) {
            return Err(Error::config(format!(
                "document {id} of the checkpoint does not fit {} topics: their number has changed since",
                lda.topics()
            )));
        }
        self.ids.push(id);
        self.words.extend_from_slice(words);
        self.topics.extend_from_slice(topics);
        self.starts.push(self.words.len());
        Ok(())
    }

    /// Makes what sampling needs, when all documents are there. From here on their order is that of their ids.
    pub(super) fn build(&mut self, topics: usize) {
        self.sort_by_id();
        self.counts = vec![0; self.ids.len() * topics];
        let mut tokens: Vec<(u32, usize, u32)> = Vec::with_capacity(self.words.len());
        for document in 0..self.ids.len() {
            for at in self.starts[document]..self.starts[document + 1] {
                self.counts[document * topics + self.topics[at] as usize] += 1;
                tokens.push((self.words[at], at, document as u32));
            }
        }
        tokens.sort_unstable();
        for (place, (word, at, document)) in tokens.into_iter().enumerate() {
            if self.vocabulary.last() != Some(&word) {
                self.vocabulary.push(word);
                self.word_starts.push(place);
            }
            self.tokens.push((at, document));
        }
        self.word_starts.push(self.tokens.len());
    }

    fn sort_by_id(&mut self) {
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        order.sort_by_key(|at| (self.ids[*at], *at));
        let old = std::mem::replace(self, Documents::new());
        for at in order {
            let range = old.starts[at]..old.starts[at + 1];
            self.ids.push(old.ids[at]);
            self.words.extend_from_slice(&old.words[range.clone()]);
            self.topics.extend_from_slice(&old.topics[range]);
            self.starts.push(self.words.len());
        }
    }

    /// The tokens of the word at a place of the vocabulary, each with its document.
    pub(super) fn tokens_of(&self, place: usize) -> &[(usize, u32)] {
        &self.tokens[self.word_starts[place]..self.word_starts[place + 1]]
    }

    /// Where the tokens of a document are.
    pub(super) fn range(&self, document: u32) -> std::ops::Range<usize> {
        self.starts[document as usize]..self.starts[document as usize + 1]
    }

    /// Every document with its number of tokens by topic.
    pub(super) fn iter(&self, topics: usize) -> impl Iterator<Item = (u64, &[u32])> {
        self.ids.iter().copied().zip(self.counts.chunks_exact(topics))
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.words.len()
    }
}

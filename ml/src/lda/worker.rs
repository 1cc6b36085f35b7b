//! The worker: sweeps over its tokens, block of words by block of words.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::{LogicReader, LogicWriter, ParameterServerClient, WorkerContext, WorkerLogic};

use super::documents::Documents;
use super::sampler::Sampler;
use super::{Document, DocumentTopics, Lda};

/// What a worker outputs, at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Out {
    Topics(DocumentTopics),
    /// Its tokens, and the sum of the logarithms of their likelihoods.
    Fit {
        tokens: u64,
        log_likelihood: f64,
    },
}

/// The key of the totals by topic is the one behind those of the words.
pub(super) fn totals_key(lda: &Lda) -> u32 {
    lda.words()
}

pub(super) struct LdaWorker {
    lda: Lda,
    documents: Documents,
    /// Whether all documents are there.
    has_documents: bool,
    sampler: Sampler,
    /// Sweeps that have begun. Behind the last comes a pass that only measures.
    sweep: u32,
    /// Where in the vocabulary the present block begins, and its words.
    place: usize,
    /// The totals before the sweep.
    before: Vec<i64>,
    log_likelihood: f64,
}

type Client = ParameterServerClient<LdaWorker>;

impl LdaWorker {
    pub(super) fn new(lda: &Lda) -> Self {
        LdaWorker {
            documents: Documents::new(),
            has_documents: false,
            sampler: Sampler::new(lda, 0),
            sweep: 0,
            place: 0,
            before: Vec::new(),
            log_likelihood: 0.0,
            lda: lda.clone(),
        }
    }

    fn topics(&self) -> usize {
        self.lda.topics() as usize
    }

    /// Tells the servers the first topics.
    fn push_first_counts(&mut self, ps: &mut Client) -> Result<()> {
        let mut totals = vec![0i64; self.topics()];
        for (place, word) in self.documents.vocabulary.iter().enumerate() {
            let mut row = vec![0i64; self.topics()];
            for (at, _) in self.documents.tokens_of(place) {
                row[self.documents.topics[*at] as usize] += 1;
            }
            totals.iter_mut().zip(&row).for_each(|(total, n)| *total += n);
            ps.push(*word, row)?;
        }
        ps.push(totals_key(&self.lda), totals)
    }

    /// Asks for the counts of the next block; behind the last one the sweep is over.
    fn pull_block(&mut self, ps: &mut Client) -> Result<()> {
        let words = &self.documents.vocabulary[self.place..];
        let words = &words[..words.len().min(self.lda.block())];
        if words.is_empty() {
            return self.end_sweep(ps);
        }
        ps.pull_many(words)
    }

    fn end_sweep(&mut self, ps: &mut Client) -> Result<()> {
        if self.measures() {
            let tokens = self.documents.n_tokens() as u64;
            ps.output(Out::Fit { tokens, log_likelihood: self.log_likelihood });
            for (id, counts) in self.documents.iter(self.topics()) {
                ps.output(Out::Topics(DocumentTopics { id, counts: counts.to_vec() }));
            }
            return Ok(());
        }
        let changes: Vec<i64> =
            self.sampler.totals.iter().zip(&self.before).map(|(new, old)| new - old).collect();
        ps.push(totals_key(&self.lda), changes)?;
        ps.advance_clock();
        Ok(())
    }

    fn measures(&self) -> bool {
        self.sweep > self.lda.sweeps()
    }

    fn handle_block(&mut self, words: &[u32], rows: &[i64], ps: &mut Client) -> Result<()> {
        let mut new = Vec::new();
        for (word, row) in words.iter().zip(rows.chunks_exact(self.topics())) {
            if self.measures() {
                self.log_likelihood += self.sampler.log_likelihood(&self.documents, self.place, row);
            } else {
                new.clear();
                new.extend_from_slice(row);
                self.sampler.sample_word(&mut self.documents, self.place, &mut new)?;
                if new != row {
                    ps.push(*word, new.iter().zip(row).map(|(new, old)| new - old))?;
                }
            }
            self.place += 1;
        }
        self.pull_block(ps)
    }
}

impl WorkerLogic for LdaWorker {
    type In = Document;
    type Key = u32;
    type Pull = i64;
    type Push = i64;
    type Out = Out;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        self.sampler = Sampler::new(&self.lda, context.index);
        Ok(())
    }

    fn on_recv(&mut self, document: Document, _ps: &mut Client) -> Result<()> {
        self.documents.add(document, &self.lda)
    }

    fn on_pull_recv(&mut self, _totals: &u32, row: &[i64], ps: &mut Client) -> Result<()> {
        self.before = row.to_vec();
        self.sampler.totals = row.to_vec();
        self.pull_block(ps)
    }

    fn on_pull_many_recv(&mut self, words: &[u32], rows: &[i64], ps: &mut Client) -> Result<()> {
        if self.documents.vocabulary.get(self.place) != words.first() {
            return Err(Error::internal("counts of words that nobody waits for"));
        }
        self.handle_block(words, rows, ps)
    }

    fn on_end_of_input(&mut self, ps: &mut Client) -> Result<()> {
        self.has_documents = true;
        self.documents.build(self.topics());
        self.push_first_counts(ps)?;
        ps.advance_clock();
        Ok(())
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut Client) -> Result<()> {
        self.sweep += 1;
        self.place = 0;
        ps.pull(totals_key(&self.lda))
    }

    /// Sweeps are alike where a checkpoint is made: before the first, and between two.
    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        to.put_alike(&(self.has_documents, self.sweep))?;
        to.put(&self.sampler.drawn)?;
        let mut documents = self.documents.words_and_topics().zip(0u64..);
        documents.try_for_each(|((id, words, topics), at)| to.put_keyed(&id, &(at, words, topics)))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        if let Some(stage) = from.next_alike()? {
            (self.has_documents, self.sweep) = stage;
        }
        // On other workers another chain goes on, with numbers that none has drawn.
        while let Some(drawn) = from.next_item()? {
            self.sampler.drawn = self.sampler.drawn.max(drawn);
        }
        let mut documents: Vec<(u64, u64, Vec<u32>, Vec<u32>)> = Vec::new();
        from.for_each_keyed(|id, (at, words, topics)| {
            documents.push((at, id, words, topics));
            Ok(())
        })?;
        documents.sort_unstable();
        documents.iter().try_for_each(|(_, id, words, topics)| {
            self.documents.add_with_topics(*id, words, topics, &self.lda)
        })?;
        if self.has_documents {
            self.documents.build(self.topics());
        }
        Ok(())
    }
}

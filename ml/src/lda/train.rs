//! The job: documents in, topics out.

use waterwheel_engine::{Collected, DataStream, Outcome, Result};
use waterwheel_ps::{Placement, PsConfig, SimpleServer, Sum, transform};

use super::worker::{LdaWorker, Out, totals_key};
use super::{Document, DocumentTopics, Lda, LdaModel};

/// The results of training, as streams; see [`collect`](Self::collect).
#[derive(Debug)]
pub struct LdaFit<'s> {
    lda: Lda,
    /// How often each topic is in each document.
    pub topics: DataStream<'s, DocumentTopics>,
    /// How often each topic is each word: by word, and behind the last word the sums over all.
    pub counts: DataStream<'s, (u32, Vec<i64>)>,
    fit: DataStream<'s, (u64, f64)>,
}

/// What training leaves on worker 0.
#[derive(Clone, Debug, PartialEq)]
pub struct LdaTrained {
    /// The model.
    pub model: LdaModel,
    /// Topics of each document, by id.
    pub documents: Vec<DocumentTopics>,
    /// Number of tokens.
    pub tokens: u64,
    /// `exp(-mean log likelihood of a token)` by the topics of its document and the words of these topics, of the documents
    /// that were trained on; `None` without tokens.
    pub perplexity: Option<f64>,
}

impl Lda {
    /// Trains on documents.
    ///
    /// # Errors
    /// The parameter server can not be laid out. While the job runs: a document has a word that there is not.
    #[track_caller]
    pub fn fit<'s>(&self, documents: DataStream<'s, Document>) -> Result<LdaFit<'s>> {
        let topics = self.topics() as usize;
        let zeros = move |_: &u32, row: &mut Vec<i64>| row.resize(row.len() + topics, 0);
        let server = SimpleServer::with_update(zeros, Sum);
        let config = PsConfig::new()
            .width(topics)
            .consistency(self.consistency())
            .placement(Placement::Cyclic(u64::from(totals_key(self)) + 1));
        let by_id = documents.key_by(|document| document.id).into_stream();
        let trained = transform(by_id, LdaWorker::new(self), server, &config)?;
        let topics = trained.output.clone().flat_map(|out| match out {
            Out::Topics(topics) => Some(topics),
            Out::Fit { .. } => None,
        });
        let fit = trained.output.flat_map(|out| match out {
            Out::Fit { tokens, log_likelihood } => Some((tokens, log_likelihood)),
            Out::Topics(_) => None,
        });
        Ok(LdaFit { lda: self.clone(), topics, counts: trained.model, fit })
    }
}

impl LdaFit<'_> {
    /// Gathers the model and the topics of the documents on worker 0; the value is `None` on the others.
    pub fn collect(self) -> CollectedLda {
        CollectedLda {
            lda: self.lda,
            topics: self.topics.collect(),
            counts: self.counts.collect(),
            fit: self.fit.collect(),
        }
    }
}

/// A model on its way to worker 0.
#[derive(Debug)]
pub struct CollectedLda {
    lda: Lda,
    topics: Collected<DocumentTopics>,
    counts: Collected<(u32, Vec<i64>)>,
    fit: Collected<(u64, f64)>,
}

impl Outcome for CollectedLda {
    type Value = Option<LdaTrained>;

    fn finish(self) -> Result<Self::Value> {
        let (mut documents, counts, mut fit) =
            (self.topics.finish()?, self.counts.finish()?, self.fit.finish()?);
        // Each worker says how it fits, even one without documents; all of it comes to the first.
        if fit.is_empty() {
            return Ok(None);
        }
        documents.sort_by_key(|document| document.id);
        // In an order of their own, so that the sum does not depend on who came first.
        fit.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let tokens: u64 = fit.iter().map(|(tokens, _)| tokens).sum();
        let log_likelihood: f64 = fit.iter().map(|(_, sum)| sum).sum();
        let model = LdaModel::from_counts(&self.lda, counts)?;
        let perplexity = (tokens > 0).then(|| (-log_likelihood / tokens as f64).exp());
        Ok(Some(LdaTrained { model, documents, tokens, perplexity }))
    }
}

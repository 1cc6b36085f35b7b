//! The worker: asks for products of its pairs, and says by how much they move.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::models::{BigMatrix, ModelClient, ModelLogic};
use waterwheel_ps::{LogicReader, LogicWriter, WorkerContext};

use super::Word2Vec;
use super::batches::Batches;
use crate::generate::sm;

/// A sentence, or whatever words are near each other in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// What tells it from others; the order of training depends on it.
    pub id: u64,
    /// Words by number, in order.
    pub words: Vec<u32>,
}

pub(super) struct Word2VecWorker {
    word2vec: Word2Vec,
    input: BigMatrix<f32>,
    output: BigMatrix<f32>,
    batches: Batches,
    /// In the order of training, once all are there.
    sentences: Vec<(u64, Vec<u32>)>,
    /// 0 while there may be more of them.
    epoch: u32,
}

type Client<'a> = ModelClient<'a, Word2VecWorker>;

impl Word2VecWorker {
    pub(super) fn new(word2vec: &Word2Vec, input: BigMatrix<f32>, output: BigMatrix<f32>) -> Result<Self> {
        Ok(Word2VecWorker {
            word2vec: word2vec.clone(),
            input,
            output,
            batches: Batches::new(word2vec, 0)?,
            sentences: Vec::new(),
            epoch: 0,
        })
    }

    /// Brings the sentences in the order of training, when all are there.
    fn order_sentences(&mut self) {
        let seed = self.word2vec.seed();
        self.sentences.sort_by_key(|(id, _)| (sm(seed, *id), *id));
        let tokens = self.sentences.iter().map(|(_, words)| words.len() as u64).sum::<u64>();
        self.batches.expect(tokens * u64::from(self.word2vec.epochs()));
    }

    /// Learns the next batch; behind the last one the epoch is over.
    fn go_on(&mut self, ps: &mut Client<'_>) -> Result<()> {
        let Some(batch) = self.batches.next_batch(&self.sentences) else {
            ps.advance_clock();
            return Ok(());
        };
        let (left, right) = (batch.left.clone(), batch.right.clone());
        self.input.dot(ps, &left, &self.output, &right, move |logic: &mut Self, products, ps| {
            if products.iter().any(|product: &f32| !product.is_finite()) {
                return Err(Error::operator("training diverged: lower the learning rate or the batch"));
            }
            let factors = batch.factors(&products);
            logic.input.adjust(ps, &batch.left, &logic.output, &batch.right, &factors)?;
            logic.go_on(ps)
        })
    }
}

impl ModelLogic for Word2VecWorker {
    type In = Sentence;
    type Out = ();

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        self.batches = Batches::new(&self.word2vec, context.index)?;
        Ok(())
    }

    fn on_recv(&mut self, sentence: Sentence, _ps: &mut Client<'_>) -> Result<()> {
        let Sentence { id, words } = sentence;
        let known = self.word2vec.counts().len();
        if let Some(word) = words.iter().find(|word| **word as usize >= known) {
            return Err(Error::data(format!(
                "sentence {id}: found word {word}, expected 0 to {}",
                known - 1
            )));
        }
        self.sentences.push((id, words));
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut Client<'_>) -> Result<()> {
        self.order_sentences();
        self.epoch = 1;
        self.batches.begin_epoch();
        self.go_on(ps)
    }

    /// All workers have finished the epoch.
    fn on_clock(&mut self, _clock: u64, ps: &mut Client<'_>) -> Result<()> {
        if self.epoch == self.word2vec.epochs() {
            return Ok(());
        }
        self.epoch += 1;
        self.batches.begin_epoch();
        self.go_on(ps)
    }

    /// Behind the end of the input a checkpoint is made between two epochs.
    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        to.put_alike(&self.epoch)?;
        to.put(&self.batches.position())?;
        self.sentences.iter().try_for_each(|sentence| to.put(sentence))
    }

    /// With as many workers as before: the servers go on with no others.
    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        if let Some(epoch) = from.next_alike()? {
            self.epoch = epoch;
        }
        if let Some(position) = from.next_item()? {
            self.batches.seek(position);
        }
        while let Some(sentence) = from.next_item()? {
            self.sentences.push(sentence);
        }
        if self.epoch > 0 {
            self.order_sentences();
        }
        Ok(())
    }
}

//! The job: sentences in, vectors out.

use std::sync::Arc;

use waterwheel_engine::{Collected, DataStream, Error, Outcome, Result};
use waterwheel_ps::PsConfig;
use waterwheel_ps::models::{BigMatrix, MatrixSpec, ModelRow, Models, Split};

use super::worker::Word2VecWorker;
use super::{Sentence, Word2Vec, Word2VecModel};
use crate::generate::{sm, unit};

/// Some coordinates of a row of one of the matrices: whether it is the second one, the row, its columns and values.
type Share = (bool, u64, Vec<u32>, Vec<f32>);

/// The result of training, as a stream; see [`collect`](Self::collect).
#[derive(Debug)]
pub struct Word2VecFit<'s> {
    word2vec: Word2Vec,
    shares: DataStream<'s, Share>,
}

impl Word2Vec {
    /// Trains on sentences.
    ///
    /// # Errors
    /// The matrices can not be laid out. While the job runs: a sentence has a word that there is not, or training
    /// diverges.
    #[track_caller]
    pub fn fit<'s>(&self, sentences: DataStream<'s, Sentence>) -> Result<Word2VecFit<'s>> {
        let (words, dim) = (self.counts().len() as u64, self.dim());
        let start = self.start.clone().map(Arc::new);
        let spec = || MatrixSpec::new(words, dim).split(Split::Columns);
        let mut models = Models::new(sentences.workers());
        let seed = sm(self.seed(), 3);
        let from = start.clone();
        let input = models.matrix_of(spec().init(move |row, column| match &from {
            Some(model) => model.input(row as usize)[column],
            None => ((unit(sm(seed, row), column as u64) - 0.5) / dim as f64) as f32,
        }))?;
        let output = models.matrix_of(spec().init(move |row, column| match &start {
            Some(model) => model.output(row as usize)[column],
            None => 0.0,
        }))?;
        let by_id = sentences.key_by(|sentence| sentence.id).into_stream();
        let worker = Word2VecWorker::new(self, input.clone(), output.clone())?;
        let trained = models.transform(by_id, worker, &PsConfig::new())?;
        let share_of = |matrix: &BigMatrix<f32>, row: &ModelRow| {
            matrix.elements_of(row).map(|elements| {
                elements.map(|(column, value)| (column as u32, value)).unzip::<u32, f32, Vec<u32>, Vec<f32>>()
            })
        };
        let shares = trained.model.flat_map(move |row| {
            let of_input = share_of(&input, &row).map(|(columns, values)| (false, row.row, columns, values));
            let of_output =
                || share_of(&output, &row).map(|(columns, values)| (true, row.row, columns, values));
            of_input.or_else(of_output)
        });
        Ok(Word2VecFit { word2vec: self.clone(), shares })
    }
}

impl Word2VecFit<'_> {
    /// Gathers the model on worker 0; the value is `None` on the others.
    pub fn collect(self) -> CollectedWord2Vec {
        let is_first = self.shares.worker_index() == 0;
        CollectedWord2Vec { word2vec: self.word2vec, shares: self.shares.collect(), is_first }
    }
}

/// A model on its way to worker 0.
#[derive(Debug)]
pub struct CollectedWord2Vec {
    word2vec: Word2Vec,
    shares: Collected<Share>,
    is_first: bool,
}

impl Outcome for CollectedWord2Vec {
    type Value = Option<Word2VecModel>;

    fn finish(self) -> Result<Self::Value> {
        let shares = self.shares.finish()?;
        if !self.is_first {
            return Ok(None);
        }
        let (words, dim) = (self.word2vec.counts().len(), self.word2vec.dim());
        // Rows that were never used have no vector: they stay zero, or what they were.
        let mut matrices = match &self.word2vec.start {
            Some(model) => [model.inputs().to_vec(), model.outputs().to_vec()],
            None => [vec![0.0; words * dim], vec![0.0; words * dim]],
        };
        for (second, row, columns, values) in shares {
            let matrix = &mut matrices[usize::from(second)];
            for (column, value) in columns.into_iter().zip(values) {
                let place = row as usize * dim + column as usize;
                *matrix
                    .get_mut(place)
                    .ok_or_else(|| Error::internal(format!("an element at row {row}")))? = value;
            }
        }
        let [inputs, outputs] = matrices;
        Word2VecModel::from_parts(dim, inputs, outputs).map(Some)
    }
}

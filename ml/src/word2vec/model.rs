//! Trained vectors, and who is near whom.

use waterwheel_engine::{Error, Result};

use crate::mf::Scored;
use crate::retrieval::TopK;

/// A word near another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The word.
    pub word: u32,
    /// Cosine of the angle between both vectors.
    pub similarity: f32,
}

/// Vectors of words.
#[derive(Clone, Debug, PartialEq)]
pub struct Word2VecModel {
    dim: usize,
    inputs: Vec<f32>,
    outputs: Vec<f32>,
}

impl Word2VecModel {
    /// Of two matrices with a row of `dim` coordinates for each word: the vectors, and what training needs to go on.
    ///
    /// # Errors
    /// `dim` is 0, the matrices are not alike, or a number is not finite.
    pub fn from_parts(dim: usize, inputs: Vec<f32>, outputs: Vec<f32>) -> Result<Self> {
        if dim == 0 || !inputs.len().is_multiple_of(dim) || inputs.len() != outputs.len() {
            let (first, second) = (inputs.len(), outputs.len());
            return Err(Error::data(format!(
                "word2vec model: found matrices of {first} and {second} numbers, expected as many, in rows of {dim}"
            )));
        }
        if let Some(at) = inputs.iter().chain(&outputs).position(|x| !x.is_finite()) {
            let word = at % inputs.len() / dim;
            return Err(Error::data(format!("word2vec model: a coordinate of word {word} is not finite")));
        }
        Ok(Word2VecModel { dim, inputs, outputs })
    }

    /// Number of words.
    pub fn words(&self) -> usize {
        self.inputs.len() / self.dim
    }

    /// Coordinates of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The vector of a word, if there is the word.
    pub fn vector(&self, word: u32) -> Option<&[f32]> {
        self.inputs.chunks_exact(self.dim).nth(word as usize)
    }

    pub(super) fn input(&self, word: usize) -> &[f32] {
        &self.inputs[word * self.dim..(word + 1) * self.dim]
    }

    pub(super) fn output(&self, word: usize) -> &[f32] {
        &self.outputs[word * self.dim..(word + 1) * self.dim]
    }

    pub(super) fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    pub(super) fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// The `n` words whose vectors have the least angle to that of a word, best first; of equal ones the first.
    ///
    /// # Errors
    /// There is no such word.
    pub fn neighbours(&self, word: u32, n: usize) -> Result<Vec<Neighbour>> {
        let known = self.words();
        let vector = self.vector(word).ok_or_else(|| {
            Error::data(format!(
                "word2vec: found word {word}, expected one below {known}, the number of words"
            ))
        })?;
        Ok(self.nearest(vector, n, |other| other == word))
    }

    /// The `n` words whose vectors have the least angle to `a - b + c`: what is to `c` as `a` is to `b`. The three are left
    /// out.
    ///
    /// # Errors
    /// There is no such word.
    pub fn analogy(&self, [a, b, c]: [u32; 3], n: usize) -> Result<Vec<Neighbour>> {
        let vector = |word: u32| {
            let known = self.words();
            self.vector(word).ok_or_else(|| {
                Error::data(format!(
                    "word2vec: found word {word}, expected one below {known}, the number of words"
                ))
            })
        };
        let unit = |word| {
            let vector = vector(word)?;
            let length = length(vector).max(f32::MIN_POSITIVE);
            Ok::<_, Error>(vector.iter().map(|x| x / length).collect::<Vec<f32>>())
        };
        let (a_vector, b_vector, c_vector) = (unit(a)?, unit(b)?, unit(c)?);
        let sum = a_vector.iter().zip(&b_vector).zip(&c_vector).map(|((a, b), c)| a - b + c);
        Ok(self.nearest(&sum.collect::<Vec<_>>(), n, |other| [a, b, c].contains(&other)))
    }

    fn nearest(&self, vector: &[f32], n: usize, skip: impl Fn(u32) -> bool) -> Vec<Neighbour> {
        let own = length(vector);
        let mut top = TopK::new(n);
        for (word, other) in (0u32..).zip(self.inputs.chunks_exact(self.dim)) {
            if !skip(word) {
                let lengths = (own * length(other)).max(f32::MIN_POSITIVE);
                let product: f32 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                top.offer(Scored { item: word.into(), score: product / lengths });
            }
        }
        let neighbour = |scored: Scored| Neighbour { word: scored.item as u32, similarity: scored.score };
        top.into_best().into_iter().map(neighbour).collect()
    }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_those_with_the_least_angle() {
        let inputs = vec![1.0, 0.0, 3.0, 0.1, 0.0, 2.0, 0.0, 0.0, -1.0, 0.0];
        let model = Word2VecModel::from_parts(2, inputs, vec![0.0; 10]).unwrap();
        let words: Vec<_> = model.neighbours(0, 9).unwrap().iter().map(|neighbour| neighbour.word).collect();
        assert_eq!(words, [1, 2, 3, 4]);
        assert!(model.neighbours(0, 1).unwrap()[0].similarity > 0.99);
        assert!(model.neighbours(5, 1).unwrap_err().message().contains("found word 5, expected one below 5"));
        // What is to 0 as 2 is to 1: up and to the left.
        assert_eq!(model.analogy([2, 1, 0], 1).unwrap().len(), 1);
    }

    #[test]
    fn matrices_that_make_no_model_are_refused() {
        assert!(Word2VecModel::from_parts(0, vec![], vec![]).is_err());
        assert!(Word2VecModel::from_parts(2, vec![0.0; 3], vec![0.0; 3]).is_err());
        assert!(Word2VecModel::from_parts(1, vec![0.0; 3], vec![0.0; 2]).is_err());
        let error = Word2VecModel::from_parts(1, vec![0.0; 2], vec![0.0, f32::NAN]).unwrap_err();
        assert!(error.message().contains("word 1"), "{error}");
    }
}

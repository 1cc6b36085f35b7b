//! Word vectors by skip-gram with negative sampling, on matrices that the parameter server multiplies where they are.
//!
//! [`Word2Vec`] trains a [`Word2VecModel`] from [`Sentence`]s; the model finds the neighbours of a word, is saved and
//! loaded, and can be trained further.

mod batches;
mod model;
mod params;
mod save;
mod train;
mod worker;

pub use model::{Neighbour, Word2VecModel};
pub use params::{Word2Vec, Word2VecParams};
pub use train::{CollectedWord2Vec, Word2VecFit};
pub use worker::Sentence;

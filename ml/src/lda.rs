//! Latent Dirichlet allocation on the parameter server: topics of documents, by collapsed Gibbs sampling in constant time
//! per token.
//!
//! [`Lda`] trains an [`LdaModel`] from [`Document`]s; the model names the words of a topic, finds the topics of a new
//! document, and is saved and loaded.

mod corpus;
mod documents;
mod model;
mod params;
mod sampler;
mod save;
mod train;
mod worker;

pub use corpus::{Document, read_lda_c};
pub use model::{DocumentTopics, LdaModel};
pub use params::{Lda, LdaParams};
pub use train::{CollectedLda, LdaFit, LdaTrained};

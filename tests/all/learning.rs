//! Learning algorithms against published numbers and independent programs.

mod kmeans;
mod lda;
mod linear;
mod movielens;
mod online;
mod optima;
mod recommender;
mod similarity;
mod sparse;
mod word2vec;

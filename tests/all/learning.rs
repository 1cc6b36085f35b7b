//! Learning algorithms against published numbers and independent programs.

mod kmeans;
mod linear;
mod online;
mod optima;
mod recommender;
mod similarity;
mod sparse;

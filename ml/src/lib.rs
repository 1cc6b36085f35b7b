//! ml

pub mod generate;

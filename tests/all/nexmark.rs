//! The queries of the NEXMark benchmark, beside a naive evaluation of each.

mod naive;
mod queries;

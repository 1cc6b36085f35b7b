//! The queries of the NEXMark benchmark, beside a naive evaluation of each.

mod auctions;
mod fixture;
mod naive;
mod queries;
mod windows;

//! Processes that are safe to run: strangers, secrets, other graphs, hung peers, and the launcher.

mod fixture;
mod graph;
mod hang;
mod launcher;
mod stranger;
mod terms;

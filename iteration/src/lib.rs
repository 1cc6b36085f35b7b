//! Feedback loops.

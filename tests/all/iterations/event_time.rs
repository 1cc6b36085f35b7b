//! Event time in the bodies of iterations: it runs anew in every round.

mod data;
mod endless;
mod ends;

mod timers;
mod windows;

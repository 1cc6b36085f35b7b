//! Flow control: memory stays bounded behind slow operators, and nothing waits for ever.

mod bounds;
mod graphs;
mod operators;
mod plan;

use std::time::Duration;

use waterwheel::engine::machine;

/// Works for `micros` microseconds, as an operator does that is too slow for its input.
fn work(micros: u64) {
    let start = machine::now();
    while start.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

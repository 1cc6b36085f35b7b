//! A stream that feeds back into itself: Collatz paths, until every number has reached 1. The loop ends
//! exactly when nothing circulates any more.
//!
//! `cargo run --example feedback_loop -- -w 2`

use waterwheel::iteration::feedback_loop;
use waterwheel::prelude::*;

fn main() -> Result<()> {
    let (config, _rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let paths = execute(config, |env| {
        let starts = env.from_iter((1..=1000u64).map(|n| (n, n, 0u32))).rebalance().into_edge();
        let done = feedback_loop::<_, Round, _, _>(env.place(), "collatz", |it, fed_back| {
            let all = DataStream::from_edge(it.enter(starts)).union(DataStream::from_edge(fed_back));
            let going = all.clone().filter(|(_, n, _)| *n > 1);
            let next =
                going.map(|(start, n, steps)| (start, if n % 2 == 0 { n / 2 } else { 3 * n + 1 }, steps + 1));
            let done = all.filter(|(_, n, _)| *n == 1);
            (next.into_edge(), it.leave(done.into_edge()))
        });
        Ok(DataStream::from_edge(done).map(|(start, _, steps)| (steps, start)).collect())
    })?;
    if let Some((steps, start)) = paths.concat().into_iter().max() {
        eprintln!("the longest path to 1 below 1000 begins at {start} and has {steps} steps");
    }
    Ok(())
}

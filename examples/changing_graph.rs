//! A network whose links break and come back: distances follow, by what changes alone.
//!
//! `cargo run --example changing_graph -- -w 2`

use waterwheel::ml::graph::shortest_paths;
use waterwheel::prelude::*;

fn main() -> Result<()> {
    let (config, _rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let changes = execute(config, |env| {
        // Minutes between stations: 1 -> 2 -> 3 -> 4, and a slow line from 1 to 4.
        let lines = [(1u32, 2u32, 4u64), (2, 3, 5), (3, 4, 3), (1, 4, 30)];
        let opens = lines.map(|line| (line, 1)).to_vec();
        let (breaks, repaired) = (vec![((2, 3, 5), -1)], vec![((2, 3, 5), 1)]);
        let lines = env.from_batches([opens, breaks, repaired]).into_collection();
        let home = env.enter_batches(env.from_iter([(1u32, 1)])).into_collection();
        Ok(shortest_paths(lines, home).changes().collect())
    })?;
    let mut changes = changes.concat();
    changes.sort();
    for Change { batch, record: (station, minutes), diff } in changes {
        let sign = if diff > 0 { '+' } else { '-' };
        eprintln!("batch {batch}: {sign} station {station} is {minutes} minutes away");
    }
    Ok(())
}

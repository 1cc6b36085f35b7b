//! Jobs that replay data.

use std::path::{Path, PathBuf};

use waterwheel::prelude::*;

/// Looks at each record and its epoch.
struct Look<F>(F);

impl<F: 'static> IterationListener for Look<F> {
    type Out = ();
}

impl<F: FnMut(Round, u64) -> Result<()> + 'static> EpochProcessFunction<u64> for Look<F> {
    fn process(&mut self, number: u64, context: &mut EpochContext, _out: &mut Collector<()>) -> Result<()> {
        (self.0)(context.epoch(), number)
    }
}

/// Replays the numbers below [`N`] on every worker, in so many rounds; `look` sees each with its epoch.
pub(super) fn replay_numbers(
    config: RuntimeConfig,
    rounds: u64,
    look: impl Fn(Round, u64) -> Result<()> + Clone + Send + Sync + 'static,
) -> Result<()> {
    let done = execute(config, move |env| {
        let (x, numbers) = (env.from_iter([0u64]), env.from_splits(env.workers(), |_split| 0..N));
        let (config, look) = (IterationConfig::new().max_rounds(rounds), look.clone());
        Iterations::iterate_bounded((x,), (numbers.replay(),), config, |_it, (x,), (numbers,)| {
            let nothing = numbers.process_epochs(Look(look)).map(|()| 0u64);
            IterationBodyResult::new((x.union(nothing),), ())
        });
        Ok(())
    });
    done.map(drop)
}

/// Records of each worker: several batches and blocks.
pub(super) const N: u64 = 100_000;

/// The files that processes have put into a cache directory.
pub(super) fn cached_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(owners) = std::fs::read_dir(directory) else { return Vec::new() };
    let inside = owners.flatten().filter_map(|owner| std::fs::read_dir(owner.path()).ok());
    inside.flat_map(|files| files.flatten().map(|file| file.path())).collect()
}

/// The names of all that is in a directory.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

//! A bounded iteration: Newton's method for many numbers at once, which tells the largest error of every epoch and
//! ends when it is small; and k-means, which is such an iteration inside.
//!
//! `cargo run --example iteration -- -w 2`

use waterwheel::ml::Matrix;
use waterwheel::ml::clustering::KMeans;
use waterwheel::prelude::*;

/// A number and the guess of its square root.
type Guess = (f64, f64);

/// The largest error of an epoch.
#[derive(Default)]
struct LargestError(f64);

impl IterationListener for LargestError {
    type Out = (Round, f64);

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<(Round, f64)>,
    ) -> Result<()> {
        out.emit((epoch, std::mem::take(&mut self.0)));
        Ok(())
    }
}

impl EpochProcessFunction<Guess> for LargestError {
    fn process(
        &mut self,
        (number, guess): Guess,
        _context: &mut EpochContext,
        _out: &mut Collector<(Round, f64)>,
    ) -> Result<()> {
        self.0 = self.0.max((guess * guess - number).abs());
        Ok(())
    }
}

fn main() -> Result<()> {
    let (config, _rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let found = execute(config, |env| {
        let start = env.from_iter((1..=100u32).map(|n| (f64::from(n), f64::from(n)))).rebalance();
        let config = IterationConfig::new().name("newton").max_rounds(50);
        let (errors,) = Iterations::iterate_bounded((start,), (), config, |_it, (guesses,), ()| {
            let better = guesses.map(|(n, x)| (n, (x + n / x) / 2.0));
            // All on worker 0, so that there is one largest error of an epoch.
            let errors = better.clone().global().process_epochs(LargestError::default());
            let criteria = errors.clone().filter(|(_, error)| *error > 1e-9);
            IterationBodyResult::new((better,), (errors,)).termination_criteria(criteria)
        });
        let points = env.from_splits(4, |split| {
            (0..250)
                .map(move |i| (f64::from(i % 5), split as f64))
                .map(|(x, y)| Matrix::new(2, vec![10.0 * x, y]))
        });
        let clusters = KMeans::new().k(5).fit(points.try_map(|block| block))?;
        Ok((errors.collect(), clusters.collect()))
    })?;
    let (errors, clusters): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    for (epoch, error) in errors.concat().into_iter().filter(|(_, error)| *error > 0.0) {
        eprintln!("epoch {epoch}: largest error {error:.3e}");
    }
    for model in clusters.concat() {
        eprintln!("sizes of the clusters: {:?}", model.weights());
    }
    Ok(())
}

//! Online matrix factorization: every rating is predicted before it is learned, and the error falls as the
//! stream goes on.
//!
//! `cargo run --example online_recommender -- -w 2`

use waterwheel::ml::mf::{MfParams, Rating, WindowedRmse};
use waterwheel::prelude::*;

fn main() -> Result<()> {
    let (config, _rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let mf = MfParams::new().biases(true).learning_rate(0.03).build()?;
    let stars = generate::Ratings::new(200, 100, 30_000)?;
    let predicted = execute(config, move |env| {
        let ratings = env.from_iter(stars.iter().zip(0..).map(|(row, position)| {
            let (user, item) = (row.user.into(), row.item.into());
            Rating { user, item, rating: row.rating, position }
        }));
        Ok(mf.fit_online(ratings, 3.5)?.predictions.collect())
    })?;
    let mut curve = WindowedRmse::new(5_000);
    for (n, prediction) in predicted.concat().iter().enumerate() {
        let error = f64::from(prediction.rating.rating - prediction.predicted);
        if let Some(rmse) = curve.add(error) {
            eprintln!("after {:>5} ratings: rmse of the last 5000 predictions {rmse:.3}", n + 1);
        }
    }
    Ok(())
}

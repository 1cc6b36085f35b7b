//! Files of ratings, as the sub-commands read them.

use std::path::PathBuf;

use serde::Deserialize;
use waterwheel::ml::mf::Rating;
use waterwheel::prelude::{BadRecord, CsvRecord, DataStream, Env, Error, Result};

use crate::cli::records::LineArgs;

/// A line of a ratings file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    #[serde(alias = "userId", alias = "user_id", alias = "userid", alias = "uid", alias = "UserID")]
    user: u64,
    #[serde(
        alias = "movieId",
        alias = "movie_id",
        alias = "itemId",
        alias = "item_id",
        alias = "iid",
        alias = "MovieID"
    )]
    item: u64,
    #[serde(alias = "Rating", alias = "stars", alias = "score", deserialize_with = "finite")]
    rating: f32,
}

/// A number that can be trained on.
fn finite<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<f32, D::Error> {
    let rating = f32::deserialize(deserializer)?;
    if rating.is_finite() {
        return Ok(rating);
    }
    Err(serde::de::Error::custom(format!("rating: found {rating}, expected a finite number")))
}

/// The ratings of all files, each with its row number in its file, and the lines that are none. Columns are found by name,
/// or are the first three where there are no names.
pub(crate) fn read<'s>(
    env: &Env<'s>,
    paths: &[PathBuf],
    lines: &LineArgs,
) -> Result<(DataStream<'s, (u64, Rating)>, DataStream<'s, BadRecord>)> {
    if paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(Error::config("ratings can not be read from standard input: they are read in parts"));
    }
    let (rows, bad) = env.read_csv::<Row>(paths.to_vec(), lines.options())?;
    Ok((rows.map(to_rating).name("ratings"), bad))
}

fn to_rating(record: CsvRecord<Row>) -> (u64, Rating) {
    let CsvRecord { file, row, value: Row { user, item, rating }, .. } = record;
    // Files of up to 2^40 rows keep their order; the position has to be unique, not dense.
    (row, Rating { user, item, rating, position: u64::from(file) << 40 | row })
}

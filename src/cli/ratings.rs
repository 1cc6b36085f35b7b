//! Files of ratings, as the sub-commands read them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use waterwheel::ml::mf::Rating;
use waterwheel::prelude::{
    BadRecord, BadRecordPolicy, CsvOptions, CsvRecord, DataStream, Delimiter, Env, Error, Header, Result,
};

/// How files of ratings are read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct RatingFileArgs {
    /// What separates fields: auto, ",", ";", tab, "|", space or "::".
    #[arg(long, default_value = "auto", value_name = "SEP")]
    delimiter: Delimiter,

    /// Whether the first line names the columns; those used are user, item and rating (also userId, movieId
    /// and the like). Without names they are the first three columns.
    #[arg(long, value_enum, default_value_t = HeaderArg::Auto)]
    header: HeaderArg,

    /// What to do with a line that is no rating.
    #[arg(long, value_enum, default_value_t = BadRecordArg::Fail)]
    on_bad_record: BadRecordArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HeaderArg {
    Auto,
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum BadRecordArg {
    /// Stop with its file, line and reason.
    Fail,
    /// Report it, count it and go on.
    Skip,
}

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

impl RatingFileArgs {
    fn options(&self) -> CsvOptions {
        CsvOptions {
            delimiter: self.delimiter,
            header: match self.header {
                HeaderArg::Auto => Header::Sniff,
                HeaderArg::Yes => Header::Yes,
                HeaderArg::No => Header::No,
            },
            on_bad_record: match self.on_bad_record {
                BadRecordArg::Fail => BadRecordPolicy::Fail,
                // The command counts them itself, and shows the first ones.
                BadRecordArg::Skip => BadRecordPolicy::DeadLetter,
            },
        }
    }

    /// The ratings of all files, each with its row number in its file, and the lines that are none.
    pub(crate) fn read<'s>(
        &self,
        env: &Env<'s>,
        paths: &[PathBuf],
    ) -> Result<(DataStream<'s, (u64, Rating)>, DataStream<'s, BadRecord>)> {
        if paths.iter().any(|path| path.as_os_str() == "-") {
            return Err(Error::config("ratings can not be read from standard input: they are read in parts"));
        }
        let (rows, bad) = env.read_csv::<Row>(paths.to_vec(), self.options())?;
        Ok((rows.map(to_rating).name("ratings"), bad))
    }
}

fn to_rating(record: CsvRecord<Row>) -> (u64, Rating) {
    let CsvRecord { file, row, value: Row { user, item, rating }, .. } = record;
    // Files of up to 2^40 rows keep their order; the position has to be unique, not dense.
    (row, Rating { user, item, rating, position: u64::from(file) << 40 | row })
}

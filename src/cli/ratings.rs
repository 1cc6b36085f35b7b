//! Files of ratings, as the sub-commands read them.

mod columns;

use std::path::PathBuf;

use clap::ValueEnum;
use waterwheel::ml::mf::{Names, Rating};
use waterwheel::prelude::{BadRecord, CsvRecord, DataStream, Env, Error, Result};

use crate::cli::records::LineArgs;
use columns::{Id, Row, RowReader};

pub(crate) use columns::ColumnArgs;

/// What users and items are in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ids {
    /// Whole numbers.
    Numbers,
    /// Names: any text. They are kept in the model.
    Names,
}

/// A rating of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileRating {
    /// Its row in its file, from 0.
    pub(crate) row: u64,
    pub(crate) rating: Rating,
    /// Names of the user and of the item, where ids are names.
    pub(crate) names: Option<Box<(String, String)>>,
}

/// How files of ratings are read.
pub(crate) struct RatingFiles<'a> {
    pub(crate) paths: &'a [PathBuf],
    pub(crate) columns: &'a ColumnArgs,
    pub(crate) ids: Ids,
    pub(crate) lines: &'a LineArgs,
}

impl RatingFiles<'_> {
    /// The ratings of all files, and the lines that are none.
    pub(crate) fn read<'s>(
        &self,
        env: &Env<'s>,
    ) -> Result<(DataStream<'s, FileRating>, DataStream<'s, BadRecord>)> {
        if self.paths.iter().any(|path| path.as_os_str() == "-") {
            return Err(Error::config("ratings can not be read from standard input: they are read in parts"));
        }
        let reader = RowReader::new(self.columns, self.ids);
        let (rows, bad) = env.read_csv_with(self.paths.to_vec(), self.lines.options(), reader)?;
        Ok((rows.map(to_rating).name("ratings"), bad))
    }
}

fn to_rating(record: CsvRecord<Row>) -> FileRating {
    let CsvRecord { file, row, value: Row { user, item, rating }, .. } = record;
    // Files of up to 2^40 rows keep their order; the position has to be unique, not dense.
    let position = u64::from(file) << 40 | row;
    let rating = Rating { user: user.number(), item: item.number(), rating, position };
    let names = match (user, item) {
        (Id::Name(user), Id::Name(item)) => Some(Box::new((user, item))),
        _ => None,
    };
    FileRating { row, rating, names }
}

impl Id {
    fn number(&self) -> u64 {
        match self {
            Id::Number(number) => *number,
            Id::Name(name) => Names::id(name),
        }
    }
}

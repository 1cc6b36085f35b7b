//! Files of sparse rows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{
    BadRecord, BadRecordPolicy, CsvOptions, CsvRecord, DataStream, Delimiter, Env, Header, Result,
};

use super::SparseVector;

/// A row of a LIBSVM file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LibSvmRow {
    /// Index of the file among the paths that were given.
    pub file: u32,
    /// Rows before it in its file; blank lines are none.
    pub row: u64,
    /// The label.
    pub label: f64,
    /// The features, by the indices of the file, whether they begin with 0 or with 1.
    pub features: SparseVector,
}

/// The rows of files in the LIBSVM format, and lines that are none, if `on_bad_record` says
/// [`BadRecordPolicy::DeadLetter`].
///
/// A line is `label index:value index:value ...` with white space between, indices rise, and `#` begins a comment. All
/// workers read each file, every one a part of it, as [`Env::read_csv`] does.
///
/// # Errors
/// No path is given, or a file can not be opened. During the run, if it is the policy, an error at the first line that is
/// no row, which names the file, the line and what is wrong.
///
/// # Examples
/// ```
/// use waterwheel_engine::{BadRecordPolicy, RuntimeConfig, execute};
/// use waterwheel_ml::sparse::read_libsvm;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("rows");
/// std::fs::write(&path, "+1 3:0.5 7:1\n-1\n")?;
/// let rows = execute(RuntimeConfig::threads(2), move |env| {
///     let (rows, _bad) = read_libsvm(env, [&path], BadRecordPolicy::Fail)?;
///     Ok(rows.map(|row| (row.label, row.features.indices().to_vec())).collect())
/// })?;
/// let mut rows = rows.concat();
/// rows.sort_by(|a, b| a.0.total_cmp(&b.0));
/// assert_eq!(rows, [(-1.0, vec![]), (1.0, vec![3, 7])]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_libsvm<'s>(
    env: &Env<'s>,
    paths: impl IntoIterator<Item: Into<PathBuf>>,
    on_bad_record: BadRecordPolicy,
) -> Result<(DataStream<'s, LibSvmRow>, DataStream<'s, BadRecord>)> {
    let options = CsvOptions { delimiter: Delimiter::None, header: Header::No, on_bad_record };
    let (rows, bad) = env.read_csv::<Line>(paths, options)?;
    let rows = rows.map(|CsvRecord { file, row, value: Line { label, features }, .. }| LibSvmRow {
        file,
        row,
        label,
        features,
    });
    Ok((rows, bad))
}

/// What a line says.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Line {
    label: f64,
    features: SparseVector,
}

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(line: String) -> Result<Self, String> {
        let mut fields = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let label = number(fields.next().unwrap_or_default(), "label")?;
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        for field in fields {
            let (index, value) =
                field.split_once(':').ok_or_else(|| format!("found {field:?}, expected index:value"))?;
            let index = index.parse().map_err(|_| {
                format!("index: found {index:?}, expected a whole number from 0 to {}", u32::MAX - 1)
            })?;
            indices.push(index);
            values.push(number(value, &format!("value of index {index}"))?);
        }
        let features = SparseVector::new(indices, values).map_err(|error| error.message().to_string())?;
        Ok(Line { label, features })
    }
}

fn number(text: &str, what: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|number: &f64| number.is_finite());
    found.ok_or_else(|| format!("{what}: found {text:?}, expected a finite number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line, String> {
        Line::try_from(text.to_string())
    }

    #[test]
    fn line_of_libsvm_is_read() {
        let Line { label, features } = line("-1\t1:0.5  7:-2e3 # as it is").unwrap();
        assert_eq!((label, features.indices(), features.values()), (-1.0, &[1, 7][..], &[0.5, -2000.0][..]));
        assert!(line("+1 ").unwrap().features.is_empty());
    }

    #[test]
    fn line_that_is_no_row_says_what_is_wrong() {
        let message = |text| line(text).unwrap_err();
        assert_eq!(message(" # nothing"), "label: found \"\", expected a finite number");
        assert_eq!(message("1 2"), "found \"2\", expected index:value");
        assert_eq!(message("1 x:2"), "index: found \"x\", expected a whole number from 0 to 4294967294");
        assert_eq!(message("1 2:nan"), "value of index 2: found \"nan\", expected a finite number");
        assert!(message("1 2:1 2:1").contains("expected rising ones"));
    }
}

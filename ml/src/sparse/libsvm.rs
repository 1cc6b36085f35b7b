//! Files of sparse rows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{BadRecord, BadRecordPolicy, CsvRecord, DataStream, Env, LineError, Result};

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
/// no row, as `rows.svm:7:12: value of index 3: found "x", expected a finite number`: file, line, column and field.
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
    let (rows, bad) = env.read_lines(paths, on_bad_record, parse)?;
    let rows = rows.name("read_libsvm").map(|CsvRecord { file, row, value: (label, features), .. }| {
        LibSvmRow { file, row, label, features }
    });
    Ok((rows, bad))
}

/// The label and the features of a line.
fn parse(line: &str) -> Result<(f64, SparseVector), LineError> {
    let mut fields = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
    let label = match fields.next() {
        Some(field) => number(field, "label", line)?,
        None => return Err(LineError::new("label: found nothing, expected a finite number").at(0)),
    };
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for field in fields {
        let wrong = |message: String| LineError::new(message).at(offset(field, line));
        let (index, value) =
            field.split_once(':').ok_or_else(|| wrong(format!("found {field:?}, expected index:value")))?;
        let parsed = index.parse().ok().filter(|index: &u32| *index < u32::MAX);
        let index = parsed.ok_or_else(|| {
            wrong(format!("index: found {index:?}, expected a whole number from 0 to {}", u32::MAX - 1))
        })?;
        if let Some(last) = indices.last().filter(|last| **last >= index) {
            return Err(wrong(format!("index: found {index} behind {last}, expected rising ones")));
        }
        indices.push(index);
        values.push(number(value, &format!("value of index {index}"), line)?);
    }
    let features = SparseVector::new(indices, values).map_err(|error| LineError::new(error.message()))?;
    Ok((label, features))
}

/// The number that a part of a line says.
fn number(text: &str, what: &str, line: &str) -> Result<f64, LineError> {
    let found = text.parse().ok().filter(|number: &f64| number.is_finite());
    found.ok_or_else(|| {
        LineError::new(format!("{what}: found {text:?}, expected a finite number")).at(offset(text, line))
    })
}

/// Bytes of `line` before this part of it.
fn offset(part: &str, line: &str) -> usize {
    part.as_ptr().addr() - line.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waterwheel_engine::{RuntimeConfig, execute};

    #[test]
    fn line_of_libsvm_is_read() {
        let (label, features) = parse("-1\t1:0.5  7:-2e3 # as it is").unwrap();
        assert_eq!((label, features.indices(), features.values()), (-1.0, &[1, 7][..], &[0.5, -2000.0][..]));
        assert!(parse("+1 ").unwrap().1.is_empty());
    }

    #[test]
    fn line_that_is_no_row_says_what_is_wrong_and_where() {
        let check = |text, offset, message: &str| {
            assert_eq!(parse(text).unwrap_err(), LineError::new(message).at(offset), "{text}");
        };
        check(" # nothing", 0, "label: found nothing, expected a finite number");
        check(" x 1:1", 1, "label: found \"x\", expected a finite number");
        check("1 2", 2, "found \"2\", expected index:value");
        check("1  1:1 x:2", 7, "index: found \"x\", expected a whole number from 0 to 4294967294");
        check(
            "1 4294967295:2",
            2,
            "index: found \"4294967295\", expected a whole number from 0 to 4294967294",
        );
        check("1 2:nan", 4, "value of index 2: found \"nan\", expected a finite number");
        check("1 2:1\t2:1", 6, "index: found 2 behind 2, expected rising ones");
    }

    #[test]
    fn bad_row_ends_the_run_with_its_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.svm");
        std::fs::write(&path, "1 1:1\n\n-1 1:1 2:x\n").unwrap();
        let name = path.display().to_string();
        let run = execute(RuntimeConfig::threads(2), move |env| {
            Ok(read_libsvm(env, [&path], BadRecordPolicy::Fail)?.0.collect())
        });
        let error = run.unwrap_err();
        let expected = format!("{name}:3:10: value of index 2: found \"x\", expected a finite number");
        assert_eq!(error.message(), expected);
        assert_eq!(error.site().unwrap().operator, "read_libsvm");
    }
}

//! Documents, and files of them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{
    BadRecord, BadRecordPolicy, CsvOptions, CsvRecord, DataStream, Delimiter, Env, Header, Result,
};

/// A document: its words, each as often as it is there. Their order means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What tells it from others.
    pub id: u64,
    /// Words by number.
    pub words: Vec<u32>,
}

/// The documents of a file in the LDA-C format, by row from 0, and lines that are none, if `on_bad_record` says
/// [`BadRecordPolicy::DeadLetter`].
///
/// A line is `n word:count word:count ...` with the number `n` of different words. All workers read the file, every one a
/// part of it, as [`Env::read_csv`] does.
///
/// # Errors
/// The file can not be opened. During the run, if it is the policy, an error at the first line that is no document, which
/// names the file, the line and what is wrong.
///
/// # Examples
/// ```
/// use waterwheel_engine::{BadRecordPolicy, RuntimeConfig, execute};
/// use waterwheel_ml::lda::read_lda_c;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("documents");
/// std::fs::write(&path, "2 3:2 7:1\n")?;
/// let documents = execute(RuntimeConfig::threads(1), move |env| {
///     Ok(read_lda_c(env, path.clone(), BadRecordPolicy::Fail)?.0.collect())
/// })?;
/// assert_eq!(documents[0][0].words, [3, 3, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_lda_c<'s>(
    env: &Env<'s>,
    path: impl Into<PathBuf>,
    on_bad_record: BadRecordPolicy,
) -> Result<(DataStream<'s, Document>, DataStream<'s, BadRecord>)> {
    let options = CsvOptions { delimiter: Delimiter::None, header: Header::No, on_bad_record };
    let (rows, bad) = env.read_csv::<Line>([path.into()], options)?;
    Ok((rows.map(|CsvRecord { row: id, value: Line(words), .. }| Document { id, words }), bad))
}

/// Tokens of a document, at most: one that says it has more is a mistake.
const MOST_TOKENS: usize = 1 << 28;

/// What a line says.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Line(Vec<u32>);

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(line: String) -> Result<Self, String> {
        let mut fields = line.split_ascii_whitespace();
        let first = fields.next().unwrap_or_default();
        let expected: usize =
            first.parse().map_err(|_| format!("found {first:?}, expected the number of different words"))?;
        let (mut words, mut found) = (Vec::new(), 0);
        for field in fields {
            let wrong = || format!("found {field:?}, expected word:count");
            let (word, count) = field.split_once(':').ok_or_else(wrong)?;
            let word: u32 = word.parse().map_err(|_| wrong())?;
            let count: usize = count.parse().map_err(|_| wrong())?;
            if count > MOST_TOKENS - words.len() {
                return Err(format!("found {field:?}, expected {MOST_TOKENS} tokens at most"));
            }
            words.resize(words.len() + count, word);
            found += 1;
        }
        if found == expected {
            Ok(Line(words))
        } else {
            Err(format!("found {found} words, expected {expected}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_is_no_document_says_what_is_wrong() {
        let message = |text: &str| Line::try_from(text.to_string()).unwrap_err();
        assert_eq!(message("x 1:1"), "found \"x\", expected the number of different words");
        assert_eq!(message("2 1:1"), "found 1 words, expected 2");
        assert_eq!(message("1 1"), "found \"1\", expected word:count");
        assert_eq!(message("1 1:-3"), "found \"1:-3\", expected word:count");
        assert!(message("1 1:99999999999").ends_with("tokens at most"));
        assert!(Line::try_from("0".to_string()).unwrap().0.is_empty());
    }
}

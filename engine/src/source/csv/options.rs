//! How CSV files are read.

use std::fmt;
use std::str::FromStr;

use crate::bad_record::BadRecordPolicy;
use crate::error::{Error, Result};

/// How [`Env::read_csv`](crate::Env::read_csv) reads files.
///
/// | setting | default |
/// |---|---|
/// | [`delimiter`](Self::delimiter) | [`Delimiter::Sniff`]: found in the first line |
/// | [`header`](Self::header) | [`Header::Sniff`]: found in the first line |
/// | [`on_bad_record`](Self::on_bad_record) | [`BadRecordPolicy::Fail`]: the first bad record ends the run |
///
/// # Examples
/// ```
/// use waterwheel_engine::{BadRecordPolicy, CsvOptions, Delimiter};
///
/// let movie_lens = CsvOptions::default().delimiter(Delimiter::DoubleColon);
/// assert_eq!(movie_lens.on_bad_record, BadRecordPolicy::Fail);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// What separates the fields of a line.
    pub delimiter: Delimiter,
    /// Whether the first line that is not blank names the fields.
    pub header: Header,
    /// What to do with a record that can not be read.
    pub on_bad_record: BadRecordPolicy,
}

impl CsvOptions {
    /// Checks what a value can not rule out.
    pub(super) fn check(self) -> Result<()> {
        match self.delimiter {
            Delimiter::Byte(byte @ (b'"' | b'\r' | b'\n')) => Err(Error::config(format!(
                "delimiter {:?}: it can be any byte but a quote, \\r and \\n",
                char::from(byte)
            ))),
            _ => Ok(()),
        }
    }

    /// Sets what separates the fields. Default [`Delimiter::Sniff`].
    #[must_use]
    pub fn delimiter(mut self, delimiter: Delimiter) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Sets whether the first line names the fields. Default [`Header::Sniff`].
    #[must_use]
    pub fn header(mut self, header: Header) -> Self {
        self.header = header;
        self
    }

    /// Sets what to do with a record that can not be read. Default [`BadRecordPolicy::Fail`].
    #[must_use]
    pub fn on_bad_record(mut self, policy: BadRecordPolicy) -> Self {
        self.on_bad_record = policy;
        self
    }
}

/// What separates the fields of a line.
///
/// Parses from the words of a command line, and displays as one of them:
///
/// | word | value |
/// |---|---|
/// | `auto` | [`Sniff`](Self::Sniff) |
/// | `,` `;` `\|` or other ASCII punctuation | [`Byte`](Self::Byte) of it |
/// | `tab` or `\t` | [`Byte`](Self::Byte) of the tabulator |
/// | `space` | [`Byte`](Self::Byte) of the space |
/// | `::` | [`DoubleColon`](Self::DoubleColon) |
/// | `none` | [`None`](Self::None) |
///
/// # Examples
/// ```
/// use waterwheel_engine::Delimiter;
///
/// assert_eq!("tab".parse::<Delimiter>()?, Delimiter::Byte(b'\t'));
/// assert_eq!(Delimiter::DoubleColon.to_string(), "::");
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delimiter {
    /// The first of `::`, tabulator, `,`, `;`, `|` and space that is in the file's first line that is not
    /// blank; `,` if none is.
    #[default]
    Sniff,
    /// This byte; not a quote, `\r` or `\n`. Fields may be in quotes (`"`), and a quote in them is doubled.
    Byte(u8),
    /// `::`, as in the `.dat` files of MovieLens. Quotes are part of the text.
    DoubleColon,
    /// Nothing: a line is one field, whatever it says. For lines of text, and formats of your own.
    None,
}

impl FromStr for Delimiter {
    type Err = Error;

    /// # Errors
    /// The word is none of the table above; the message lists them.
    fn from_str(word: &str) -> Result<Self> {
        match word.as_bytes() {
            b"auto" => Ok(Delimiter::Sniff),
            b"::" => Ok(Delimiter::DoubleColon),
            b"none" => Ok(Delimiter::None),
            b"tab" | b"\\t" | b"\t" => Ok(Delimiter::Byte(b'\t')),
            b"space" | b" " => Ok(Delimiter::Byte(b' ')),
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(Delimiter::Byte(*byte)),
            _ => Err(Error::config(format!(
                "delimiter {word:?}: expected auto, \",\", \";\", \"|\" or other punctuation, tab, space, \"::\" or none"
            ))),
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delimiter::Sniff => f.write_str("auto"),
            Delimiter::DoubleColon => f.write_str("::"),
            Delimiter::None => f.write_str("none"),
            Delimiter::Byte(b'\t') => f.write_str("tab"),
            Delimiter::Byte(b' ') => f.write_str("space"),
            Delimiter::Byte(byte) => write!(f, "{}", byte.escape_ascii()),
        }
    }
}

/// Whether the first line that is not blank names the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// It does if none of its fields is a number.
    #[default]
    Sniff,
    /// It does.
    Yes,
    /// It is a record.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiter_displays_as_it_parses() {
        for word in ["auto", ",", ";", "tab", "|", "space", "::", "none", "^"] {
            assert_eq!(word.parse::<Delimiter>().unwrap().to_string(), word);
        }
        for word in ["\\t", "\t"] {
            assert_eq!(word.parse::<Delimiter>().unwrap(), Delimiter::Byte(b'\t'));
        }
    }

    #[test]
    fn delimiter_of_an_unknown_word_lists_the_known_ones() {
        for word in ["", "x", "comma", "\"", ":::"] {
            let error = word.parse::<Delimiter>().unwrap_err();
            let expected = format!(
                "delimiter {word:?}: expected auto, \",\", \";\", \"|\" or other punctuation, tab, space, \"::\" or none"
            );
            assert_eq!(error.message(), expected);
        }
    }
}

//! The fields of a line.

use csv::ByteRecord;
use memchr::{memchr, memchr_iter};

use crate::source::lines::{Line, Quotes};

/// What separates the fields, once it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Byte(u8),
    DoubleColon,
}

impl Separator {
    /// The byte after which a quote opens a quoted field, if quotes mean anything.
    pub(super) fn quote_after(self) -> Option<u8> {
        match self {
            Separator::Byte(byte) => Some(byte),
            Separator::DoubleColon => None,
        }
    }

    /// The separator in `line`, the first of a file.
    pub(super) fn sniff(line: &[u8]) -> Self {
        if line.windows(2).any(|pair| pair == b"::") {
            return Separator::DoubleColon;
        }
        let found = b"\t,;| ".iter().find(|byte| line.contains(byte));
        Separator::Byte(found.copied().unwrap_or(b','))
    }
}

/// Splits lines into fields, in memory that it uses again.
pub(super) struct FieldSplitter {
    separator: Separator,
    record: ByteRecord,
    unquoted: Vec<u8>,
}

impl FieldSplitter {
    pub(super) fn new(separator: Separator) -> Self {
        FieldSplitter { separator, record: ByteRecord::new(), unquoted: Vec::new() }
    }

    /// The fields of `line`, without the quotes around them.
    pub(super) fn split(&mut self, line: &Line<'_>) -> &ByteRecord {
        self.record.clear();
        match self.separator {
            Separator::DoubleColon => split_double_colon(line.text, &mut self.record),
            Separator::Byte(byte) if line.quotes == Quotes::Absent => {
                split_plain(line.text, byte, &mut self.record);
            }
            Separator::Byte(byte) => self.split_quoted(line.text, byte),
        }
        &self.record
    }

    fn split_quoted(&mut self, text: &[u8], separator: u8) {
        let mut rest = Some(text);
        while let Some(text) = rest {
            self.unquoted.clear();
            let text = match text.strip_prefix(b"\"") {
                Some(quoted) => unquote(quoted, &mut self.unquoted),
                None => text,
            };
            // Behind a closing quote, up to the separator, quotes are text.
            let end = memchr(separator, text);
            self.unquoted.extend_from_slice(end.map_or(text, |end| &text[..end]));
            self.record.push_field(&self.unquoted);
            rest = end.map(|end| &text[end + 1..]);
        }
    }
}

fn split_plain(text: &[u8], separator: u8, record: &mut ByteRecord) {
    let mut begin = 0;
    for end in memchr_iter(separator, text) {
        record.push_field(&text[begin..end]);
        begin = end + 1;
    }
    record.push_field(&text[begin..]);
}

fn split_double_colon(text: &[u8], record: &mut ByteRecord) {
    let mut begin = 0;
    for colon in memchr_iter(b':', text) {
        if colon >= begin && text.get(colon + 1) == Some(&b':') {
            record.push_field(&text[begin..colon]);
            begin = colon + 2;
        }
    }
    record.push_field(&text[begin..]);
}

/// Appends to `out` what is between quotes, and returns what is behind the closing one.
fn unquote<'a>(mut text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    while let Some(quote) = memchr(b'"', text) {
        out.extend_from_slice(&text[..quote]);
        text = &text[quote + 1..];
        match text.strip_prefix(b"\"") {
            Some(rest) => text = rest,
            None => return text,
        }
        out.push(b'"');
    }
    out.extend_from_slice(text);
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::lines::{LineReader, Position};

    fn fields(separator: Separator, text: &str) -> Vec<String> {
        let start = Position { byte: 0, line: 1, row: 0 };
        let mut reader = LineReader::new(text.as_bytes(), start, separator.quote_after());
        let line = reader.next_line().unwrap().unwrap();
        let mut splitter = FieldSplitter::new(separator);
        splitter.split(&line).iter().map(|field| String::from_utf8(field.to_vec()).unwrap()).collect()
    }

    #[test]
    fn separator_is_the_strongest_of_the_first_line() {
        let cases: [(&str, Separator); 8] = [
            ("1::2,3\t4", Separator::DoubleColon),
            ("a,b\tc", Separator::Byte(b'\t')),
            ("a b;c,d", Separator::Byte(b',')),
            ("a:b|c;d", Separator::Byte(b';')),
            ("a b|c", Separator::Byte(b'|')),
            ("a b", Separator::Byte(b' ')),
            ("a:b", Separator::Byte(b',')),
            ("", Separator::Byte(b',')),
        ];
        for (line, expected) in cases {
            assert_eq!(Separator::sniff(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn fields_keep_everything_between_separators() {
        assert_eq!(fields(Separator::Byte(b','), ",a b,,é\"\","), ["", "a b", "", "é\"\"", ""]);
        assert_eq!(fields(Separator::Byte(b'\t'), "a,b\t c"), ["a,b", " c"]);
        assert_eq!(fields(Separator::DoubleColon, "\"a:b\":::c::::"), ["\"a:b\"", ":c", "", ""]);
    }

    #[test]
    fn quoted_fields_lose_their_quotes() {
        let text = r#""a,b",c"d,"","e ""f""","""","g"h"i,"#;
        assert_eq!(fields(Separator::Byte(b','), text), ["a,b", "c\"d", "", "e \"f\"", "\"", "gh\"i", ""]);
    }
}

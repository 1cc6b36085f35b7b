//! The fields of a line.

use csv::{ByteRecord, StringRecord};
use memchr::memchr;
use serde::de::DeserializeOwned;

use crate::source::lines::{Line, Quotes, Separator};

impl Separator {
    /// The separator of a file whose first line is `line`.
    pub(super) fn sniff(line: &[u8]) -> Self {
        if line.windows(2).any(|pair| pair == b"::") {
            return Separator::DoubleColon;
        }
        let found = b"\t,;| ".iter().find(|byte| line.contains(byte));
        Separator::Byte(found.copied().unwrap_or(b','))
    }
}

/// The fields of a line.
pub(super) enum Fields {
    Text(StringRecord),
    /// Of a line that is not UTF-8: only a field that must be text is then an error.
    Bytes(ByteRecord),
}

impl Fields {
    fn new(record: ByteRecord) -> Self {
        StringRecord::from_byte_record(record)
            .map_or_else(|error| Fields::Bytes(error.into_byte_record()), Fields::Text)
    }

    fn into_bytes(self) -> ByteRecord {
        match self {
            Fields::Text(record) => record.into_byte_record(),
            Fields::Bytes(record) => record,
        }
    }

    pub(super) fn as_bytes(&self) -> &ByteRecord {
        match self {
            Fields::Text(record) => record.as_byte_record(),
            Fields::Bytes(record) => record,
        }
    }

    #[inline]
    pub(super) fn deserialize<R: DeserializeOwned>(&self, header: Option<&StringRecord>) -> csv::Result<R> {
        match self {
            Fields::Text(record) => record.deserialize(header),
            Fields::Bytes(record) => record.deserialize(header.map(StringRecord::as_byte_record)),
        }
    }
}

/// Splits lines into fields, in memory that it uses again.
pub(super) struct FieldSplitter {
    separator: Separator,
    fields: Option<Fields>,
    unquoted: Vec<u8>,
}

impl FieldSplitter {
    pub(super) fn new(separator: Separator) -> Self {
        FieldSplitter { separator, fields: None, unquoted: Vec::new() }
    }

    /// The fields of `line`, without the quotes around them.
    #[inline]
    pub(super) fn split(&mut self, line: &Line<'_>) -> &Fields {
        let mut record = self.fields.take().map_or_else(ByteRecord::new, Fields::into_bytes);
        record.clear();
        let mut begin = 0;
        for end in line.separators.iter().copied().chain([line.text.len()]) {
            let field = &line.text[begin..end];
            match field.strip_prefix(b"\"") {
                Some(quoted) if line.quotes != Quotes::Absent => {
                    record.push_field(unquote(quoted, &mut self.unquoted));
                }
                _ => record.push_field(field),
            }
            begin = end + self.separator.len();
        }
        self.fields.insert(Fields::new(record))
    }
}

/// What a field says that begins with a quote before `text`, in `memory` if it is not all in one piece.
/// Behind its closing quote, quotes are text.
fn unquote<'a>(mut text: &'a [u8], memory: &'a mut Vec<u8>) -> &'a [u8] {
    if let Some(inner) = text.strip_suffix(b"\"")
        && !inner.contains(&b'"')
    {
        return inner;
    }
    memory.clear();
    while let Some(quote) = memchr(b'"', text) {
        memory.extend_from_slice(&text[..quote]);
        text = &text[quote + 1..];
        match text.strip_prefix(b"\"") {
            Some(rest) => text = rest,
            None => break,
        }
        memory.push(b'"');
    }
    memory.extend_from_slice(text);
    memory
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::lines::{LineReader, Position};

    fn fields(separator: Separator, text: &str) -> Vec<String> {
        let start = Position { byte: 0, line: 1, row: 0 };
        let mut reader = LineReader::new(text.as_bytes(), start, separator);
        let line = reader.next_line().unwrap().unwrap();
        let mut splitter = FieldSplitter::new(separator);
        splitter
            .split(&line)
            .as_bytes()
            .iter()
            .map(|field| String::from_utf8(field.to_vec()).unwrap())
            .collect()
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

//! The fields of a line.

use memchr::{memchr, memchr_iter};

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

/// The fields of a line, where they are.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    line: Line<'a>,
    separator_len: usize,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn of(line: Line<'a>, separator: Separator) -> Self {
        Fields { line, separator_len: separator.len() }
    }

    /// The line with all of them.
    pub(super) fn line(&self) -> &Line<'a> {
        &self.line
    }

    /// How many there are; at least one.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.line.separators.len() + 1
    }

    /// Bytes of the line before field `index`; before its quote, if it has one.
    #[inline]
    pub(super) fn begin(&self, index: usize) -> Option<usize> {
        match index.checked_sub(1) {
            None => Some(0),
            Some(before) => Some(self.line.separators.get(before)? + self.separator_len),
        }
    }

    /// What field `index` says, without the quotes around it; in `memory` if it is not all in one piece.
    #[inline]
    pub(super) fn get<'b>(&self, index: usize, memory: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        let begin = self.begin(index)?;
        let end = self.line.separators.get(index).copied().unwrap_or(self.line.text.len());
        let field = self.line.text.get(begin..end)?;
        match field {
            [b'"', quoted @ ..] if self.line.quotes != Quotes::Absent => Some(unquote(quoted, memory)),
            _ => Some(field),
        }
    }

    /// The first field whose quotes enclose the end of a line and have text behind them, and the lines that they enclose.
    /// So looks a quote that is not closed where it should be: what follows up to the next one became text.
    pub(super) fn torn(&self) -> Option<(usize, usize)> {
        memchr(b'\n', self.line.text)?;
        (0..self.len()).find_map(|index| {
            let (begin, end) = (self.begin(index)?, self.line.separators.get(index).copied());
            let quoted =
                self.line.text.get(begin..end.unwrap_or(self.line.text.len()))?.strip_prefix(b"\"")?;
            let closing = closing_quote(quoted)?;
            let n_newlines = memchr_iter(b'\n', &quoted[..closing]).count();
            (n_newlines > 0 && closing + 1 < quoted.len()).then_some((index, n_newlines + 1))
        })
    }

    /// All fields as text; what is not UTF-8 is shown as such.
    pub(super) fn to_texts(self) -> Vec<String> {
        let mut memory = Vec::new();
        let text =
            |index| self.get(index, &mut memory).map(|field| String::from_utf8_lossy(field).into_owned());
        (0..self.len()).map_while(text).collect()
    }
}

/// Where the quote is that closes a field that begins before `text`.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'"', &text[at..])?;
        if text.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
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
        Fields::of(line, separator).to_texts()
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

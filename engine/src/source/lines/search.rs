//! Searching a block for the end of a line and for the separators before it.

use memchr::{memchr, memchr_iter, memchr2, memchr3, memmem};

use crate::source::lines::Quotes;

/// Length up to which a field is searched byte by byte.
const NEAR_BYTES: usize = 16;

/// Where the line at the beginning of `text` has its newline, unless `text` ends before it; its separators
/// and quotes up to there.
#[inline]
pub(super) fn find_newline(
    text: &[u8],
    separator: u8,
    separators: &mut Vec<usize>,
) -> (Option<usize>, Quotes) {
    let (mut at, mut field, mut quotes) = (0, 0, Quotes::Absent);
    while let Some(found) = find_special(&text[at..], separator) {
        at += found;
        match text[at] {
            b'\n' => return (Some(at), quotes),
            b'"' if at == field => {
                quotes = Quotes::Closed;
                let Some(len) = len_of_quoted(&text[at + 1..]) else { return (None, Quotes::Unclosed) };
                at += 1 + len;
            }
            b'"' => at += 1,
            _separator => {
                separators.push(at);
                at += 1;
                field = at;
            }
        }
    }
    (None, quotes)
}

/// Where `text` has its first newline, quote or separator.
#[inline]
fn find_special(text: &[u8], separator: u8) -> Option<usize> {
    // Most fields are short: for them a loop is faster than a call.
    let near = &text[..text.len().min(NEAR_BYTES)];
    near.iter()
        .position(|byte| [b'\n', b'"', separator].contains(byte))
        .or_else(|| memchr3(b'\n', b'"', separator, &text[near.len()..]).map(|found| near.len() + found))
}

/// As [`find_newline`], for [`Separator::DoubleColon`].
pub(super) fn find_newline_by_colons(text: &[u8], separators: &mut Vec<usize>) -> (Option<usize>, Quotes) {
    let mut at = 0;
    while let Some(found) = memchr2(b'\n', b':', &text[at..]) {
        at += found;
        if text[at] == b'\n' {
            return (Some(at), Quotes::Absent);
        }
        if text.get(at + 1) == Some(&b':') {
            separators.push(at);
            at += 1;
        }
        at += 1;
    }
    (None, Quotes::Absent)
}

/// Length of a quoted field with its closing quote, but without the opening one that is before `text`.
fn len_of_quoted(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'"', &text[at..])? + 1;
        if text.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// How many of these whole lines are blank.
pub(super) fn count_blank(lines: &[u8]) -> usize {
    let starts_blank = matches!(lines.first(), Some(b'\n' | b'\r'));
    if !starts_blank && memmem::find(lines, b"\n\n").is_none() && memmem::find(lines, b"\n\r").is_none() {
        return 0;
    }
    let (mut begin, mut blank) = (0, 0);
    for newline in memchr_iter(b'\n', lines) {
        blank += usize::from(matches!(&lines[begin..newline], b"" | b"\r"));
        begin = newline + 1;
    }
    blank
}

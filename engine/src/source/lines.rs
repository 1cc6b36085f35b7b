//! Lines of a file with their numbers, read block by block.
//!
//! A line ends with `\n` or `\r\n`. Where quotes count, neither a newline nor a separator between them means
//! anything. One search finds both, as searching a block is much faster than searching many short lines.

mod search;

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

use search::{Specials, count_blank, find_newline, find_newline_by_colons};

/// Bytes that are asked of the file at once.
const BLOCK_BYTES: usize = 1 << 16;

/// Length beyond which a line is taken for a mistake. A reader uses about twice as much memory at most.
const MAX_LINE_BYTES: usize = 1 << 26;

/// What separates the fields of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// This byte, unless it is in a field in quotes: one that begins with a quote.
    Byte(u8),
    /// `::`; quotes mean nothing.
    DoubleColon,
    /// Nothing; quotes mean nothing.
    None,
}

impl Separator {
    pub(super) fn len(self) -> usize {
        match self {
            Separator::None => 0,
            Separator::Byte(_) => 1,
            Separator::DoubleColon => 2,
        }
    }
}

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Bytes before it.
    pub(super) byte: u64,
    /// Its number in the file, from 1; newlines between quotes count.
    pub(super) line: u64,
    /// Lines before it that are not blank.
    pub(super) row: u64,
}

/// Whether a line has quoted fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// It has none; a quote inside an unquoted field is text.
    Absent,
    /// Every quoted field is closed.
    Closed,
    /// The file ends inside a quoted field.
    Unclosed,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its bytes, without the terminator.
    pub(super) text: &'a [u8],
    /// Where the separators begin in it.
    pub(super) separators: &'a [usize],
    pub(super) start: Position,
    pub(super) quotes: Quotes,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }
}

/// A line in memory.
#[derive(Clone, Copy)]
struct Found {
    /// Where it begins in the block.
    begin: usize,
    start: Position,
    text_bytes: usize,
    quotes: Quotes,
}

/// Reads a file line by line from a known position.
///
/// It always stands at the beginning of a line, so it never has to remember whether it is between quotes.
pub(super) struct LineReader<R> {
    file: R,
    /// Memory for what was read, of which the first `filled` bytes are in use.
    block: Vec<u8>,
    filled: usize,
    /// Where the next line begins in `block`.
    next: usize,
    at_end: bool,
    separator: Separator,
    specials: Specials,
    /// The line that was found last, and its separators.
    found: Found,
    separators: Vec<usize>,
    /// Where the next line begins in the file.
    position: Position,
    max_line_bytes: usize,
}

impl<R: Read> LineReader<R> {
    /// Reads `file`, which stands at the line that begins at `position`.
    pub(super) fn new(file: R, position: Position, separator: Separator) -> Self {
        LineReader {
            file,
            block: Vec::new(),
            filled: 0,
            next: 0,
            at_end: false,
            separator,
            specials: Specials::new(if let Separator::Byte(byte) = separator { byte } else { b'\n' }),
            found: Found { begin: 0, start: position, text_bytes: 0, quotes: Quotes::Absent },
            separators: Vec::new(),
            position,
            max_line_bytes: MAX_LINE_BYTES,
        }
    }

    /// Where the next line begins.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The file that it reads.
    pub(super) fn file(&self) -> &R {
        &self.file
    }

    /// The next line, blank or not; `None` at the end of the file.
    // Inlined, so that a line is not copied on its way to where it is used.
    #[inline]
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        Ok(if self.advance()? { Some(self.line()) } else { None })
    }

    #[inline]
    fn line(&self) -> Line<'_> {
        let Found { begin, start, text_bytes, quotes } = self.found;
        Line { text: &self.block[begin..begin + text_bytes], separators: &self.separators, start, quotes }
    }

    /// Finds the next line; whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        let (newline, quotes) = loop {
            let (newline, quotes) = self.search();
            if newline.is_some() || self.at_end {
                break (newline, quotes);
            }
            self.fill()?;
        };
        let rest = &self.block[self.next..self.filled];
        if rest.is_empty() {
            return Ok(false);
        }
        let whole = newline.map_or(rest, |newline| &rest[..=newline]);
        let text = whole.strip_suffix(b"\n").unwrap_or(whole);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let newlines = if quotes == Quotes::Absent { 1 } else { memchr_iter(b'\n', whole).count() };
        self.found = Found { begin: self.next, start: self.position, text_bytes: text.len(), quotes };
        self.position.byte += whole.len() as u64;
        self.position.line += newlines as u64;
        self.position.row += u64::from(!text.is_empty());
        self.next += whole.len();
        Ok(true)
    }

    /// Searches what is in memory for the end of the next line.
    #[inline]
    fn search(&mut self) -> (Option<usize>, Quotes) {
        self.separators.clear();
        let block = &self.block[..self.filled];
        let rest = &block[self.next..];
        match self.separator {
            Separator::Byte(_) => find_newline(block, self.next, &mut self.specials, &mut self.separators),
            Separator::DoubleColon => find_newline_by_colons(rest, &mut self.separators),
            Separator::None => (memchr(b'\n', rest), Quotes::Absent),
        }
    }

    /// Goes on to the first line that begins at byte `target` or behind it, or to the end of the file.
    /// Gives up after about `budget_bytes`; whether it got there.
    pub(super) fn skip_to(&mut self, target: u64, budget_bytes: u64) -> io::Result<bool> {
        let pause = self.position.byte.saturating_add(budget_bytes);
        while self.position.byte < target {
            if self.position.byte >= pause {
                return Ok(false);
            }
            if !self.skip_plain_lines(target) && !self.advance()? {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Passes all whole lines in memory that lie before byte `target` and before the next quote, at memory
    /// speed; whether there were any.
    fn skip_plain_lines(&mut self, target: u64) -> bool {
        let rest = &self.block[self.next..self.filled];
        let before_target = usize::try_from(target - self.position.byte).unwrap_or(usize::MAX);
        let mut window = &rest[..before_target.min(rest.len())];
        if matches!(self.separator, Separator::Byte(_)) {
            window = memchr(b'"', window).map_or(window, |quote| &window[..quote]);
        }
        let Some(newline) = memrchr(b'\n', window) else { return false };
        let lines = &window[..=newline];
        let n_lines = memchr_iter(b'\n', lines).count();
        self.next += lines.len();
        self.position.byte += lines.len() as u64;
        self.position.line += n_lines as u64;
        self.position.row += (n_lines - count_blank(lines)) as u64;
        true
    }

    /// Drops what has been handed out and reads more behind the rest.
    fn fill(&mut self) -> io::Result<()> {
        self.block.copy_within(self.next..self.filled, 0);
        self.filled -= self.next;
        self.next = 0;
        self.specials.forget();
        if self.filled > self.max_line_bytes {
            return Err(self.too_long());
        }
        // As much again as there is, so that a long line is searched for its end only a few times.
        let wanted = self.filled.max(BLOCK_BYTES);
        if self.block.len() < self.filled + wanted {
            self.block.resize(self.filled + wanted, 0);
        }
        let end = self.filled + wanted;
        while self.filled < end && !self.at_end {
            match self.file.read(&mut self.block[self.filled..end]) {
                Ok(got) => (self.filled, self.at_end) = (self.filled + got, got == 0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[cold]
    fn too_long(&self) -> io::Error {
        let (line, limit) = (self.position.line, self.max_line_bytes);
        let hint = if self.separator != Separator::DoubleColon { "; is a quote not closed?" } else { "" };
        let message = format!("line {line} is longer than {limit} bytes{hint}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Separator = Separator::Byte(b',');
    const START: Position = Position { byte: 0, line: 1, row: 0 };

    /// Gives one byte at a time, and is interrupted before every other one.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.by_ref().take(1).read(out) }
        }
    }

    fn lines(text: &str, separator: Separator) -> Vec<(String, u64, u64, Quotes)> {
        let mut reader = LineReader::new(Slow(text.as_bytes(), false), START, separator);
        let mut all = Vec::new();
        while let Some(Line { text, start, quotes, .. }) = reader.next_line().unwrap() {
            all.push((String::from_utf8(text.to_vec()).unwrap(), start.line, start.row, quotes));
        }
        all
    }

    #[test]
    fn lines_of_every_ending_have_their_numbers() {
        let line = |text: &str, line, row| (text.to_string(), line, row, Quotes::Absent);
        let expected = [line("a", 1, 0), line("", 2, 1), line("b\rc", 3, 1), line("", 4, 2), line("d", 5, 2)];
        assert_eq!(lines("a\n\nb\rc\r\n\r\nd\r", COMMA), expected);
        assert!(lines("", COMMA).is_empty());
    }

    #[test]
    fn quoted_newline_does_not_end_a_line() {
        let text = "1,\"a\n\"\"b\",\"\nc\"\nd\"\ne\n";
        let expected = [
            ("1,\"a\n\"\"b\",\"\nc\"".into(), 1, 0, Quotes::Closed),
            ("d\"".into(), 4, 1, Quotes::Absent),
            ("e".into(), 5, 2, Quotes::Absent),
        ];
        assert_eq!(lines(text, COMMA), expected);
        assert_eq!(lines(text, Separator::DoubleColon).len(), 5);
    }

    #[test]
    fn quote_that_is_not_closed_takes_the_rest_of_the_file() {
        let expected = [("a".into(), 1, 0, Quotes::Absent), ("\"b\nc".into(), 2, 1, Quotes::Unclosed)];
        assert_eq!(lines("a\n\"b\nc\n", COMMA)[..1], expected[..1]);
        assert_eq!(lines("a\n\"b\nc", COMMA), expected);
    }

    #[test]
    fn line_without_a_separator_is_one_field_whatever_it_says() {
        let text = "\"a,b\n::\tc \n";
        let line = |text: &str, line, row| (text.to_string(), line, row, Quotes::Absent);
        assert_eq!(lines(text, Separator::None), [line("\"a,b", 1, 0), line("::\tc ", 2, 1)]);
        let mut reader = LineReader::new(text.as_bytes(), START, Separator::None);
        while let Some(line) = reader.next_line().unwrap() {
            assert!(line.separators.is_empty());
        }
    }

    #[test]
    fn skipping_agrees_with_reading_at_every_target() {
        let piece = "a\n\n\r\nb,\"x\ny\"\n\n\"p\"\nq\"\n";
        let cases = [
            (3, 1, COMMA),
            (3, 1, Separator::DoubleColon),
            (3, 1, Separator::None),
            (10_000, 9_973, COMMA),
            (10_000, 9_973, Separator::DoubleColon),
            (10_000, 9_973, Separator::None),
        ];
        for (repeats, step, separator) in cases {
            let text = piece.repeat(repeats);
            let mut starts = Vec::new();
            let mut reader = LineReader::new(text.as_bytes(), START, separator);
            while let Some(line) = reader.next_line().unwrap() {
                starts.push(line.start);
            }
            starts.push(reader.position());
            for target in (0..=text.len() as u64).step_by(step) {
                let mut reader = LineReader::new(text.as_bytes(), START, separator);
                while !reader.skip_to(target, 1).unwrap() {}
                let expected = starts.iter().find(|start| start.byte >= target).unwrap();
                assert_eq!(reader.position(), *expected, "target {target}");
            }
        }
    }

    #[test]
    fn line_longer_than_the_limit_is_an_error_that_names_it() {
        let text = format!("a\n\"{}", "x\n".repeat(100_000));
        let mut reader = LineReader::new(text.as_bytes(), START, COMMA);
        reader.max_line_bytes = 1000;
        assert!(reader.next_line().unwrap().is_some());
        let error = reader.next_line().unwrap_err();
        assert_eq!(error.to_string(), "line 2 is longer than 1000 bytes; is a quote not closed?");
    }
}

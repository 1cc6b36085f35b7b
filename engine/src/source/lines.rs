//! Lines of a file with their numbers, read block by block.
//!
//! A line ends with `\n` or `\r\n`. Where quotes count, a newline between them does not end the line.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};

/// Bytes that are asked of the file at once.
const BLOCK_BYTES: usize = 1 << 16;

/// Length from which a line is taken for a mistake, and the memory that one reader uses at most.
const MAX_LINE_BYTES: usize = 1 << 26;

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub(super) start: Position,
    pub(super) quotes: Quotes,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }
}

/// Reads a file line by line from a known position.
///
/// It always stands at the beginning of a line, so it never has to remember whether it is between quotes.
pub(super) struct LineReader<R> {
    file: R,
    block: Vec<u8>,
    /// Where the next line begins in `block`.
    next: usize,
    at_end: bool,
    quote_after: Option<u8>,
    position: Position,
    max_line_bytes: usize,
}

impl<R: Read> LineReader<R> {
    /// Reads `file`, which stands at the line that begins at `position`.
    ///
    /// A quote opens a quoted field at the beginning of a line and after the byte `quote_after`; with `None`
    /// quotes mean nothing.
    pub(super) fn new(file: R, position: Position, quote_after: Option<u8>) -> Self {
        LineReader {
            file,
            block: Vec::new(),
            next: 0,
            at_end: false,
            quote_after,
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
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let (newline, quotes) = loop {
            let (newline, quotes) = find_newline(&self.block[self.next..], self.quote_after);
            if newline.is_some() || self.at_end {
                break (newline, quotes);
            }
            self.fill()?;
        };
        let rest = &self.block[self.next..];
        if rest.is_empty() {
            return Ok(None);
        }
        let whole = newline.map_or(rest, |newline| &rest[..=newline]);
        let text = whole.strip_suffix(b"\n").unwrap_or(whole);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let line = Line { text, start: self.position, quotes };
        let newlines = if quotes == Quotes::Absent { 1 } else { memchr_iter(b'\n', whole).count() };
        self.next += whole.len();
        self.position.byte += whole.len() as u64;
        self.position.line += newlines as u64;
        self.position.row += u64::from(!line.is_blank());
        Ok(Some(line))
    }

    /// Goes on to the first line that begins at byte `target` or behind it, or to the end of the file.
    /// Gives up after about `budget_bytes`; whether it got there.
    pub(super) fn skip_to(&mut self, target: u64, budget_bytes: u64) -> io::Result<bool> {
        let pause = self.position.byte.saturating_add(budget_bytes);
        while self.position.byte < target {
            if self.position.byte >= pause {
                return Ok(false);
            }
            if !self.skip_plain_lines(target) && self.next_line()?.is_none() {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Passes all whole lines in memory that lie before byte `target` and before the next quote, at memory
    /// speed; whether there were any.
    fn skip_plain_lines(&mut self, target: u64) -> bool {
        let rest = &self.block[self.next..];
        let before_target = usize::try_from(target - self.position.byte).unwrap_or(usize::MAX);
        let mut window = &rest[..before_target.min(rest.len())];
        if self.quote_after.is_some() {
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
        self.block.drain(..self.next);
        self.next = 0;
        if self.block.len() > self.max_line_bytes {
            return Err(self.too_long());
        }
        // As much again as there is, so that a long line is searched for its end only a few times.
        let wanted = self.block.len().max(BLOCK_BYTES);
        self.block.reserve(wanted);
        let got = self.file.by_ref().take(wanted as u64).read_to_end(&mut self.block)?;
        self.at_end = got < wanted;
        Ok(())
    }

    #[cold]
    fn too_long(&self) -> io::Error {
        let (line, limit) = (self.position.line, self.max_line_bytes);
        let hint = if self.quote_after.is_some() { "; is a quote not closed?" } else { "" };
        let message = format!("line {line} is longer than {limit} bytes{hint}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

/// Where the line at the beginning of `text` has its newline, unless `text` ends before it, and the quotes
/// seen up to there.
fn find_newline(text: &[u8], quote_after: Option<u8>) -> (Option<usize>, Quotes) {
    let Some(separator) = quote_after else { return (memchr(b'\n', text), Quotes::Absent) };
    let (mut at, mut quotes) = (0, Quotes::Absent);
    while let Some(found) = memchr2(b'\n', b'"', &text[at..]) {
        at += found;
        if text[at] == b'\n' {
            return (Some(at), quotes);
        }
        let opens = at == 0 || text[at - 1] == separator;
        at += 1;
        if opens {
            quotes = Quotes::Closed;
            match end_of_quoted(&text[at..]) {
                Some(len) => at += len,
                None => return (None, Quotes::Unclosed),
            }
        }
    }
    (None, quotes)
}

/// Length of a quoted field with its closing quote, but without the opening one that is before `text`.
fn end_of_quoted(text: &[u8]) -> Option<usize> {
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
fn count_blank(lines: &[u8]) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    const START: Position = Position { byte: 0, line: 1, row: 0 };

    /// Gives one byte at a time, and is interrupted before every other one.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.by_ref().take(1).read(out) }
        }
    }

    fn lines(text: &str, quote_after: Option<u8>) -> Vec<(String, u64, u64, Quotes)> {
        let mut reader = LineReader::new(Slow(text.as_bytes(), false), START, quote_after);
        let mut all = Vec::new();
        while let Some(Line { text, start, quotes }) = reader.next_line().unwrap() {
            all.push((String::from_utf8(text.to_vec()).unwrap(), start.line, start.row, quotes));
        }
        all
    }

    #[test]
    fn lines_of_every_ending_have_their_numbers() {
        let line = |text: &str, line, row| (text.to_string(), line, row, Quotes::Absent);
        let expected = [line("a", 1, 0), line("", 2, 1), line("b\rc", 3, 1), line("", 4, 2), line("d", 5, 2)];
        assert_eq!(lines("a\n\nb\rc\r\n\r\nd\r", Some(b',')), expected);
        assert!(lines("", Some(b',')).is_empty());
    }

    #[test]
    fn quoted_newline_does_not_end_a_line() {
        let text = "1,\"a\n\"\"b\",\"\nc\"\nd\"\ne\n";
        let expected = [
            ("1,\"a\n\"\"b\",\"\nc\"".into(), 1, 0, Quotes::Closed),
            ("d\"".into(), 4, 1, Quotes::Absent),
            ("e".into(), 5, 2, Quotes::Absent),
        ];
        assert_eq!(lines(text, Some(b',')), expected);
        assert_eq!(lines(text, None).len(), 5);
    }

    #[test]
    fn quote_that_is_not_closed_takes_the_rest_of_the_file() {
        let expected = [("a".into(), 1, 0, Quotes::Absent), ("\"b\nc".into(), 2, 1, Quotes::Unclosed)];
        assert_eq!(lines("a\n\"b\nc\n", Some(b','))[..1], expected[..1]);
        assert_eq!(lines("a\n\"b\nc", Some(b',')), expected);
    }

    #[test]
    fn skipping_agrees_with_reading_at_every_target() {
        let piece = "a\n\n\r\nb,\"x\ny\"\n\n\"p\"\nq\"\n";
        let cases = [(3, 1, Some(b',')), (3, 1, None), (10_000, 9_973, Some(b',')), (10_000, 9_973, None)];
        for (repeats, step, quote_after) in cases {
            let text = piece.repeat(repeats);
            let mut starts = Vec::new();
            let mut reader = LineReader::new(text.as_bytes(), START, quote_after);
            while let Some(line) = reader.next_line().unwrap() {
                starts.push(line.start);
            }
            starts.push(reader.position());
            for target in (0..=text.len() as u64).step_by(step) {
                let mut reader = LineReader::new(text.as_bytes(), START, quote_after);
                while !reader.skip_to(target, 1).unwrap() {}
                let expected = starts.iter().find(|start| start.byte >= target).unwrap();
                assert_eq!(reader.position(), *expected, "target {target}");
            }
        }
    }

    #[test]
    fn line_longer_than_the_limit_is_an_error_that_names_it() {
        let text = format!("a\n\"{}", "x\n".repeat(100_000));
        let mut reader = LineReader::new(text.as_bytes(), START, Some(b','));
        reader.max_line_bytes = 1000;
        assert!(reader.next_line().unwrap().is_some());
        let error = reader.next_line().unwrap_err();
        assert_eq!(error.to_string(), "line 2 is longer than 1000 bytes; is a quote not closed?");
    }
}

//! Searching a block for the end of a line and for the separators before it.

use memchr::{memchr, memchr_iter, memchr2, memmem};

use crate::source::lines::Quotes;

/// Bytes that are looked at together.
const WINDOW_BYTES: usize = 64;

/// Newlines, quotes and separators of a block, found window by window: fields are short, and a search for each would
/// cost more than what it passes over.
pub(super) struct Specials {
    /// The separator in each byte.
    separators: u64,
    /// The window: where it begins and ends.
    begin: usize,
    end: usize,
    /// The bytes of the window that are special and were not told yet, the first one in the lowest bit.
    untold: u64,
    /// Behind the last one that was told.
    told: usize,
}

impl Specials {
    pub(super) fn new(separator: u8) -> Self {
        Specials { separators: in_each_byte(separator), begin: 0, end: 0, untold: 0, told: 0 }
    }

    /// The block is another one.
    pub(super) fn forget(&mut self) {
        (self.begin, self.end, self.untold, self.told) = (0, 0, 0, 0);
    }

    /// Passes over all that is before `at`.
    #[inline]
    fn go_to(&mut self, at: usize) {
        if (self.told..self.end).contains(&at) {
            self.untold &= u64::MAX << (at - self.begin);
        } else {
            (self.begin, self.end, self.untold, self.told) = (at, at, 0, at);
        }
    }

    /// Where the next one is.
    #[inline]
    fn next(&mut self, block: &[u8]) -> Option<usize> {
        while self.untold == 0 {
            let rest = block.get(self.end..).filter(|rest| !rest.is_empty())?;
            (self.begin, self.told) = (self.end, self.end);
            self.untold = match rest.first_chunk() {
                Some(window) => self.in_window(window),
                None => self.in_rest(rest),
            };
            self.end += rest.len().min(WINDOW_BYTES);
        }
        let at = self.begin + self.untold.trailing_zeros() as usize;
        self.untold &= self.untold - 1;
        self.told = at + 1;
        Some(at)
    }

    /// Eight bytes at a time: a bit for each byte that is special.
    #[inline]
    fn in_window(&self, window: &[u8; WINDOW_BYTES]) -> u64 {
        let (words, _) = window.as_chunks::<8>();
        words.iter().rev().fold(0, |found, word| {
            let word = u64::from_le_bytes(*word);
            let special = zeros(word ^ in_each_byte(b'\n'))
                | zeros(word ^ in_each_byte(b'"'))
                | zeros(word ^ self.separators);
            // Moves the highest bits of all bytes together.
            found << 8 | special.wrapping_mul(0x0002_0408_1020_4081) >> 56
        })
    }

    /// What is less than a window at the end of a block.
    #[cold]
    fn in_rest(&self, rest: &[u8]) -> u64 {
        let mut window = [0; WINDOW_BYTES];
        window[..rest.len()].copy_from_slice(rest);
        self.in_window(&window) & !(u64::MAX << rest.len())
    }
}

const fn in_each_byte(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each byte that is zero.
#[inline]
fn zeros(word: u64) -> u64 {
    const LOW: u64 = in_each_byte(0x7f);
    !((word & LOW).wrapping_add(LOW) | word | LOW)
}

/// Where the line that begins at `begin` has its newline, unless the block ends before it; its separators and quotes up
/// to there. Positions are those in the line.
#[inline]
pub(super) fn find_newline(
    block: &[u8],
    begin: usize,
    specials: &mut Specials,
    separators: &mut Vec<usize>,
) -> (Option<usize>, Quotes) {
    let (mut field, mut quotes) = (begin, Quotes::Absent);
    specials.go_to(begin);
    while let Some(at) = specials.next(block) {
        match block[at] {
            b'\n' => return (Some(at - begin), quotes),
            b'"' if at == field => {
                quotes = Quotes::Closed;
                let Some(len) = len_of_quoted(&block[at + 1..]) else { return (None, Quotes::Unclosed) };
                specials.go_to(at + 1 + len);
            }
            b'"' => {}
            _separator => {
                separators.push(at - begin);
                field = at + 1;
            }
        }
    }
    (None, quotes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever was looked at before, and with every length of the last window.
        #[test]
        fn specials_are_those_that_a_look_at_each_byte_finds(
            block in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'"'), Just(b','), Just(0u8), any::<u8>()], 0..300),
            separator in prop_oneof![Just(b','), Just(0u8), Just(b'\t'), Just(0xff_u8), Just(0x8a_u8)],
            begins in prop::collection::vec(0usize..301, 1..8),
        ) {
            let mut specials = Specials::new(separator);
            for begin in begins {
                let begin = begin.min(block.len());
                let is_special = |at: &usize| [b'\n', b'"', separator].contains(&block[*at]);
                let expected: Vec<usize> = (begin..block.len()).filter(is_special).collect();
                specials.go_to(begin);
                let found: Vec<usize> = std::iter::from_fn(|| specials.next(&block)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

//! Words of a skewed vocabulary, for counting.

use std::fmt::Write;
use std::ops::Range;

use waterwheel_engine::Result;

use super::{check_sizes, clamp, unit};

/// Words `w0`, `w1`, ... of which low numbers come most: `⌊vocabulary·u³⌋` of uniform `u`.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::Words;
///
/// let words = Words::new(25, 10_000)?;
/// assert_eq!(words.word(7), format!("w{}", words.id(7)));
/// let lines: Vec<String> = words.lines().collect();
/// assert_eq!(lines.len(), 3);
/// assert_eq!(lines[2].split(' ').count(), 5);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Words {
    count: u64,
    vocabulary: u32,
}

impl Words {
    /// How many words a full line has.
    pub const PER_LINE: u64 = 10;

    /// `count` words out of `vocabulary`.
    ///
    /// # Errors
    /// A config error where `vocabulary` is 0.
    pub fn new(count: u64, vocabulary: u32) -> Result<Self> {
        check_sizes("words", &[("vocabulary", vocabulary)])?;
        Ok(Words { count, vocabulary })
    }

    /// How many words there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many different words there can be.
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// The number of word `idx`, below the vocabulary.
    #[inline]
    pub fn id(&self, idx: u64) -> u32 {
        let draw = unit(17, idx);
        (f64::from(self.vocabulary) * (draw * draw * draw)) as u32
    }

    /// Word `idx`: `w` and its number.
    pub fn word(&self, idx: u64) -> String {
        format!("w{}", self.id(idx))
    }

    /// The words of `range`, as far as there are any.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = String> + Send + use<> {
        let words = self.clone();
        clamp(range, self.count).map(move |idx| words.word(idx))
    }

    /// All words.
    pub fn iter(&self) -> impl Iterator<Item = String> + Send + use<> {
        self.range(0..self.count)
    }

    /// How many lines there are; the last can be shorter.
    pub fn line_count(&self) -> u64 {
        self.count.div_ceil(Self::PER_LINE)
    }

    /// Line `idx`: up to ten words with a space between them, without the line break.
    pub fn line(&self, idx: u64) -> String {
        let first = idx.saturating_mul(Self::PER_LINE);
        let mut line = String::new();
        for id in clamp(first..first.saturating_add(Self::PER_LINE), self.count).map(|idx| self.id(idx)) {
            let space = if line.is_empty() { "" } else { " " };
            // Writing to a string can not fail.
            let _ = write!(line, "{space}w{id}");
        }
        line
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = String> + Send + use<> {
        let words = self.clone();
        (0..self.line_count()).map(move |idx| words.line(idx))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROBES, digest};
    use super::*;

    #[test]
    fn words_are_golden() {
        let words = Words::new(1_000, 10_000).unwrap();
        assert_eq!(PROBES.map(|idx| words.id(idx)), [1265, 599, 353, 112, 548, 307, 666]);
        assert_eq!(words.line(0), "w1265 w599 w353 w112 w0 w5 w0 w2791 w0 w3563");
        let text = words.lines().map(|line| format!("{line}\n").into_bytes());
        assert_eq!(digest(text), 0xa352_d444_a87b_a139);
    }

    #[test]
    fn words_range_equals_words() {
        let words = Words::new(95, 100).unwrap();
        let tail: Vec<_> = (90..95).map(|idx| words.word(idx)).collect();
        assert_eq!(words.range(90..200).collect::<Vec<_>>(), tail);
        assert_eq!(words.iter().skip(90).collect::<Vec<_>>(), tail);
        assert_eq!(words.lines().last(), Some(tail.join(" ")));
        assert_eq!([words.line(10), words.line(u64::MAX)], ["", ""]);
    }
}

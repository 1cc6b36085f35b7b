//! Ways to rule vectors out without scoring them.

use std::fmt;
use std::str::FromStr;

use waterwheel_engine::{Error, Result};

/// How a bucket's vectors are ruled out before they are scored. All give the same answer, in different time.
///
/// | strategy | text form | keeps |
/// |---|---|---|
/// | `Length` | `length` | vectors that are long enough |
/// | `Coord` | `coord` | those whose share in the query's largest coordinate a good one can have |
/// | `Incr(n)` | `incr:n` | those that can be good by their product in the query's `n` largest coordinates and what the rest can add at most |
/// | `Lc(t)` | `lc:t` | as `Length` in buckets whose longest vector is more than `t` times the shortest, else as `Coord` |
/// | `Li(n, t)` | `li:n:t` | the same with `Incr(n)` |
///
/// `n` is 1 or more, and counts as all coordinates where there are not as many; `t` is finite and 1 or more. The
/// default is `Length`, which costs next to nothing: a vectorised score of a few dozen coordinates is hardly dearer than a
/// bound on it, so the others pay for long vectors, or where lengths are alike and few vectors are good. (Flink Parameter
/// Server takes `Li(5, 2.5)`.) With more than ten coordinates a third to a half of them is a good `n`.
///
/// # Examples
/// ```
/// use waterwheel_ml::retrieval::Pruning;
/// let pruning: Pruning = "li:8:2.5".parse()?;
/// assert_eq!(pruning, Pruning::Li(8, 2.5));
/// assert_eq!(pruning.to_string(), "li:8:2.5");
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pruning {
    /// By length.
    #[default]
    Length,
    /// By the query's largest coordinate.
    Coord,
    /// By so many of the query's largest coordinates.
    Incr(usize),
    /// By length where lengths differ by this factor, else by the largest coordinate.
    Lc(f32),
    /// By length where lengths differ by this factor, else by so many of the largest coordinates.
    Li(usize, f32),
}

impl Pruning {
    /// Refuses numbers that mean nothing.
    pub(crate) fn check(self) -> Result<()> {
        let (n, t) = match self {
            Pruning::Length | Pruning::Coord => (1, 1.0),
            Pruning::Incr(n) => (n, 1.0),
            Pruning::Lc(t) => (1, t),
            Pruning::Li(n, t) => (n, t),
        };
        if n == 0 {
            return Err(Error::config(format!("pruning {self}: found 0 coordinates, expected 1 or more")));
        }
        if !(t.is_finite() && t >= 1.0) {
            return Err(Error::config(format!(
                "pruning {self}: found the factor {t}, expected a finite number, 1 or more"
            )));
        }
        Ok(())
    }

    /// What is done in a bucket of vectors with these greatest and least lengths: one of the first three.
    pub(super) fn in_bucket(self, greatest: f32, least: f32) -> Pruning {
        match self {
            Pruning::Lc(t) | Pruning::Li(_, t) if greatest > least * t => Pruning::Length,
            Pruning::Lc(_) => Pruning::Coord,
            Pruning::Li(n, _) => Pruning::Incr(n),
            one => one,
        }
    }

    /// How many of the query's largest coordinates it adds up.
    pub(super) fn focus(self) -> usize {
        match self {
            Pruning::Length | Pruning::Coord | Pruning::Lc(_) => 0,
            Pruning::Incr(n) | Pruning::Li(n, _) => n,
        }
    }
}

impl FromStr for Pruning {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "pruning: found {text:?}, expected length, coord, incr:n, lc:t or li:n:t, for example li:5:2.5"
            ))
        };
        let count = |text: &str| text.parse().map_err(|_| wrong());
        let factor = |text: &str| text.parse().map_err(|_| wrong());
        let pruning = match text.to_ascii_lowercase().split(':').collect::<Vec<_>>()[..] {
            ["length"] => Pruning::Length,
            ["coord"] => Pruning::Coord,
            ["incr", n] => Pruning::Incr(count(n)?),
            ["lc", t] => Pruning::Lc(factor(t)?),
            ["li", n, t] => Pruning::Li(count(n)?, factor(t)?),
            _ => return Err(wrong()),
        };
        pruning.check()?;
        Ok(pruning)
    }
}

impl fmt::Display for Pruning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pruning::Length => f.write_str("length"),
            Pruning::Coord => f.write_str("coord"),
            Pruning::Incr(n) => write!(f, "incr:{n}"),
            Pruning::Lc(t) => write!(f, "lc:{t}"),
            Pruning::Li(n, t) => write!(f, "li:{n}:{t}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_text_reads_back() {
        for text in ["length", "coord", "incr:5", "lc:2.5", "li:5:2.5"] {
            assert_eq!(text.parse::<Pruning>().unwrap().to_string(), text);
        }
        assert_eq!("LI:3:1".parse::<Pruning>().unwrap(), Pruning::Li(3, 1.0));
    }

    #[test]
    fn pruning_that_is_wrong_says_what_is_expected() {
        let message = |text: &str| text.parse::<Pruning>().unwrap_err().message().to_string();
        for text in ["", "lengths", "incr", "incr:", "incr:-1", "incr:2.5", "lc:x", "li:5", "li:5:2:1"] {
            let expected = format!(
                "pruning: found {text:?}, expected length, coord, incr:n, lc:t or li:n:t, for example li:5:2.5"
            );
            assert_eq!(message(text), expected);
        }
        assert_eq!(message("incr:0"), "pruning incr:0: found 0 coordinates, expected 1 or more");
        assert_eq!(
            message("lc:0.5"),
            "pruning lc:0.5: found the factor 0.5, expected a finite number, 1 or more"
        );
        assert!("lc:NaN".parse::<Pruning>().is_err() && "li:2:inf".parse::<Pruning>().is_err());
    }
}

//! Sizes in bytes, as people write them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A number of bytes that reads and writes as `0`, `1500`, `64K`, `512M`, `1G` or `2T`.
///
/// The letters stand for powers of 1024, in either case; `iB` or `B` may follow them.
///
/// # Examples
/// ```
/// use waterwheel_engine::ByteSize;
///
/// assert_eq!("512M".parse::<ByteSize>()?, ByteSize(512 << 20));
/// assert_eq!("1 GiB".parse::<ByteSize>()?.to_string(), "1G");
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// From the largest.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("found \"{text}\", expected a number of bytes, or one with K, M, G or T"))
        };
        let short = text.trim().to_ascii_uppercase();
        let short = short.strip_suffix("IB").or_else(|| short.strip_suffix('B')).unwrap_or(&short);
        let unit = UNITS.into_iter().find_map(|(unit, shift)| Some((short.strip_suffix(unit)?, shift)));
        let (number, shift) = unit.unwrap_or((short, 0));
        let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.into_iter().find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1 << shift));
        match whole {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_read_with_and_without_a_unit() {
        let cases = [
            ("0", 0),
            ("1500", 1500),
            ("64k", 65_536),
            (" 2 MiB ", 2 << 20),
            ("3GB", 3 << 30),
            ("1T", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes), "{text}");
        }
    }

    #[test]
    fn size_that_is_none_is_named() {
        for text in ["", "M", "-1", "1.5G", "12X", "99999999T", "1MM", "IB"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.message().starts_with(&format!("found \"{text}\"")), "{error}");
        }
    }

    #[test]
    fn size_is_written_as_it_is_read() {
        for bytes in [0, 1, 1023, 1024, 1 << 20, (1 << 30) + 1, 5 << 40, u64::MAX] {
            assert_eq!(ByteSize(bytes).to_string().parse::<ByteSize>().unwrap(), ByteSize(bytes));
        }
    }
}

//! Numbers as they are written: sums of decimals are exact, and so they do not depend on the order of their parts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A decimal, or what is none: too long, or with an exponent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Number {
    /// `units` of the last of `places` behind the point.
    Decimal {
        units: i128,
        places: u32,
    },
    Float(f64),
}

/// Most digits behind the point.
const MAX_PLACES: usize = 18;

impl Number {
    pub(super) const ZERO: Self = Number::Decimal { units: 0, places: 0 };

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Number::Decimal { units, places } => units as f64 / 10f64.powi(places.cast_signed()),
            Number::Float(number) => number,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.exactly_plus(other).unwrap_or_else(|| Number::Float(self.as_f64() + other.as_f64()))
    }

    /// The sum, if both are decimals and it is not too large for one.
    fn exactly_plus(self, other: Self) -> Option<Self> {
        let (Number::Decimal { places: a, .. }, Number::Decimal { places: b, .. }) = (self, other) else {
            return None;
        };
        let places = a.max(b);
        let units = self.units_at(places)?.checked_add(other.units_at(places)?)?;
        Some(Number::Decimal { units, places })
    }

    fn units_at(self, wanted: u32) -> Option<i128> {
        match self {
            Number::Decimal { units, places } => units.checked_mul(10i128.pow(wanted - places)),
            Number::Float(_) => None,
        }
    }
}

impl FromStr for Number {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = !fraction.starts_with(['-', '+']) && fraction.len() <= MAX_PLACES;
        match format!("{whole}{fraction}").parse() {
            Ok(units) if are_digits => Ok(Number::Decimal { units, places: fraction.len() as u32 }),
            _ => text.parse().map(Number::Float),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Float(number) => number.fmt(f),
            Number::Decimal { units, places: 0 } => units.fmt(f),
            Number::Decimal { units, places } => {
                let sign = if *units < 0 { "-" } else { "" };
                let one = 10u128.pow(*places);
                let (whole, fraction) = (units.unsigned_abs() / one, units.unsigned_abs() % one);
                write!(f, "{sign}{whole}.{fraction:0width$}", width = *places as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> String {
        texts.iter().map(|text| text.parse().unwrap()).fold(Number::ZERO, Number::plus).to_string()
    }

    #[test]
    fn sums_of_decimals_are_exact() {
        assert_eq!(sum(&["0.1", "0.2", "-0.25", "1"]), "1.05");
        assert_eq!(sum(&["-0.50", "0.2"]), "-0.30");
        assert_eq!(sum(&["9007199254740993", "1"]), "9007199254740994");
        assert_eq!(sum(&[]), "0");
    }

    #[test]
    fn numbers_that_are_no_decimals_are_added_as_floats() {
        assert_eq!(sum(&["1e3", "0.5"]), "1000.5");
        assert_eq!(sum(&["0.1234567890123456789", "1"]), (0.123_456_789_012_345_68_f64 + 1.0).to_string());
        let huge = "170141183460469231731687303715884105727";
        assert_eq!(sum(&[huge, huge]).parse::<f64>().unwrap(), 2.0 * huge.parse::<f64>().unwrap());
    }

    #[test]
    fn numbers_are_written_as_they_were() {
        for text in ["0", "-1", "2.50", "-0.05", "123456789012345678901234567890.5"] {
            assert_eq!(text.parse::<Number>().unwrap().to_string(), text);
        }
        assert_eq!("2.50".parse::<Number>().unwrap().as_f64(), 2.5);
    }
}

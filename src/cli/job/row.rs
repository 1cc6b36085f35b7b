//! Records of jobs from files: named cells, as CSV and JSON lines have them.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::number::Number;

/// One cell. A number is the text that it was, so that what was read is written as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
}

impl Cell {
    /// What the text of a CSV field is: nothing, `true` or `false`, a number as JSON writes it, or text.
    fn of_field(text: &str) -> Self {
        match text {
            "" => Cell::Null,
            "true" => Cell::Bool(true),
            "false" => Cell::Bool(false),
            number if is_json_number(number) => Cell::Number(number.into()),
            text => Cell::Text(text.into()),
        }
    }

    pub(super) fn of_number(number: f64) -> Self {
        // As JSON has it: whole numbers without a fraction.
        if number.fract() == 0.0 && number.abs() < 9e15 {
            return Cell::Number(format!("{}", number as i64));
        }
        if number.is_finite() { Cell::Number(number.to_string()) } else { Cell::Null }
    }

    pub(super) fn of_exact(number: Number) -> Self {
        match number {
            Number::Float(number) => Cell::of_number(number),
            decimal => Cell::Number(decimal.to_string()),
        }
    }

    pub(super) fn exact(&self) -> Option<Number> {
        match self {
            Cell::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Cell::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// As text, without quotes.
    pub(super) fn text(&self) -> &str {
        match self {
            Cell::Null => "",
            Cell::Bool(true) => "true",
            Cell::Bool(false) => "false",
            Cell::Number(text) | Cell::Text(text) => text,
        }
    }

    /// Numbers by size, all else by its text.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self.whole(), other.whole(), self.number(), other.number()) {
            (Some(a), Some(b), ..) => a.cmp(&b),
            (_, _, Some(a), Some(b)) => a.total_cmp(&b),
            _ => self.text().cmp(other.text()),
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Cell::Number(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl std::str::FromStr for Cell {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Cell::of_field(text))
    }
}

/// Whether JSON has this number, so that its text can be written there as it is.
fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let (whole, rest) = text.split_at(count_digits(text));
    let fraction = rest.strip_prefix(b".");
    let after_fraction = match fraction {
        Some(fraction) => {
            let digits = count_digits(fraction);
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    let exponent = match after_fraction {
        [] => return is_whole(whole),
        [b'e' | b'E', b'+' | b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => digits,
        _ => return false,
    };
    is_whole(whole) && !exponent.is_empty() && count_digits(exponent) == exponent.len()
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// No leading zeros: those of `007` would be lost.
fn is_whole(digits: &[u8]) -> bool {
    matches!(digits, [_] | [b'1'..=b'9', ..])
}

/// A record: cells with their names, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row(pub(super) Vec<(String, Cell)>);

impl Row {
    pub(super) fn get(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, cell)| cell)
    }

    /// The names, for a message.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|(name, _)| format!("{name:?}")).collect();
        names.join(", ")
    }
}

/// Most characters of a record that a message shows.
const MAX_SHOWN_CHARS: usize = 300;

/// For a message: names and cells, cut if they are long.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |(name, cell): &(String, Cell)| match cell {
            Cell::Text(text) => format!("{name}: {text:?}"),
            Cell::Null => format!("{name}: nothing"),
            other => format!("{name}: {}", other.text()),
        };
        let cells = self.0.iter().map(cell).collect::<Vec<_>>().join(", ");
        match cells.char_indices().nth(MAX_SHOWN_CHARS) {
            Some((end, _)) => write!(f, "{{{}...}}", &cells[..end]),
            None => write!(f, "{{{cells}}}"),
        }
    }
}

/// A row of a file of CSV: fields by name, or by place as `1`, `2` and so on where there is no header.
pub(super) struct CsvRow(pub(super) Row);

impl<'de> Deserialize<'de> for CsvRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfCsv;
        impl<'de> Visitor<'de> for OfCsv {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record of CSV")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Row(Vec::with_capacity(map.size_hint().unwrap_or(8)));
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    row.0.push((name, Cell::of_field(&text)));
                }
                Ok(row)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Row, A::Error> {
                let mut row = Row::default();
                while let Some(text) = fields.next_element::<String>()? {
                    row.0.push(((row.0.len() + 1).to_string(), Cell::of_field(&text)));
                }
                Ok(row)
            }
        }
        // With a header this is a map, without one a sequence.
        deserializer.deserialize_map(OfCsv).map(CsvRow)
    }
}

/// A row of a file of JSON lines: an object without others in it.
pub(super) struct JsonRow(pub(super) Row);

impl<'de> Deserialize<'de> for JsonRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfJson;
        impl<'de> Visitor<'de> for OfJson {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Row::default();
                while let Some((name, value)) = map.next_entry::<String, JsonCell>()? {
                    row.0.push((name, value.0));
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(OfJson).map(JsonRow)
    }
}

/// A value of an object that is a cell.
struct JsonCell(Cell);

impl<'de> Deserialize<'de> for JsonCell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfValue;
        impl Visitor<'_> for OfValue {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false or null")
            }

            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
                Ok(Cell::Bool(value))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
                Ok(Cell::Number(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
                Ok(Cell::Number(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
                Ok(serde_json::Number::from_f64(number)
                    .map_or(Cell::Null, |number| Cell::Number(number.to_string())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell::Text(text.into()))
            }
        }
        deserializer.deserialize_any(OfValue).map(JsonCell)
    }
}

/// A row that is written as an object of JSON.
pub(super) struct JsonLine(pub(super) Row);

impl Serialize for JsonLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.0.len()))?;
        for (name, cell) in &self.0.0 {
            match cell {
                Cell::Null => map.serialize_entry(name, &())?,
                Cell::Bool(value) => map.serialize_entry(name, value)?,
                Cell::Number(text) => match text.parse::<i64>() {
                    Ok(whole) => map.serialize_entry(name, &whole)?,
                    Err(_) => match text.parse::<u64>() {
                        Ok(whole) => map.serialize_entry(name, &whole)?,
                        Err(_) => map.serialize_entry(name, &cell.number())?,
                    },
                },
                Cell::Text(text) => map.serialize_entry(name, text)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_of_csv_is_a_number_if_json_has_it() {
        for text in ["0", "-0", "12", "-1.50", "0.5", "1e9", "2E-3", "1.5e+10"] {
            assert_eq!(Cell::of_field(text), Cell::Number(text.into()), "{text}");
            assert!(serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
        for text in ["007", "+1", "1.", ".5", "-", "1e", "1e+", "NaN", "inf", "1,5", "0x10", "1_000", " 1"] {
            assert_eq!(Cell::of_field(text), Cell::Text(text.into()), "{text}");
            assert!(serde_json::from_str::<f64>(text).is_err() || text == " 1", "{text}");
        }
    }

    #[test]
    fn cells_compare_as_numbers_where_both_are() {
        let cell = Cell::of_field;
        assert_eq!(cell("9").compare(&cell("10")), Ordering::Less);
        assert_eq!(cell("1.0").compare(&cell("1")), Ordering::Equal);
        assert_eq!(cell("9007199254740993").compare(&cell("9007199254740992")), Ordering::Greater);
        assert_eq!(cell("9x").compare(&cell("10")), Ordering::Greater);
    }
}

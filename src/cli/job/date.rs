//! Times that are written as dates.

use chrono::DateTime;

/// Milliseconds since 1970 of a date as ISO 8601 has it, such as `2026-01-31`, `2026-01-31 23:59` or
/// `2026-01-31T23:59:58.125+01:00`. One without an offset is in UTC. What is finer than a millisecond is cut off.
pub(super) fn millis(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let time_at = usize::from(!rest.is_empty());
    let (separator, rest) = rest.split_at_checked(time_at)?;
    let offset_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(offset_at);
    // What RFC 3339 does not let one leave out.
    let time = match time.len() {
        0 if separator.is_empty() => "00:00:00",
        5 => &format!("{time}:00"),
        _ => time,
    };
    let separator = if separator.is_empty() { "T" } else { separator };
    let offset = if offset.is_empty() { "Z" } else { offset };
    let parsed = DateTime::parse_from_rfc3339(&format!("{date}{separator}{time}{offset}"));
    parsed.ok().map(|date| date.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `date -u -d TEXT +%s%3N`.
    #[test]
    fn dates_are_milliseconds_since_1970() {
        let cases = [
            ("1970-01-01", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29 12:00", 951_825_600_000),
            ("2000-03-01", 951_868_800_000),
            ("2026-01-01 00:00:06", 1_767_225_606_000),
            ("2026-11-27T16:05:09.1234567+01:00", 1_795_791_909_123),
            ("2026-11-27t10:05:09.5-05:00", 1_795_791_909_500),
            ("2100-03-01T00:00:00z", 4_107_542_400_000),
            ("0000-01-01", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999", 253_402_300_799_999),
        ];
        for (text, expected) in cases {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_dates_are_refused() {
        let cases = [
            "",
            "2026",
            "2026-1-1",
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-32",
            "2026-01-01 24:00",
            "2026-01-01 10:60",
            "2026-01-01 10",
            "2026-01-01 10:00:61",
            "2026-01-01 10:00:00.",
            "2026-01-01T10:00+1",
            "2026-01-01T10:00+24:00",
            "2026-01-01x10:00",
            "01/02/2026",
            "２０26-01-01",
            "2026-01-0é",
            "2026-01-01 ",
            "+026-01-01",
            "2026-01-01 10:00:00.1x",
        ];
        for text in cases {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}

//! Times that are written as dates.

/// Milliseconds since 1970 of a date as ISO 8601 has it, such as `2026-01-31`, `2026-01-31 23:59` or
/// `2026-01-31T23:59:58.125+01:00`. One without an offset is in UTC. What is finer than a millisecond is cut off.
pub(super) fn millis(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = days(date)?;
    if rest.is_empty() {
        return Some(days * 86_400_000);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, offset_minutes) = split_offset(rest)?;
    Some(days * 86_400_000 + time_of_day(time)? - offset_minutes * 60_000)
}

/// Days since 1970 of `YYYY-MM-DD`.
fn days(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let (month, day) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1).ok()?;
    if !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    // Leap days before this year, from the year 0, which is one.
    let leap_days = |year: i64| (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let whole_years = (year - 1970) * 365 + leap_days(year) - leap_days(1970);
    Some(whole_years + lengths[..before].iter().sum::<i64>() + day - 1)
}

/// The time of a day, and minutes by which it is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (time, offset) = text.split_at(at);
    let (hours, minutes) = offset[1..].split_once(':')?;
    let minutes = below(digits(hours, 2)?, 24)? * 60 + below(digits(minutes, 2)?, 60)?;
    Some((time, if offset.starts_with('-') { -minutes } else { minutes }))
}

/// Milliseconds since midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction`.
fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes) = (below(digits(parts.next()?, 2)?, 24)?, below(digits(parts.next()?, 2)?, 60)?);
    let millis = (hours * 60 + minutes) * 60_000;
    let Some(seconds) = parts.next() else { return Some(millis) };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(millis + below(digits(whole, 2)?, 60)? * 1000 + thousandths)
}

/// A number of exactly so many digits.
fn digits(text: &str, n: usize) -> Option<i64> {
    let is_number = text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn below(number: i64, end: i64) -> Option<i64> {
    Some(number).filter(|number| *number < end)
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
            "2026-01-01 10:00:60",
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

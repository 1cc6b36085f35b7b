//! What is wrong with a record, in words.

use std::fmt::Write;

use csv::{ByteRecord, DeserializeError, DeserializeErrorKind, ErrorKind, StringRecord};

use crate::source::lines::Line;

/// Of a line whose last quoted field runs to the end of the file.
pub(super) const UNCLOSED: &str = "a quoted field is not closed before the end of the file";

/// Longest piece of the data that a message shows.
const MAX_SHOWN_CHARS: usize = 80;

/// Most names that a message lists.
const MAX_LISTED: usize = 20;

/// Of a line with fewer fields than the header.
#[cold]
pub(super) fn short_line(fields: &ByteRecord, header: &StringRecord) -> String {
    let (missing, n_fields) = (shown(header[fields.len()].as_bytes()), count_fields(fields));
    format!("field {missing} is missing; the line has {n_fields}, the header has {}", header.len())
}

/// Of a line whose fields do not make a value.
#[cold]
pub(super) fn explain(
    error: csv::Error,
    line: &Line<'_>,
    fields: &ByteRecord,
    header: Option<&StringRecord>,
) -> String {
    let problem = match error.into_kind() {
        ErrorKind::Deserialize { err, .. } => err,
        other => return format!("{other:?}"),
    };
    let field = problem.field().and_then(|index| usize::try_from(index).ok());
    match field.and_then(|index| Some((index, fields.get(index)?))) {
        Some((index, text)) => of_field(&field_name(index, header), text, problem.kind()),
        None => of_line(&problem, line, fields, header),
    }
}

/// What is wrong with one field.
fn of_field(name: &str, text: &[u8], problem: &DeserializeErrorKind) -> String {
    let found = shown(text);
    match problem {
        DeserializeErrorKind::ParseFloat(_) => format!("{name}: found {found}, expected a number"),
        DeserializeErrorKind::ParseInt(_) if is_integer(text) => {
            format!("{name}: found {found}, which is out of range")
        }
        DeserializeErrorKind::ParseInt(_) => format!("{name}: found {found}, expected a whole number"),
        DeserializeErrorKind::ParseBool(_) => format!("{name}: found {found}, expected true or false"),
        DeserializeErrorKind::InvalidUtf8(error) => {
            format!("{name}: found {found}, expected UTF-8: {error}")
        }
        other => format!("{name}: found {found}: {other}"),
    }
}

/// What is wrong with a line as a whole, or with a field that serde does not name.
fn of_line(
    problem: &DeserializeError,
    line: &Line<'_>,
    fields: &ByteRecord,
    header: Option<&StringRecord>,
) -> String {
    let n_fields = count_fields(fields);
    if *problem.kind() == DeserializeErrorKind::UnexpectedEndOfRow {
        return format!("the line has {n_fields}, expected more");
    }
    let text = problem.kind().to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let (Some(field), Some(header)) = (missing, header) {
        return format!("field {field:?} is missing; the header has {}", list(header));
    }
    let too_few = format!("invalid length {}, expected ", fields.len());
    match text.strip_prefix(&too_few) {
        Some(expected) => format!("the line has {n_fields}, expected {expected}"),
        None => format!("{text}; the line is {}", shown(line.text)),
    }
}

fn field_name(index: usize, header: Option<&StringRecord>) -> String {
    match header.and_then(|header| header.get(index)) {
        Some(name) => format!("field {}", shown(name.as_bytes())),
        None => format!("field {}", index + 1),
    }
}

fn count_fields(fields: &ByteRecord) -> String {
    if fields.len() == 1 { "1 field".into() } else { format!("{} fields", fields.len()) }
}

fn list(names: &StringRecord) -> String {
    let mut text =
        names.iter().take(MAX_LISTED).map(|name| shown(name.as_bytes())).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_LISTED {
        // Writing to a string does not fail.
        let _ = write!(text, " and {} more", names.len() - MAX_LISTED);
    }
    text
}

/// A piece of the data in quotes, cut if it is long.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

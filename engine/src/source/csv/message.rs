//! What is wrong with a record, in words.

use std::fmt::Write;

use crate::source::csv::deserialize::{FieldError, Problem};
use crate::source::csv::fields::Fields;
use crate::source::text::LineError;

/// Of a line whose last quoted field runs to the end of the file.
pub(super) const UNCLOSED: &str = "a quoted field is not closed before the end of the file";

/// Longest piece of the data that a message shows.
const MAX_SHOWN_CHARS: usize = 80;

/// Most names that a message lists.
const MAX_LISTED: usize = 20;

/// Of a line that ends inside a quoted field.
#[cold]
pub(super) fn unclosed(fields: Fields<'_>) -> LineError {
    LineError::new(UNCLOSED).at(fields.begin(fields.len() - 1).unwrap_or(0))
}

/// Of a field whose quotes enclose so many lines and have text behind them.
#[cold]
pub(super) fn torn(
    fields: Fields<'_>,
    header: Option<&[String]>,
    (index, n_lines): (usize, usize),
) -> LineError {
    let name = field_name(index, header);
    let message = format!(
        "{name}: the quotes enclose {n_lines} lines and have text behind them: one is not closed, or not doubled inside"
    );
    LineError::new(message).at(fields.begin(index).unwrap_or(0))
}

/// Of a line with fewer fields than the header.
#[cold]
pub(super) fn short_line(fields: Fields<'_>, header: &[String]) -> LineError {
    let (missing, n_fields) = (shown(header[fields.len()].as_bytes()), count_fields(fields));
    let header = header.len();
    let message = format!("field {missing} is missing; the line has {n_fields}, the header has {header}");
    LineError::new(message).at(fields.line().text.len())
}

/// Of a line whose fields do not make a value.
#[cold]
pub(super) fn explain(error: FieldError, fields: Fields<'_>, header: Option<&[String]>) -> LineError {
    let mistake = error.into_mistake();
    let mut memory = Vec::new();
    let at = mistake.field.and_then(|index| Some((index, fields.begin(index)?)));
    let field = at.and_then(|(index, begin)| Some((index, begin, fields.get(index, &mut memory)?)));
    match field {
        Some((index, begin, text)) => {
            LineError::new(of_field(&field_name(index, header), text, mistake.problem)).at(begin)
        }
        None => of_line(mistake.problem, fields, header),
    }
}

/// What is wrong with one field.
fn of_field(name: &str, text: &[u8], problem: Problem) -> String {
    let found = shown(text);
    let expected = match problem {
        Problem::NoWholeNumber if is_integer(text) => {
            return format!("{name}: found {found}, which is out of range");
        }
        Problem::NoWholeNumber => "a whole number".to_string(),
        Problem::NoNumber => "a number".to_string(),
        Problem::NoBool => "true or false".to_string(),
        Problem::NoText(error) => format!("UTF-8: {error}"),
        Problem::EndOfLine | Problem::TooFew(_) => "more fields".to_string(),
        Problem::Missing(field) => return format!("{name}: field {field:?} is missing"),
        Problem::Other(message) => return format!("{name}: found {found}: {message}"),
    };
    format!("{name}: found {found}, expected {expected}")
}

/// What is wrong with a line as a whole, or with a field that serde does not name.
fn of_line(problem: Problem, fields: Fields<'_>, header: Option<&[String]>) -> LineError {
    let (n_fields, end) = (count_fields(fields), fields.line().text.len());
    match (problem, header) {
        (Problem::EndOfLine, _) => LineError::new(format!("the line has {n_fields}, expected more")).at(end),
        (Problem::TooFew(expected), _) => {
            LineError::new(format!("the line has {n_fields}, expected {expected}")).at(end)
        }
        (Problem::Missing(field), Some(header)) => {
            LineError::new(format!("field {field:?} is missing; the header has {}", list(header)))
        }
        (Problem::Missing(field), None) => LineError::new(format!("field {field:?} is missing")),
        (Problem::Other(message), Some(header)) => LineError::new(format!(
            "{message}; the header has {}; the line is {}",
            list(header),
            shown(fields.line().text)
        )),
        (Problem::Other(message), None) => {
            LineError::new(format!("{message}; the line is {}", shown(fields.line().text)))
        }
        (problem, _) => LineError::new(format!("{problem:?}; the line is {}", shown(fields.line().text))),
    }
}

fn field_name(index: usize, header: Option<&[String]>) -> String {
    match header.and_then(|header| header.get(index)) {
        Some(name) => format!("field {}", shown(name.as_bytes())),
        None => format!("field {}", index + 1),
    }
}

fn count_fields(fields: Fields<'_>) -> String {
    if fields.len() == 1 { "1 field".into() } else { format!("{} fields", fields.len()) }
}

fn list(names: &[String]) -> String {
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

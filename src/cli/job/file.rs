//! The text of a job file: tables of settings that are flags of the command, checked against them.

use std::collections::BTreeMap;
use std::ops::Range;

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One table of a job file.
#[derive(Debug)]
pub(super) struct Section {
    /// As it is in the file, with its number where there are several: `stages 2`.
    pub(super) name: String,
    pub(super) line: usize,
    settings: Vec<Setting>,
}

impl Section {
    /// A table that is not in the file: all is as by default.
    pub(super) fn empty(name: &str) -> Self {
        Section { name: name.into(), line: 1, settings: Vec::new() }
    }

    /// What the file says of a key.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        let setting = self.settings.iter().find(|setting| setting.key == key)?;
        Some(setting.values.as_ref().ok()?.join(" "))
    }
}

/// One key of a table.
#[derive(Debug)]
struct Setting {
    key: String,
    line: usize,
    values: Result<Vec<String>, String>,
}

/// What is wrong in a job file, as `job.toml:7: ...`.
#[derive(Debug, Default)]
pub(super) struct Complaints(pub(super) Vec<String>);

/// The tables of a job file.
pub(super) struct Sections {
    pub(super) path: String,
    pub(super) named: BTreeMap<String, Vec<Section>>,
    pub(super) complaints: Complaints,
    /// Whether it is a file of TOML at all.
    pub(super) is_readable: bool,
}

/// The tables that a job file may have.
pub(super) const TABLES: [&str; 5] = ["runtime", "source", "stages", "sink", "train"];

impl Sections {
    /// Reads the text of the file at `path`.
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let (named, complaints) = (BTreeMap::new(), Complaints::default());
        let mut sections = Sections { path: path.into(), named, complaints, is_readable: true };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(text, span));
                sections.complain(line, error.message());
                sections.is_readable = false;
                return sections;
            }
        };
        for (key, value) in table {
            let line = line_of(text, key.span());
            sections.add(text, key.get_ref(), line, value.into_inner());
        }
        sections
    }

    fn add(&mut self, text: &str, name: &str, line: usize, value: DeValue<'_>) {
        if !TABLES.contains(&name) {
            return self.complain(line, &unknown("table", name, TABLES.into_iter()));
        }
        let tables = match value {
            DeValue::Table(table) if name != "stages" => vec![(name.to_string(), line, table)],
            DeValue::Array(tables) if name == "stages" => {
                let numbered = tables.into_iter().enumerate().filter_map(|(at, table)| {
                    let line = line_of(text, table.span());
                    match table.into_inner() {
                        DeValue::Table(table) => Some((format!("stages {}", at + 1), line, table)),
                        _ => None,
                    }
                });
                numbered.collect()
            }
            _ if name == "stages" => {
                return self.complain(line, "stages are tables of their own: [[stages]]");
            }
            _ => return self.complain(line, &format!("{name} is a table: [{name}]")),
        };
        for (name_here, line, table) in tables {
            let settings = table.into_iter().map(|(key, value)| Setting {
                // Both are common in files; flags have hyphens.
                key: key.get_ref().replace('_', "-"),
                line: line_of(text, key.span()),
                values: texts(value),
            });
            let section = Section { name: name_here, line, settings: settings.collect() };
            self.named.entry(name.to_string()).or_default().push(section);
        }
    }

    pub(super) fn complain(&mut self, line: usize, message: &str) {
        self.complaints.0.push(format!("{}:{line}: {message}", self.path));
    }

    /// Says that something is wrong with the table as a whole.
    pub(super) fn complain_of(&mut self, section: &Section, message: &str) {
        self.complain(section.line, &format!("[{}] {message}", section.name));
    }

    /// The table of this name, if there is one.
    pub(super) fn take(&mut self, name: &str) -> Option<Section> {
        self.named.remove(name).and_then(|sections| sections.into_iter().next())
    }

    /// Takes `kind` out of a table: which of several commands its other keys are flags of.
    pub(super) fn kind<'c>(&mut self, section: &mut Section, commands: &'c Command) -> Option<&'c Command> {
        let names = || commands.get_subcommands().map(Command::get_name);
        let Some(at) = section.settings.iter().position(|setting| setting.key == "kind") else {
            self.complain_of(section, &format!("kind is missing, expected {}", listed(names())));
            return None;
        };
        let Setting { line, values, .. } = section.settings.remove(at);
        let kind = values.ok().filter(|values| values.len() == 1).map(|mut values| values.remove(0));
        let found = kind.as_deref().and_then(|kind| commands.find_subcommand(kind));
        if found.is_none() {
            let problem = unknown("kind", kind.as_deref().unwrap_or_default(), names());
            self.complain(line, &format!("[{}] {problem}", section.name));
        }
        found
    }

    /// The arguments of `command` that a table means, if all its keys are flags of it. A variable of the environment goes
    /// before the file, and so do the flags in `given`, which are added behind.
    pub(super) fn arguments(
        &mut self,
        section: &Section,
        command: &Command,
        given: &[(String, String)],
    ) -> Vec<String> {
        let mut arguments = vec![command.get_name().to_string()];
        for setting in &section.settings {
            let found = flags(command).find(|arg| arg.get_long() == Some(setting.key.as_str()));
            let complaint = match (found, &setting.values) {
                (None, _) => unknown("key", &setting.key, flags(command).filter_map(Arg::get_long)),
                (Some(_), Err(problem)) => format!("{}: {problem}", setting.key),
                (Some(arg), Ok(_)) if is_in_environment(arg) => continue,
                (Some(_), Ok(_)) if given.iter().any(|(key, _)| *key == setting.key) => continue,
                (Some(arg), Ok(values)) => match written(arg, values) {
                    Ok(flags) => {
                        arguments.extend(flags);
                        continue;
                    }
                    Err(problem) => format!("{}: {problem}", setting.key),
                },
            };
            self.complain(setting.line, &format!("[{}] {complaint}", section.name));
        }
        arguments.extend(given.iter().map(|(key, value)| format!("--{key}={value}")));
        arguments
    }

    /// Says what is wrong with the arguments of a table, at the line of the key where that is known.
    pub(super) fn complain_of_arguments(&mut self, section: &Section, error: &clap::Error) {
        let text = error.to_string();
        let message =
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches(':');
        let line = section.settings.iter().find(|setting| text.contains(&format!("'--{} ", setting.key)));
        let line = line.map_or(section.line, |setting| setting.line);
        // What is missing is listed below the first line.
        let missing: Vec<&str> =
            text.lines().skip(1).take_while(|line| line.starts_with("  ")).map(str::trim).collect();
        let message = format!("[{}] {message} {}", section.name, missing.join(", "));
        self.complain(line, message.replace("--", "").trim_end());
    }
}

/// The flags that can be keys.
pub(super) fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_key = |arg: &&Arg| arg.get_long().is_some_and(|long| long != "help" && long != "version");
    command.get_arguments().filter(is_key)
}

pub(super) fn is_in_environment(arg: &Arg) -> bool {
    arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A setting as arguments.
fn written(arg: &Arg, values: &[String]) -> Result<Vec<String>, String> {
    let key = arg.get_long().unwrap_or_default();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match values {
            [value] if value == "true" => Ok(vec![format!("--{key}")]),
            [value] if value == "false" => Ok(Vec::new()),
            _ => Err("expected true or false".into()),
        };
    }
    if values.len() > 1 && !matches!(arg.get_action(), ArgAction::Append) {
        return Err(format!("found {} values, expected one", values.len()));
    }
    Ok(values.iter().map(|value| format!("--{key}={value}")).collect())
}

/// The texts of a value: of an array, those of its elements.
fn texts(value: Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    Ok(match value.into_inner() {
        DeValue::String(text) => vec![text.into_owned()],
        DeValue::Integer(number) => vec![number.to_string()],
        DeValue::Float(number) => vec![number.to_string()],
        DeValue::Boolean(value) => vec![value.to_string()],
        DeValue::Datetime(time) => vec![time.to_string()],
        DeValue::Array(values) => {
            values.into_iter().map(texts).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        }
        DeValue::Table(_) => {
            return Err("found a table, expected a text, a number, true, false or an array".into());
        }
    })
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    1 + text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count()
}

/// That there is no such name, the nearest one, and all.
fn unknown<'n>(what: &str, found: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let near = names.iter().map(|name| (distance(found, name), *name)).min();
    let near = near.filter(|(distance, name)| *distance <= 1 + name.len() / 3);
    let hint = near.map(|(_, name)| format!(", near {name:?}")).unwrap_or_default();
    format!("unknown {what} {found:?}{hint}; expected {}", listed(names.into_iter()))
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<&str> = names.filter(|name| *name != "help").collect();
    names.sort_unstable();
    names.join(", ")
}

/// Characters to change, insert or remove to make one text of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(1 + diagonal).min(1 + row[j]);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_the_number_of_edits() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("thread", "threads", 1)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }
}

//! `waterwheel config`: what can be set, and whether a job file is right.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Arg, ArgAction, Args, Command, Subcommand};

use super::file::{Sections, TABLES, flags, is_in_environment};
use super::{Commands, Job, JobPath};

/// What can be asked of settings.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List all keys of job files with their defaults.
    Show(ShowArgs),
    /// Check a job file: what is wrong in it, with lines.
    Check(JobPath),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ShowArgs {
    /// List the keys of this job, with what is in force.
    #[arg(value_name = "JOB.toml")]
    job: Option<PathBuf>,

    /// As the page of the documentation.
    #[arg(long, conflicts_with = "job")]
    markdown: bool,
}

/// Answers.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let text = match command {
        ConfigCommand::Check(JobPath { job }) => {
            Job::read(job, &[])?;
            format!("{} is a job\n", job.display())
        }
        ConfigCommand::Show(ShowArgs { job: Some(job), .. }) => in_force(job)?,
        ConfigCommand::Show(ShowArgs { markdown: true, .. }) => page(),
        ConfigCommand::Show(_) => defaults(),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("can not write to standard output")
}

/// The tables of a job file by their titles, with the commands whose flags they have.
fn tables(commands: &Commands) -> Vec<(String, &Command)> {
    let kinds = |table: &'static str, command| {
        let kinds = Command::get_subcommands(command);
        kinds.map(move |kind| (format!("{table} kind = {:?}", kind.get_name()), kind))
    };
    let mut all = vec![("[runtime]".into(), &commands.runtime), ("[source]".into(), &commands.source)];
    all.extend(kinds("[[stages]]", &commands.stages));
    all.push(("[sink]".into(), &commands.sink));
    all.extend(kinds("[train]", &commands.train));
    all
}

fn default_of(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    match values.is_empty() {
        true if arg.is_required_set() => "required".into(),
        true => String::new(),
        false if matches!(arg.get_action(), ArgAction::SetTrue) => "false".into(),
        false => values.join(" "),
    }
}

fn help_of(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_string()).collect();
    match matches!(arg.get_action(), ArgAction::SetTrue) || possible.is_empty() {
        true => help,
        false => format!("{help}. One of {}", possible.join(" ")),
    }
}

/// All keys, as a table for a terminal.
fn defaults() -> String {
    let commands = Commands::new();
    let mut text = String::new();
    for (title, command) in tables(&commands) {
        text += &format!("{title}\n");
        for arg in flags(command) {
            let (key, default) = (arg.get_long().unwrap_or_default(), default_of(arg));
            text += &format!("  {key:<24} {default:<12} {}\n", help_of(arg));
        }
    }
    text
}

/// All keys, as the page of the documentation.
fn page() -> String {
    let commands = Commands::new();
    let mut text = String::from(PAGE);
    for (title, command) in tables(&commands) {
        text += &format!("\n## `{title}`\n\n");
        if let Some(about) = command.get_about() {
            text += &format!("{about}\n\n");
        }
        text += "| key | default | environment | |\n|---|---|---|---|\n";
        for arg in flags(command) {
            let (key, default) = (arg.get_long().unwrap_or_default(), default_of(arg));
            let default = if default.is_empty() { default } else { format!("`{default}`") };
            let variable =
                arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
            let help = help_of(arg).replace('|', "\\|");
            text += &format!("| `{key}` | {default} | {variable} | {help} |\n").replace("|  |", "| |");
        }
    }
    text
}

const PAGE: &str = "# Settings of job files

Made by `waterwheel config show --markdown`. A [job file](guide/job-files.md) has these tables; their keys are the flags of
the command. A flag goes before a variable of the environment, and that before the file.
";

/// The keys of one job, with what is in force and where that is from.
fn in_force(path: &Path) -> anyhow::Result<String> {
    // Nothing is shown of a job that is wrong.
    Job::read(path, &[])?;
    let commands = Commands::new();
    let mut sections = Sections::parse(&path.display().to_string(), &std::fs::read_to_string(path)?);
    let mut text = String::new();
    for name in TABLES {
        for mut section in sections.named.remove(name).unwrap_or_default() {
            let command = match name {
                "runtime" => Some(&commands.runtime),
                "source" => Some(&commands.source),
                "sink" => Some(&commands.sink),
                "train" => sections.kind(&mut section, &commands.train),
                _ => sections.kind(&mut section, &commands.stages),
            };
            let Some(command) = command else { continue };
            text += &format!("[{}] {}\n", section.name, command.get_name())
                .replace(&format!("] {name}\n"), "]\n");
            for arg in flags(command) {
                let key = arg.get_long().unwrap_or_default();
                let variable = arg.get_env().filter(|_| is_in_environment(arg));
                let (value, origin) = match (variable.and_then(std::env::var_os), section.value(key)) {
                    (Some(value), _) => (value.to_string_lossy().into_owned(), "environment"),
                    (None, Some(value)) => (value, "file"),
                    (None, None) => (default_of(arg), "default"),
                };
                text += &format!("  {key:<24} {value:<24} {origin}\n");
            }
        }
    }
    Ok(text)
}

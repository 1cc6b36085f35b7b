//! Jobs from files: `waterwheel run JOB.toml`, `graph` and `config`.
//!
//! A table of a job file is the flags of a command: what it may say, what that means, the defaults and the checks are those
//! of the command line.

mod config;
mod date;
mod file;
mod graph;
mod number;
mod pipeline;
mod row;
mod sink;
mod source;
mod stage;

use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches, Subcommand};
use waterwheel::prelude::Error;

use self::file::{Section, Sections};
use self::pipeline::{Pipeline, Places};
use self::sink::SinkArgs;
use self::source::SourceArgs;
use self::stage::Stage;
use crate::cli::runtime::RuntimeArgs;
use crate::cli::train::{self, TrainCommand};

pub(crate) use self::config::{ConfigCommand, run as config};
pub(crate) use self::graph::{GraphArgs, run as graph};

/// What a job file says.
pub(crate) enum Job {
    /// A training, as by `waterwheel train`.
    Train(Box<TrainCommand>),
    /// From a source through stages to a sink.
    Pipeline(Box<Pipeline>),
}

/// The commands whose flags the tables of a job file are.
struct Commands {
    runtime: Command,
    source: Command,
    stages: Command,
    sink: Command,
    train: Command,
}

impl Commands {
    fn new() -> Self {
        Commands {
            runtime: RuntimeArgs::augment_args(Command::new("runtime")),
            source: SourceArgs::augment_args(Command::new("source")),
            stages: Stage::augment_subcommands(Command::new("stages")),
            sink: SinkArgs::augment_args(Command::new("sink")),
            train: TrainCommand::augment_subcommands(Command::new("train")),
        }
    }
}

impl Job {
    /// Reads a job file. `given` are flags of the command line, which go before it.
    ///
    /// # Errors
    /// The file can not be read, or says what is not valid: all of it, with lines.
    pub(crate) fn read(path: &Path, given: &[(String, String)]) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::config(format!("can not read {}", path.display())).caused_by(error))?;
        let mut sections = Sections::parse(&path.display().to_string(), &text);
        let job = sections.job(given);
        match job.filter(|_| sections.complaints.0.is_empty()) {
            Some(mut job) => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                job.runtime_mut().name_unless_named(&name);
                Ok(job)
            }
            None => Err(Error::config(sections.complaints.0.join("\n")).into()),
        }
    }

    /// Runs the job to its end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Job::Train(command) => train::run(*command),
            Job::Pipeline(pipeline) => pipeline.run(),
        }
    }

    fn runtime_mut(&mut self) -> &mut RuntimeArgs {
        match self {
            Job::Train(command) => command.runtime_mut(),
            Job::Pipeline(pipeline) => pipeline.runtime_mut(),
        }
    }
}

impl Sections {
    /// The job, if nothing is wrong; else what is wrong is noted.
    fn job(&mut self, given: &[(String, String)]) -> Option<Job> {
        if !self.is_readable {
            return None;
        }
        let commands = Commands::new();
        let runtime = self.take("runtime");
        match self.take("train") {
            Some(train) => self.training(&commands, runtime, train, given),
            None => self.pipeline(&commands, runtime, given),
        }
    }

    fn training(
        &mut self,
        commands: &Commands,
        runtime: Option<Section>,
        mut train: Section,
        given: &[(String, String)],
    ) -> Option<Job> {
        for other in ["source", "stages", "sink"] {
            if let Some(section) = self.take(other) {
                self.complain_of(&section, "a job that trains has its files in [train]: input, output");
            }
        }
        let command = self.kind(&mut train, &commands.train);
        let runtime = runtime.map(|runtime| self.arguments(&runtime, &commands.runtime, &[]));
        let command = command?;
        let mut arguments = vec!["train".to_string()];
        arguments.extend(self.arguments(&train, command, given));
        arguments.extend(runtime.into_iter().flatten().skip(1).filter(|flag| !is_given(flag, given)));
        let parsed = commands.train.clone().try_get_matches_from(arguments);
        match parsed.and_then(|matches| TrainCommand::from_arg_matches(&matches)) {
            Ok(command) => Some(Job::Train(Box::new(command))),
            Err(error) => {
                self.complain_of_arguments(&train, &error);
                None
            }
        }
    }

    fn pipeline(
        &mut self,
        commands: &Commands,
        runtime: Option<Section>,
        given: &[(String, String)],
    ) -> Option<Job> {
        let runtime = runtime.unwrap_or_else(|| Section::empty("runtime"));
        let runtime = self.parsed::<RuntimeArgs>(&runtime, &commands.runtime, given);
        let source = self.required("source");
        let mut places = Places {
            path: self.path.clone(),
            source: source.as_ref().map_or(1, |source| source.line),
            stages: Vec::new(),
            sink: None,
        };
        let source = source.and_then(|source| self.parsed::<SourceArgs>(&source, &commands.source, &[]));
        let stages = self.named.remove("stages").unwrap_or_default();
        places.stages = stages.iter().map(|stage| stage.line).collect();
        let stages: Vec<Option<Stage>> =
            stages.into_iter().map(|stage| self.stage(stage, &commands.stages)).collect();
        let sink = self.take("sink");
        places.sink = sink.as_ref().map(|sink| sink.line);
        let sink = sink.unwrap_or_else(|| Section::empty("sink"));
        let sink = self.parsed::<SinkArgs>(&sink, &commands.sink, &[]);
        let stages = stages.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Job::Pipeline(Box::new(Pipeline::new(runtime?, (source?, stages, sink?), places))))
    }

    fn required(&mut self, name: &str) -> Option<Section> {
        let section = self.take(name);
        if section.is_none() {
            self.complain(1, "expected a table [source], or [train]");
        }
        section
    }

    fn stage(&mut self, mut section: Section, stages: &Command) -> Option<Stage> {
        let kind = self.kind(&mut section, stages)?;
        let mut arguments = vec!["stages".to_string()];
        arguments.extend(self.arguments(&section, kind, &[]));
        let parsed = stages.clone().try_get_matches_from(arguments);
        match parsed.and_then(|matches| Stage::from_arg_matches(&matches)) {
            Ok(stage) => Some(stage),
            Err(error) => {
                self.complain_of_arguments(&section, &error);
                None
            }
        }
    }

    fn parsed<A: FromArgMatches>(
        &mut self,
        section: &Section,
        command: &Command,
        given: &[(String, String)],
    ) -> Option<A> {
        let arguments = self.arguments(section, command, given);
        match command
            .clone()
            .try_get_matches_from(arguments)
            .and_then(|matches| A::from_arg_matches(&matches))
        {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.complain_of_arguments(section, &error);
                None
            }
        }
    }
}

fn is_given(flag: &str, given: &[(String, String)]) -> bool {
    let key = flag.trim_start_matches("--");
    let key = key.split_once('=').map_or(key, |(key, _)| key);
    given.iter().any(|(name, _)| name == key)
}

/// A job file, as an argument.
#[derive(Args, Clone, Debug)]
pub(crate) struct JobPath {
    /// The job file.
    #[arg(value_name = "JOB.toml")]
    pub(crate) job: PathBuf,
}

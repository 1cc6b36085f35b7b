//! Sub-commands, exit codes and Ctrl-C of the `waterwheel` command.

mod ckpt;
mod generate;
mod job;
mod neighbours;
mod ratings;
mod recommend;
mod records;
mod run;
mod runtime;
mod topics;
mod train;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;
use waterwheel::prelude::{Error, ErrorKind, Site};

/// Dataflow with native iteration, and a parameter server inside the loop.
///
/// Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted. `run` ends with the first code other than
/// 0 of a process that it has started.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// How log lines are written to standard error; RUST_LOG says which (default: warn, and where the job is watched).
    #[arg(
        long,
        global = true,
        display_order = 1000,
        value_enum,
        default_value_t,
        env = "WATERWHEEL_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people: time, level, place, text and fields in a line.
    #[default]
    Plain,
    /// For programs: one JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model.
    #[command(subcommand)]
    Train(Box<train::TrainCommand>),
    /// Recommend items to a user from a trained model.
    Recommend(recommend::RecommendArgs),
    /// Print the topics of a model of documents, or the topics of a new document.
    Topics(topics::TopicsArgs),
    /// Print the words nearest to some.
    Neighbours(neighbours::NeighboursArgs),
    /// Generate seeded data: ratings, points, labels, sparse examples, words, graphs.
    Generate(generate::GenerateArgs),
    /// Run a job file, or start the processes of a program that was built with Waterwheel.
    Run(Box<run::RunArgs>),
    /// Print the operators of a job file and how they are connected.
    Graph(job::GraphArgs),
    /// List what can be set in a job file, or check one.
    #[command(subcommand)]
    Config(job::ConfigCommand),
    /// Look at checkpoints, verify them, and remove what nobody needs.
    #[command(subcommand)]
    Ckpt(ckpt::CkptCommand),
}

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the command line and reports its error.
pub(crate) fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_log(cli.log_format);
    let done = match cli.command {
        Command::Train(command) => train::run(*command).map(|()| ExitCode::SUCCESS),
        Command::Recommend(args) => recommend::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Neighbours(args) => neighbours::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Topics(args) => topics::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::run(args).map(|()| ExitCode::SUCCESS),
        Command::Run(args) => run::run(&args, matches.subcommand_matches("run").unwrap_or(&matches)),
        Command::Graph(args) => job::graph(&args).map(|()| ExitCode::SUCCESS),
        Command::Config(command) => job::config(&command).map(|()| ExitCode::SUCCESS),
        Command::Ckpt(args) => ckpt::run(&args),
    };
    match done {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => report(&without_own_lines(error)),
    }
}

/// Whoever runs the command can do nothing with lines of its source.
fn without_own_lines(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Error>().and_then(Error::site) {
        Some(site) if site.location.starts_with("src/") => error.downcast::<Error>().map_or_else(
            |error| error,
            |error| error.map_site(|site| Site { location: String::new(), ..site }).into(),
        ),
        _ => error,
    }
}

/// Warnings, but of operators without uid, which are this program's and not the user's; and which port it is where any free
/// one is asked for.
const LOG_FILTER: &str = "warn,waterwheel::admin=info,waterwheel_engine::uid=error";

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Plain => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Prints the error with its causes, and the process it happened in where there are several.
fn report(error: &anyhow::Error) -> ExitCode {
    let kind = error.downcast_ref::<Error>().map(Error::kind);
    let process = waterwheel::engine::started_as().map(|index| format!(" in process {index}"));
    if kind != Some(ErrorKind::Interrupted) || process.is_none() {
        say(format_args!("error{}: {error:#}", process.unwrap_or_default()));
    }
    match kind {
        Some(ErrorKind::Interrupted) => ExitCode::from(INTERRUPTED),
        Some(ErrorKind::Config) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Prints a line for a person; that nobody reads it any more stops nothing. One write, so that the lines of
/// several processes do not mix.
fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

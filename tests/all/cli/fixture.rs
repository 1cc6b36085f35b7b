//! Running the command on files of a directory that cleans up after itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::failures::process::{Finished, Running};

/// The command, without what the environment of the tests might tell it.
pub(super) fn waterwheel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waterwheel"));
    let told =
        |name: &str| ["WATERWHEEL_", "OTEL_", "RUST_LOG"].iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars().filter(|(name, _)| told(name)) {
        command.env_remove(name);
    }
    command
}

/// A directory for one test. Commands run in it.
pub(super) struct Dir(TempDir);

impl Dir {
    pub(super) fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Checks that no run has left a model here, nor a part of one.
    #[track_caller]
    pub(super) fn assert_no_model(&self, name: &str) {
        let files = std::fs::read_dir(self.path(name)).into_iter().flatten().flatten();
        let names: Vec<_> = files.map(|file| file.file_name()).collect();
        assert!(names.is_empty(), "{names:?}");
    }

    /// The command with arguments, to be run here.
    pub(super) fn command(&self, args: &str) -> Command {
        let mut command = waterwheel();
        command.current_dir(self.0.path()).args(args.split_whitespace());
        command
    }

    /// Starts the command with arguments.
    pub(super) fn start(&self, args: &str) -> Running {
        Running::start(&mut self.command(args))
    }

    /// Runs the command with arguments to its end.
    pub(super) fn run(&self, args: &str) -> Finished {
        self.start(args).finish()
    }

    /// Runs a line of shell, in which `$W` is the command.
    pub(super) fn shell(&self, line: &str) -> Finished {
        let mut shell = Command::new("sh");
        shell.current_dir(self.0.path()).args(["-c", line]).env("W", env!("CARGO_BIN_EXE_waterwheel"));
        Running::start(&mut shell).finish()
    }

    /// Runs the command and takes its last line of output as JSON.
    pub(super) fn summary(&self, args: &str) -> Value {
        let finished = self.run(args);
        assert_eq!(finished.code(), Some(0), "{args}: {finished:?}");
        json_lines(&finished).pop().unwrap_or_else(|| panic!("{args}: no output"))
    }

    /// Writes generated ratings of 100 users and 50 items to `ratings.csv`.
    pub(super) fn generate_ratings(&self, n: usize) {
        let finished =
            self.run(&format!("generate ratings --users 100 --items 50 --count {n} -o ratings.csv"));
        assert_eq!(finished.code(), Some(0), "{finished:?}");
    }

    /// The bytes of both files of a model.
    pub(super) fn model_bytes(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let read = |file: &str| std::fs::read(self.path(name).join(file)).unwrap();
        (read("model.json"), read("model.safetensors"))
    }

    /// A file in which each of `addresses` is a line.
    pub(super) fn hostfile(&self, addresses: &[String]) {
        self.write("hosts", addresses.join("\n"));
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }
}

/// The output as JSON, line by line.
pub(super) fn json_lines(finished: &Finished) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    finished.out.lines().map(parse).collect()
}

/// Checks that the command failed with this code and that its message has all these parts.
#[track_caller]
pub(super) fn assert_refused(finished: &Finished, code: i32, parts: &[&str]) {
    let err = &finished.err;
    assert_eq!(finished.code(), Some(code), "{finished:?}");
    for part in parts {
        assert!(err.contains(part), "no {part:?} in: {err}");
    }
    assert_no_panic(finished);
}

/// Checks that no panic shows in what was said.
#[track_caller]
pub(super) fn assert_no_panic(finished: &Finished) {
    let both = [&finished.out, &finished.err];
    let bad = ["panicked", "RUST_BACKTRACE", "unwinding", "\u{1b}["];
    assert!(bad.iter().all(|word| both.iter().all(|text| !text.contains(word))), "{finished:?}");
}

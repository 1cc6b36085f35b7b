//! Settings from flags and the environment.

use std::time::Duration;

use crate::checkpoint::{CheckpointConfig, OnMissingCheckpoint};
use crate::error::{Error, Result};
use crate::runtime::config::{ByteSize, RuntimeConfig};
use crate::runtime::secret::Secret;

impl RuntimeConfig {
    /// Reads the flags of the table above from `args` (without the program name) and the environment, and
    /// returns the arguments that are not among them, in order.
    ///
    /// # Errors
    /// A flag without its value, a value that is no number or out of range, a hostfile that can not be read
    /// or has too few lines.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::RuntimeConfig;
    /// let args = ["-w", "2", "ratings.csv"].map(String::from);
    /// let (config, rest) = RuntimeConfig::from_args(args)?;
    /// assert_eq!((config.workers(), rest), (2, vec!["ratings.csv".to_string()]));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<(Self, Vec<String>)> {
        let mut values = Values::from_env();
        let mut rest = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_string(), Some(value.to_string())),
                _ => (arg.clone(), None),
            };
            let Some(flag) = FLAGS.iter().position(|flag| flag.long == name || flag.short == name) else {
                rest.push(arg);
                continue;
            };
            let value = match FLAGS[flag].is_switch {
                true => inline.or_else(|| Some("true".into())),
                false => inline.or_else(|| args.next()),
            };
            let value = value.ok_or_else(|| Error::config(format!("flag {name} needs a value")))?;
            values.0[flag] = Some(value);
        }
        Ok((values.into_config()?, rest))
    }
}

/// A setting that a flag or the environment gives.
struct Flag {
    long: &'static str,
    /// As long as there is none, the long form again.
    short: &'static str,
    env: &'static str,
    is_switch: bool,
}

const fn flag(long: &'static str, short: &'static str, env: &'static str) -> Flag {
    Flag { long, short, env, is_switch: false }
}

const THREADS: usize = 0;
const PROCESSES: usize = 1;
const PROCESS: usize = 2;
const HOSTFILE: usize = 3;
const CONNECT_TIMEOUT: usize = 4;
const HEARTBEAT_TIMEOUT: usize = 5;
const SECRET_FILE: usize = 6;
const ALLOW_INSECURE: usize = 7;
const JOB_NAME: usize = 8;
const ATTEMPT: usize = 9;
const MAX_IN_FLIGHT: usize = 10;
const CACHE_MEMORY: usize = 11;
const CACHE_DIR: usize = 12;
const CHECKPOINT_DIR: usize = 13;
const CHECKPOINT_INTERVAL: usize = 14;
const CHECKPOINT_RETAIN: usize = 15;
const ON_MISSING_CHECKPOINT: usize = 16;
const ALLOW_UNMATCHED_STATE: usize = 17;
const FROM_CHECKPOINT: usize = 18;
const ADMIN: usize = 19;

/// The flags, each at its index above.
const FLAGS: [Flag; 20] = [
    flag("--threads", "-w", "WATERWHEEL_THREADS"),
    flag("--processes", "-n", "WATERWHEEL_PROCESSES"),
    flag("--process", "-p", "WATERWHEEL_PROCESS"),
    flag("--hostfile", "--hostfile", "WATERWHEEL_HOSTFILE"),
    flag("--connect-timeout", "--connect-timeout", "WATERWHEEL_CONNECT_TIMEOUT"),
    flag("--heartbeat-timeout", "--heartbeat-timeout", "WATERWHEEL_HEARTBEAT_TIMEOUT"),
    flag("--secret-file", "--secret-file", "WATERWHEEL_SECRET_FILE"),
    Flag { is_switch: true, ..flag("--allow-insecure", "--allow-insecure", "WATERWHEEL_ALLOW_INSECURE") },
    flag("--job-name", "--job-name", "WATERWHEEL_JOB_NAME"),
    flag("--attempt", "--attempt", "WATERWHEEL_ATTEMPT"),
    flag("--max-in-flight", "--max-in-flight", "WATERWHEEL_MAX_IN_FLIGHT"),
    flag("--cache-memory", "--cache-memory", "WATERWHEEL_CACHE_MEMORY"),
    flag("--cache-dir", "--cache-dir", "WATERWHEEL_CACHE_DIR"),
    flag("--checkpoint-dir", "--checkpoint-dir", "WATERWHEEL_CHECKPOINT_DIR"),
    flag("--checkpoint-interval", "--checkpoint-interval", "WATERWHEEL_CHECKPOINT_INTERVAL"),
    flag("--checkpoint-retain", "--checkpoint-retain", "WATERWHEEL_CHECKPOINT_RETAIN"),
    flag("--on-missing-checkpoint", "--on-missing-checkpoint", "WATERWHEEL_ON_MISSING_CHECKPOINT"),
    Flag {
        is_switch: true,
        ..flag("--allow-unmatched-state", "--allow-unmatched-state", "WATERWHEEL_ALLOW_UNMATCHED_STATE")
    },
    flag("--from-checkpoint", "--from-checkpoint", "WATERWHEEL_FROM_CHECKPOINT"),
    flag("--admin", "--admin", "WATERWHEEL_ADMIN"),
];

/// Values of the flags as text, before they are checked.
struct Values([Option<String>; FLAGS.len()]);

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Values {
    fn from_env() -> Self {
        Values(FLAGS.each_ref().map(|flag| variable(flag.env)))
    }

    fn take(&mut self, flag: usize) -> Option<String> {
        self.0[flag].take()
    }

    fn number<N: std::str::FromStr>(&mut self, flag: usize, default: N) -> Result<N> {
        self.parsed(flag, "a number").map(|value| value.unwrap_or(default))
    }

    fn seconds(&mut self, flag: usize, default: Duration) -> Result<Duration> {
        let text = self.0[flag].clone().unwrap_or_default();
        let Some(seconds) = self.parsed::<f64>(flag, "a number of seconds")? else { return Ok(default) };
        Duration::try_from_secs_f64(seconds).map_err(|_| {
            let name = FLAGS[flag].long;
            Error::config(format!("{name}: found \"{text}\", expected a number of seconds, 0 or more"))
        })
    }

    fn parsed<N: std::str::FromStr>(&mut self, flag: usize, expected: &str) -> Result<Option<N>> {
        let name = FLAGS[flag].long;
        let parse = |text: String| {
            text.parse().map_err(|_| Error::config(format!("{name}: found \"{text}\", expected {expected}")))
        };
        self.take(flag).map(parse).transpose()
    }

    /// Those of the checkpoints, if there is a directory; without one the others mean nothing.
    fn checkpoints(&mut self) -> Result<Option<CheckpointConfig>> {
        let on_missing = match self.take(ON_MISSING_CHECKPOINT).as_deref() {
            None | Some("fail") => OnMissingCheckpoint::Fail,
            Some("fresh") => OnMissingCheckpoint::Fresh,
            Some(found) => {
                return Err(Error::config(format!(
                    "--on-missing-checkpoint: found \"{found}\", expected fail or fresh"
                )));
            }
        };
        let interval = self.seconds(CHECKPOINT_INTERVAL, CheckpointConfig::DEFAULT_INTERVAL)?;
        let retain = self.number(CHECKPOINT_RETAIN, CheckpointConfig::DEFAULT_RETAIN)?;
        let allow_unmatched = self.parsed(ALLOW_UNMATCHED_STATE, "true or false")?.unwrap_or(false);
        let from = self.take(FROM_CHECKPOINT);
        Ok(self.take(CHECKPOINT_DIR).map(|dir| {
            let checkpoints = CheckpointConfig::new(dir).interval(interval).retain(retain);
            let checkpoints = checkpoints.on_missing(on_missing).allow_unmatched_state(allow_unmatched);
            from.into_iter().fold(checkpoints, CheckpointConfig::from_checkpoint)
        }))
    }

    fn into_config(mut self) -> Result<RuntimeConfig> {
        let default = RuntimeConfig::default();
        let config = RuntimeConfig {
            threads: self.number(THREADS, 1)?,
            processes: self.number(PROCESSES, 1)?,
            process: self.parsed(PROCESS, "a number")?,
            addresses: self
                .take(HOSTFILE)
                .map_or(Ok(Vec::new()), |path| RuntimeConfig::read_hostfile(&path))?,
            connect_timeout: self.seconds(CONNECT_TIMEOUT, default.connect_timeout)?,
            heartbeat_timeout: self.seconds(HEARTBEAT_TIMEOUT, default.heartbeat_timeout)?,
            secret: secret(self.take(SECRET_FILE))?,
            allow_insecure: self.parsed(ALLOW_INSECURE, "true or false")?.unwrap_or(false),
            job_name: self.take(JOB_NAME).unwrap_or(default.job_name),
            attempt: self.number(ATTEMPT, default.attempt)?,
            max_in_flight_records: self.number(MAX_IN_FLIGHT, default.max_in_flight_records)?,
            cache_memory_bytes: self
                .parsed::<ByteSize>(CACHE_MEMORY, "a number of bytes, or one with K, M, G or T")?
                .map_or(default.cache_memory_bytes, |ByteSize(bytes)| bytes),
            cache_dir: self.take(CACHE_DIR).map(Into::into),
            checkpoints: self.checkpoints()?,
            admin: self.parsed(ADMIN, "an address and a port, such as 127.0.0.1:9700")?,
            ..RuntimeConfig::default()
        };
        config.validate()?;
        Ok(config)
    }
}

/// The secret of a file, or else of the environment. It is never an argument: those are for all to see.
fn secret(path: Option<String>) -> Result<Option<Secret>> {
    match path {
        Some(path) => Secret::read(&path).map(Some),
        None => Ok(variable("WATERWHEEL_SECRET").map(Secret::new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<(RuntimeConfig, Vec<String>)> {
        RuntimeConfig::from_args(args.iter().map(ToString::to_string))
    }

    #[test]
    fn from_args_takes_its_flags_and_leaves_the_rest() {
        let (config, rest) = parse(&["a", "-w", "3", "--processes=2", "-p", "1", "-h"]).unwrap();
        assert_eq!((config.threads, config.processes, config.process), (3, 2, Some(1)));
        assert_eq!(rest, ["a", "-h"]);
    }

    #[test]
    fn from_args_takes_a_switch_without_a_value() {
        let (config, rest) = parse(&["--allow-insecure", "x", "--attempt", "4", "--job-name=j"]).unwrap();
        assert_eq!((config.allow_insecure, config.attempt, config.job_name.as_str()), (true, 4, "j"));
        assert_eq!(rest, ["x"]);
        assert!(!parse(&["--allow-insecure=false"]).unwrap().0.allow_insecure);
    }

    #[test]
    fn from_args_takes_memory_and_directory_of_caches() {
        let (config, _) = parse(&["--cache-memory", "512M", "--cache-dir=/some/where"]).unwrap();
        assert_eq!(config.cache_memory_bytes, 512 << 20);
        assert_eq!(config.cache_parent(), std::path::Path::new("/some/where"));
        assert_eq!(
            parse(&["--cache-memory", "much"]).unwrap_err().message(),
            "--cache-memory: found \"much\", expected a number of bytes, or one with K, M, G or T"
        );
    }

    #[test]
    fn address_that_others_reach_needs_a_secret_or_a_word() {
        let far = || {
            RuntimeConfig::threads(1)
                .processes(2)
                .process(Some(0))
                .addresses(vec!["127.0.0.1:2101".into(), "10.0.0.7:2101".into()])
        };
        let refused = far().validate().unwrap_err();
        assert!(refused.message().starts_with("address 10.0.0.7:2101 can be reached"), "{refused}");
        assert!(far().allow_insecure(true).validate().is_ok());
        assert!(far().secret("0123456789abcdef").validate().is_ok());
        let short = far().allow_insecure(true).secret("short").validate().unwrap_err();
        assert!(short.message().starts_with("secret: found 5 bytes"), "{short}");
        assert!(!format!("{:?}", far().secret("0123456789abcdef")).contains("0123456789abcdef"));
    }

    #[test]
    fn from_args_names_the_bad_value() {
        assert_eq!(
            parse(&["-w", "two"]).unwrap_err().message(),
            "--threads: found \"two\", expected a number"
        );
        assert_eq!(parse(&["-w"]).unwrap_err().message(), "flag -w needs a value");
        assert!(parse(&["-n", "2", "-p", "2"]).unwrap_err().message().contains("expected 0 to 1"));
        assert_eq!(
            parse(&["--attempt", "-1"]).unwrap_err().message(),
            "--attempt: found \"-1\", expected a number"
        );
        assert!(parse(&["--heartbeat-timeout", "nan"]).unwrap_err().message().contains("0 or more"));
        assert!(parse(&["--heartbeat-timeout=0.5"]).unwrap_err().message().contains("at least 1s"));
        assert!(parse(&["-w", "0"]).unwrap_err().message().contains("found 0, expected 1 to 1024"));
    }
}

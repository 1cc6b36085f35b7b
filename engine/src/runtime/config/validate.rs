//! Whether settings are valid, and fit each other.

use std::time::Duration;

use crate::checkpoint::CheckpointConfig;
use crate::error::{Error, Result};
use crate::runtime::config::{MAX_PARALLELISM, RuntimeConfig, hosts};
use crate::runtime::handshake::{MAX_JOB_NAME_BYTES, MAX_VERSION_BYTES};

/// Shortest heartbeat time-out: a busy machine may pause any thread for a good part of it.
const MIN_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);

impl RuntimeConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// A count of zero or above 1024, an index that is not below the number of processes, fewer addresses
    /// than processes; a secret of fewer than 16 bytes; an address that is not loopback without a secret; a
    /// job name or program version that is too long, or has a NUL in it; a heartbeat time-out below 1 s that is
    /// not 0; a checkpoint setting that is not valid.
    pub fn validate(&self) -> Result<()> {
        for (what, n) in [("worker threads", self.threads), ("processes", self.processes)] {
            if n == 0 || n > MAX_PARALLELISM {
                return Err(Error::config(format!("{what}: found {n}, expected 1 to {MAX_PARALLELISM}")));
            }
        }
        if let Some(index) = self.process
            && index >= self.processes
        {
            let n = self.processes;
            let text = format!("process index: found {index}, expected 0 to {}; -n sets the number", n - 1);
            return Err(Error::config(text));
        }
        if !self.addresses.is_empty() && self.process.is_none() && self.processes > 1 {
            return Err(Error::config("addresses are given: expected the index of this process too (-p)"));
        }
        if !self.addresses.is_empty() && self.addresses.len() < self.processes {
            let (found, n) = (self.addresses.len(), self.processes);
            return Err(Error::config(format!("{n} processes need {n} addresses, found {found}")));
        }
        self.validate_names()?;
        self.checkpoints.as_ref().map_or(Ok(()), CheckpointConfig::validate)?;
        self.validate_safety()
    }

    fn validate_names(&self) -> Result<()> {
        let texts = [
            ("job name", &self.job_name, 1..=MAX_JOB_NAME_BYTES),
            ("program version", &self.program_version, 0..=MAX_VERSION_BYTES),
        ];
        for (what, text, valid) in texts {
            if !valid.contains(&text.len()) || text.chars().any(char::is_control) {
                let (least, most) = (valid.start(), valid.end());
                return Err(Error::config(format!(
                    "{what}: found {text:?}, expected {least} to {most} bytes of text"
                )));
            }
        }
        Ok(())
    }

    fn validate_safety(&self) -> Result<()> {
        let heartbeat = self.heartbeat_timeout;
        if !heartbeat.is_zero() && heartbeat < MIN_HEARTBEAT_TIMEOUT {
            return Err(Error::config(format!(
                "heartbeat time-out: found {heartbeat:?}, expected 0 (never) or at least {MIN_HEARTBEAT_TIMEOUT:?}"
            )));
        }
        if let Some(address) =
            self.admin.filter(|address| !address.ip().is_loopback() && !self.allow_insecure)
        {
            return Err(Error::config(format!(
                "admin port: found {address}, which other machines can reach, and it asks nobody who they are: expected \
                 an address of this machine such as 127.0.0.1, or --allow-insecure"
            )));
        }
        if let Some(secret) = &self.secret {
            return secret.check("secret");
        }
        let far = self.addresses.iter().take(self.processes).find(|address| !hosts::is_loopback(address));
        match far.filter(|_| self.processes > 1 && !self.allow_insecure) {
            Some(address) => Err(Error::config(format!(
                "address {address} can be reached from other machines, and without a secret anybody there can \
                 join the run: expected a shared secret (--secret-file), or --allow-insecure"
            ))),
            None => Ok(()),
        }
    }
}

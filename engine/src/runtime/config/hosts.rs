//! Addresses of processes: hostfiles, and which addresses leave this machine.

use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::runtime::config::RuntimeConfig;

impl RuntimeConfig {
    /// Reads the addresses of a hostfile: one `host:port` a line; empty lines and those that start with `#`
    /// are skipped.
    ///
    /// # Errors
    /// The file can not be read, has no line, or a line that is no `host:port`.
    pub fn read_hostfile(path: &str) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::config(format!("can not read hostfile {path}")).caused_by(error))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let addresses: Vec<String> = lines.map(String::from).collect();
        if addresses.is_empty() {
            return Err(Error::config(format!(
                "hostfile {path} has no address, expected one host:port a line"
            )));
        }
        let is_address = |line: &&String| {
            line.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match addresses.iter().find(|line| !is_address(line)) {
            Some(line) => {
                Err(Error::config(format!("hostfile {path}: found \"{line}\", expected host:port")))
            }
            None => Ok(addresses),
        }
    }
}

/// Whether an address `host:port` stays on this machine. Names other than `localhost` are not looked up: what
/// they mean may change.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_what_others_can_reach() {
        for near in ["127.0.0.1:1", "127.64.3.9:2101", "[::1]:5", "localhost:80"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in
            ["0.0.0.0:1", "10.0.0.7:2101", "[::]:5", "db:80", "localhost.example.org:1", "127.0.0.1.x:1"]
        {
            assert!(!is_loopback(far), "{far}");
        }
    }
}

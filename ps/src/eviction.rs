//! Which rows a server forgets.

use std::time::Duration;

use waterwheel_engine::{Error, Result};

/// When a [`SimpleServer`](crate::SimpleServer) forgets rows, so that a key space without end fits in memory.
///
/// Every limit is one of a single server, and of the limits that are set each works by itself. A row is used by a
/// pull, a push or a load of its key. A row that was evicted comes back from its initial value; with
/// [`emit_evicted`](Self::emit_evicted) it is output first, as it was. With an eviction rows are found by hash, under
/// any placement.
///
/// | limit | default | valid |
/// |---|---|---|
/// | `max_rows`: the row that was not used for the longest time makes place | none | 1 or more |
/// | `idle_operations`: rows not used during so many pulls and pushes of the server | none | 1 or more |
/// | `idle_clocks`: rows not used during so many clocks of the workers | none | 1 or more |
/// | `idle_time`: rows not used for so long, by the clock of the machine | none | more than 0 |
/// | `min_frequency`: a key has no row before it is used so often | 1 | 1 or more |
///
/// Which rows are there depends on the order in which operations reach the server, and on the number of servers.
///
/// While a key is used less than `min_frequency` times, pulls are answered with its initial value and pushes are
/// dropped; it costs its counter alone. A loaded parameter has its row at once.
///
/// # Examples
/// ```
/// use waterwheel_ps::{Eviction, SimpleServer, Sum};
/// let server = SimpleServer::with_update(|_: &String, row: &mut Vec<f32>| row.push(0.0), Sum)
///     .evict(Eviction::new().max_rows(1_000_000).min_frequency(3));
/// # let _ = server;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    pub(crate) max_rows: Option<usize>,
    pub(crate) idle_operations: Option<u64>,
    pub(crate) idle_clocks: Option<u64>,
    pub(crate) idle_time: Option<Duration>,
    pub(crate) min_frequency: Option<u32>,
    pub(crate) emit: bool,
}

impl Eviction {
    /// Evicts nothing, until a limit is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many rows a server holds at most.
    #[must_use]
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// Sets after how many operations of its server a row that none of them used is evicted.
    #[must_use]
    pub fn idle_operations(mut self, operations: u64) -> Self {
        self.idle_operations = Some(operations);
        self
    }

    /// Sets after how many clocks in which no worker used it a row is evicted: one that was used last at clock *c* is
    /// evicted before the first operation at a clock above *c* + `clocks`.
    #[must_use]
    pub fn idle_clocks(mut self, clocks: u64) -> Self {
        self.idle_clocks = Some(clocks);
        self
    }

    /// Sets after how long without a use a row is evicted. Servers look at the clock when they are asked something: the
    /// rows of one that has nothing to do stay until the next pull or push, which does not see them any more. What is
    /// there then depends on the speed of the machine.
    #[must_use]
    pub fn idle_time(mut self, time: Duration) -> Self {
        self.idle_time = Some(time);
        self
    }

    /// Sets how often a key must be used before it gets a row.
    #[must_use]
    pub fn min_frequency(mut self, uses: u32) -> Self {
        self.min_frequency = Some(uses);
        self
    }

    /// Outputs rows that are evicted. Without it they are lost.
    #[must_use]
    pub fn emit_evicted(mut self) -> Self {
        self.emit = true;
        self
    }

    /// Refuses limits of zero.
    pub(crate) fn check(&self) -> Result<()> {
        let limits = [
            ("max_rows", self.max_rows.map(|n| n as u64)),
            ("idle_operations", self.idle_operations),
            ("idle_clocks", self.idle_clocks),
            ("min_frequency", self.min_frequency.map(u64::from)),
        ];
        if self.idle_time == Some(Duration::ZERO) {
            return Err(Error::config("eviction: idle_time is 0, expected more"));
        }
        match limits.iter().find(|(_, limit)| *limit == Some(0)) {
            Some((what, _)) => Err(Error::config(format!("eviction: {what} is 0, expected 1 or more"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_with_a_limit_of_zero_is_refused_by_name() {
        let bad = [
            (Eviction::new().max_rows(0), "max_rows"),
            (Eviction::new().max_rows(1).idle_operations(0), "idle_operations"),
            (Eviction::new().idle_clocks(0), "idle_clocks"),
            (Eviction::new().min_frequency(0), "min_frequency"),
        ];
        for (eviction, what) in bad {
            let expected = format!("eviction: {what} is 0, expected 1 or more");
            assert_eq!(eviction.check().unwrap_err().message(), expected);
        }
        let at_once = Eviction::new().idle_time(Duration::ZERO);
        assert_eq!(at_once.check().unwrap_err().message(), "eviction: idle_time is 0, expected more");
        assert!(Eviction::new().max_rows(1).idle_time(Duration::from_nanos(1)).check().is_ok());
    }
}

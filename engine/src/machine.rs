//! The machine underneath: its clock (read nowhere else) and its memory.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, on the monotonic clock. Use it for durations and rates, never for results.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the lint points to")]
pub fn now() -> Instant {
    Instant::now()
}

/// Time since 1970-01-01 00:00 UTC by the system's clock, which may be set: for people and for metrics, never for results.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the lint points to")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Peak resident memory of this process so far, in bytes; `None` where the system does not tell
/// (anything but Linux).
pub fn peak_rss_bytes() -> Option<u64> {
    status_field("VmHWM:")
}

/// Resident memory of this process now, in bytes; `None` where the system does not tell.
pub fn rss_bytes() -> Option<u64> {
    status_field("VmRSS:")
}

fn status_field(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

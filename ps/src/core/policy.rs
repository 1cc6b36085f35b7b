//! When a batch of operations or answers is sent.

use std::time::Duration;

/// When a sender lets a batch for one destination go.
///
/// A full block always goes, and at the end of the input everything goes at once.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use waterwheel_ps::SendPolicy;
/// // 4 operations, or whatever there is after a second:
/// let policy = SendPolicy::Any(vec![SendPolicy::Count(4), SendPolicy::Interval(Duration::from_secs(1))]);
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SendPolicy {
    /// As soon as the worker has handled what it has: the least latency, and large batches under load.
    #[default]
    Immediate,
    /// When this many operations are in the batch. Valid: 1 or more. Not where one worker waits for the pushes of
    /// another, as with locks: a push may wait for its batch then, and its worker for others.
    Count(usize),
    /// When the first operation of the batch is this old.
    Interval(Duration),
    /// When all of these hold.
    All(Vec<SendPolicy>),
    /// When one of these holds.
    Any(Vec<SendPolicy>),
}

impl SendPolicy {
    /// Whether a batch of `n` operations whose first is `age` old goes.
    pub(crate) fn allows(&self, n: usize, age: Duration) -> bool {
        match self {
            SendPolicy::Immediate => true,
            SendPolicy::Count(count) => n >= *count,
            SendPolicy::Interval(interval) => age >= *interval,
            SendPolicy::All(parts) => parts.iter().all(|part| part.allows(n, age)),
            SendPolicy::Any(parts) => parts.iter().any(|part| part.allows(n, age)),
        }
    }

    /// Whether some batch can ever go: a choice of no conditions lets none.
    pub(crate) fn is_possible(&self) -> bool {
        match self {
            SendPolicy::Immediate | SendPolicy::Count(_) | SendPolicy::Interval(_) => true,
            SendPolicy::All(parts) => parts.iter().all(Self::is_possible),
            SendPolicy::Any(parts) => parts.iter().any(Self::is_possible),
        }
    }

    /// The longest time after which the clock alone may let a batch go; `None` if the clock does not matter.
    pub(crate) fn interval(&self) -> Option<Duration> {
        match self {
            SendPolicy::Immediate | SendPolicy::Count(_) => None,
            SendPolicy::Interval(interval) => Some(*interval),
            SendPolicy::All(parts) | SendPolicy::Any(parts) => parts.iter().filter_map(Self::interval).min(),
        }
    }

    /// The largest count in the policy: batches below it may stay for lack of more.
    pub(crate) fn largest_count(&self) -> usize {
        match self {
            SendPolicy::Immediate | SendPolicy::Interval(_) => 0,
            SendPolicy::Count(count) => *count,
            SendPolicy::All(parts) | SendPolicy::Any(parts) => {
                parts.iter().map(Self::largest_count).max().unwrap_or(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_combine_count_and_time() {
        let (count, interval) = (SendPolicy::Count(4), SendPolicy::Interval(Duration::from_secs(1)));
        let (young, old) = (Duration::from_millis(1), Duration::from_secs(2));
        let both = SendPolicy::All(vec![count.clone(), interval.clone()]);
        let either = SendPolicy::Any(vec![count, interval]);
        let cases = [(4, young), (3, old), (4, old), (3, young)];
        assert_eq!(cases.map(|(n, age)| both.allows(n, age)), [false, false, true, false]);
        assert_eq!(cases.map(|(n, age)| either.allows(n, age)), [true, true, true, false]);
    }
}

//! When a file is full.

/// When a sink of files goes on with a new file, beside each checkpoint.
///
/// | setting | default | valid |
/// |---|---|---|
/// | [`max_bytes`](Self::max_bytes) of a file, about | no limit | 1 or more |
/// | [`max_records`](Self::max_records) of a file | no limit | 1 or more |
///
/// A file is full when it has reached a limit, and so it may be larger than `max_bytes` by a record and by what its format
/// keeps back: 8 KiB of CSV, a row group of Parquet.
///
/// # Examples
/// ```
/// use waterwheel_engine::RollingPolicy;
///
/// let policy = RollingPolicy::default().max_bytes(128 << 20);
/// assert_eq!(policy.max_records, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollingPolicy {
    /// Bytes of a file after which it is full.
    pub max_bytes: Option<u64>,
    /// Records of a file after which it is full.
    pub max_records: Option<u64>,
}

impl RollingPolicy {
    /// Sets after how many bytes a file is full. Default: never. 0 counts as 1.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets after how many records a file is full. Default: never. 0 counts as 1.
    #[must_use]
    pub fn max_records(mut self, records: u64) -> Self {
        self.max_records = Some(records);
        self
    }

    /// Whether there may be several files between two checkpoints.
    pub(super) fn rolls(self) -> bool {
        self != Self::default()
    }

    /// Whether a file of so many records and bytes is full.
    pub(super) fn is_full(self, records: u64, bytes: u64) -> bool {
        self.max_records.is_some_and(|limit| records >= limit)
            || self.max_bytes.is_some_and(|limit| bytes >= limit)
    }
}

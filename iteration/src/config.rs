//! How an iteration runs.

use waterwheel_engine::Round;

/// Settings of a bounded iteration.
///
/// # Examples
/// ```
/// use waterwheel_iteration::IterationConfig;
/// let config = IterationConfig::new().name("train").max_rounds(20);
/// assert_eq!(config, IterationConfig::new().max_rounds(20).name("train"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationConfig {
    pub(crate) name: String,
    pub(crate) max_rounds: Option<Round>,
    /// Whether listeners handle rounds one after the other.
    pub(crate) in_order: bool,
}

impl IterationConfig {
    /// All defaults.
    pub fn new() -> Self {
        IterationConfig { name: "iterate_bounded".into(), max_rounds: None, in_order: true }
    }

    /// Names the loop, for errors and for those who watch it. Default `iterate_bounded`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Runs no more rounds than these, numbers 0 to `rounds` - 1. Default: no limit. Valid: 1 or more; 0 ends
    /// the run with an [`ErrorKind::Config`](waterwheel_engine::ErrorKind::Config) error.
    #[must_use]
    pub fn max_rounds(mut self, rounds: Round) -> Self {
        self.max_rounds = Some(rounds);
        self
    }
}

impl Default for IterationConfig {
    fn default() -> Self {
        Self::new()
    }
}

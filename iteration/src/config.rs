//! How an iteration runs.

use waterwheel_engine::Round;

/// How long the operators in the body of an iteration keep their state.
///
/// # Examples
/// The same body with state over all rounds, and for one:
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_iteration::{IterationBodyResult, IterationConfig, Iterations, OperatorLifeCycle};
///
/// let count = |life_cycle| {
///     let counts = execute(RuntimeConfig::threads(1), move |env| {
///         let config = IterationConfig::new().max_rounds(3).operator_life_cycle(life_cycle);
///         let words = env.from_iter(["a".to_string()]);
///         let (counts,) = Iterations::iterate_bounded((words,), (), config, |_it, (x,), ()| {
///             let counts = x.clone().key_by(String::clone).count();
///             IterationBodyResult::new((x,), (counts.map(|(_, n)| n),))
///         });
///         Ok(counts.collect())
///     });
///     counts.unwrap().concat()
/// };
/// assert_eq!(count(OperatorLifeCycle::AllRound), [1, 2, 3]);
/// assert_eq!(count(OperatorLifeCycle::PerRound), [1, 1, 1]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatorLifeCycle {
    /// Over all rounds. What is told of the end of its input is told when the iteration has ended.
    #[default]
    AllRound,
    /// For one round: they begin anew in each, see the end of their input when the round is complete, and then
    /// their state is gone.
    PerRound,
}

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
    pub(crate) life_cycle: OperatorLifeCycle,
    /// Whether listeners handle rounds one after the other.
    pub(crate) in_order: bool,
    /// Whether all of it is in one checkpoint epoch.
    pub(crate) is_whole: bool,
}

impl IterationConfig {
    /// All defaults.
    pub fn new() -> Self {
        IterationConfig {
            name: "iterate_bounded".into(),
            max_rounds: None,
            life_cycle: OperatorLifeCycle::AllRound,
            in_order: true,
            is_whole: false,
        }
    }

    /// Names the loop, for errors and for those who watch it. Default `iterate_bounded`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long the operators of the body keep their state. Default [`OperatorLifeCycle::AllRound`];
    /// [`for_each_round`](crate::Iteration::for_each_round) and [`all_rounds`](crate::Iteration::all_rounds) choose
    /// otherwise for a part of the body.
    #[must_use]
    pub fn operator_life_cycle(mut self, life_cycle: OperatorLifeCycle) -> Self {
        self.life_cycle = life_cycle;
        self
    }

    /// Makes no checkpoint between the first record that comes in and the end. A job that goes on from a checkpoint has then
    /// either not begun the iteration, or is behind it, and its functions need no
    /// [`snapshot`](crate::IterationListener::snapshot). Default: in a job with checkpoints there are some between rounds.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        self.is_whole = true;
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

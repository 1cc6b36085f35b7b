//! A logic that is a script: what one worker asks of the models, and what it outputs.

use waterwheel::prelude::*;
use waterwheel::ps::models::{ModelClient, ModelLogic, Models};

use crate::cluster::everywhere;
use crate::conformance::flink_ps::support::{run, try_run};

/// What a script is given to work with.
pub(super) type Client<'a, O> = ModelClient<'a, Script<O>>;

/// What a script does.
pub(super) type Act<O> = Box<dyn Fn(&mut Client<'_, O>) -> Result<()>>;

/// Acts once for each record.
pub(super) struct Script<O: 'static>(pub(super) Act<O>);

impl<O: 'static> ModelLogic for Script<O> {
    type In = ();
    type Out = O;

    fn on_recv(&mut self, _record: (), ps: &mut ModelClient<'_, Self>) -> Result<()> {
        (self.0)(ps)
    }
}

/// A script whose answer is the output.
pub(super) fn show<O: 'static>(
    _script: &mut Script<Vec<O>>,
    values: Vec<O>,
    ps: &mut Client<'_, Vec<O>>,
) -> Result<()> {
    ps.output(values);
    Ok(())
}

/// Runs a script that one worker plays, with a server on every worker, and returns its outputs.
fn play<O: Record + Clone>(
    config: RuntimeConfig,
    script: fn(&mut Models) -> Result<Act<O>>,
) -> Result<Vec<O>> {
    let job = move |env: &Env<'_>| {
        let mut models = Models::new(env.workers());
        let script = Script(script(&mut models)?);
        Ok(models.transform(env.from_iter([()]), script, &PsConfig::new())?.output.collect())
    };
    Ok(try_run(config, job)?.concat())
}

/// Plays a script at every shape; its outputs must be `expected`, in any order: answers to different requests may
/// overtake each other.
pub(super) fn assert_plays<O>(path: &str, script: fn(&mut Models) -> Result<Act<O>>, expected: &[O])
where
    O: Record + Clone + PartialEq + std::fmt::Debug,
{
    let sorted = |mut outputs: Vec<O>| {
        outputs.sort_by_cached_key(|output| format!("{output:?}"));
        outputs
    };
    let play = |config| sorted(play(config, script).unwrap());
    everywhere(path, play, |found, shape| assert_eq!(found, sorted(expected.to_vec()), "{shape}"));
}

/// Plays a script at every shape; its outputs must be `expected`, in this order.
pub(super) fn assert_plays_in_order<O>(path: &str, script: fn(&mut Models) -> Result<Act<O>>, expected: &[O])
where
    O: Record + Clone + PartialEq + std::fmt::Debug,
{
    let play = |config| play(config, script).unwrap();
    everywhere(path, play, |found, shape| assert_eq!(found, expected, "{shape}"));
}

/// Plays a script that fails, at 1, 2 and 4 workers; its error must be `expected`.
pub(super) fn assert_fails(script: fn(&mut Models) -> Result<Act<()>>, expected: &str) {
    for workers in [1, 2, 4] {
        let error = play(RuntimeConfig::threads(workers), script).unwrap_err();
        assert_eq!(error.message(), expected, "{workers} workers");
    }
}

/// Runs a logic on one record for each worker, at every shape; the outputs of all must be `expected`.
pub(super) fn assert_all_output<L>(
    path: &str,
    logic: fn(&mut Models) -> Result<L>,
    expected: impl Fn(usize) -> Vec<L::Out>,
) where
    L: ModelLogic<In = usize, Out: Record + Clone + Ord + std::fmt::Debug>,
{
    let outputs = |config: RuntimeConfig| {
        let workers = config.workers();
        let outputs = run(config, move |env| {
            let mut models = Models::new(env.workers());
            let logic = logic(&mut models)?;
            let data = env.from_splits(env.workers(), |split| [split]);
            Ok(models.transform(data, logic, &PsConfig::new())?.output.collect())
        });
        (workers, outputs.concat())
    };
    everywhere(path, outputs, |(workers, mut found), shape| {
        found.sort();
        assert_eq!(found, expected(workers), "{shape}");
    });
}

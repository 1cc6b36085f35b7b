//! A job from a source through stages to a sink.

use waterwheel::prelude::execute;

use super::sink::SinkArgs;
use super::source::SourceArgs;
use super::stage::Stage;
use crate::cli::runtime::RuntimeArgs;

/// Such a job.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    runtime: RuntimeArgs,
    source: SourceArgs,
    stages: Vec<Stage>,
    sink: SinkArgs,
}

impl Pipeline {
    pub(super) fn new(runtime: RuntimeArgs, source: SourceArgs, stages: Vec<Stage>, sink: SinkArgs) -> Self {
        Pipeline { runtime, source, stages, sink }
    }

    pub(super) fn runtime_mut(&mut self) -> &mut RuntimeArgs {
        &mut self.runtime
    }

    /// Runs it to its end.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.runtime.config()?;
        execute(config, move |env| {
            let (rows, policy) = (self.source.read(env)?, self.source.policy());
            let mut stages = self.stages.iter().enumerate();
            let rows = stages.try_fold(rows, |rows, (at, stage)| {
                stage.clone().apply(rows, &format!("stage {}", at + 1), policy)
            })?;
            self.sink.write(rows)
        })?;
        Ok(())
    }
}

//! A job from a source through stages to a sink.

use waterwheel::prelude::{Error, LateRecordState, RecordCount, Site, execute};

use super::sink::SinkArgs;
use super::source::SourceArgs;
use super::stage::Stage;
use crate::cli::runtime::RuntimeArgs;
use crate::cli::say;

/// Such a job.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    runtime: RuntimeArgs,
    source: SourceArgs,
    stages: Vec<Stage>,
    sink: SinkArgs,
    places: Places,
}

/// Where the tables of a job are in its file.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) path: String,
    /// Line of `[source]`.
    pub(super) source: usize,
    /// Lines of `[[stages]]`.
    pub(super) stages: Vec<usize>,
    /// Line of `[sink]`, if it is there.
    pub(super) sink: Option<usize>,
}

impl Pipeline {
    pub(super) fn new(
        runtime: RuntimeArgs,
        (source, stages, sink): (SourceArgs, Vec<Stage>, SinkArgs),
        places: Places,
    ) -> Self {
        Pipeline { runtime, source, stages, sink, places }
    }

    pub(super) fn runtime_mut(&mut self) -> &mut RuntimeArgs {
        &mut self.runtime
    }

    /// Runs it to its end.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (places, late) = (self.places.clone(), LateRecordState::new());
        let config = self.runtime.config()?.late_record_state(late.clone());
        let outcome = execute(config, move |env| {
            let (rows, policy) = (self.source.read(env)?, self.source.policy());
            let mut stages = self.stages.iter().enumerate();
            let rows = stages.try_fold(rows, |rows, (at, stage)| {
                stage.clone().apply(rows, &format!("stage {}", at + 1), policy)
            })?;
            self.sink.write(rows)
        });
        outcome.map_err(|error| places.locate(error))?;
        let late = late.operators().into_iter().filter(|late| late.records > 0);
        late.for_each(|late| places.say_late(&late));
        Ok(())
    }
}

impl Places {
    /// Names the table of the file in place of a line of this program.
    fn locate(&self, error: Error) -> Error {
        error.map_site(|site| {
            let (table, line) = self.table_of(&site.operator);
            Site { location: format!("{}:{line} [{table}]", self.path), ..site }
        })
    }

    /// Tells of records that no window took: results without them look like results with all.
    fn say_late(&self, late: &RecordCount) {
        let ((table, line), records) = (self.table_of(&late.operator), late.records);
        let s = if records == 1 { "" } else { "s" };
        say(format_args!(
            "{}:{line}: [{table}] {records} record{s} came late, with all windows over, and are in no result; disorder is the \
             seconds by which a record may be behind a later one",
            self.path
        ));
    }

    /// The table that an operator is from, by its name: those of stages begin with the number of the stage.
    fn table_of(&self, operator: &str) -> (String, usize) {
        let number = operator.strip_prefix("stage ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let of_stage =
            number.and_then(|number: usize| Some((number, *self.stages.get(number.checked_sub(1)?)?)));
        match (of_stage, self.sink) {
            (Some((number, line)), _) => (format!("stages {number}"), line),
            (None, Some(line)) if operator == "sink" => ("sink".into(), line),
            _ => ("source".into(), self.source),
        }
    }
}

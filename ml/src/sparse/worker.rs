//! The worker of all learners on sparse rows.

use std::collections::VecDeque;

use waterwheel_engine::{Error, Result};
use waterwheel_ps::{ParameterServerClient, WorkerLogic};

use super::{SparseExample, SparsePrediction, SparseRule, SparseTraining};
use crate::generate::sm;

/// Pulls the weights of each example, predicts, learns and pushes.
pub(super) struct SparseWorker<R: SparseRule> {
    rule: R,
    training: SparseTraining,
    /// Examples whose weights are on their way, in order of their pulls.
    waiting: VecDeque<Waiting<R::Label>>,
    /// What later passes need, if there are any.
    replay: Replay<R::Label>,
    /// Examples of the present clock.
    in_clock: u64,
    /// Whether the next clock was asked for and has not come.
    awaits_clock: bool,
    /// What an example pushes, row by row.
    pushes: Vec<f64>,
}

struct Waiting<L> {
    keys: Vec<u32>,
    example: Place<L>,
    /// Whether its prediction is a result.
    is_output: bool,
}

/// Where an example is.
enum Place<L> {
    Here(SparseExample<L>),
    Kept(usize),
}

/// Examples that are learned again.
struct Replay<L> {
    kept: Vec<SparseExample<L>>,
    /// Those of the present pass, in order.
    order: Vec<usize>,
    next: usize,
    /// Passes that are over or under way, but for the first one while there may be input: 0 then. One more than there
    /// are to be is that of the predictions.
    pass: u32,
    /// Weights that are on their way.
    pending: usize,
}

type Client<R> = ParameterServerClient<SparseWorker<R>>;

impl<R: SparseRule> SparseWorker<R> {
    pub(super) fn new(rule: R, training: &SparseTraining) -> Self {
        SparseWorker {
            rule,
            training: training.clone(),
            waiting: VecDeque::new(),
            replay: Replay { kept: Vec::new(), order: Vec::new(), next: 0, pass: 0, pending: 0 },
            in_clock: 0,
            awaits_clock: false,
            pushes: Vec::new(),
        }
    }

    fn keeps_examples(&self) -> bool {
        self.training.passes > 1
    }

    /// Asks for the weights of an example.
    fn issue(
        &mut self,
        keys: Vec<u32>,
        example: Place<R::Label>,
        is_output: bool,
        ps: &mut Client<R>,
    ) -> Result<()> {
        self.replay.pending += keys.len();
        ps.pull_many(&keys)?;
        self.waiting.push_back(Waiting { keys, example, is_output });
        self.in_clock += 1;
        if self.training.clock_len() == Some(self.in_clock) {
            self.advance(ps);
        }
        Ok(())
    }

    fn advance(&mut self, ps: &mut Client<R>) {
        self.in_clock = 0;
        self.awaits_clock = true;
        ps.advance_clock();
    }

    /// The example that these weights are for: mostly the first, but if its weights are on several servers, a later one
    /// can be complete before it. Two with the same keys are answered in order.
    fn take(&mut self, keys: &[u32]) -> Result<Waiting<R::Label>> {
        let at = self.waiting.iter().position(|waiting| waiting.keys == keys);
        let found = at.and_then(|at| self.waiting.remove(at));
        found.ok_or_else(|| {
            Error::internal(format!("weights of {} features that nobody waits for", keys.len()))
        })
    }

    /// Predicts, then learns.
    fn handle(&mut self, waiting: &Waiting<R::Label>, rows: &[f64], ps: &mut Client<R>) -> Result<()> {
        let example = match &waiting.example {
            Place::Here(example) => example,
            Place::Kept(at) => &self.replay.kept[*at],
        };
        let SparseExample { id, features, label } = example;
        let (predicted, score) = self.rule.predict(features, rows);
        if !score.is_finite() {
            return Err(Error::operator(format!(
                "training diverged: the score of example {id} is {score}; lower the learning rate, or scale the features"
            )));
        }
        if waiting.is_output {
            ps.output(SparsePrediction { id: *id, label: *label, predicted, score });
        }
        let Some(label) = label else { return Ok(()) };
        self.pushes.clear();
        self.rule.learn(features, rows, label, &mut self.pushes);
        if self.pushes.is_empty() { Ok(()) } else { ps.push_many(&waiting.keys, &self.pushes) }
    }

    /// Goes on with the present pass as far as the credit allows. Behind its end comes a clock.
    fn go_on(&mut self, ps: &mut Client<R>) -> Result<()> {
        while !self.awaits_clock && self.replay.pending < self.training.credit {
            let Some(at) = self.replay.order.get(self.replay.next).copied() else {
                self.advance(ps);
                break;
            };
            self.replay.next += 1;
            let example = &self.replay.kept[at];
            let (keys, is_output) = (self.rule.keys(&example.features), example.label.is_none());
            self.issue(keys, Place::Kept(at), is_output, ps)?;
        }
        Ok(())
    }

    /// Begins the next pass: labelled examples, in an order of its own, and at last those that are to be predicted.
    fn begin_pass(&mut self) {
        let replay = &mut self.replay;
        replay.pass += 1;
        replay.next = 0;
        let is_last = replay.pass > self.training.passes;
        let seed = sm(self.training.seed, replay.pass.into());
        let kept = &replay.kept;
        replay.order = (0..kept.len()).filter(|at| kept[*at].label.is_none() == is_last).collect();
        replay.order.sort_by_key(|at| (sm(seed, kept[*at].id), kept[*at].id));
    }
}

impl<R: SparseRule> WorkerLogic for SparseWorker<R> {
    type In = SparseExample<R::Label>;
    type Key = u32;
    type Pull = f64;
    type Push = f64;
    type Out = SparsePrediction<R::Label>;

    fn on_recv(&mut self, example: Self::In, ps: &mut Client<R>) -> Result<()> {
        if let Some(label) = &example.label {
            let id = example.id;
            self.rule
                .check(label)
                .map_err(|error| Error::data(format!("example {id}: {}", error.message())))?;
        }
        if !self.keeps_examples() {
            return self.issue(self.rule.keys(&example.features), Place::Here(example), true, ps);
        }
        let keys = example.label.is_some().then(|| self.rule.keys(&example.features));
        self.replay.kept.push(example);
        match keys {
            Some(keys) => self.issue(keys, Place::Kept(self.replay.kept.len() - 1), true, ps),
            None => Ok(()),
        }
    }

    fn on_pull_recv(&mut self, key: &u32, _row: &[f64], _ps: &mut Client<R>) -> Result<()> {
        Err(Error::internal(format!("weights of feature {key} alone, which nobody asked for")))
    }

    fn on_pull_many_recv(&mut self, keys: &[u32], rows: &[f64], ps: &mut Client<R>) -> Result<()> {
        let waiting = self.take(keys)?;
        self.replay.pending -= keys.len();
        self.handle(&waiting, rows, ps)?;
        if self.replay.pass > 0 { self.go_on(ps) } else { Ok(()) }
    }

    fn on_end_of_input(&mut self, ps: &mut Client<R>) -> Result<()> {
        if self.keeps_examples() {
            self.replay.pass = 1;
            self.advance(ps);
        }
        Ok(())
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut Client<R>) -> Result<()> {
        self.awaits_clock = false;
        let replay = &self.replay;
        if replay.pass == 0 {
            return Ok(());
        }
        if replay.next >= replay.order.len() {
            if replay.pass > self.training.passes {
                return Ok(());
            }
            self.begin_pass();
        }
        self.go_on(ps)
    }
}

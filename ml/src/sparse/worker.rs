//! The worker of all learners on sparse rows.

use std::collections::VecDeque;

use waterwheel_engine::{Error, Result};
use waterwheel_ps::{LogicReader, LogicWriter, ParameterServerClient, WorkerLogic};

use super::{SparseExample, SparsePrediction, SparseRule, SparseTraining};
use crate::generate::sm;

/// Pulls the weights of a batch of examples in one request, predicts each, and pushes what all of them teach in another.
pub(super) struct SparseWorker<R: SparseRule> {
    rule: R,
    training: SparseTraining,
    /// Examples whose weights are still to be asked for.
    batch: Batch<R::Label>,
    /// Those whose weights are on their way, in order of their pulls.
    waiting: VecDeque<Batch<R::Label>>,
    /// Batches that have served, for their memory.
    spare: Vec<Batch<R::Label>>,
    /// What later passes need, if there are any.
    replay: Replay<R::Label>,
    /// Examples of the present clock.
    in_clock: u64,
    /// Whether the next clock was asked for and has not come.
    awaits_clock: bool,
    /// What a batch pushes: keys, and row by row.
    push_keys: Vec<u32>,
    pushes: Vec<f64>,
}

/// Examples whose weights are pulled together, so that none of them sees what the others teach.
struct Batch<L> {
    /// The keys of all, one example after the other.
    keys: Vec<u32>,
    examples: Vec<Waiting<L>>,
}

impl<L> Default for Batch<L> {
    fn default() -> Self {
        Batch { keys: Vec::new(), examples: Vec::new() }
    }
}

struct Waiting<L> {
    n_keys: usize,
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
    /// Weights that are collected or on their way.
    pending: usize,
}

type Client<R> = ParameterServerClient<SparseWorker<R>>;

impl<R: SparseRule> SparseWorker<R> {
    pub(super) fn new(rule: R, training: &SparseTraining) -> Self {
        SparseWorker {
            rule,
            training: training.clone(),
            batch: Batch::default(),
            waiting: VecDeque::new(),
            spare: Vec::new(),
            replay: Replay { kept: Vec::new(), order: Vec::new(), next: 0, pass: 0, pending: 0 },
            in_clock: 0,
            awaits_clock: false,
            push_keys: Vec::new(),
            pushes: Vec::new(),
        }
    }

    fn keeps_examples(&self) -> bool {
        self.training.passes > 1
    }

    /// Adds an example to the batch, and asks for the weights of the batch if that is full or the clock ends with it.
    fn collect(&mut self, example: Place<R::Label>, is_output: bool, ps: &mut Client<R>) -> Result<()> {
        let features = match &example {
            Place::Here(example) => &example.features,
            Place::Kept(at) => &self.replay.kept[*at].features,
        };
        let before = self.batch.keys.len();
        self.rule.keys(features, &mut self.batch.keys);
        let n_keys = self.batch.keys.len() - before;
        self.batch.examples.push(Waiting { n_keys, example, is_output });
        self.replay.pending += n_keys;
        self.in_clock += 1;
        if self.training.clock_len() == Some(self.in_clock) {
            return self.advance(ps);
        }
        if self.batch.keys.len() >= self.training.batch_len() { self.issue(ps) } else { Ok(()) }
    }

    /// Asks for the weights of the examples that were collected.
    fn issue(&mut self, ps: &mut Client<R>) -> Result<()> {
        if self.batch.examples.is_empty() {
            return Ok(());
        }
        ps.pull_many(&self.batch.keys)?;
        let next = self.spare.pop().unwrap_or_default();
        self.waiting.push_back(std::mem::replace(&mut self.batch, next));
        Ok(())
    }

    fn advance(&mut self, ps: &mut Client<R>) -> Result<()> {
        self.in_clock = 0;
        self.awaits_clock = true;
        self.issue(ps)?;
        ps.advance_clock();
        Ok(())
    }

    /// The batch that these weights are for: mostly the first, but if its weights are on several servers, a later one
    /// can be complete before it. Two with the same keys are answered in order.
    fn take(&mut self, keys: &[u32]) -> Result<Batch<R::Label>> {
        let at = self.waiting.iter().position(|waiting| waiting.keys == keys);
        let found = at.and_then(|at| self.waiting.remove(at));
        found.ok_or_else(|| {
            Error::internal(format!("weights of {} features that nobody waits for", keys.len()))
        })
    }

    /// Predicts all examples of a batch, and pushes what they teach.
    fn handle(&mut self, batch: &Batch<R::Label>, rows: &[f64], ps: &mut Client<R>) -> Result<()> {
        self.push_keys.clear();
        self.pushes.clear();
        let (mut keys, mut rows) = (&batch.keys[..], rows);
        for waiting in &batch.examples {
            let (own_keys, own_rows);
            (own_keys, keys) = keys.split_at(waiting.n_keys);
            (own_rows, rows) = rows.split_at(waiting.n_keys * self.rule.width());
            let before = self.pushes.len();
            self.handle_one(waiting, own_rows, ps)?;
            if self.pushes.len() > before {
                self.push_keys.extend_from_slice(own_keys);
            }
        }
        ps.push_many(&self.push_keys, &self.pushes)
    }

    /// Predicts, then learns.
    fn handle_one(&mut self, waiting: &Waiting<R::Label>, rows: &[f64], ps: &mut Client<R>) -> Result<()> {
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
        if let Some(label) = label {
            self.rule.learn(features, rows, label, &mut self.pushes);
        }
        Ok(())
    }

    /// Goes on with the present pass as far as the credit allows. Behind its end comes a clock.
    fn go_on(&mut self, ps: &mut Client<R>) -> Result<()> {
        while !self.awaits_clock && self.replay.pending < self.training.credit {
            let Some(at) = self.replay.order.get(self.replay.next).copied() else {
                return self.advance(ps);
            };
            self.replay.next += 1;
            let is_output = self.replay.kept[at].label.is_none();
            self.collect(Place::Kept(at), is_output, ps)?;
        }
        self.issue(ps)
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
            return self.collect(Place::Here(example), true, ps);
        }
        let is_learned = example.label.is_some();
        self.replay.kept.push(example);
        if is_learned { self.collect(Place::Kept(self.replay.kept.len() - 1), true, ps) } else { Ok(()) }
    }

    fn on_pause(&mut self, ps: &mut Client<R>) -> Result<()> {
        self.issue(ps)
    }

    fn on_pull_recv(&mut self, key: &u32, _row: &[f64], _ps: &mut Client<R>) -> Result<()> {
        Err(Error::internal(format!("weights of feature {key} alone, which nobody asked for")))
    }

    fn on_pull_many_recv(&mut self, keys: &[u32], rows: &[f64], ps: &mut Client<R>) -> Result<()> {
        let mut batch = self.take(keys)?;
        self.replay.pending -= keys.len();
        self.handle(&batch, rows, ps)?;
        batch.keys.clear();
        batch.examples.clear();
        self.spare.push(batch);
        if self.replay.pass > 0 { self.go_on(ps) } else { Ok(()) }
    }

    fn on_end_of_input(&mut self, ps: &mut Client<R>) -> Result<()> {
        if self.keeps_examples() {
            self.replay.pass = 1;
            self.advance(ps)?;
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

    /// Nothing is under way: examples have left the worker, but for those that it keeps, and a pass is at its end.
    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        to.put(&(self.in_clock, self.replay.pass, &self.replay.kept))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        while let Some((in_clock, pass, kept)) =
            from.next_item::<(u64, u32, Vec<SparseExample<R::Label>>)>()?
        {
            // Those of several workers are alike, or as good.
            (self.in_clock, self.replay.pass) = (in_clock, pass.max(self.replay.pass));
            self.replay.kept.extend(kept);
        }
        Ok(())
    }
}

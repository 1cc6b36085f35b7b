//! The news that a round has begun.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::channels::pushers::Output;
use timely::dataflow::operators::{Capability, InputCapability};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feedback::loop_state::LoopGauge;
use crate::operator::Batch;

/// One worker's copy of a piece of news: the index of the worker.
pub type Mark = u64;

/// Times are forgotten from this many on.
const FORGET_FROM: usize = 16;

/// The times that this worker has told the others about; shared by the feedback edges of a loop.
#[derive(Clone, Debug)]
pub struct BegunRounds<T: Clock>(Rc<RefCell<BTreeSet<T>>>);

impl<T: Clock> Default for BegunRounds<T> {
    fn default() -> Self {
        BegunRounds(Rc::default())
    }
}

impl<T: Clock> BegunRounds<T> {
    /// Notes that something arrives at `time`; whether that is news.
    fn note(&self, time: &T) -> bool {
        let mut begun = self.0.borrow_mut();
        !begun.contains(time) && begun.insert(time.clone())
    }

    /// Forgets what is before `next`, the first time that may still begin. A time that is told twice does no
    /// harm.
    fn forget_before(&self, next: Option<T>) {
        let mut begun = self.0.borrow_mut();
        if begun.len() >= FORGET_FROM {
            match next {
                Some(next) => *begun = begun.split_off(&next),
                None => begun.clear(),
            }
        }
    }
}

/// Sends marks on an output of their own.
pub(super) struct MarkSender<T: Clock> {
    output: Output<T, Vec<Mark>>,
    begun: BegunRounds<T>,
    workers: usize,
}

impl<T: Clock> MarkSender<T> {
    pub(super) fn new(output: Output<T, Vec<Mark>>, begun: BegunRounds<T>, workers: usize) -> Self {
        MarkSender { output, begun, workers }
    }
}

/// The sending side of a feedback edge.
pub(super) struct Pass<C, T: Clock> {
    output: Output<T, C>,
    marks: Option<MarkSender<T>>,
    gauge: Option<RoundGauge<T>>,
}

/// Tells a loop's gauge what goes round.
pub(super) struct RoundGauge<T> {
    gauge: Arc<LoopGauge>,
    clock: PhantomData<T>,
}

impl<T: Clock> RoundGauge<T> {
    pub(super) fn new(gauge: Arc<LoopGauge>) -> Self {
        let gauge = RoundGauge { gauge, clock: PhantomData };
        gauge.note(&T::minimum(), 0);
        gauge
    }

    fn note(&self, time: &T, records: i64) {
        let mut counters = Vec::new();
        time.counters(&mut counters);
        self.gauge.note(counters, u64::try_from(records).unwrap_or(0));
    }
}

/// The right to send at one time: a batch, and the news of it.
pub(super) struct Rights<T: Clock> {
    batch: Capability<T>,
    marks: Option<Capability<T>>,
}

impl<T: Clock> Rights<T> {
    /// Those that a feedback edge has from the beginning, one for each output.
    pub(super) fn first(capabilities: Vec<Capability<T>>) -> Option<Self> {
        let mut capabilities = capabilities.into_iter();
        Some(Rights { batch: capabilities.next()?, marks: capabilities.next() })
    }

    pub(super) fn time(&self) -> &T {
        self.batch.time()
    }

    /// Gives up all times before `time`.
    pub(super) fn advance_to(&mut self, time: &T) -> Result<()> {
        let both = [Some(&mut self.batch), self.marks.as_mut()];
        both.into_iter().flatten().try_for_each(|right| {
            let now = right.time().clone();
            right
                .try_downgrade(time)
                .map_err(|_| Error::internal(format!("feedback at {now:?} can not go back to {time:?}")))
        })
    }
}

impl<C: Default + Batch, T: Clock> Pass<C, T> {
    pub(super) fn new(
        output: Output<T, C>,
        marks: Option<MarkSender<T>>,
        gauge: Option<RoundGauge<T>>,
    ) -> Self {
        Pass { output, marks, gauge }
    }

    /// The right to send at `next` what has come with `capability`.
    pub(super) fn rights(&self, capability: &InputCapability<T>, next: &T) -> Rights<T> {
        Rights {
            batch: capability.delayed(next, 0),
            marks: self.marks.as_ref().map(|_marks| capability.delayed(next, 1)),
        }
    }

    /// Sends a batch round, and the news of its time if it is news.
    pub(super) fn send(&mut self, rights: &Rights<T>, batch: &mut C) {
        if let (Some(right), Some(marks)) = (&rights.marks, &mut self.marks)
            && marks.begun.note(right.time())
        {
            let mut copies = (0..marks.workers as Mark).collect();
            marks.output.activate().give(right, &mut copies);
        }
        if let Some(gauge) = &self.gauge {
            gauge.note(rights.batch.time(), batch.record_count());
        }
        self.output.activate().give(&rights.batch, batch);
    }

    /// Forgets the news of times before `next`.
    pub(super) fn forget(&self, next: Option<T>) {
        if let Some(marks) = &self.marks {
            marks.begun.forget_before(next);
        }
    }
}

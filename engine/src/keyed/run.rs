//! The operator around a function on a keyed stream.

use std::rc::Rc;
use std::time::Instant;

use crate::checkpoint::{Saved, Snapshot, StateWriter, Written};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::hash::Key;
use crate::keyed::timers::{KeyedContext, Timers};
use crate::keyed::{KeySelector, KeyStates, KeyedProcessFunction, StateTtl};
use crate::machine;
use crate::metrics::StateSize;
use crate::process::{BatchFunction, Collector, Due, ForRound, Renewable, Results, swap_function};

/// Runs a keyed function with the states of this worker's keys.
pub(crate) struct Keyed<F: KeyedProcessFunction<K, D>, K, D> {
    f: F,
    key: Rc<dyn KeySelector<D, K>>,
    /// The keys of the batch at hand, unless they are parts of its records; empty between two batches.
    keys: Vec<K>,
    states: KeyStates<K, F::State>,
    timers: Timers<K>,
    context: KeyedContext,
}

/// Timers that are called in one turn; then what is behind the operator has its own.
const TIMERS_PER_TURN: usize = 1024;

impl<K: Key, D, F: KeyedProcessFunction<K, D>> Keyed<F, K, D> {
    /// On this worker.
    pub(crate) fn new(f: F, key: Rc<dyn KeySelector<D, K>>, ttl: Option<StateTtl>, worker: usize) -> Self {
        let (states, context) = (KeyStates::new(ttl), KeyedContext::new(worker));
        Keyed { f, key, keys: Vec::new(), states, timers: Timers::default(), context }
    }

    /// Calls up to `limit` of the timers that are there and due at `now`.
    fn call_timers(&mut self, now: Instant, limit: usize, out: &mut Collector<F::Out>) -> Result<()> {
        let Keyed { f, states, timers, context, .. } = self;
        let made = context.timers_made();
        for _ in 0..limit {
            let Some((key, timer)) = timers.next_due(now, made) else { break };
            states.with(&key, |state, _is_new| f.on_timer(&key, state, timer, context, out))?;
            if context.has_asked() {
                timers.take(&key, context);
            }
        }
        Ok(())
    }
}

impl<K: Key, D: 'static, F: KeyedProcessFunction<K, D> + 'static> Renewable for Keyed<F, K, D> {
    type State = (Option<F>, (KeyStates<K, F::State>, Timers<K>));

    fn fresh(&self) -> ForRound<Self::State> {
        self.f.for_next_round().with(|| (self.states.fresh(), Timers::default()))
    }

    fn swap(&mut self, (f, (states, timers)): &mut Self::State) {
        swap_function(&mut self.f, f);
        std::mem::swap(&mut self.states, states);
        std::mem::swap(&mut self.timers, timers);
    }
}

impl<K: Key, D: 'static, F: KeyedProcessFunction<K, D> + 'static> Snapshot for Keyed<F, K, D> {
    fn check(&self) -> Result<()> {
        self.f.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.f.snapshot(to.items())?;
        self.context.write(to)?;
        self.timers.mark();
        self.states.mark(to);
        Ok(())
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        Ok(self.timers.sweep(to)? || self.states.sweep(to)?)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.f.restore(&mut from.items()?)?;
        self.context.restore(from)?;
        self.timers.restore(from)?;
        self.states.restore(from)
    }
}

impl<K: Key, D: 'static, F: KeyedProcessFunction<K, D> + 'static> BatchFunction<D> for Keyed<F, K, D> {
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;
    const HAS_TIMERS: bool = true;

    fn state_size(&self) -> Option<StateSize> {
        Some(StateSize::of::<(K, F::State)>(self.states.len()))
    }

    fn process_batch<T: Clock>(
        &mut self,
        batch: &mut Vec<D>,
        out: &mut Results<'_, F::Out, T>,
    ) -> Result<()> {
        let Keyed { f, key: selector, keys, states, timers, context } = self;
        let KeyStates::Lasting(states) = states else {
            for record in batch.drain(..) {
                let key = selector.key(&record);
                states
                    .with(&key, |state, _is_new| f.process(&key, state, record, context, out.collector()))?;
                if context.has_asked() {
                    timers.take(&key, context);
                }
                out.send_full();
            }
            return Ok(());
        };
        states.cut_if_large();
        selector.keys(batch, keys);
        let mut made = keys.drain(..);
        for record in batch.drain(..) {
            let (key, state, _is_new) = match (made.next(), &record) {
                (Some(key), _) => states.state_or(&key, F::State::default),
                (None, record) => match selector.part(record) {
                    Some(part) => states.state_or(part, F::State::default),
                    None => return Err(Error::internal("a record has no key")),
                },
            };
            f.process(key, state, record, context, out.collector())?;
            if context.has_asked() {
                timers.take(key, context);
            }
            out.send_full();
        }
        Ok(())
    }

    fn on_processing_time(&mut self, out: &mut Collector<F::Out>) -> Result<Option<Due>> {
        if self.timers.due().is_none() {
            return Ok(None);
        }
        let now = machine::now();
        self.call_timers(now, TIMERS_PER_TURN, out)?;
        Ok(self.timers.due().map(|at| Due { at, now }))
    }

    fn end_of_input(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        if self.timers.due().is_some() {
            self.call_timers(machine::now(), usize::MAX, out)?;
            self.timers = Timers::default();
        }
        let outcome = self.states.for_each(|key, state| self.f.end_of_input(key, state, out));
        self.states.clear();
        outcome
    }
}

//! What operations do to the rows.

use waterwheel_engine::{Collector, Key, Result};

use crate::element::Element;
use crate::parameter_server::ParameterServer;
use crate::server::{Combiner, Replay, ServerContext, ServerLogic};
use crate::simple_server::{Emit, SimpleServer, in_push};
use crate::snapshot::{LogicReader, LogicWriter};
use crate::update::Update;

impl<K: Key, E: Element, D: Element, I, U> ServerLogic for SimpleServer<K, E, D, I, U>
where
    I: Fn(&K, &mut Vec<E>) + 'static,
    U: Update<E, D>,
{
    type Key = K;
    type Pull = E;
    type Push = D;
    type Out = (K, Vec<E>);

    fn open(&mut self, context: &ServerContext<K>) -> Result<()> {
        self.update.check_widths(context.pull_width, context.push_width)?;
        self.width = context.pull_width;
        let mut slots = Vec::new();
        self.update.init_slots(self.width, &mut slots);
        self.store = self.open_store(context)?.with_slots(slots);
        if let Some(state) = self.state.as_ref().or(context.state.as_ref()) {
            self.store.report_to(state.enter(context.index));
        }
        Ok(())
    }

    fn prefetch(&mut self, keys: &[K]) {
        self.store.prefetch(keys);
    }

    #[inline]
    fn on_pull(
        &mut self,
        key: &K,
        worker: usize,
        answer: &mut Vec<E>,
        ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<()> {
        if self.answer_draw(key, worker, ps)? {
            return Ok(());
        }
        self.store.at_clock(ps.clock());
        match self.store.row(key, |row| (self.init)(key, row))? {
            Some(row) => answer.extend_from_slice(&row[..self.width]),
            None => (self.init)(key, answer),
        }
        self.emit_evicted(&mut ps.out);
        Ok(())
    }

    #[inline]
    fn on_push(&mut self, key: &K, delta: &[D], ps: &mut ParameterServer<K, E, Self::Out>) -> Result<()> {
        self.store.at_clock(ps.clock());
        let emit = self.emit;
        if let Some(row) = self.updated(key, delta)?.filter(|_| emit == Emit::EveryPush) {
            ps.output((key.clone(), row.to_vec()));
        }
        self.emit_evicted(&mut ps.out);
        Ok(())
    }

    #[inline]
    fn on_push_pull(
        &mut self,
        key: &K,
        delta: &[D],
        _worker: usize,
        answer: &mut Vec<E>,
        ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<()> {
        self.store.at_clock(ps.clock());
        let emit = self.emit;
        match self.updated(key, delta)? {
            Some(row) => {
                answer.extend_from_slice(row);
                if emit == Emit::EveryPush {
                    ps.output((key.clone(), row.to_vec()));
                }
            }
            None => (self.init)(key, answer),
        }
        self.emit_evicted(&mut ps.out);
        Ok(())
    }

    #[inline]
    fn on_pull_many(
        &mut self,
        keys: &[K],
        _worker: usize,
        answer: &mut Vec<E>,
        _ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<usize> {
        if !self.takes_many() || self.draws.is_some() {
            return Ok(0);
        }
        self.store.each_row(keys, &self.init, |_key, row, _slots| {
            answer.extend_from_slice(row);
            Ok(())
        })?;
        Ok(keys.len())
    }

    #[inline]
    fn on_push_many(
        &mut self,
        keys: &[K],
        deltas: &[D],
        _ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<usize> {
        if !self.takes_many() {
            return Ok(0);
        }
        let (update, mut deltas) = (&self.update, rows_of(keys, deltas));
        self.store.each_row(keys, &self.init, |key, row, slots| {
            let delta = deltas.next().unwrap_or_default();
            update.apply(row, slots, delta).map_err(|error| in_push(key, error))
        })?;
        Ok(keys.len())
    }

    #[inline]
    fn on_push_pull_many(
        &mut self,
        keys: &[K],
        deltas: &[D],
        _worker: usize,
        answer: &mut Vec<E>,
        _ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<usize> {
        if !self.takes_many() {
            return Ok(0);
        }
        let (update, mut deltas) = (&self.update, rows_of(keys, deltas));
        self.store.each_row(keys, &self.init, |key, row, slots| {
            let delta = deltas.next().unwrap_or_default();
            update.apply(row, slots, delta).map_err(|error| in_push(key, error))?;
            answer.extend_from_slice(row);
            Ok(())
        })?;
        Ok(keys.len())
    }

    fn combiner(&self) -> Option<Combiner<D>> {
        self.combine.or_else(|| self.update.combiner())
    }

    fn replay(&self) -> Option<Replay<E, D>> {
        self.update.replay()
    }

    fn on_load(&mut self, key: &K, value: &[E]) -> Result<()> {
        let row = self.store.loaded_row(key, |row| row.extend_from_slice(value))?;
        row[..value.len()].clone_from_slice(value);
        Ok(())
    }

    fn snapshot(&mut self, to: &mut LogicWriter<'_>) -> Result<()> {
        self.store.snapshot(to)
    }

    fn sweep(&mut self, to: &mut LogicWriter<'_>) -> Result<bool> {
        self.store.sweep(to.entries())
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        self.store.restore(from)
    }

    fn close(&mut self, out: &mut Collector<Self::Out>) -> Result<()> {
        self.emit_evicted(out);
        if self.emit == Emit::AtClose {
            let width = self.width;
            self.store.for_each(|key, row| out.emit((key.clone(), row[..width].to_vec())));
        }
        Ok(())
    }
}

/// The rows of equal width that stand in `deltas`, one for each key.
#[inline]
fn rows_of<'a, K, D>(keys: &[K], deltas: &'a [D]) -> std::slice::ChunksExact<'a, D> {
    deltas.chunks_exact((deltas.len() / keys.len().max(1)).max(1))
}

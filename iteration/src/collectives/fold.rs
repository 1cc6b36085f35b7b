//! One value that grows with every record.

use std::rc::Rc;

use waterwheel_engine::{Collector, ForRound, ProcessFunction, Record, Result, StateReader, StateWriter};

/// Grows a value by `step`; at the end, `results` of it.
pub(super) struct Fold<A, S, R> {
    /// One, where there was a record; more where those of several workers have come to this one.
    so_far: Vec<A>,
    step: Rc<S>,
    results: Rc<R>,
}

impl<A, S, R> Fold<A, S, R> {
    pub(super) fn new(step: S, results: R) -> Self {
        Fold { so_far: Vec::new(), step: Rc::new(step), results: Rc::new(results) }
    }
}

/// The same, from the beginning.
impl<A, S, R> Clone for Fold<A, S, R> {
    fn clone(&self) -> Self {
        Fold { so_far: Vec::new(), step: Rc::clone(&self.step), results: Rc::clone(&self.results) }
    }
}

impl<D, A, S, R, I> ProcessFunction<D> for Fold<A, S, R>
where
    A: Record,
    S: Fn(Option<A>, D) -> A,
    R: Fn(A) -> I,
    I: IntoIterator<Item: 'static>,
{
    type Out = I::Item;

    fn process(&mut self, record: D, _out: &mut Collector<I::Item>) -> Result<()> {
        let so_far = self.so_far.pop();
        self.so_far.push((self.step)(so_far, record));
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<I::Item>) -> Result<()> {
        out.batch().extend(self.so_far.drain(..).flat_map(|so_far| (self.results)(so_far)));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(self.clone())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        self.so_far.iter().try_for_each(|so_far| state.put(so_far))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(so_far) = state.next_item()? {
            self.so_far.push(so_far);
        }
        Ok(())
    }
}

/// Collects batches of a fixed length.
pub(super) struct CountWindow<D> {
    length: usize,
    batch: Vec<D>,
}

impl<D> CountWindow<D> {
    pub(super) fn new(length: usize) -> Self {
        CountWindow { length, batch: Vec::new() }
    }
}

impl<D: Record> ProcessFunction<D> for CountWindow<D> {
    type Out = Vec<D>;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, record: D, out: &mut Collector<Vec<D>>) -> Result<()> {
        self.batch.push(record);
        if self.batch.len() == self.length {
            out.emit(std::mem::take(&mut self.batch));
        }
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(CountWindow::new(self.length))
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        self.batch.iter().try_for_each(|record| state.put(record))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(record) = state.next_item()? {
            self.batch.push(record);
        }
        Ok(())
    }
}

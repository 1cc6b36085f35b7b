//! The futures of one worker that are under way.

use std::future::Future;
use std::rc::Rc;

use waterwheel_engine::Result;
use waterwheel_engine::operator::Futures;

use crate::async_worker::{AsyncWorkerLogic, PsHandle};

/// Futures of one kind, each made for an `In`. The kind has no name that a struct could have: hence the trait.
pub(super) trait Tasks<A: AsyncWorkerLogic, In> {
    /// Starts one, and lets it go as far as it can.
    fn start(&mut self, logic: Rc<A>, of: In, ps: PsHandle<A>) -> Result<()>;

    /// Goes on with those that were woken. Returns whether there were any.
    fn run(&mut self) -> Result<bool>;

    /// Number of those that have not ended.
    fn n_open(&self) -> usize;
}

struct TasksOf<F, R> {
    begin: F,
    futures: Futures<R>,
    woken: Vec<usize>,
}

/// No futures yet; `begin` makes them.
pub(super) fn tasks<A, In: 'static, R>(
    begin: impl Fn(Rc<A>, In, PsHandle<A>) -> R + 'static,
) -> Box<dyn Tasks<A, In>>
where
    A: AsyncWorkerLogic,
    R: Future<Output = Result<()>> + 'static,
{
    // Whoever wakes a future on this thread looks for it afterwards.
    Box::new(TasksOf { begin, futures: Futures::new(|| ()), woken: Vec::new() })
}

impl<A, In, F, R> Tasks<A, In> for TasksOf<F, R>
where
    A: AsyncWorkerLogic,
    F: Fn(Rc<A>, In, PsHandle<A>) -> R,
    R: Future<Output = Result<()>>,
{
    fn start(&mut self, logic: Rc<A>, of: In, ps: PsHandle<A>) -> Result<()> {
        let place = self.futures.start((self.begin)(logic, of, ps));
        self.futures.poll(place).unwrap_or(Ok(()))
    }

    fn run(&mut self) -> Result<bool> {
        self.futures.take_woken(&mut self.woken);
        for place in &self.woken {
            self.futures.poll(*place).unwrap_or(Ok(()))?;
        }
        Ok(!self.woken.is_empty())
    }

    fn n_open(&self) -> usize {
        self.futures.n_open()
    }
}

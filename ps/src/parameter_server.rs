//! What a server logic answers and outputs with.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Collector, Error, Key, Result};

use crate::block::{Block, Op, Run};
use crate::element::Element;

/// What a [`ServerLogic`](crate::ServerLogic) answers pulls and outputs results with.
///
/// Most logics answer a pull at once, by appending its row in
/// [`on_pull`](crate::ServerLogic::on_pull), and use [`output`](Self::output) alone. A logic that appends
/// nothing keeps the pull *open*, and settles it once, later: with [`answer_pull`](Self::answer_pull) or
/// [`dismiss_pull`](Self::dismiss_pull). Until then it may send further rows for it with
/// [`add_row`](Self::add_row). A worker does not end while a pull of it is open.
///
/// Type parameters: key, element of a pulled row, output.
pub struct ParameterServer<K, E, O> {
    pub(crate) out: Collector<O>,
    width: usize,
    /// The worker whose block is served, and its clock.
    serving: usize,
    clock: u64,
    /// Whether the pull in progress was dismissed.
    dismissed: bool,
    workers: Vec<Late<K, E>>,
    /// Workers for which there are late answers.
    n_late: usize,
}

/// Open pulls of one worker, and what it is to be sent besides the answer of its block.
struct Late<K, E> {
    /// Group of each open pull, by key and in order; 0 for a pull of its own.
    open: FxHashMap<K, VecDeque<u32>>,
    n_open: usize,
    runs: Vec<Run>,
    keys: Vec<K>,
    values: Vec<E>,
    answered: u64,
}

impl<K, E> Default for Late<K, E> {
    fn default() -> Self {
        Late {
            open: FxHashMap::default(),
            n_open: 0,
            runs: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
            answered: 0,
        }
    }
}

impl<K: Key, E: Element, O> ParameterServer<K, E, O> {
    /// For as many workers, and rows of `width` elements.
    pub(crate) fn new(workers: usize, width: usize) -> Self {
        let late = (0..workers).map(|_| Late::default()).collect();
        let out = Collector::default();
        ParameterServer { out, width, serving: 0, clock: 0, dismissed: false, workers: late, n_late: 0 }
    }

    /// Emits a result on the model stream.
    #[inline]
    pub fn output(&mut self, out: O) {
        self.out.emit(out);
    }

    /// Answers the oldest open pull of `key` by `worker` with `row`, `pull_width` elements.
    ///
    /// # Errors
    /// No such pull is open, or the row has another number of elements.
    pub fn answer_pull(&mut self, worker: usize, key: &K, row: &[E]) -> Result<()> {
        let group = self.settle(worker, key)?;
        self.send_row(worker, key, group, row)
    }

    /// Sends a row for a pull that is open, or whose [`on_pull`](crate::ServerLogic::on_pull) is under way, and
    /// leaves it open. The worker gets it in a call of
    /// [`on_pull_recv`](crate::WorkerLogic::on_pull_recv) of its own.
    ///
    /// # Errors
    /// No such pull is open or under way, it is one of a pull of many keys, or the row has another number of
    /// elements.
    pub fn add_row(&mut self, worker: usize, key: &K, row: &[E]) -> Result<()> {
        let open = self.workers.get(worker).and_then(|late| late.open.get(key)).and_then(VecDeque::front);
        match open {
            Some(0) => self.send_row(worker, key, 0, row),
            Some(_) => Err(Error::operator(format!(
                "a further row for {key:?} of worker {worker}: a pull of many keys has one row for each"
            ))),
            None if worker == self.serving => self.send_row(worker, key, 0, row),
            None => Err(not_open(worker, key)),
        }
    }

    /// Settles the oldest open pull of `key` by `worker` without a row; or the one whose
    /// [`on_pull`](crate::ServerLogic::on_pull) is under way, which must then append nothing. The worker gets no
    /// callback.
    ///
    /// # Errors
    /// No such pull is open or under way, or it is one of a pull of many keys.
    pub fn dismiss_pull(&mut self, worker: usize, key: &K) -> Result<()> {
        if worker == self.serving && !self.is_open(worker, key) {
            self.dismissed = true;
            return Ok(());
        }
        match self.settle(worker, key)? {
            0 => Ok(()),
            _ => Err(dismissed_in_group(key)),
        }
    }

    /// The clock at which the worker has issued the operation that is served; see
    /// [`advance_clock`](crate::ParameterServerClient::advance_clock). A push that was kept for the end of its clock has
    /// the clock of an operation that was served before.
    #[inline]
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Number of open pulls of `worker`.
    pub fn open_pulls(&self, worker: usize) -> usize {
        self.workers.get(worker).map_or(0, |late| late.n_open)
    }

    /// Whether there is an open pull of any worker.
    pub(crate) fn has_open(&self) -> bool {
        self.workers.iter().any(|late| late.n_open > 0)
    }

    fn is_open(&self, worker: usize, key: &K) -> bool {
        self.workers.get(worker).is_some_and(|late| late.open.contains_key(key))
    }

    /// Closes the oldest open pull of a key, and returns its group.
    fn settle(&mut self, worker: usize, key: &K) -> Result<u32> {
        let late = self.workers.get_mut(worker).ok_or_else(|| not_open(worker, key))?;
        let groups = late.open.get_mut(key).ok_or_else(|| not_open(worker, key))?;
        let group = groups.pop_front().ok_or_else(|| not_open(worker, key))?;
        if groups.is_empty() {
            late.open.remove(key);
        }
        late.n_open -= 1;
        self.n_late += usize::from(late.is_empty());
        late.answered += 1;
        Ok(group)
    }

    fn send_row(&mut self, worker: usize, key: &K, group: u32, row: &[E]) -> Result<()> {
        if row.len() != self.width {
            return Err(wrong_answer(key, row.len(), self.width));
        }
        let late = &mut self.workers[worker];
        self.n_late += usize::from(late.is_empty());
        Run::note(&mut late.runs, Op::Pull, group);
        late.keys.push(key.clone());
        late.values.extend_from_slice(row);
        Ok(())
    }

    /// Notes that a block of `worker` at a clock is served from now on.
    #[inline]
    pub(crate) fn begin(&mut self, worker: usize, clock: u64) {
        (self.serving, self.clock) = (worker, clock);
    }

    /// The worker whose block is served.
    #[inline]
    pub(crate) fn serving(&self) -> usize {
        self.serving
    }

    /// A pull got no row from the logic: it stays open, unless it was dismissed. Returns whether it is open.
    pub(crate) fn leave_open(&mut self, key: &K, group: u32) -> Result<bool> {
        if std::mem::take(&mut self.dismissed) {
            return if group == 0 { Ok(false) } else { Err(dismissed_in_group(key)) };
        }
        let Some(late) = self.workers.get_mut(self.serving) else {
            return Err(Error::internal(format!("a pull of worker {}, which there is not", self.serving)));
        };
        late.open.entry(key.clone()).or_default().push_back(group);
        late.n_open += 1;
        Ok(true)
    }

    /// # Errors
    /// Something was dismissed that was no pull under way.
    #[inline]
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.dismissed {
            let worker = self.serving;
            return Err(Error::operator(format!("dismissed a pull of worker {worker} that is not open")));
        }
        Ok(())
    }

    /// Whether there are late answers for anybody.
    #[inline]
    pub(crate) fn has_late(&self) -> bool {
        self.n_late > 0
    }

    /// The late answers for a worker, if there are any.
    pub(crate) fn take_late<D>(&mut self, worker: usize) -> Option<Block<K, E, D>> {
        let late = self.workers.get_mut(worker).filter(|late| !late.is_empty())?;
        self.n_late -= 1;
        let mut block = Block {
            destination: worker as u32,
            open: -(late.answered as i32),
            runs: std::mem::take(&mut late.runs),
            keys: std::mem::take(&mut late.keys),
            values: std::mem::take(&mut late.values),
            answered: std::mem::take(&mut late.answered),
            ..Block::default()
        };
        block.drop_plain_runs();
        Some(block)
    }
}

impl<K, E> Late<K, E> {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.answered == 0
    }
}

impl<K, E, O> std::fmt::Debug for ParameterServer<K, E, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open: usize = self.workers.iter().map(|late| late.n_open).sum();
        f.debug_struct("ParameterServer").field("open_pulls", &open).finish_non_exhaustive()
    }
}

#[cold]
fn not_open<K: std::fmt::Debug>(worker: usize, key: &K) -> Error {
    Error::operator(format!("worker {worker} has no open pull of {key:?} to be answered"))
}

#[cold]
fn dismissed_in_group<K: std::fmt::Debug>(key: &K) -> Error {
    Error::operator(format!("dismissed {key:?} of a pull of many keys, which needs a row for each"))
}

#[cold]
pub(crate) fn wrong_answer<K: std::fmt::Debug>(key: &K, found: usize, expected: usize) -> Error {
    Error::operator(format!("answer to a pull of {key:?} has {found} elements, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestServer = ParameterServer<u32, i32, ()>;

    /// A server with one open pull of key 42 by each of these workers, in this order.
    fn with_open(workers: &[usize]) -> TestServer {
        let mut ps = TestServer::new(100, 1);
        for worker in workers {
            ps.begin(*worker, 0);
            assert!(ps.leave_open(&42, 0).unwrap());
        }
        ps
    }

    #[test]
    fn open_pull_is_answered_once_and_may_get_rows_before() {
        let mut ps = with_open(&[3]);
        ps.add_row(3, &42, &[1]).unwrap();
        ps.answer_pull(3, &42, &[2]).unwrap();
        let error = ps.answer_pull(3, &42, &[3]).unwrap_err();
        assert_eq!(error.message(), "worker 3 has no open pull of 42 to be answered");
        let block = ps.take_late::<()>(3).unwrap();
        assert_eq!((block.keys, block.values, block.answered), (vec![42, 42], vec![1, 2], 1));
        assert!(block.runs.is_empty());
        assert!(!ps.has_late() && ps.take_late::<()>(3).is_none());
    }

    #[test]
    fn dismissed_pull_is_settled_without_a_row() {
        let mut ps = with_open(&[3, 3]);
        ps.dismiss_pull(3, &42).unwrap();
        assert_eq!(ps.open_pulls(3), 1);
        let block = ps.take_late::<()>(3).unwrap();
        assert_eq!((block.keys.len(), block.answered), (0, 1));
    }

    #[test]
    fn pull_of_a_worker_that_is_not_open_can_not_be_settled() {
        let mut ps = with_open(&[1]);
        assert!(ps.answer_pull(2, &42, &[0]).is_err());
        assert!(ps.answer_pull(1_000, &42, &[0]).is_err());
        assert!(ps.add_row(1, &7, &[0]).is_ok(), "its pull of 7 may be under way");
        assert!(
            ps.answer_pull(1, &42, &[0, 0]).unwrap_err().message().contains("has 2 elements, expected 1")
        );
    }
}

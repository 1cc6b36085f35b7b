//! The way of side outputs: from the operator that emits them, tag by tag, to their readers.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::clock::Clock;
use crate::operator::{Batch, Output, Promise, Token};
use crate::process::Beside;
use crate::side_output::OutputTag;

/// Takes the records of an operator's side outputs. What nobody reads is dropped at once.
pub struct SideOutputs {
    lanes: Rc<RefCell<Vec<Lane>>>,
}

/// The records of one tag that wait to be sent.
struct Lane {
    name: &'static str,
    waiting: Box<dyn Waiting>,
    readers: usize,
}

impl SideOutputs {
    /// Emits one record to the side output of `tag`.
    #[inline]
    pub fn emit<X: 'static>(&mut self, tag: &OutputTag<X>, record: X) {
        let mut lanes = self.lanes.borrow_mut();
        // An operator has a handful of tags: faster searched than hashed.
        if let Some(waiting) = lanes.iter_mut().find_map(|lane| lane.records_of(tag)) {
            waiting.push(record);
        }
    }

    pub(super) fn new() -> Self {
        SideOutputs { lanes: Rc::default() }
    }

    pub(super) fn share(&self) -> Self {
        SideOutputs { lanes: Rc::clone(&self.lanes) }
    }

    /// Index of the tag's lane, which has one reader more.
    pub(super) fn add_reader<X: 'static>(&self, tag: &OutputTag<X>) -> usize {
        let mut lanes = self.lanes.borrow_mut();
        let is_it = |lane: &Lane| lane.name == tag.name && lane.waiting.records() == TypeId::of::<X>();
        let index = lanes.iter().position(is_it).unwrap_or(lanes.len());
        if index == lanes.len() {
            lanes.push(Lane { name: tag.name, waiting: Box::new(Vec::<X>::new()), readers: 0 });
        }
        lanes[index].readers += 1;
        index
    }
}

impl std::fmt::Debug for SideOutputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tags: Vec<_> = self.lanes.borrow().iter().map(|lane| lane.name).collect();
        f.debug_struct("SideOutputs").field("read", &tags).finish()
    }
}

impl Lane {
    fn records_of<X: 'static>(&mut self, tag: &OutputTag<X>) -> Option<&mut Vec<X>> {
        if self.name == tag.name { self.waiting.as_any_mut().downcast_mut() } else { None }
    }
}

/// Hides the record type of a lane.
trait Waiting: 'static {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn records(&self) -> TypeId;
    /// What waits, if anything, as one batch for so many readers.
    fn take(&mut self, lane: usize, readers: usize) -> Option<SideBatch>;
}

impl<X: 'static> Waiting for Vec<X> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn records(&self) -> TypeId {
        TypeId::of::<X>()
    }

    fn take(&mut self, lane: usize, readers: usize) -> Option<SideBatch> {
        if self.is_empty() {
            return None;
        }
        let records = std::mem::take(self);
        let (n_records, n_bytes) = (records.len(), records.bytes());
        let shared = Shared { records: Cell::new(records), readers: Cell::new(readers) };
        Some(SideBatch { lane, n_records, n_bytes, records: Some(Rc::new(shared)) })
    }
}

/// A batch that all readers of a tag get; the last one takes it, the others clone it.
struct Shared<X> {
    records: Cell<Vec<X>>,
    readers: Cell<usize>,
}

impl<X: Clone> Shared<X> {
    fn read(&self) -> Vec<X> {
        let records = self.records.take();
        let left = self.readers.get().saturating_sub(1);
        self.readers.set(left);
        if left > 0 {
            self.records.set(records.clone());
        }
        records
    }
}

/// A batch of one side output on its way to its readers, which are on the same worker.
#[derive(Clone, Default)]
pub(super) struct SideBatch {
    lane: usize,
    n_records: usize,
    n_bytes: usize,
    records: Option<Rc<dyn Any>>,
}

impl SideBatch {
    /// The records, if they are of this lane.
    pub(super) fn read<X: Clone + 'static>(&self, lane: usize) -> Option<Vec<X>> {
        let records = self.records.as_ref().filter(|_| self.lane == lane)?;
        records.downcast_ref().map(Shared::read)
    }
}

impl timely::Accountable for SideBatch {
    fn record_count(&self) -> i64 {
        self.n_records as i64
    }
}

impl Batch for SideBatch {
    fn bytes(&self) -> usize {
        self.n_bytes
    }
}

/// Sends what waits in the lanes of an operator.
pub(super) struct SideSender<T: Clock> {
    pub(super) side: SideOutputs,
    pub(super) out: Output<SideBatch, T>,
}

impl<T: Clock> SideSender<T> {
    fn send_with(&mut self, send: impl Fn(&mut Output<SideBatch, T>, &mut SideBatch)) {
        for (index, lane) in self.side.lanes.borrow_mut().iter_mut().enumerate() {
            if let Some(mut batch) = lane.waiting.take(index, lane.readers) {
                send(&mut self.out, &mut batch);
            }
        }
    }
}

impl<T: Clock> Beside<T> for SideSender<T> {
    fn send(&mut self, token: &Token<T>) {
        self.send_with(|out, batch| out.send(token, [batch]));
    }

    fn send_promised(&mut self, promise: &Promise<T>) {
        self.send_with(|out, batch| out.send_promised(promise, [batch]));
    }
}

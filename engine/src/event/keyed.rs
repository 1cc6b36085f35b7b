//! Streams with event time, partitioned by key.

use std::panic::Location;
use std::rc::Rc;

use crate::clock::{Clock, Epoch};
use crate::event::driver::{self, EventLogic};
use crate::event::process::{EventProcessFunction, Processed};
use crate::event::stream::{EventStream, Timed};
use crate::event::trigger::{CountTrigger, PurgingTrigger};
use crate::event::window::Windows;
use crate::event::windowed::{WindowedResults, WindowedStream};
use crate::hash::Key;
use crate::keyed::{KeySelector, Made};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::record::Record;

/// A stream with event time that is partitioned by key; see [`EventStream::key_by`].
pub struct KeyedEventStream<'s, K, D, T: Clock = Epoch> {
    pub(crate) stream: EventStream<'s, D, T>,
    pub(crate) key: Rc<dyn Fn(&D) -> K>,
    /// The same key, for whole batches of records with their timestamps.
    pub(crate) route: Rc<dyn KeySelector<Timed<D>, K>>,
}

impl<K, D, T: Clock> std::fmt::Debug for KeyedEventStream<'_, K, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyedEventStream").field(&self.stream).finish()
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedEventStream<'s, K, D, T> {
    pub(crate) fn new(stream: EventStream<'s, D, T>, key: impl Fn(&D) -> K + 'static) -> Self {
        let key = Rc::new(key);
        let of_timed = Rc::clone(&key);
        let route = Rc::new(Made(move |timed: &Timed<D>| of_timed(&timed.value)));
        KeyedEventStream { stream, key, route }
    }

    /// Windows over the records of each key.
    pub fn window(self, windows: Windows) -> WindowedStream<'s, K, D, T> {
        WindowedStream::new(self, windows)
    }

    /// Windows of `n` records of each key, in the order in which they arrive. Fewer than `n` that are left at
    /// the end are not evaluated. Valid: `n` is 1 or more; 0 counts as 1.
    pub fn count_window(self, n: u64) -> WindowedStream<'s, K, D, T> {
        self.window(Windows::global()).trigger(PurgingTrigger::of(CountTrigger::of(n)))
    }

    /// Handles records with a function that has a state per key and timers.
    #[track_caller]
    pub fn process_function<F>(self, f: F) -> EventStream<'s, F::Out, T>
    where
        F: EventProcessFunction<K, D> + 'static,
    {
        let key = Rc::clone(&self.key);
        self.run("keyed_process", Location::caller(), Processed::new(f, key)).results
    }

    /// Builds the operator that runs `logic` on the worker that owns each record's key.
    pub(crate) fn run<L: EventLogic<D>>(
        self,
        name: &str,
        location: &'static Location<'static>,
        logic: L,
    ) -> WindowedResults<'s, L::Out, D, T> {
        let (edge, around) = self.stream.into_parts();
        let (selector, workers) = (self.route, edge.origin.parallelism().min(around.workers()));
        let mut op = OperatorBuilder::made_at(&edge.place(), name, location);
        let route = move |records: &[Timed<D>], _workers: usize, to: &mut Vec<usize>| {
            selector.owners(records, workers, to);
        };
        let input = op.input_by_route(edge, WakeOn::Progress, route);
        op.set_parallelism(workers);
        let (results, late) = driver::run(op, input, &around, logic);
        WindowedResults {
            results: EventStream::from_edge(results, around.clone()),
            late: EventStream::from_edge(late, around),
        }
    }
}

//! Timers for processing time that were asked for before a restart.

use std::collections::BTreeSet;
use std::time::Duration;

use waterwheel::prelude::*;

use super::fixture::{Fuse, check, numbers};

const KEYS: u64 = 500;

/// Asks for a timer at the first record of a key, and remembers it; emits when it is called.
struct Once;

impl KeyedProcessFunction<u64, u64> for Once {
    /// The timers of the key that are still to be called, and how many there were.
    type State = (BTreeSet<ProcessingTimer>, u64);
    /// The key, and whether something is wrong.
    type Out = (u64, bool);

    fn process(
        &mut self,
        _key: &u64,
        (timers, asked): &mut Self::State,
        _x: u64,
        context: &mut KeyedContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        if *asked < 2 {
            *asked += 1;
            timers.insert(context.register_processing_time_timer(Duration::from_millis(2)));
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        key: &u64,
        (timers, _asked): &mut Self::State,
        timer: ProcessingTimer,
        _context: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.emit((*key, !timers.remove(&timer)));
        Ok(())
    }

    /// Timers that are not due when the input ends are called by nobody.
    fn end_of_input(
        &mut self,
        key: &u64,
        (timers, _asked): &mut Self::State,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        std::mem::take(timers).into_iter().for_each(|_timer| out.emit((*key, false)));
        Ok(())
    }

    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        Ok(())
    }
}

#[test]
fn timers_are_called_once_each_over_restarts() {
    check(|config, fuse: Fuse| {
        let results = execute(config, move |env| {
            let called = numbers(env, fuse.clone()).key_by(|x| x % KEYS).process_function(Once);
            Ok(called.uid("once").collect().uid("called"))
        })?;
        Ok(results.concat())
    });
}

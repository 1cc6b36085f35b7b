//! The operators of random graphs whose functions keep something.

use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use super::plan::{Aggregate, aside, counted, key, mapped, of_key};

type Stream<'s> = DataStream<'s, u64>;

pub(super) fn aggregated(stream: Stream<'_>, aggregate: Aggregate) -> Stream<'_> {
    let keyed = stream.key_by(key);
    match aggregate {
        Aggregate::Sum => keyed.at_end().fold(0, u64::wrapping_add).map(|(key, sum)| of_key(key, sum)),
        Aggregate::Max => keyed.at_end().max(|record| *record).map(|(key, max)| of_key(key, max)),
        Aggregate::Count => keyed.count().map(|(key, n)| of_key(key, n)),
        Aggregate::Timer => keyed.process_function(WhenDue),
    }
}

/// Emits each record when a timer of it is due.
struct WhenDue;

impl KeyedProcessFunction<u64, u64> for WhenDue {
    type State = BTreeMap<ProcessingTimer, u64>;
    type Out = u64;

    fn process(
        &mut self,
        _: &u64,
        waiting: &mut Self::State,
        record: u64,
        context: &mut KeyedContext,
        _: &mut Collector<u64>,
    ) -> Result<()> {
        waiting.insert(context.register_processing_time_timer(Duration::from_micros(record % 512)), record);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: &u64,
        waiting: &mut Self::State,
        timer: ProcessingTimer,
        _: &mut KeyedContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        out.batch().extend(waiting.remove(&timer));
        Ok(())
    }

    /// What is not due when the input ends.
    fn end_of_input(&mut self, _: &u64, waiting: &mut Self::State, out: &mut Collector<u64>) -> Result<()> {
        out.batch().extend(std::mem::take(waiting).into_values());
        Ok(())
    }
}

/// How many records of each stream a key has had, when both have ended.
pub(super) fn counted_by_key<'s>(first: Stream<'s>, second: Stream<'s>) -> Stream<'s> {
    first.key_by(key).connect(second.key_by(key)).process_function(CountBoth)
}

struct CountBoth;

#[derive(Default, Serialize, Deserialize)]
struct Counts {
    records: [u64; 2],
    ended: u8,
}

impl Counts {
    fn end(&mut self, key: u64, out: &mut Collector<u64>) {
        self.ended += 1;
        if self.ended == 2 {
            out.emit(of_key(key, counted(self.records[0], self.records[1])));
        }
    }
}

impl KeyedCoProcessFunction<u64, u64, u64> for CountBoth {
    type State = Counts;
    type Out = u64;

    fn process1(&mut self, _: &u64, counts: &mut Counts, _: u64, _: &mut Collector<u64>) -> Result<()> {
        counts.records[0] += 1;
        Ok(())
    }

    fn process2(&mut self, _: &u64, counts: &mut Counts, _: u64, _: &mut Collector<u64>) -> Result<()> {
        counts.records[1] += 1;
        Ok(())
    }

    fn end_of_input1(&mut self, key: &u64, counts: &mut Counts, out: &mut Collector<u64>) -> Result<()> {
        counts.end(*key, out);
        Ok(())
    }

    fn end_of_input2(&mut self, key: &u64, counts: &mut Counts, out: &mut Collector<u64>) -> Result<()> {
        counts.end(*key, out);
        Ok(())
    }
}

/// Records beside the sum of those of a broadcast stream, for which they wait.
pub(super) fn beside<'s>(main: Stream<'s>, broadcast: Stream<'s>) -> Stream<'s> {
    main.connect_broadcast(broadcast).process_function(AwaitSum::default())
}

#[derive(Default)]
struct AwaitSum {
    waiting: Vec<u64>,
    is_complete: bool,
}

impl BroadcastProcessFunction<u64, u64> for AwaitSum {
    type Broadcast = u64;
    type Out = u64;

    fn process(&mut self, sum: &u64, record: u64, out: &mut Collector<u64>) -> Result<()> {
        if self.is_complete {
            out.emit(mapped(record ^ sum));
        } else {
            self.waiting.push(record);
        }
        Ok(())
    }

    fn process_broadcast(&mut self, sum: &mut u64, record: u64, _: &mut Collector<u64>) -> Result<()> {
        *sum = sum.wrapping_add(record);
        Ok(())
    }

    fn end_of_broadcast(&mut self, sum: &mut u64, out: &mut Collector<u64>) -> Result<()> {
        self.is_complete = true;
        std::mem::take(&mut self.waiting).into_iter().try_for_each(|record| self.process(sum, record, out))
    }
}

const ASIDE: OutputTag<u64> = OutputTag::new("aside");

pub(super) fn divided(stream: Stream<'_>) -> Vec<Stream<'_>> {
    let divided = stream.process_with_side_outputs(|record, out, side| {
        if aside(&record) { side.emit(&ASIDE, mapped(record)) } else { out.emit(record) }
    });
    let side = divided.side_output(&ASIDE);
    vec![divided.into_main(), side]
}

/// Some answers come at once, the others when they are asked for a second time.
pub(super) fn requested(stream: Stream<'_>, ordered: bool) -> Stream<'_> {
    let options = if ordered { AsyncOptions::ordered(5) } else { AsyncOptions::unordered(5) };
    stream.async_map(options, |record| {
        let mut is_late = record % 4 == 0;
        std::future::poll_fn(move |context| {
            if std::mem::take(&mut is_late) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(mapped(record)))
        })
    })
}

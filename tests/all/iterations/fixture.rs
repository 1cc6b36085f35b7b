//! The operators of Flink ML's iteration tests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

/// 4 times the sum of 0 to 999.
pub(super) const S: u64 = 1_998_000;

/// A record that counts its laps by itself, beside the loop's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct EpochRecord {
    pub(super) epoch: u64,
    pub(super) value: u64,
}

/// What the test operators emit to the side output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Event {
    Element { round: u64, sum: u64 },
    EpochEnd { round: u64, sum: u64 },
    Terminated,
}

pub(super) const OUTPUT: OutputTag<Event> = OutputTag::new("output");

/// The numbers below `n` from each of 4 sources.
pub(super) fn sequence<'s>(env: &Env<'s>, n: u64) -> DataStream<'s, EpochRecord> {
    let open = move |_| Ok(Sequence { next: 0, n, hold: false });
    env.source("sequence", 4, open)
}

/// As [`sequence`], but the sources never end.
pub(super) fn held_sequence<'s>(env: &Env<'s>, n: u64) -> DataStream<'s, EpochRecord> {
    let open = move |_| Ok(Sequence { next: 0, n, hold: true });
    // A split that has not ended keeps its worker from the next one.
    env.source("sequence", 1, open).flat_map(|record| [record; 4])
}

struct Sequence {
    next: u64,
    n: u64,
    hold: bool,
}

impl Source for Sequence {
    type Item = EpochRecord;

    fn read(&mut self, limit: usize, out: &mut Vec<EpochRecord>) -> Result<SourceStatus> {
        let end = self.n.min(self.next + limit as u64);
        out.extend((self.next..end).map(|value| EpochRecord { epoch: 0, value }));
        self.next = end;
        Ok(match (end < self.n, self.hold) {
            (true, _) => SourceStatus::Ready,
            (false, true) => SourceStatus::Idle(std::time::Duration::from_millis(50)),
            (false, false) => SourceStatus::Done,
        })
    }
}

/// Adds up the records of each epoch. Synchronous: passes them on when the epoch is complete. Records of
/// `max_round` and later are not passed on.
pub(super) struct ReduceAllRound {
    sync: bool,
    max_round: u64,
    sums: BTreeMap<u64, u64>,
    cache: Vec<EpochRecord>,
}

impl ReduceAllRound {
    pub(super) fn new(sync: bool, max_round: u64) -> Self {
        ReduceAllRound { sync, max_round, sums: BTreeMap::new(), cache: Vec::new() }
    }
}

impl IterationListener for ReduceAllRound {
    type Out = EpochRecord;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<EpochRecord>,
    ) -> Result<()> {
        if self.sync {
            let sum = self.sums.get(&epoch).copied().unwrap_or(0);
            context.output(&OUTPUT, Event::EpochEnd { round: epoch, sum });
            out.batch().append(&mut self.cache);
        }
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        context: &mut EpochContext,
        _out: &mut Collector<EpochRecord>,
    ) -> Result<()> {
        context.output(&OUTPUT, Event::Terminated);
        Ok(())
    }
}

impl EpochProcessFunction<EpochRecord> for ReduceAllRound {
    fn process(
        &mut self,
        record: EpochRecord,
        context: &mut EpochContext,
        out: &mut Collector<EpochRecord>,
    ) -> Result<()> {
        assert_eq!(record.epoch, context.epoch(), "the epoch that the record counts by itself");
        let sum = self.sums.entry(record.epoch).or_default();
        *sum += record.value;
        let (round, sum) = (record.epoch, *sum);
        if round < self.max_round {
            if self.sync { self.cache.push(record) } else { out.emit(record) }
        }
        if !self.sync {
            context.output(&OUTPUT, Event::Element { round, sum });
        }
        Ok(())
    }
}

impl EpochCoProcessFunction<EpochRecord, EpochRecord> for ReduceAllRound {
    fn process1(
        &mut self,
        record: EpochRecord,
        context: &mut EpochContext,
        out: &mut Collector<EpochRecord>,
    ) -> Result<()> {
        self.process(record, context, out)
    }

    fn process2(
        &mut self,
        record: EpochRecord,
        context: &mut EpochContext,
        out: &mut Collector<EpochRecord>,
    ) -> Result<()> {
        self.process(record, context, out)
    }
}

/// The way back of the tests: by a partition, a keyed count, and with the next epoch.
pub(super) fn way_back<'i, T: Clock>(
    reduced: DataStream<'i, EpochRecord, T>,
) -> DataStream<'i, EpochRecord, T> {
    let workers = reduced.workers();
    let spread = reduced.set_parallelism(workers).partition_custom(|record, n| record.value as usize % n);
    let counted = spread.map(|record| record).key_by(|record| record.value).process(
        |_value, n: &mut u64, record, out| {
            *n += 1;
            out.emit(record);
        },
    );
    counted.map(|EpochRecord { epoch, value }| EpochRecord { epoch: epoch + 1, value })
}

/// How many elements of each round there are, and the sum after the last one.
pub(super) fn elements_by_round(events: &[Event]) -> BTreeMap<u64, (usize, u64)> {
    let mut rounds = BTreeMap::new();
    for event in events {
        if let Event::Element { round, sum } = event {
            let (n, last) = rounds.entry(*round).or_insert((0, 0));
            (*n, *last) = (*n + 1, *sum);
        }
    }
    rounds
}

/// The events of synchronous rounds with the same sum, up to the termination.
pub(super) fn rounds_of(n: u64, sum: u64) -> Vec<Event> {
    (0..n).map(|round| Event::EpochEnd { round, sum }).chain([Event::Terminated]).collect()
}

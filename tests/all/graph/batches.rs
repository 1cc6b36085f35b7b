//! Batches: when they are complete, what crosses their boundaries, and that sources which run ahead wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waterwheel::iteration::feedback_loop;
use waterwheel::prelude::*;

use super::{all, as_of_each};
use crate::cluster::{everywhere, test_path};

/// Sends number `b` in batch `b`, but only when the answer to the batch before has come out.
struct AfterAnswer {
    batch: u64,
    batches: u64,
    answered: Arc<AtomicU64>,
}

impl BatchSource for AfterAnswer {
    type Item = (u64, i64);

    fn read(&mut self, _limit: usize, out: &mut Vec<(u64, i64)>) -> Result<BatchStatus> {
        if self.answered.load(Ordering::SeqCst) < self.batch {
            return Ok(BatchStatus::Ready);
        }
        out.push((self.batch % 7, 1));
        self.batch += 1;
        Ok(if self.batch == self.batches { BatchStatus::Done } else { BatchStatus::Complete })
    }
}

/// Without exact completion this would never end: nobody says more before the answer has come.
#[test]
fn answer_to_a_batch_comes_when_the_batch_is_complete_and_not_later() {
    for workers in [1, 2, 4] {
        let answered = Arc::new(AtomicU64::new(0));
        let values = execute(RuntimeConfig::threads(workers), move |env| {
            let (reads, notes) = (Arc::clone(&answered), Arc::clone(&answered));
            let numbers = env.batches("after answer", 1, move |_split| {
                Ok(AfterAnswer { batch: 0, batches: 50, answered: Arc::clone(&reads) })
            });
            let reached = numbers
                .into_collection()
                .distinct()
                .iterate(|_scope, numbers| numbers.clone().map(|x| x / 2).concat(numbers).distinct());
            // One worker alone tells; what it knows holds for all.
            let tells = env.worker_index() == 0;
            let changes = reached.changes_with_progress(move |next| {
                if tells {
                    notes.store(next.unwrap_or(u64::MAX), Ordering::SeqCst);
                }
            });
            Ok(changes.collect())
        });
        let found = as_of_each(&all(values.unwrap()), 50, "halves");
        assert_eq!(found[49], Vec::from_iter(0..7), "{workers} workers");
    }
}

#[test]
fn batch_of_several_splits_is_complete_when_all_have_completed_it() {
    everywhere(
        test_path!(batch_of_several_splits_is_complete_when_all_have_completed_it),
        |config| {
            let values = execute(config, |env| {
                let numbers = env.batches("split", 3, |split| Ok(Counting { batch: 0, split: split as u64 }));
                let sums = numbers.map(|(batch, n)| (((), n), batch)).map(|((_, n), _)| ((), n));
                Ok(sums.into_collection().count().map(|((), n)| n).changes().collect())
            });
            all(values.unwrap())
        },
        |changes, shape| {
            // Split s ends after batch s + 2 and adds s + 1 in each.
            let found = as_of_each(&changes, 5, shape);
            assert_eq!(found, [[6], [12], [18], [23], [26]], "{shape}");
        },
    );
}

struct Counting {
    batch: u64,
    split: u64,
}

impl BatchSource for Counting {
    type Item = (u64, i64);

    fn read(&mut self, _limit: usize, out: &mut Vec<(u64, i64)>) -> Result<BatchStatus> {
        out.push((self.batch, self.split as i64 + 1));
        self.batch += 1;
        Ok(if self.batch == self.split + 3 { BatchStatus::Done } else { BatchStatus::Complete })
    }
}

#[test]
fn plain_stream_becomes_batches_by_the_number_in_its_records_and_goes_back() {
    everywhere(
        test_path!(plain_stream_becomes_batches_by_the_number_in_its_records_and_goes_back),
        |config| {
            let values = execute(config, |env| {
                let log =
                    env.from_iter((0..2000u64).map(|i| (i / 100, i % 10, if i % 100 < 50 { 1 } else { -1 })));
                let log = env.assign_batches(log, |(batch, ..)| *batch).map(|(_, x, diff)| (x, diff));
                let changes = log.into_collection().map(|x| x + 1).changes();
                let kept = env.from_iter([(3u64, 1), (4, 1)]);
                let kept = env.enter_batches(kept).into_collection().changes();
                let plain = env.leave_batches(changes.union(kept));
                Ok(plain
                    .key_by(|change| change.record)
                    .process(|_, n: &mut i64, change, out| {
                        *n += change.diff;
                        out.emit((change.batch, change.record, *n));
                    })
                    .collect())
            });
            all(values.unwrap())
        },
        // Within each batch all that comes goes again.
        |mut found, shape| {
            found.sort_unstable();
            assert_eq!(found, [(0, 3, 1), (0, 4, 1)], "{shape}");
        },
    );
}

#[test]
fn record_of_a_batch_that_is_complete_ends_the_run_naming_both() {
    let error = execute(RuntimeConfig::threads(2), |env| {
        let numbers = env.assign_batches(env.from_iter([0u64, 1, 5, 3]), |number| *number);
        Ok(numbers.collect())
    });
    let error = error.unwrap_err();
    assert_eq!(error.site().unwrap().operator, "assign_batches");
    assert!(error.message().starts_with("a record of batch 3 came after one of batch 5"), "{error}");
}

/// Collections live on the clock of any loop: what is new in a round goes round, what is not does not.
#[test]
fn collection_inside_a_feedback_loop_has_its_rounds_for_times() {
    everywhere(
        test_path!(collection_inside_a_feedback_loop_has_its_rounds_for_times),
        |config| {
            let values = execute(config, |env| {
                let starts = env.from_iter([(3u64, 1), (40, 1)]).into_edge();
                let new = feedback_loop::<_, Round, _, _>(env.place(), "reach", |it, fed_back| {
                    let all = DataStream::from_edge(it.enter(starts)).union(DataStream::from_edge(fed_back));
                    let new = all.into_collection().distinct().updates();
                    let next = new.clone().flat_map(|(x, diff)| [(x / 2, diff), ((x * 3) % 50, diff)]);
                    (next.into_edge(), it.leave(new.into_edge()))
                });
                Ok(DataStream::from_edge(new).collect())
            });
            all(values.unwrap())
        },
        |mut found, shape| {
            let (mut reached, mut open) = (std::collections::BTreeSet::new(), vec![3, 40]);
            while let Some(x) = open.pop() {
                if reached.insert(x) {
                    open.extend([x / 2, (x * 3) % 50]);
                }
            }
            found.sort_unstable();
            assert_eq!(found, Vec::from_iter(reached.into_iter().map(|x| (x, 1))), "{shape}");
        },
    );
}

/// Batches come much faster than they are answered: the source must wait, and not for ever.
#[test]
fn source_that_runs_ahead_waits_for_answers_and_goes_on() {
    const BATCHES: u64 = 3000;
    for (workers, limit) in [(1, 1 << 18), (2, 64), (4, 1 << 18)] {
        let (read, answered, lead) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let most = Arc::clone(&lead);
        let config = RuntimeConfig::threads(workers).max_in_flight_records(limit);
        let values = execute(config, move |env| {
            let (reads, answers, lead) = (Arc::clone(&read), Arc::clone(&answered), Arc::clone(&lead));
            let batches = (0..BATCHES).map(move |batch| {
                reads.store(batch, Ordering::SeqCst);
                lead.fetch_max(batch.saturating_sub(answers.load(Ordering::SeqCst)), Ordering::SeqCst);
                vec![((batch % 50, batch % 49), 1)]
            });
            let edges = env.from_batches(batches).into_collection();
            let tells = env.worker_index() == 0;
            let answered = Arc::clone(&answered);
            let changes = graph::connected_components(edges).changes_with_progress(move |next| {
                if let (Some(next), true) = (next, tells) {
                    answered.store(next, Ordering::SeqCst);
                }
            });
            Ok(changes.collect())
        });
        assert!(
            as_of_each(&all(values.unwrap()), BATCHES as usize, "ahead")[BATCHES as usize - 1].len() == 50
        );
        let most = most.load(Ordering::SeqCst);
        // 32 that are complete and not answered, 32 that the source is ahead, and what is read before that is seen.
        assert!(most < 200, "{workers} workers: {most} batches ahead");
    }
}

/// Completes a batch every `pause` reads.
struct Paced {
    batch: u64,
    pause: u64,
    reads: u64,
    at: Arc<[AtomicU64; 2]>,
    split: usize,
    lead: Arc<AtomicU64>,
}

impl BatchSource for Paced {
    type Item = (u64, i64);

    fn read(&mut self, _limit: usize, out: &mut Vec<(u64, i64)>) -> Result<BatchStatus> {
        self.reads += 1;
        if self.reads < self.pause {
            return Ok(BatchStatus::Ready);
        }
        (self.reads, self.batch) = (0, self.batch + 1);
        out.push((self.split as u64, 1));
        self.at[self.split].store(self.batch, Ordering::SeqCst);
        let other = self.at[1 - self.split].load(Ordering::SeqCst);
        self.lead.fetch_max(self.batch.saturating_sub(other), Ordering::SeqCst);
        Ok(if self.batch == 500 { BatchStatus::Done } else { BatchStatus::Complete })
    }
}

/// No batch of the fast split is complete before the slow one has completed it too: without a limit all it reads
/// would pile up.
#[test]
fn split_that_is_ahead_of_another_one_waits_for_it_and_goes_on() {
    for workers in [1, 2] {
        let (at, lead) = (Arc::new([AtomicU64::new(0), AtomicU64::new(0)]), Arc::new(AtomicU64::new(0)));
        let most = Arc::clone(&lead);
        let values = execute(RuntimeConfig::threads(workers), move |env| {
            let (at, lead) = (Arc::clone(&at), Arc::clone(&lead));
            let numbers = env.batches("paced", 2, move |split| {
                let pause = if split == 0 { 1 } else { 20 };
                Ok(Paced { batch: 0, pause, reads: 0, at: Arc::clone(&at), split, lead: Arc::clone(&lead) })
            });
            Ok(numbers.into_collection().count().changes().collect())
        });
        let found = as_of_each(&all(values.unwrap()), 500, "paced");
        assert_eq!(found[499], [(0, 500), (1, 500)]);
        let most = most.load(Ordering::SeqCst);
        assert!(most < 40, "{workers} workers: {most} batches ahead");
    }
}

/// Two inputs of one source: one moves on, the other one never sees a record after the first batch. A hold for
/// batches that are not complete would be for ever.
#[test]
fn input_that_is_ahead_of_another_one_of_the_same_source_is_not_held_for_ever() {
    let values = execute(RuntimeConfig::threads(2).max_in_flight_records(64), |env| {
        let log = || env.from_iter(0..500u64);
        let ahead = env.assign_batches(log(), |number| *number).map(|number| (number % 3, 1));
        let behind = env.assign_batches(log().filter(|number| *number == 0), |number| *number);
        let both = ahead.into_collection().concat(behind.map(|number| (number, 1)).into_collection());
        Ok(both.count().changes().collect())
    });
    let found = as_of_each(&all(values.unwrap()), 500, "both");
    assert_eq!(found[499], [(0, 168), (1, 167), (2, 166)]);
}

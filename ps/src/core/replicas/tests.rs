use proptest::prelude::*;

use super::*;

type TestReplicas = Replicas<u32, i64, i64>;

fn add(row: &mut [i64], delta: &[i64]) {
    row[0] += delta[0];
}

fn config() -> ReplicaConfig<i64, i64> {
    ReplicaConfig {
        push_width: 1,
        intents: 4,
        hot_rows: 8,
        max_age: 100,
        staleness: None,
        shows_pushes: true,
        replay: Some(add),
        credit: 100,
    }
}

/// Announces a key and asks for its row.
fn announce(replicas: &mut TestReplicas, key: u32) {
    let place = replicas.announce(&key, 0).unwrap();
    replicas.ask(place, AHEAD);
}

fn answered(replicas: &mut TestReplicas) -> Vec<(u32, i64)> {
    let (keys, rows) = std::mem::take(&mut replicas.answers);
    keys.into_iter().zip(rows).collect()
}

#[test]
fn announced_row_answers_its_pull_and_is_gone() {
    let mut replicas = TestReplicas::new(config());
    announce(&mut replicas, 7);
    assert_eq!(replicas.pull(&8), Pulled::Elsewhere);
    assert_eq!(replicas.arrive(&7, &[5], AHEAD).unwrap(), (0, None));
    assert!(replicas.has_fresh(&7));
    let Pulled::Here(place, false) = replicas.pull(&7) else { panic!("it is not there") };
    replicas.answer(place);
    assert_eq!(answered(&mut replicas), [(7, 5)]);
    assert_eq!((replicas.pull(&7), replicas.has_fresh(&7)), (Pulled::Elsewhere, false));
    assert!(replicas.arrive(&7, &[5], AHEAD).is_err(), "nobody has asked");
}

#[test]
fn pull_of_a_row_on_its_way_waits_for_it() {
    let mut replicas = TestReplicas::new(config());
    announce(&mut replicas, 7);
    assert_eq!(
        (replicas.pull(&7), replicas.pull(&7), replicas.pending()),
        (Pulled::Joined, Pulled::Joined, 2)
    );
    assert_eq!(replicas.arrive(&7, &[5], AHEAD).unwrap(), (2, None));
    assert_eq!(replicas.pending(), 0);
}

#[test]
fn pulls_see_the_own_pushes_that_were_issued_before_them() {
    let mut replicas = TestReplicas::new(config());
    announce(&mut replicas, 7);
    replicas.push(&7, &[10]);
    assert_eq!(replicas.pull(&7), Pulled::Joined);
    // It must not see this one; the pull behind it must.
    replicas.push(&7, &[100]);
    assert_eq!(replicas.pull(&7), Pulled::Elsewhere);
    assert_eq!(replicas.arrive(&7, &[1], AHEAD).unwrap(), (1, Some(vec![11])));

    replicas.set_hot(0, vec![9]);
    let Pulled::Asks(place) = replicas.pull(&9) else { panic!("hot keys are kept") };
    replicas.ask(place, ASKED);
    assert_eq!(replicas.arrive(&9, &[1], ASKED).unwrap(), (1, None));
    replicas.push(&9, &[10]);
    let Pulled::Here(place, _) = replicas.pull(&9) else { panic!("it was kept") };
    replicas.answer(place);
    replicas.push(&9, &[100]);
    assert_eq!(answered(&mut replicas), [(9, 11)]);
}

#[test]
fn push_that_can_not_be_replayed_ends_the_copy() {
    let mut replicas = TestReplicas::new(ReplicaConfig { replay: None, ..config() });
    replicas.set_hot(0, vec![9]);
    let Pulled::Asks(place) = replicas.pull(&9) else { panic!("hot keys are kept") };
    replicas.ask(place, ASKED);
    replicas.push(&9, &[10]);
    assert_eq!(replicas.pull(&9), Pulled::Elsewhere, "the server has the push before this pull");
    replicas.arrive(&9, &[1], ASKED).unwrap();
    assert!(!replicas.has_fresh(&9));
}

#[test]
fn copy_ends_with_its_age_and_is_renewed_while_it_is_used() {
    let mut replicas = TestReplicas::new(ReplicaConfig { max_age: 10, ..config() });
    replicas.set_hot(0, vec![9]);
    let Pulled::Asks(place) = replicas.pull(&9) else { panic!("hot keys are kept") };
    replicas.ask(place, ASKED);
    replicas.arrive(&9, &[1], ASKED).unwrap();
    assert_eq!(replicas.pull(&9), Pulled::Here(place, false));
    (0..5).for_each(|_| assert_eq!(replicas.pull(&1), Pulled::Elsewhere));
    assert_eq!(replicas.pull(&9), Pulled::Here(place, true));
    (0..4).for_each(|_| assert_eq!(replicas.pull(&1), Pulled::Elsewhere));
    assert_eq!(replicas.pull(&9), Pulled::Asks(place), "nobody has renewed it");
    replicas.set_hot(0, vec![]);
    assert_eq!(replicas.pull(&9), Pulled::Elsewhere, "it is not hot any more");
}

#[test]
fn announcements_that_do_not_come_are_forgotten() {
    let mut replicas = TestReplicas::new(config());
    (0..4).for_each(|key| announce(&mut replicas, key));
    assert!(!replicas.has_room());
    (0..4).for_each(|key| drop(replicas.arrive(&key, &[0], AHEAD).unwrap()));
    (0..8).for_each(|_| replicas.begin_record());
    assert!(replicas.has_room() && !replicas.has_fresh(&0));
}

#[test]
fn barrier_ends_copies_and_bounded_staleness_ends_those_that_miss_too_much() {
    let mut replicas = TestReplicas::new(config());
    announce(&mut replicas, 7);
    replicas.arrive(&7, &[5], AHEAD).unwrap();
    replicas.advance(1);
    assert!(!replicas.has_fresh(&7));

    let mut replicas = TestReplicas::new(ReplicaConfig { staleness: Some(2), ..config() });
    replicas.set_hot(0, vec![9]);
    replicas.set_complete(1);
    replicas.advance(2);
    let Pulled::Asks(place) = replicas.pull(&9) else { panic!("hot keys are kept") };
    replicas.ask(place, ASKED);
    replicas.arrive(&9, &[1], ASKED).unwrap();
    replicas.advance(3);
    assert!(replicas.has_fresh(&9), "it shows clock 0, as a pull at clock 3 must");
    replicas.advance(4);
    assert!(!replicas.has_fresh(&9), "it may miss clock 1");
}

/// A server with one row per key, a first-in-first-out link to it and one back.
#[derive(Default)]
struct Server {
    rows: FxHashMap<u32, i64>,
    /// Pulls with their group, and pushes.
    requests: std::collections::VecDeque<(u32, Result<i64, u32>)>,
    answers: std::collections::VecDeque<(u32, u32, i64)>,
}

impl Server {
    fn serve(&mut self, n: usize) {
        for (key, op) in self.requests.drain(..n.min(self.requests.len())) {
            let row = self.rows.entry(key).or_default();
            match op {
                Ok(delta) => *row += delta,
                Err(group) => self.answers.push_back((key, group, *row)),
            }
        }
    }
}

/// A worker of its own keys: what each of its pulls must see is what it has pushed before.
struct Worker {
    replicas: TestReplicas,
    server: Server,
    pushed: FxHashMap<u32, i64>,
    expected: FxHashMap<u32, std::collections::VecDeque<i64>>,
}

impl Worker {
    fn pull(&mut self, key: u32) {
        self.expected.entry(key).or_default().push_back(self.pushed.get(&key).copied().unwrap_or(0));
        match self.replicas.pull(&key) {
            Pulled::Here(place, renews) => {
                self.replicas.answer(place);
                if renews {
                    self.replicas.ask(place, RENEWED);
                    self.server.requests.push_back((key, Err(RENEWED)));
                }
            }
            Pulled::Joined => {}
            Pulled::Asks(place) => {
                self.replicas.ask(place, ASKED);
                self.server.requests.push_back((key, Err(ASKED)));
            }
            Pulled::Elsewhere => self.server.requests.push_back((key, Err(0))),
        }
    }

    fn push(&mut self, key: u32) {
        *self.pushed.entry(key).or_default() += 1;
        self.replicas.push(&key, &[1]);
        self.server.requests.push_back((key, Ok(1)));
    }

    fn see(&mut self, key: u32, row: i64) {
        let expected = self.expected.get_mut(&key).and_then(std::collections::VecDeque::pop_front);
        assert_eq!(expected, Some(row), "a pull of {key}");
    }

    fn read(&mut self, n: usize) {
        answered(&mut self.replicas).into_iter().for_each(|(key, row)| self.see(key, row));
        for _ in 0..n.min(self.server.answers.len()) {
            let (key, group, row) = self.server.answers.pop_front().unwrap();
            if !is_of_copies(group) {
                self.see(key, row);
                continue;
            }
            let (waiting, updated) = self.replicas.arrive(&key, &[row], group).unwrap();
            let row = updated.map_or(row, |row| row[0]);
            (0..waiting).for_each(|_| self.see(key, row));
        }
    }
}

proptest! {
    /// Whatever is announced, hot, on its way or too old: answers come in the order of the pulls of a key, and show
    /// exactly the worker's own pushes before each.
    #[test]
    fn pulls_see_exactly_the_own_pushes_before_them_in_order(
        steps in prop::collection::vec((0u32..8, 0u32..4, 0usize..6), 1..300),
        replays in any::<bool>(),
        max_age in 1u64..20,
        credit in 1usize..10,
    ) {
        let replay: Option<Replay<i64, i64>> = if replays { Some(add) } else { None };
        let replicas = TestReplicas::new(ReplicaConfig { replay, max_age, credit, ..config() });
        let (pushed, expected) = (FxHashMap::default(), FxHashMap::default());
        let mut worker = Worker { replicas, server: Server::default(), pushed, expected };
        for (what, key, n) in steps {
            match what {
                0 | 1 => worker.pull(key),
                2 => worker.push(key),
                3 => worker.server.serve(n),
                4 => worker.read(n),
                5 => worker.replicas.set_hot(0, (0..n as u32).collect()),
                6 => worker.replicas.begin_record(),
                _ if worker.replicas.has_room() => {
                    if let Some(place) = worker.replicas.announce(&key, 0) {
                        worker.replicas.ask(place, AHEAD);
                        worker.server.requests.push_back((key, Err(AHEAD)));
                    }
                }
                _ => {}
            }
        }
        worker.server.serve(usize::MAX);
        worker.read(usize::MAX);
        prop_assert!(worker.expected.values().all(std::collections::VecDeque::is_empty));
        prop_assert_eq!(worker.replicas.pending(), 0);
    }
}

//! Two streams in one function.

use std::collections::BTreeSet;

use waterwheel::prelude::*;

use super::fixture::{Pair, after_end, pairs, sorted};
use crate::cluster::{everywhere, test_path};

fn words(seed: u64, n: u64, keys: u64) -> Vec<(u64, String)> {
    pairs(seed, n, keys).into_iter().map(|(key, value)| (key, format!("w{value}"))).collect()
}

#[test]
fn connected_maps_handle_each_stream_by_its_function() {
    let job = |config| {
        execute(config, |env| {
            let (a, b) = (env.from_iter(pairs(6, 2000, 30)).rebalance(), env.from_iter(words(7, 900, 30)));
            let mapped = a.clone().connect(b.clone()).map(|pair| pair.1, |word| word.1.len() as i64 + 1000);
            let flat = a.connect(b).flat_map(
                |(key, value)| (value < 0).then_some(key as i64),
                |(key, word)| word.chars().map(move |c| key as i64 * 1000 + c as i64).collect::<Vec<_>>(),
            );
            Ok((mapped.collect(), flat.collect()))
        })
        .unwrap()
    };
    everywhere(test_path!(connected_maps_handle_each_stream_by_its_function), job, |found, shape| {
        let (a, b) = (pairs(6, 2000, 30), words(7, 900, 30));
        let lengths = b.iter().map(|(_, word)| word.len() as i64 + 1000);
        let mapped = a.iter().map(|pair| pair.1).chain(lengths).collect();
        let chars = b.iter().flat_map(|(key, word)| word.chars().map(|c| *key as i64 * 1000 + c as i64));
        let flat = a.iter().filter(|pair| pair.1 < 0).map(|pair| pair.0 as i64).chain(chars).collect();
        let (found_mapped, found_flat) = found.into_iter().next().unwrap();
        assert_eq!(sorted(found_mapped), sorted(mapped), "{shape}");
        assert_eq!(sorted(found_flat), sorted(flat), "{shape}");
    });
}

/// Passes on the number of records of both streams when the second has ended, and fails if it hears of an
/// end twice or of a record after it.
#[derive(Default)]
struct Audit {
    seen: [u64; 2],
    ended: [bool; 2],
}

impl Audit {
    fn note(&mut self, stream: usize) -> Result<()> {
        self.seen[stream] += 1;
        if self.ended[stream] { Err(Error::internal("a record after the end")) } else { Ok(()) }
    }

    fn end(&mut self, stream: usize, out: &mut Collector<(u64, u64)>) -> Result<()> {
        if std::mem::replace(&mut self.ended[stream], true) {
            return Err(Error::internal("told of the end twice"));
        }
        if self.ended == [true; 2] {
            out.emit((self.seen[0], self.seen[1]));
        }
        Ok(())
    }
}

impl CoProcessFunction<Pair, (u64, String)> for Audit {
    type Out = (u64, u64);

    fn process1(&mut self, _record: Pair, _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.note(0)
    }

    fn process2(&mut self, _record: (u64, String), _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.note(1)
    }

    fn end_of_input1(&mut self, out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.end(0, out)
    }

    fn end_of_input2(&mut self, out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.end(1, out)
    }
}

#[test]
fn co_process_function_is_told_once_of_each_end_after_the_last_record() {
    let job = |config| {
        execute(config, |env| {
            let workers = env.workers();
            let (a, b) = (env.from_iter(pairs(8, 3000, 9)), env.from_iter(words(9, 500, 9)));
            // The second ends much later than the first on some workers.
            let audited = a.rebalance().connect(b.rebalance().rebalance()).process_function(Audit::default());
            Ok(audited.map(move |seen| (workers, seen)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(
        test_path!(co_process_function_is_told_once_of_each_end_after_the_last_record),
        job,
        |found, shape| {
            assert_eq!(found.len(), found[0].0, "{shape}");
            let total = found.iter().fold((0, 0), |sum, (_, seen)| (sum.0 + seen.0, sum.1 + seen.1));
            assert_eq!(total, (3000, 500), "{shape}");
        },
    );
}

#[test]
fn keyed_join_finds_every_pair_with_the_same_key() {
    let job = |config| {
        execute(config, |env| {
            let a = env.from_iter(pairs(10, 300, 25)).rebalance().key_by(|pair| pair.0);
            let b = env.from_iter(words(11, 200, 25)).key_by(|word| word.0);
            let joined = a.connect(b).process(
                |key, (left, right): &mut (ListState<i64>, ListState<String>), (_, value), out| {
                    right.get().iter().for_each(|word| out.emit((*key, value, word.clone())));
                    left.add(value);
                },
                |key, (left, right), (_, word), out| {
                    left.get().iter().for_each(|value| out.emit((*key, *value, word.clone())));
                    right.add(word);
                },
            );
            Ok(joined.collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(keyed_join_finds_every_pair_with_the_same_key), job, |found, shape| {
        let (a, b) = (pairs(10, 300, 25), words(11, 200, 25));
        let all = a.iter().flat_map(|left| b.iter().map(move |right| (left, right)));
        let same = all.filter(|(left, right)| left.0 == right.0);
        let expected: Vec<_> = same.map(|(left, right)| (left.0, left.1, right.1.clone())).collect();
        assert!(expected.len() > 5000);
        assert_eq!(sorted(found), sorted(expected), "{shape}");
    });
}

/// Keys from here on come in the second stream only, after the end of the first.
const AFTER: u64 = 100;

/// Per key: the numbers of records of each stream and of calls at each end.
struct Ends {
    /// One worker alone has surely heard of the end when the keys after it come; of several, one may still have
    /// early records to read, which is not the end for any of them.
    is_alone: bool,
}

impl KeyedCoProcessFunction<u64, Pair, Pair> for Ends {
    type State = [u64; 4];
    type Out = (u64, [u64; 4]);

    fn process1(&mut self, _: &u64, s: &mut [u64; 4], _: Pair, _: &mut Collector<Self::Out>) -> Result<()> {
        s[0] += 1;
        if s[2] > 0 { Err(Error::internal("a record after the end")) } else { Ok(()) }
    }

    fn process2(&mut self, key: &u64, s: &mut [u64; 4], _: Pair, _: &mut Collector<Self::Out>) -> Result<()> {
        s[1] += 1;
        match s[3] > 0 || (self.is_alone && *key >= AFTER && s[2] != 1) {
            true => Err(Error::internal(format!("a record of key {key} in state {s:?}"))),
            false => Ok(()),
        }
    }

    fn end_of_input1(&mut self, key: &u64, s: &mut [u64; 4], out: &mut Collector<Self::Out>) -> Result<()> {
        s[2] += 1;
        self.tell(key, s, out)
    }

    fn end_of_input2(&mut self, key: &u64, s: &mut [u64; 4], out: &mut Collector<Self::Out>) -> Result<()> {
        s[3] += 1;
        self.tell(key, s, out)
    }
}

impl Ends {
    fn tell(&self, key: &u64, s: &[u64; 4], out: &mut Collector<(u64, [u64; 4])>) -> Result<()> {
        if s[2] > 0 && s[3] > 0 {
            out.emit((*key, *s));
        }
        Ok(())
    }
}

/// The first stream: keys 0 to 39.
fn early() -> Vec<Pair> {
    pairs(12, 200, 40)
}

/// What the second stream has at any time: keys 20 to 59.
fn meanwhile() -> Vec<Pair> {
    pairs(13, 2000, 40).into_iter().map(|(key, value)| (key + 20, value)).collect()
}

/// What the second stream has after the end of the first: some keys that were there before, and new ones.
fn afterwards() -> Vec<Pair> {
    let new = pairs(19, 500, 40).into_iter().map(|(key, value)| (key + AFTER, value));
    meanwhile().into_iter().take(100).chain(new).collect()
}

#[test]
fn every_key_of_connected_streams_hears_of_each_end_once() {
    let job = |config| {
        execute(config, |env| {
            let ends = Ends { is_alone: env.workers() == 1 };
            let early = env.from_iter(early());
            let late = env.from_iter(meanwhile()).rebalance().union(after_end(early.clone(), afterwards()));
            let (early, late) = (early.key_by(|pair| pair.0), late.key_by(|pair| pair.0));
            Ok(early.connect(late).process_function(ends).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(every_key_of_connected_streams_hears_of_each_end_once), job, |found, shape| {
        let (early, late) = (early(), [meanwhile(), afterwards()].concat());
        let keys: BTreeSet<u64> = early.iter().chain(&late).map(|pair| pair.0).collect();
        let count = |all: &[Pair], key| all.iter().filter(|pair| pair.0 == key).count() as u64;
        let expected = keys.iter().map(|key| (*key, [count(&early, *key), count(&late, *key), 1, 1]));
        assert_eq!(sorted(found), expected.collect::<Vec<_>>(), "{shape}");
    });
}

//! Records beside the results.

use waterwheel::prelude::*;

use super::fixture::{Pair, pairs, sorted};
use crate::cluster::{everywhere, test_path};

const NEGATIVE: OutputTag<Pair> = OutputTag::new("beside");
/// The same name with another type is another tag.
const TEXT: OutputTag<String> = OutputTag::new("beside");
const NOBODY_READS: OutputTag<Pair> = OutputTag::new("nobody reads");
const NOBODY_EMITS: OutputTag<u8> = OutputTag::new("nobody emits");

fn text(pair: &Pair) -> String {
    format!("{} has {}", pair.0, pair.1)
}

#[test]
fn side_outputs_get_what_was_emitted_to_their_tag() {
    let job = |config| {
        execute(config, |env| {
            let input = env.from_iter(pairs(4, 5000, 40)).rebalance();
            let split = input.process_with_side_outputs(|pair, out, side| {
                side.emit(&NOBODY_READS, pair);
                if pair.1 % 2 == 0 {
                    side.emit(&TEXT, text(&pair));
                }
                if pair.1 < 0 { side.emit(&NEGATIVE, pair) } else { out.emit(pair) }
            });
            let none = split.side_output(&NOBODY_EMITS).map(|_| (0, 0));
            let negative = split.side_output(&NEGATIVE).union(none);
            // A second reader gets the same.
            let again = split.side_output(&NEGATIVE).map(|(key, value)| (key, -value));
            let text = split.side_output(&TEXT).collect();
            Ok((split.into_main().collect(), negative.collect(), again.collect(), text))
        })
        .unwrap()
    };
    everywhere(test_path!(side_outputs_get_what_was_emitted_to_their_tag), job, |found, shape| {
        let all = pairs(4, 5000, 40);
        let (negative, main): (Vec<Pair>, Vec<Pair>) = all.iter().partition(|pair| pair.1 < 0);
        let positive = negative.iter().map(|(key, value)| (*key, -value)).collect();
        let texts = all.iter().filter(|pair| pair.1 % 2 == 0).map(text).collect();
        let (found_main, found_negative, found_again, found_texts) = found.into_iter().next().unwrap();
        assert_eq!(sorted(found_main), sorted(main), "{shape}");
        assert_eq!(sorted(found_negative), sorted(negative), "{shape}");
        assert_eq!(sorted(found_again), sorted(positive), "{shape}");
        assert_eq!(sorted(found_texts), sorted(texts), "{shape}");
    });
}

/// Counts in its state; tells of every tenth record at once, and of the number at the end.
struct Counting(SideOutputs);

impl KeyedProcessFunction<u64, Pair> for Counting {
    type State = u64;
    type Out = (u64, u64);

    fn process(
        &mut self,
        key: &u64,
        count: &mut u64,
        pair: Pair,
        _: &mut KeyedContext,
        out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        *count += 1;
        if count.is_multiple_of(10) {
            self.0.emit(&NEGATIVE, pair);
        }
        out.emit((*key, *count));
        Ok(())
    }

    fn end_of_input(&mut self, key: &u64, n: &mut u64, _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.0.emit(&TEXT, format!("{key}: {n}"));
        Ok(())
    }
}

#[test]
fn keyed_function_emits_beside_its_results_and_at_the_end() {
    let job = |config| {
        execute(config, |env| {
            let keyed = env.from_iter(pairs(5, 3000, 20)).key_by(|pair| pair.0);
            let counted = keyed.process_function_with_side_outputs(Counting);
            let (tenth, text) = (counted.side_output(&NEGATIVE), counted.side_output(&TEXT));
            let closure = env.from_iter(pairs(5, 3000, 20)).key_by(|pair| pair.0);
            let closure = closure.process_with_side_outputs(|_, n: &mut u64, pair, out, side| {
                *n += 1;
                if n.is_multiple_of(10) { side.emit(&NEGATIVE, pair) } else { out.emit(pair) }
            });
            let again = closure.side_output(&NEGATIVE);
            Ok((counted.into_main().collect(), tenth.collect(), text.collect(), again.collect()))
        })
        .unwrap()
    };
    everywhere(test_path!(keyed_function_emits_beside_its_results_and_at_the_end), job, |found, shape| {
        let mut counts = std::collections::BTreeMap::<u64, u64>::new();
        let (mut main, mut tenth) = (Vec::new(), Vec::new());
        for pair in pairs(5, 3000, 20) {
            let n = counts.entry(pair.0).or_default();
            *n += 1;
            main.push((pair.0, *n));
            tenth.extend((n.is_multiple_of(10)).then_some(pair));
        }
        let texts = counts.iter().map(|(key, n)| format!("{key}: {n}")).collect();
        let (found_main, found_tenth, found_texts, again) = found.into_iter().next().unwrap();
        assert_eq!(sorted(found_main), sorted(main), "{shape}");
        assert_eq!(sorted(found_tenth), sorted(tenth.clone()), "{shape}");
        assert_eq!(sorted(again), sorted(tenth), "{shape}");
        assert_eq!(sorted(found_texts), sorted(texts), "{shape}");
    });
}

fn by_key<'s>(stream: DataStream<'s, Pair>) -> KeyedStream<'s, u64, Pair> {
    stream.key_by(|pair| pair.0)
}

/// Emits keys of the first stream; pairs that are negative go aside, of the second stream if both have pairs of their own,
/// and so do texts at the end.
struct Divide {
    side: SideOutputs,
    ended: [u64; 2],
}

impl Divide {
    fn new(side: SideOutputs) -> Self {
        Divide { side, ended: [0; 2] }
    }

    fn divide(&mut self, pair: Pair) {
        if pair.1 < 0 {
            self.side.emit(&NEGATIVE, pair);
        }
    }
}

impl CoProcessFunction<Pair, Pair> for Divide {
    type Out = (u64, u64);

    fn process1(&mut self, pair: Pair, out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.ended[0] += 1;
        out.emit((pair.0, 0));
        Ok(())
    }

    fn process2(&mut self, pair: Pair, _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.ended[1] += 1;
        self.divide(pair);
        Ok(())
    }

    fn end_of_input1(&mut self, _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.side.emit(&TEXT, format!("first {}", self.ended[0]));
        Ok(())
    }
}

impl KeyedCoProcessFunction<u64, Pair, Pair> for Divide {
    type State = u64;
    type Out = (u64, u64);

    fn process1(&mut self, _: &u64, n: &mut u64, pair: Pair, out: &mut Collector<(u64, u64)>) -> Result<()> {
        *n += 1;
        out.emit((pair.0, 0));
        Ok(())
    }

    fn process2(&mut self, _: &u64, n: &mut u64, pair: Pair, _: &mut Collector<(u64, u64)>) -> Result<()> {
        *n += 1;
        self.divide(pair);
        Ok(())
    }
}

impl BroadcastProcessFunction<Pair, Pair> for Divide {
    type Broadcast = u64;
    type Out = (u64, u64);

    fn process(&mut self, _: &u64, pair: Pair, out: &mut Collector<(u64, u64)>) -> Result<()> {
        out.emit((pair.0, 0));
        self.divide(pair);
        Ok(())
    }

    fn process_broadcast(&mut self, n: &mut u64, _: Pair, _: &mut Collector<(u64, u64)>) -> Result<()> {
        *n += 1;
        Ok(())
    }

    fn end_of_broadcast(&mut self, n: &mut u64, _: &mut Collector<(u64, u64)>) -> Result<()> {
        self.side.emit(&TEXT, format!("broadcast {n}"));
        Ok(())
    }
}

impl KeyedBroadcastProcessFunction<u64, Pair, Pair> for Divide {
    type State = u64;
    type Broadcast = u64;
    type Out = (u64, u64);

    fn process(
        &mut self,
        _: &u64,
        n: &mut u64,
        _: &u64,
        pair: Pair,
        out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        *n += 1;
        out.emit((pair.0, 0));
        self.divide(pair);
        Ok(())
    }

    fn process_broadcast(&mut self, n: &mut u64, _: Pair, _: &mut Collector<(u64, u64)>) -> Result<()> {
        *n += 1;
        Ok(())
    }

    fn end_of_input(&mut self, key: &u64, n: &mut u64, _: &u64, _: &mut Collector<(u64, u64)>) -> Result<()> {
        self.side.emit(&TEXT, format!("{key}: {n}"));
        Ok(())
    }
}

/// Results, what is negative, and texts.
type Divided = (Vec<(u64, u64)>, Vec<Pair>, Vec<String>);

#[test]
fn functions_on_two_streams_emit_beside_their_results() {
    let job = |config| {
        let workers = execute(config, |env| {
            let first = || env.from_iter(pairs(6, 2000, 12)).rebalance();
            let second = || env.from_iter(pairs(7, 3000, 12)).rebalance();
            let divided = [
                first().connect(second()).process_function_with_side_outputs(Divide::new),
                by_key(first()).connect(by_key(second())).process_function_with_side_outputs(Divide::new),
                first().connect_broadcast(second()).process_function_with_side_outputs(Divide::new),
                by_key(first()).connect_broadcast(second()).process_function_with_side_outputs(Divide::new),
            ];
            let collect = |(i, divided): (usize, SideOutputStream<'_, (u64, u64)>)| {
                let divided = divided.name("divide").uid(&format!("divide {i}"));
                let (negative, text) = (divided.side_output(&NEGATIVE), divided.side_output(&TEXT));
                (divided.into_main().collect(), negative.collect(), text.collect())
            };
            let workers = env.from_iter([env.workers()]).collect();
            Ok((divided.into_iter().enumerate().map(collect).collect::<Vec<_>>(), workers))
        });
        workers.unwrap().into_iter().next().unwrap()
    };
    let path = test_path!(functions_on_two_streams_emit_beside_their_results);
    everywhere(path, job, |(found, workers), shape| {
        let (first, second) = (pairs(6, 2000, 12), pairs(7, 3000, 12));
        let main = sorted(first.iter().map(|pair| (pair.0, 0)).collect::<Vec<_>>());
        let negative = |pairs: &[Pair]| sorted(pairs.iter().copied().filter(|pair| pair.1 < 0).collect());
        let mut counts = std::collections::BTreeMap::<u64, u64>::new();
        first.iter().for_each(|pair| *counts.entry(pair.0).or_default() += 1);
        let by_key = sorted(counts.iter().map(|(key, n)| format!("{key}: {n}")).collect::<Vec<_>>());
        let sides = [negative(&second), negative(&second), negative(&first), negative(&first)];
        let all: Vec<Divided> = found;
        for ((results, aside, _), expected) in all.iter().zip(sides) {
            assert_eq!(sorted(results.clone()), main, "{shape}");
            assert_eq!(sorted(aside.clone()), expected, "{shape}");
        }
        // Each worker has told of its own share once.
        let shares = all[0].2.iter().map(|text| text["first ".len()..].parse::<usize>().unwrap());
        assert_eq!((shares.clone().count(), shares.sum::<usize>()), (workers[0], first.len()), "{shape}");
        assert!(all[1].2.is_empty(), "{shape}");
        assert_eq!(all[2].2, vec!["broadcast 3000"; workers[0]], "{shape}");
        assert_eq!(sorted(all[3].2.clone()), by_key, "{shape}");
    });
}

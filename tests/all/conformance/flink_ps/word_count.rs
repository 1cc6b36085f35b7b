//! T-FPS-07 to T-FPS-09: counting words, with strings as keys.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::support::{add, run, zero};
use crate::cluster::{everywhere, test_path};

/// Split on the space alone, so that line ends stay inside words.
const TEXT: &str = "a a b a c d a a b a a abd lje jdf aa
a a a de ae a c a b a a a a a b
aa bb B a b a b A a a b de ade ana de
egf ade pi me a dj fe nb df ds ae ae ae";

fn words() -> impl Iterator<Item = String> {
    TEXT.split(' ').map(String::from)
}

fn expected() -> BTreeMap<String, i64> {
    let often = [("a", 21), ("b", 6), ("ae", 4), ("c", 2), ("de", 2), ("ade", 2), ("???", 0)];
    let once = "d abd lje jdf bb B A ana pi me dj fe nb df ds".split(' ');
    let once = once.chain(["aa\na", "b\naa", "de\negf"]).map(|word| (word, 1));
    often.into_iter().chain(once).map(|(word, n)| (word.to_string(), n)).collect()
}

#[test]
fn text_has_55_words_of_which_24_are_distinct() {
    let counts = expected();
    assert_eq!((words().count(), counts.len() - 1), (55, 24));
    assert!(words().all(|word| counts.contains_key(&word)));
}

/// When a [`CountWords`] pushes.
#[derive(Clone, Copy)]
enum Pushes {
    OnAnswer,
    WithoutPull,
}

/// Pushes `once` for each word; may output "???" at the end.
struct CountWords<D> {
    once: D,
    pushes: Pushes,
    unknown: Option<&'static str>,
}

type Count = (String, i64);

impl<D: ps::Element> WorkerLogic for CountWords<D> {
    type In = String;
    type Key = String;
    type Pull = i64;
    type Push = D;
    type Out = Count;

    fn on_recv(&mut self, word: String, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match self.pushes {
            Pushes::OnAnswer => ps.pull(word),
            Pushes::WithoutPull => ps.push(word, [self.once.clone()]),
        }
    }

    fn on_pull_recv(&mut self, word: &String, _: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(word.clone(), [self.once.clone()])
    }

    fn close(&mut self, out: &mut Collector<Count>) -> Result<()> {
        self.unknown.iter().for_each(|word| out.emit((word.to_string(), 0)));
        Ok(())
    }
}

/// Keeps the largest count of each word, as the original's collector does.
fn largest(counts: impl IntoIterator<Item = Count>) -> BTreeMap<String, i64> {
    let mut largest = BTreeMap::new();
    for (word, n) in counts {
        let kept = largest.entry(word).or_insert(n);
        *kept = n.max(*kept);
    }
    largest
}

/// Counts the words with a [`SimpleServer`] that outputs every push; `update` adds a push to a count.
fn counted<D: ps::Element + Sync>(
    config: RuntimeConfig,
    (once, pushes): (D, Pushes),
    update: fn(&mut [i64], &[D]),
) -> BTreeMap<String, i64> {
    let results = run(config, move |env| {
        let worker = CountWords { once: once.clone(), pushes, unknown: Some("???") };
        let server = SimpleServer::new(zero, update).emit(Emit::EveryPush);
        let out = ps::transform(env.from_iter(words()).rebalance(), worker, server, &PsConfig::new())?;
        Ok((out.output.collect(), out.model.map(|(word, row)| (word, row[0])).collect()))
    });
    largest(results.into_iter().flat_map(|(workers, servers)| [workers, servers].concat()))
}

#[test]
fn t_fps_07_words_are_counted_with_equal_types_for_pulls_and_pushes() {
    everywhere(
        test_path!(t_fps_07_words_are_counted_with_equal_types_for_pulls_and_pushes),
        |config| counted(config, (1, Pushes::OnAnswer), add),
        |counts, shape| assert_eq!(counts, expected(), "{shape}"),
    );
}

fn add_if(row: &mut [i64], seen: &[bool]) {
    row[0] += i64::from(seen[0]);
}

#[test]
fn t_fps_08_words_are_counted_with_pushes_of_another_type() {
    everywhere(
        test_path!(t_fps_08_words_are_counted_with_pushes_of_another_type),
        |config| counted(config, (true, Pushes::OnAnswer), add_if),
        |counts, shape| assert_eq!(counts, expected(), "{shape}"),
    );
}

#[test]
fn t_fps_08_push_to_a_word_that_was_never_pulled_is_not_lost() {
    everywhere(
        test_path!(t_fps_08_push_to_a_word_that_was_never_pulled_is_not_lost),
        |config| counted(config, (true, Pushes::WithoutPull), add_if),
        |counts, shape| assert_eq!(counts, expected(), "{shape}"),
    );
}

/// Counts a word when it is pulled and outputs the count when it is pushed.
#[derive(Default)]
struct CountOnPull {
    counts: BTreeMap<String, i64>,
}

impl ServerLogic for CountOnPull {
    type Key = String;
    type Pull = i64;
    type Push = bool;
    type Out = Count;

    fn on_pull(
        &mut self,
        word: &String,
        _worker: usize,
        answer: &mut Vec<i64>,
        _ps: &mut ps::ParameterServer<String, i64, Count>,
    ) -> Result<()> {
        let count = self.counts.entry(word.clone()).or_default();
        *count += 1;
        answer.push(*count);
        Ok(())
    }

    fn on_push(
        &mut self,
        word: &String,
        _delta: &[bool],
        ps: &mut ps::ParameterServer<String, i64, Count>,
    ) -> Result<()> {
        ps.output((word.clone(), self.counts[word]));
        Ok(())
    }

    fn on_load(&mut self, word: &String, value: &[i64]) -> Result<()> {
        self.counts.insert(word.clone(), value[0]);
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<Count>) -> Result<()> {
        out.emit(("???".to_string(), 0));
        Ok(())
    }
}

#[test]
fn t_fps_09_words_are_counted_by_a_server_logic_of_the_user() {
    everywhere(
        test_path!(t_fps_09_words_are_counted_by_a_server_logic_of_the_user),
        |config| {
            run(config, |env| {
                let words = env.from_iter(words()).rebalance();
                let worker = CountWords { once: true, pushes: Pushes::OnAnswer, unknown: None };
                Ok(ps::transform(words, worker, CountOnPull::default(), &PsConfig::new())?.model.collect())
            })
        },
        |counts, shape| assert_eq!(largest(counts.concat()), expected(), "{shape}"),
    );
}

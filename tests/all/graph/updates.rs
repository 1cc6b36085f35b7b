//! After every batch, the answer is that of a computation from scratch.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use waterwheel::ml::graph::{
    PageRankParams, Score, TotalScore, connected_components, k_core, page_rank, shortest_paths,
};
use waterwheel::prelude::*;

use super::history::{self, Batch, length};
use super::naive::{self, Edge};
use super::{all, as_of_each};
use crate::cluster::{everywhere, test_path};

const SOURCES: [u32; 2] = [0, 7];
const K: u64 = 3;

/// The number of a history, and a change of an answer to it.
type Of<D> = (usize, Change<D>);

/// The changes of all answers to all histories.
#[derive(Default)]
struct Answers {
    components: Vec<Of<Edge>>,
    distances: Vec<Of<(u32, u64)>>,
    cores: Vec<Of<u32>>,
    scores: Vec<Of<(u32, Score)>>,
    totals: Vec<Of<TotalScore>>,
}

/// The changes of an answer, with those to other histories.
fn with<'s, D: Record>(
    others: Option<DataStream<'s, Of<D>, BatchClock>>,
    number: usize,
    changes: DataStream<'s, Change<D>, BatchClock>,
) -> Option<DataStream<'s, Of<D>, BatchClock>> {
    let numbered = changes.map(move |change| (number, change));
    Some(match others {
        Some(others) => others.union(numbered),
        None => numbered,
    })
}

/// Answers to all of `histories`, in one dataflow.
fn answers(config: RuntimeConfig, histories: &[Vec<Batch>]) -> Answers {
    let histories = histories.to_vec();
    let values = execute(config, move |env| {
        let (mut components, mut distances, mut cores, mut scores, mut totals) =
            (None, None, None, None, None);
        for (number, history) in histories.iter().enumerate() {
            let edges = env.from_batches(history.clone()).into_collection();
            let sources = env.enter_batches(env.from_iter(SOURCES.map(|node| (node, 1)))).into_collection();
            let weighted = edges.clone().map(|(a, b)| (a, b, length((a, b))));
            components = with(components, number, connected_components(edges.clone()).changes());
            distances = with(distances, number, shortest_paths(weighted, sources).changes());
            cores = with(cores, number, k_core(edges.clone(), K).changes());
            let ranks = page_rank(edges, PageRankParams::new())?;
            scores = with(scores, number, ranks.scores.changes());
            totals = with(totals, number, ranks.total.changes());
        }
        let graphs = (components.unwrap().collect(), distances.unwrap().collect(), cores.unwrap().collect());
        Ok((graphs, (scores.unwrap().collect(), totals.unwrap().collect())))
    })
    .unwrap();
    let mut found = Answers::default();
    for ((components, distances, cores), (scores, totals)) in values {
        found.components.extend(components);
        found.distances.extend(distances);
        found.cores.extend(cores);
        found.scores.extend(scores);
        found.totals.extend(totals);
    }
    found
}

/// What the changes to one history sum up to, batch by batch.
fn sums<D: Ord + Clone + std::fmt::Debug>(
    found: &[Of<D>],
    number: usize,
    n: usize,
    context: &str,
) -> Vec<Vec<D>> {
    let changes: Vec<Change<D>> =
        found.iter().filter(|(of, _)| *of == number).map(|(_, change)| change.clone()).collect();
    as_of_each(&changes, n, context)
}

/// Compares all answers after every batch with those from scratch.
fn check(found: &Answers, histories: &[Vec<Batch>], shape: &str) {
    for (number, history) in histories.iter().enumerate() {
        let (n, context) = (history.len(), format!("{shape}, history {number}"));
        let components = sums(&found.components, number, n, &context);
        let distances = sums(&found.distances, number, n, &context);
        let cores = sums(&found.cores, number, n, &context);
        let scores = sums(&found.scores, number, n, &context);
        let totals = sums(&found.totals, number, n, &context);
        for (batch, edges) in history::as_of_each(history).into_iter().enumerate() {
            let context = format!("{context}, batch {batch}");
            assert_eq!(components[batch], naive::components(&edges), "{context}");
            let weighted: Vec<_> = edges.iter().map(|(a, b)| (*a, *b, length((*a, *b)))).collect();
            assert_eq!(distances[batch], naive::distances(&weighted, &SOURCES), "{context}");
            assert_eq!(cores[batch], naive::core(&edges, K as usize), "{context}");
            check_ranks(&scores[batch], &totals[batch], &naive::page_rank(&edges, 0.85), &context);
        }
    }
}

fn check_ranks(scores: &[(u32, Score)], totals: &[TotalScore], expected: &[(u32, f64)], context: &str) {
    assert_eq!(scores.len(), expected.len(), "{context}");
    for ((node, score), (expected_node, expected)) in scores.iter().zip(expected) {
        let rank = score.rank(&totals[0]);
        assert!(
            node == expected_node && (rank - expected).abs() < 1e-10,
            "{context}: {node} {rank} {expected}"
        );
    }
}

#[test]
fn answers_after_every_batch_are_those_from_scratch_on_every_cluster_shape() {
    let sizes = [(1, 6), (2, 15), (3, 15), (4, 40), (5, 90)];
    let histories: Vec<_> = sizes.iter().map(|(seed, nodes)| history::random(*seed, *nodes, 25)).collect();
    everywhere(
        test_path!(answers_after_every_batch_are_those_from_scratch_on_every_cluster_shape),
        |config| answers(config, &histories),
        |found, shape| check(&found, &histories, shape),
    );
}

/// Whole numbers and rounds that do not overlap: no run differs from another by a bit.
#[test]
fn scores_are_the_same_bits_on_any_number_of_workers() {
    let histories = [history::random(11, 60, 12)];
    let bits = |workers| {
        let mut scores = answers(RuntimeConfig::threads(workers), &histories).scores;
        scores.sort_unstable();
        scores
    };
    let of_one = bits(1);
    assert!(!of_one.is_empty());
    assert_eq!(of_one, bits(2));
    assert_eq!(of_one, bits(4));
}

#[test]
fn answers_to_random_histories_are_those_from_scratch() {
    let mut runner = TestRunner::new(Config::with_cases(12));
    let edge = (0..9u32, 0..9u32);
    let changes = proptest::collection::vec((edge, any::<bool>()), 0..12);
    let cases = (proptest::collection::vec(changes, 1..10), 1..3usize);
    runner
        .run(&cases, |(wished, workers)| {
            let histories = [only_of_what_is_there(wished)];
            check(&answers(RuntimeConfig::threads(workers), &histories), &histories, "threads");
            Ok(())
        })
        .unwrap();
}

/// The history without deletions of edges that are not there.
fn only_of_what_is_there(wished: Vec<Vec<(Edge, bool)>>) -> Vec<Batch> {
    let mut there = std::collections::BTreeMap::<Edge, i64>::new();
    let mut allowed = |(edge, comes): (Edge, bool)| {
        let n = there.entry(edge).or_default();
        let diff = if comes { 1 } else { -1 };
        let is_possible = *n + diff >= 0;
        *n += if is_possible { diff } else { 0 };
        is_possible.then_some((edge, diff))
    };
    wished.into_iter().map(|batch| batch.into_iter().filter_map(&mut allowed).collect()).collect()
}

#[test]
fn tolerance_bounds_how_far_a_rank_may_be_off() {
    let history = history::random(21, 50, 20);
    let edges = history::as_of_each(&history);
    let (n, tolerance) = (history.len(), 1e-4);
    let values = execute(RuntimeConfig::threads(2), move |env| {
        let edges = env.from_batches(history.clone()).into_collection();
        let ranks = page_rank(edges, PageRankParams::new().tolerance(tolerance).damping(0.5))?;
        Ok((ranks.scores.changes().collect(), ranks.total.changes().collect()))
    });
    let (scores, totals): (Vec<_>, Vec<_>) = values.unwrap().into_iter().unzip();
    let (scores, totals) = (as_of_each(&all(scores), n, "scores"), as_of_each(&all(totals), n, "totals"));
    for batch in 0..n {
        let expected = naive::page_rank(&edges[batch], 0.5);
        for ((_, score), (_, expected)) in scores[batch].iter().zip(expected) {
            // Each of the nodes holds back at most the tolerance; the sum of all that is lost is twice that.
            assert!((score.rank(&totals[batch][0]) - expected).abs() < 2.0 * tolerance, "batch {batch}");
        }
    }
}

#[test]
fn parameters_out_of_range_are_refused_by_name() {
    for (params, named) in [
        (PageRankParams::new().damping(1.0), "damping is 1;"),
        (PageRankParams::new().damping(f64::NAN), "damping is NaN;"),
        (PageRankParams::new().tolerance(-1.0), "tolerance is -1;"),
    ] {
        let error = execute(RuntimeConfig::threads(1), move |env| {
            page_rank(env.from_batches([[((1u32, 2u32), 1)]]).into_collection(), params)?;
            Ok(())
        });
        let error = error.unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.message().starts_with(named), "{error}");
    }
}

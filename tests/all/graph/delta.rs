//! `iterate_delta` by itself: Flink's canonical example, rounds, and the rule for deltas.

use waterwheel::prelude::*;

use super::history::{self, Batch};
use super::naive::{self, Edge};
use super::{all, as_of_each};
use crate::cluster::{everywhere, test_path};

/// Connected components as Flink's documentation writes them: workset of changed labels, solution set of labels.
fn labels<'s>(edges: Collection<'s, Edge>, max_rounds: Round) -> Collection<'s, Edge> {
    let edges = edges.flat_map(|(a, b)| [(a, b), (b, a)]);
    let nodes = edges.clone().map(|(node, _)| node).distinct().map(|node| (node, node));
    Iterations::iterate_delta(nodes.clone(), nodes, max_rounds, |scope, labels, changed| {
        let sent = changed.join_map(scope.enter(edges), |_from, label, to| (*to, *label));
        let least = sent.reduce(|_node, labels, out| out.push((*labels[0].0, 1)));
        let both = least.join_map(labels, |node, new, old| (*node, (*new, *old)));
        let better = both.filter(|(_, (new, old))| new < old).map(|(node, (new, _))| (node, new));
        DeltaStep { delta: better.clone(), workset: better }
    })
}

fn run(config: RuntimeConfig, history: &[Batch], max_rounds: Round) -> Vec<Change<Edge>> {
    let history = history.to_vec();
    let job = move |env: &Env<'_>| {
        let edges = env.from_batches(history.clone()).into_collection();
        Ok(labels(edges, max_rounds).changes().collect())
    };
    all(execute(config, job).unwrap())
}

#[test]
fn solution_set_after_every_batch_is_that_of_a_run_from_scratch() {
    let history = history::random(31, 30, 30);
    let path = test_path!(solution_set_after_every_batch_is_that_of_a_run_from_scratch);
    everywhere(
        path,
        |config| run(config, &history, Round::MAX),
        |changes, shape| {
            let found = as_of_each(&changes, history.len(), shape);
            for (batch, edges) in history::as_of_each(&history).iter().enumerate() {
                assert_eq!(found[batch], naive::components(edges), "{shape}, batch {batch}");
            }
        },
    );
}

/// On a path with the least node at one end, the label moves by one node a round.
#[test]
fn iteration_ends_after_max_rounds_with_what_these_have_reached() {
    let path: Batch = (0..9).map(|node| ((node, node + 1), 1)).collect();
    for rounds in [0, 1, 2, 5, 9, 20] {
        let found =
            as_of_each(&run(RuntimeConfig::threads(2), std::slice::from_ref(&path), rounds), 1, "path");
        let expected: Vec<Edge> = (0..10u32).map(|node| (node, node.saturating_sub(rounds as u32))).collect();
        assert_eq!(found[0], expected, "{rounds} rounds");
    }
}

#[test]
fn bulk_iteration_ends_after_max_rounds_too() {
    for rounds in [0, 1, 3, 7] {
        let values = execute(RuntimeConfig::threads(2), move |env| {
            let numbers = env.from_batches([vec![(100u64, 1)], vec![(200, 1)]]).into_collection();
            let next = numbers.iterate_at_most(rounds, |_scope, numbers| numbers.map(|x| (x + 1).min(205)));
            Ok(next.changes().collect())
        });
        let found = as_of_each(&all(values.unwrap()), 2, "bulk");
        assert_eq!(found[1], [100 + rounds, (200 + rounds).min(205)], "{rounds} rounds");
    }
}

/// Of several deltas for one key the least counts; a key without a record gets one; others keep theirs.
#[test]
fn delta_replaces_the_record_of_its_key_and_adds_new_keys() {
    let values = execute(RuntimeConfig::threads(2), |env| {
        let solution = env.from_batches([vec![((1u32, 50u32), 1), ((2, 60), 1)]]).into_collection();
        let work = env.from_batches([vec![((1u32, 8u32), 1), ((1, 7), 1), ((3, 9), 1)]]).into_collection();
        let done = Iterations::iterate_delta(solution, work, Round::MAX, |_scope, _solution, work| {
            let nothing = work.clone().filter(|_| false);
            DeltaStep { delta: work, workset: nothing }
        });
        Ok(done.changes().collect())
    });
    assert_eq!(as_of_each(&all(values.unwrap()), 1, "deltas")[0], [(1, 7), (2, 60), (3, 9)]);
}

/// A body without any operator that consolidates would send a record and its opposite round for ever.
#[test]
fn loop_whose_changes_cancel_ends_though_its_body_does_not_consolidate() {
    let values = execute(RuntimeConfig::threads(2), |env| {
        let numbers = env.from_batches([vec![(5u32, 1)], vec![(5, -1), (9, 1)]]).into_collection();
        let ends = numbers.iterate(|_scope, numbers| {
            numbers.clone().map(|x| x / 2).concat(numbers.clone()).concat(numbers.negate())
        });
        Ok(ends.changes().collect())
    });
    assert_eq!(as_of_each(&all(values.unwrap()), 2, "halves"), [[0], [0]]);
}

//! Real graphs against answers of independent programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use waterwheel::ml::graph::{PageRankParams, connected_components, k_core, page_rank, shortest_paths};
use waterwheel::prelude::*;

use super::naive::{Edge, both_ways};
use super::{all, as_of_each};
use crate::cluster::{everywhere, test_path};
use crate::reference_data::reference_data;

/// The lines of a text file, or of one in gzip.
fn lines(path: &Path) -> Vec<String> {
    let text = if path.extension().is_some_and(|extension| extension == "gz") {
        let gzip = std::process::Command::new("gzip").arg("-dc").arg(path).output().unwrap();
        assert!(gzip.status.success());
        String::from_utf8(gzip.stdout).unwrap()
    } else {
        std::fs::read_to_string(path).unwrap()
    };
    text.lines().filter(|line| !line.starts_with('#')).map(String::from).collect()
}

fn edge_list(path: &Path) -> Vec<Edge> {
    let edge = |line: String| {
        let mut nodes = line.split_whitespace().map(|node| node.parse().unwrap());
        (nodes.next().unwrap(), nodes.next().unwrap())
    };
    lines(path).into_iter().map(edge).collect()
}

/// METIS: line *i* lists the neighbours of node *i*, from 1; every edge twice.
fn metis(path: &Path) -> Vec<Edge> {
    let of_node = |(node, line): (usize, String)| {
        let neighbours = line.split_whitespace().map(|node| node.parse::<u32>().unwrap() - 1);
        neighbours.map(move |neighbour| (node as u32, neighbour)).collect::<Vec<_>>()
    };
    let both_ways = lines(path).into_iter().skip(1).enumerate().flat_map(of_node);
    both_ways.filter(|(a, b)| a < b).collect()
}

/// Routes with their counts; airports are numbered in the order of their codes.
fn airports(path: &Path) -> (Vec<String>, Vec<(u32, u32, u64)>) {
    let rows: Vec<Vec<String>> =
        lines(path).into_iter().skip(1).map(|line| line.split(',').map(String::from).collect()).collect();
    let mut codes: Vec<String> = rows.iter().flat_map(|row| row[..2].to_vec()).collect();
    codes.sort();
    codes.dedup();
    let number = |code: &String| codes.binary_search(code).unwrap() as u32;
    let routes = rows.iter().map(|row| (number(&row[0]), number(&row[1]), row[2].parse().unwrap())).collect();
    (codes, routes)
}

fn ranks_in(path: &Path) -> Vec<(u32, f64)> {
    let rank = |line: String| {
        let (node, rank) = line.split_once('\t').unwrap();
        (node.parse().unwrap(), rank.parse().unwrap())
    };
    lines(path).into_iter().map(rank).collect()
}

/// All PageRanks; `half` of the edges come in a first batch, so that the second one is an update.
fn ranks(config: RuntimeConfig, edges: &Arc<Vec<Edge>>) -> Vec<(u32, f64)> {
    let edges = Arc::clone(edges);
    let values = execute(config, move |env| {
        let half = edges.len() / 2;
        let batches = [edges[..half].to_vec(), edges[half..].to_vec()];
        let batches = batches.map(|edges| edges.into_iter().map(|edge| (edge, 1)));
        let ranks = page_rank(env.from_batches(batches).into_collection(), PageRankParams::new())?;
        Ok((ranks.scores.changes().collect(), ranks.total.changes().collect()))
    });
    let (scores, totals): (Vec<_>, Vec<_>) = values.unwrap().into_iter().unzip();
    let (scores, totals) = (as_of_each(&all(scores), 2, "scores"), as_of_each(&all(totals), 2, "totals"));
    // A process without worker 0 has gathered nothing.
    scores[1].iter().map(|(node, score)| (*node, score.rank(&totals[1][0]))).collect()
}

fn check_ranks(found: &[(u32, f64)], expected: &[(u32, f64)], context: &str) {
    assert_eq!(found.len(), expected.len(), "{context}");
    let worst = found.iter().zip(expected).map(|((node, rank), (expected_node, expected))| {
        assert_eq!(node, expected_node, "{context}");
        (rank - expected).abs()
    });
    let worst = worst.fold(0.0, f64::max);
    println!("{context}: {} nodes, worst difference {worst:.1e}", found.len());
    assert!(worst < 1e-10, "{context}: {worst:e}");
}

/// Size of the components of a graph, largest first.
fn component_sizes(edges: &Arc<Vec<Edge>>) -> Vec<usize> {
    let edges = Arc::clone(edges);
    let values = execute(RuntimeConfig::threads(2), move |env| {
        let edges = env.from_batches([Vec::clone(&edges).into_iter().map(|edge| (edge, 1))]);
        Ok(connected_components(edges.into_collection()).changes().collect())
    });
    let labels = as_of_each(&all(values.unwrap()), 1, "components").swap_remove(0);
    let mut sizes = BTreeMap::<u32, usize>::new();
    labels.into_iter().for_each(|(_, label)| *sizes.entry(label).or_default() += 1);
    let mut sizes: Vec<usize> = sizes.into_values().collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(*size));
    sizes
}

fn core_size(edges: &Arc<Vec<Edge>>, k: u64) -> usize {
    let edges = Arc::clone(edges);
    let values = execute(RuntimeConfig::threads(2), move |env| {
        let edges = env.from_batches([Vec::clone(&edges).into_iter().map(|edge| (edge, 1))]);
        Ok(k_core(edges.into_collection(), k).changes().collect())
    });
    as_of_each(&all(values.unwrap()), 1, "core")[0].len()
}

/// Zachary's karate club, with the ranks of an independent program, is in the repository.
#[test]
fn pagerank_and_core_of_the_karate_club_are_those_of_the_reference_on_every_cluster_shape() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/graph/data");
    let edges = edge_list(&data.join("karate.edges"));
    let expected = ranks_in(&data.join("karate.pagerank"));
    let directed = Arc::new(both_ways(&edges));
    everywhere(
        test_path!(pagerank_and_core_of_the_karate_club_are_those_of_the_reference_on_every_cluster_shape),
        |config| ranks(config, &directed),
        |found, shape| check_ranks(&found, &expected, &format!("karate, {shape}")),
    );
    if started_as().is_none() {
        let edges = Arc::new(edges);
        assert_eq!(component_sizes(&edges), [34]);
        assert_eq!([4, 5].map(|k| core_size(&edges, k)), [10, 0]);
    }
}

/// The airports of the United States and the flights between them, with the answers of independent programs.
#[test]
fn answers_about_the_airports_are_those_of_the_reference_on_every_cluster_shape() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/graph/data");
    let (codes, routes) = airports(&data.join("flights-airport.csv"));
    let expected = ranks_in(&data.join("airports.pagerank"));
    let edges = Arc::new(routes.iter().map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>());
    let atlanta = codes.binary_search(&"ATL".to_string()).unwrap() as u32;
    everywhere(
        test_path!(answers_about_the_airports_are_those_of_the_reference_on_every_cluster_shape),
        |config| ranks(config, &edges),
        |found, shape| check_ranks(&found, &expected, &format!("airports, {shape}")),
    );
    if started_as().is_none() {
        assert_eq!(component_sizes(&edges), [305]);
        assert_eq!([31, 32].map(|k| core_size(&edges, k)), [43, 0]);
        let distances = distances(routes, atlanta);
        assert_eq!(distances.len(), 304);
        assert_eq!((distances.iter().sum::<u64>(), distances.iter().max()), (82_474, Some(&2_077)));
    }
}

/// How far every node that can be reached is from `source`.
fn distances(routes: Vec<(u32, u32, u64)>, source: u32) -> Vec<u64> {
    let values = execute(RuntimeConfig::threads(2), move |env| {
        let routes = env.from_batches([routes.clone().into_iter().map(|route| (route, 1))]).into_collection();
        let source = env.enter_batches(env.from_iter([(source, 1)])).into_collection();
        Ok(shortest_paths(routes, source).changes().collect())
    });
    let distances = as_of_each(&all(values.unwrap()), 1, "airports").swap_remove(0);
    distances.into_iter().map(|(_, distance)| distance).collect()
}

/// A graph of the reference data: its name there, its edges, and whether they have a direction.
struct Graph {
    name: &'static str,
    ranks: &'static str,
    edges: Vec<Edge>,
    directed: bool,
}

fn graphs(data: &Path) -> Vec<Graph> {
    let graph = |name, ranks, edges, directed| Graph { name, ranks, edges, directed };
    let facebook = edge_list(&data.join("ego-facebook/facebook_combined.txt"));
    let power = metis(&data.join("networkit-graphs/power.graph"));
    let hypernyms = edge_list(&data.join("wordnet-graph/hypernyms.edges"));
    let pointers = edge_list(&data.join("wordnet-graph/pointers.edges"));
    vec![
        graph("ego_facebook", "ego_facebook.tsv", facebook, false),
        graph("power", "power.tsv", power, false),
        graph("wordnet_hypernyms", "wordnet_hypernyms.tsv.gz", hypernyms, true),
        graph("wordnet_pointers", "wordnet_pointers.tsv.gz", pointers, true),
    ]
}

#[test]
fn pagerank_of_real_graphs_is_that_of_the_reference_to_1e_10() {
    let Some(data) = reference_data("reference/graphs.json") else {
        println!("skipped: no reference data (WATERWHEEL_REFERENCE_DATA)");
        return;
    };
    for Graph { name, ranks: file, edges, directed } in graphs(&data) {
        let expected = ranks_in(&data.join("reference").join(format!("pagerank_{file}")));
        let edges = Arc::new(if directed { edges } else { both_ways(&edges) });
        check_ranks(&ranks(RuntimeConfig::threads(2), &edges), &expected, name);
    }
}

#[test]
fn components_and_cores_of_real_graphs_are_those_of_the_reference() {
    let Some(data) = reference_data("reference/graphs.json") else {
        println!("skipped: no reference data (WATERWHEEL_REFERENCE_DATA)");
        return;
    };
    let json = std::fs::read_to_string(data.join("reference/graphs.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for Graph { name, edges, .. } in graphs(&data) {
        let (expected, edges) = (&json[name], Arc::new(edges));
        let sizes = component_sizes(&edges);
        assert_eq!(expected["wcc"]["count"], sizes.len(), "{name}");
        let largest = Vec::from_iter(sizes.into_iter().take(10));
        assert_eq!(expected["wcc"]["sizes_top10"], serde_json::json!(largest), "{name}");
        let k = expected["max_core"].as_u64().unwrap();
        assert_eq!(expected["nodes_in_max_core"], core_size(&edges, k), "{name}");
        assert_eq!(core_size(&edges, k + 1), 0, "{name}");
    }
}

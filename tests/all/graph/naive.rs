//! The same answers from scratch, by textbook algorithms on arrays and maps.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

pub(crate) type Edge = (u32, u32);

/// Every node with an edge and the least node of its component: union-find.
pub(crate) fn components(edges: &[Edge]) -> Vec<Edge> {
    fn root(parents: &mut BTreeMap<u32, u32>, node: u32) -> u32 {
        let parent = *parents.entry(node).or_insert(node);
        if parent == node {
            return node;
        }
        let root = root(parents, parent);
        parents.insert(node, root);
        root
    }
    let mut parents = BTreeMap::new();
    for (a, b) in edges {
        let (a, b) = (root(&mut parents, *a), root(&mut parents, *b));
        parents.insert(a.max(b), a.min(b));
    }
    let nodes: Vec<u32> = parents.keys().copied().collect();
    nodes.into_iter().map(|node| (node, root(&mut parents, node))).collect()
}

/// Distances from the nearest source: Dijkstra.
pub(crate) fn distances(edges: &[(u32, u32, u64)], sources: &[u32]) -> Vec<(u32, u64)> {
    let mut out_edges: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
    for (from, to, length) in edges {
        out_edges.entry(*from).or_default().push((*to, *length));
    }
    let mut queue: BinaryHeap<_> = sources.iter().map(|source| std::cmp::Reverse((0, *source))).collect();
    let mut distances = BTreeMap::new();
    while let Some(std::cmp::Reverse((distance, node))) = queue.pop() {
        if distances.contains_key(&node) {
            continue;
        }
        distances.insert(node, distance);
        for (to, length) in out_edges.get(&node).into_iter().flatten() {
            queue.push(std::cmp::Reverse((distance + length, *to)));
        }
    }
    distances.into_iter().collect()
}

/// Nodes of the k-core: one node with too few neighbours after the other.
pub(crate) fn core(edges: &[Edge], k: usize) -> Vec<u32> {
    let mut neighbours: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (a, b) in edges.iter().filter(|(a, b)| a != b) {
        neighbours.entry(*a).or_default().insert(*b);
        neighbours.entry(*b).or_default().insert(*a);
    }
    while let Some(node) = neighbours.iter().find(|(_, around)| around.len() < k).map(|(node, _)| *node) {
        for around in neighbours.remove(&node).into_iter().flatten() {
            if let Some(around) = neighbours.get_mut(&around) {
                around.remove(&node);
            }
        }
    }
    neighbours.into_keys().collect()
}

/// PageRank of every node with an edge: power iteration until nothing moves by more than 1e-15.
pub(crate) fn page_rank(edges: &[Edge], damping: f64) -> Vec<(u32, f64)> {
    let edges: BTreeSet<Edge> = edges.iter().copied().collect();
    let nodes: BTreeSet<u32> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let index: BTreeMap<u32, usize> = nodes.iter().enumerate().map(|(i, node)| (*node, i)).collect();
    let n = nodes.len();
    let mut out_degree = vec![0.0; n];
    edges.iter().for_each(|(from, _)| out_degree[index[from]] += 1.0);
    let mut ranks = vec![1.0 / n as f64; n];
    for _ in 0..2000 {
        let dangling: f64 = (0..n).filter(|i| out_degree[*i] == 0.0).map(|i| ranks[i]).sum();
        let mut next = vec![(1.0 - damping + damping * dangling) / n as f64; n];
        for (from, to) in &edges {
            next[index[to]] += damping * ranks[index[from]] / out_degree[index[from]];
        }
        let moved: f64 = ranks.iter().zip(&next).map(|(a, b)| (a - b).abs()).sum();
        ranks = next;
        if moved < 1e-15 {
            break;
        }
    }
    nodes.into_iter().zip(ranks).collect()
}

/// Both directions of each edge.
pub(crate) fn both_ways(edges: &[Edge]) -> Vec<Edge> {
    edges.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect()
}

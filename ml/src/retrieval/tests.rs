//! Every strategy against a scan of all vectors.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ALL: [Pruning; 8] = [
    Pruning::Length,
    Pruning::Coord,
    Pruning::Incr(1),
    Pruning::Incr(2),
    Pruning::Incr(100),
    Pruning::Lc(1.2),
    Pruning::Li(2, 1.2),
    Pruning::Li(3, 2.5),
];

/// The product as it is defined, and no faster.
fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

fn by_scan(vectors: &BTreeMap<u64, Vec<f32>>, query: &[f32], k: usize) -> Vec<Scored> {
    let score = |(item, vector): (&u64, &Vec<f32>)| Scored { item: *item, score: product(vector, query) };
    let mut all: Vec<_> = vectors.iter().map(score).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
    all.truncate(k);
    all
}

fn check(index: &InnerProductIndex, vectors: &BTreeMap<u64, Vec<f32>>, query: &[f32], k: usize) {
    let expected = by_scan(vectors, query, k);
    for pruning in ALL {
        let found = index.top_k(query, k, pruning, |_| false).unwrap();
        assert_eq!(found.best, expected, "{pruning}, k {k}, query {query:?}");
        assert!(found.kept <= found.scored && found.scored <= vectors.len());
    }
}

/// Coordinates of every kind: many equal ones, zeros of both signs, tiny and huge ones.
fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -1.0f32..1.0,
        4 => (-2i8..3).prop_map(f32::from),
        1 => Just(-0.0f32),
        1 => (-1.0f32..1.0).prop_map(|x| x * 1e-20),
        1 => (-1.0f32..1.0).prop_map(|x| x * 1e-40),
        1 => (-1.0f32..1.0).prop_map(|x| x * 1e16),
    ]
}

/// Vectors that are any, all of one length, all tiny, or multiples of each other.
fn vector(dim: usize) -> impl Strategy<Value = Vec<f32>> {
    let smooth = || prop::collection::vec(-1.0f32..1.0, dim);
    prop_oneof![
        3 => prop::collection::vec(coordinate(), dim),
        3 => smooth(),
        2 => (smooth(), -20i32..15).prop_map(|(v, e)| v.iter().map(|x| x * 10f32.powi(e)).collect()),
        2 => smooth().prop_map(|v| {
            let length = product(&v, &v).sqrt().max(1e-3);
            v.iter().map(|x| x / length).collect()
        }),
        1 => (-1.0f32..1.0).prop_map(move |x| vec![x; dim]),
    ]
}

/// Insert (or update), or remove.
fn change(dim: usize) -> impl Strategy<Value = (u64, Option<Vec<f32>>)> {
    (0u64..120, prop_oneof![4 => vector(dim).prop_map(Some), 1 => Just(None)])
}

#[derive(Debug)]
struct Case {
    dim: usize,
    changes: Vec<(u64, Option<Vec<f32>>)>,
    queries: Vec<Vec<f32>>,
    k: usize,
}

fn case() -> impl Strategy<Value = Case> {
    (1usize..12).prop_flat_map(|dim| {
        let changes = prop::collection::vec(change(dim), 0..300);
        let queries = prop::collection::vec(vector(dim), 1..4);
        (changes, queries, 0usize..40).prop_map(move |(changes, queries, k)| Case {
            dim,
            changes,
            queries,
            k,
        })
    })
}

fn apply(
    index: &mut InnerProductIndex,
    vectors: &mut BTreeMap<u64, Vec<f32>>,
    (id, vector): (u64, Option<Vec<f32>>),
) {
    match vector {
        Some(vector) => {
            assert_eq!(index.insert(id, &vector).unwrap(), !vectors.contains_key(&id));
            vectors.insert(id, vector);
        }
        None => assert_eq!(index.remove(id), vectors.remove(&id).is_some()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// T-NEW-01, under inserts, updates and removals.
    #[test]
    fn t_new_01_every_strategy_equals_a_scan_for_any_vectors(case in case()) {
        let mut index = InnerProductIndex::with_bucket_size(case.dim, 16).unwrap();
        let mut vectors = BTreeMap::new();
        for (at, change) in case.changes.into_iter().enumerate() {
            apply(&mut index, &mut vectors, change);
            if at % 60 == 59 {
                check(&index, &vectors, &case.queries[0], case.k);
            }
        }
        prop_assert_eq!(index.len(), vectors.len());
        for (id, vector) in &vectors {
            prop_assert_eq!(index.get(*id), Some(vector.clone()));
        }
        for query in &case.queries {
            check(&index, &vectors, query, case.k);
            check(&index, &vectors, query, vectors.len() + 7);
        }
        let batch = index.top_k_batch(&case.queries.concat(), case.k, Pruning::default(), |_, _| false).unwrap();
        prop_assert_eq!(batch.len(), case.queries.len());
        for (found, query) in batch.iter().zip(&case.queries) {
            prop_assert_eq!(&found.best, &by_scan(&vectors, query, case.k));
        }
    }
}

/// A larger index with buckets of 256. Numbers as of `generate`.
fn random(n: u64, dim: usize, scale: impl Fn(u64) -> f32) -> (InnerProductIndex, BTreeMap<u64, Vec<f32>>) {
    let mut index = InnerProductIndex::with_bucket_size(dim, 256).unwrap();
    let mut vectors = BTreeMap::new();
    for id in 0..n {
        let vector = normal(id, dim).iter().map(|x| x * scale(id)).collect();
        apply(&mut index, &mut vectors, (id, Some(vector)));
    }
    (index, vectors)
}

/// About normal: the sum of four uniform numbers.
fn normal(seed: u64, dim: usize) -> Vec<f32> {
    let unit = |n| crate::generate::unit(seed, n) - 0.5;
    (0..dim as u64).map(|f| (0..4).map(|i| unit(4 * f + i)).sum::<f64>() as f32).collect()
}

#[test]
fn t_new_01_small_vectors_lose_nothing_and_most_are_not_scored() {
    // Lengths as in the survey: log-normal, then 100 times smaller.
    for scale in [1.0, 0.01] {
        let length = |id: u64| (f64::from(normal(!id, 1)[0]) * 1.7).exp() as f32 * scale;
        let (index, vectors) = random(5_000, 10, length);
        let mut kept = [0; ALL.len()];
        for query in 0..20 {
            let query: Vec<f32> = normal(1 << 40 | query, 10).iter().map(|x| x * scale).collect();
            check(&index, &vectors, &query, 100);
            for (kept, pruning) in kept.iter_mut().zip(ALL) {
                *kept += index.top_k(&query, 100, pruning, |_| false).unwrap().kept;
            }
        }
        let share = kept.map(|kept| kept as f64 / (20.0 * 5_000.0));
        let [length, coord, _, incr2, incr_all, ..] = share;
        assert!(length < 0.6 && coord < length && incr2 < coord && incr_all < 0.08, "{share:?}");
    }
}

/// T-NEW-02: the squared length is below the threshold, the length is not.
#[test]
fn t_new_02_length_strategy_keeps_a_vector_whose_squared_length_is_too_small() {
    let mut index = InnerProductIndex::new(2).unwrap();
    index.insert(1, &[0.5, 2.0]).unwrap();
    index.insert(2, &[0.6, 0.0]).unwrap();
    for pruning in ALL {
        let found = index.top_k(&[1.0, 0.0], 1, pruning, |_| false).unwrap();
        assert_eq!(found.best, [Scored { item: 2, score: 0.6 }], "{pruning}");
    }
}

/// The vector in question comes in a bucket of its own, when the threshold is at its best.
#[test]
fn t_new_02_holds_in_a_later_bucket() {
    let mut index = InnerProductIndex::with_bucket_size(2, 16).unwrap();
    (0..16).for_each(|id| assert!(index.insert(id, &[0.5, 2.0 + id as f32]).unwrap()));
    (16..40).for_each(|id| assert!(index.insert(id, &[0.6, 0.0]).unwrap()));
    for pruning in ALL {
        let found = index.top_k(&[1.0, 0.0], 1, pruning, |_| false).unwrap();
        assert_eq!(found.best, [Scored { item: 16, score: 0.6 }], "{pruning}");
    }
}

#[test]
fn batch_of_many_queries_equals_one_by_one_and_skips_by_query() {
    let (index, vectors) = random(2_000, 8, |_| 1.0);
    let queries: Vec<f32> = (0..300).flat_map(|query| normal(1 << 40 | query, 8)).collect();
    let skip = |query: usize, id: u64| (id + query as u64).is_multiple_of(3);
    let batch = index.top_k_batch(&queries, 10, Pruning::Incr(4), skip).unwrap();
    for (number, (found, query)) in batch.iter().zip(queries.chunks(8)).enumerate() {
        let mut rest = vectors.clone();
        rest.retain(|id, _| !skip(number, *id));
        assert_eq!(found.best, by_scan(&rest, query, 10));
        assert_eq!(*found, index.top_k(query, 10, Pruning::Incr(4), |id| skip(number, id)).unwrap());
    }
    assert_eq!(batch.len(), 300);
}

#[test]
fn update_of_every_vector_again_and_again_keeps_buckets_few() {
    let (mut index, mut vectors) = random(3_000, 4, |_| 1.0);
    for round in 1..6u64 {
        for id in 0..3_000 {
            let scale = 10f32.powi((round % 3) as i32 - 1);
            let vector = normal(id ^ round << 32, 4).iter().map(|x| x * scale).collect();
            apply(&mut index, &mut vectors, (id, Some(vector)));
        }
        check(&index, &vectors, &normal(round, 4), 50);
        assert!(index.in_order().count() <= 3_000 / 64 + 2, "{}", index.in_order().count());
    }
    (0..2_990).for_each(|id| apply(&mut index, &mut vectors, (id, None)));
    check(&index, &vectors, &normal(9, 4), 50);
    assert!(index.in_order().count() <= 2);
    (2_990..3_000).for_each(|id| apply(&mut index, &mut vectors, (id, None)));
    assert!(index.is_empty());
    check(&index, &vectors, &normal(9, 4), 50);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut index = InnerProductIndex::new(2).unwrap();
    index.insert(1, &[1.0, 0.0]).unwrap();
    let mut message = |vector: &[f32]| index.insert(1, vector).unwrap_err().message().to_string();
    assert_eq!(message(&[1.0]), "vector 1: found 1 coordinates, expected 2");
    assert_eq!(message(&[1.0, f32::NAN]), "vector 1: coordinate 1 is NaN, expected a finite number");
    assert_eq!(message(&[f32::INFINITY, 0.0]), "vector 1: coordinate 0 is inf, expected a finite number");
    assert!(message(&[2e18, 0.0]).ends_with("expected at most 1e18"));
    assert_eq!(index.get(1), Some(vec![1.0, 0.0]));
    let error = index.top_k(&[f32::NAN, 0.0], 1, Pruning::Length, |_| false).unwrap_err();
    assert_eq!(error.message(), "query: coordinate 0 is NaN, expected a finite number");
    let error = index.top_k_batch(&[1.0, 0.0, 1.0], 1, Pruning::Length, |_, _| false).unwrap_err();
    assert_eq!(error.message(), "query 1: found 1 coordinates, expected 2");
    assert!(index.top_k(&[1.0, 0.0], 1, Pruning::Incr(0), |_| false).is_err());
    let error = InnerProductIndex::new(0).unwrap_err();
    assert_eq!(error.message(), "index: coordinates: found 0, expected 1 to 65536");
}

//! What holds for every sketch.

use std::fmt::Debug;

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use super::*;

type Items = Vec<u16>;

fn of<S: Sketch + Clone>(empty: &S, items: &[&Items]) -> S {
    let mut sketch = empty.clone();
    items.iter().flat_map(|items| items.iter()).for_each(|item| sketch.add(&item.to_le_bytes()));
    sketch
}

fn merged<S: Sketch + Clone>(a: &S, b: &S) -> S {
    let mut both = a.clone();
    both.merge(b).unwrap();
    both
}

/// A commutative monoid, on which adding the items of a stream is a homomorphism; and its state is all there is.
fn check<S>(empty: S, other: S, [a, b, c]: [&Items; 3])
where
    S: Sketch + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let [of_a, of_b, of_c] = [a, b, c].map(|items| of(&empty, &[items]));
    assert_eq!(merged(&of_a, &of_b), merged(&of_b, &of_a));
    assert_eq!(merged(&merged(&of_a, &of_b), &of_c), merged(&of_a, &merged(&of_b, &of_c)));
    assert_eq!(merged(&of_a, &empty), of_a);
    assert_eq!(merged(&of_a, &of_b), of(&empty, &[a, b]));
    assert_eq!(of(&empty, &[a, b, c]), of(&empty, &[c, a, b]));
    let text = serde_json::to_string(&of_a).unwrap();
    assert_eq!(serde_json::from_str::<S>(&text).unwrap(), of_a);

    let mut ours = of_a.clone();
    let error = ours.merge(&other).unwrap_err();
    assert!(error.message().contains("expected the same parameters and seed"), "{error}");
    assert_eq!(ours, of_a);
}

proptest! {
    #[test]
    fn sketches_are_commutative_monoids(a: Items, b: Items, c: Items, seed: u64) {
        let items = [&a, &b, &c];
        let bloom = |bits, seed| Bloom::new(BloomShape { bits, hashes: 3 }, seed).unwrap();
        check(bloom(100, seed), bloom(101, seed), items);
        check(bloom(64, seed), bloom(64, !seed), items);
        check(MinHash::new(20, seed).unwrap(), MinHash::new(21, seed).unwrap(), items);
        check(TugOfWar::new(70, seed).unwrap(), TugOfWar::new(70, !seed).unwrap(), items);
        let count_min = |width| CountMin::new(CountMinShape { width, depth: 3 }, seed).unwrap();
        check(count_min(17), count_min(18), items);
        check(HyperLogLog::new(5, seed).unwrap(), HyperLogLog::new(4, seed).unwrap(), items);
    }

    #[test]
    fn time_aware_sketches_are_commutative_monoids(a: Vec<(i64, u16)>, b: Vec<(i64, u16)>, origin: i64) {
        let bloom = Bloom::new(BloomShape { bits: 100, hashes: 3 }, 7).unwrap();
        let empty = TimeAwareBloom::new(bloom, origin, 1 << 60).unwrap();
        let of = |parts: &[&Vec<(i64, u16)>]| {
            let mut sketch = empty.clone();
            let items = parts.iter().flat_map(|items| items.iter());
            items.for_each(|(time, item)| sketch.add_at(*time, &item.to_le_bytes()));
            sketch
        };
        let merged = |x: &TimeAwareBloom, y: &TimeAwareBloom| {
            let mut both = x.clone();
            both.merge(y).unwrap();
            both
        };
        prop_assert_eq!(merged(&of(&[&a]), &of(&[&b])), of(&[&b, &a]));
        prop_assert_eq!(merged(&of(&[&a]), &empty), of(&[&a]));
        prop_assert_eq!(merged(&empty, &of(&[&a])), of(&[&a]));
        let text = serde_json::to_string(&of(&[&a])).unwrap();
        prop_assert_eq!(serde_json::from_str::<TimeAwareBloom>(&text).unwrap(), of(&[&a]));
    }
}

//! Draws against their distribution.

use std::collections::BTreeMap;

use super::*;

/// Pearson's statistic of counts against expected shares. Of `k` cells it is below `k + 4 sqrt(2 k)` but once in
/// thousands of draws; the draws here are the same in every run.
fn assert_distributed(counts: &[u64], shares: &[f64]) {
    let n = counts.iter().sum::<u64>() as f64;
    let cells = counts.iter().zip(shares).filter(|(_, share)| **share > 0.0);
    let chi2: f64 = cells.map(|(count, share)| (*count as f64 - n * share).powi(2) / (n * share)).sum();
    let k = counts.len() as f64;
    assert!(chi2 < k + 4.0 * (2.0 * k).sqrt(), "{chi2} {counts:?}");
    assert!(counts.iter().zip(shares).all(|(count, share)| *share > 0.0 || *count == 0), "{counts:?}");
}

fn counted(keys: impl IntoIterator<Item = u64>, n: usize) -> Vec<u64> {
    let mut counts = vec![0; n];
    keys.into_iter().for_each(|key| counts[key as usize] += 1);
    counts
}

const WEIGHTS: [f64; 5] = [1.0, 0.0, 4.0, 2.5, 2.5];
const SHARES: [f64; 5] = [0.1, 0.0, 0.4, 0.25, 0.25];

#[test]
fn uniform_draws_have_all_keys_alike() {
    let mut sampler = KeySampler::uniform(7).unwrap().seed(3);
    assert_distributed(&counted(sampler.draw_many(70_000), 7), &[1.0 / 7.0; 7]);
}

#[test]
fn weighted_draws_follow_the_weights() {
    let mut sampler = KeySampler::weighted(&WEIGHTS).unwrap();
    assert_distributed(&counted(sampler.draw_many(100_000), 5), &SHARES);
}

/// Probability of each ordered pair when two keys are drawn one after the other without replacement.
fn pair_shares() -> BTreeMap<(u64, u64), f64> {
    let mut shares = BTreeMap::new();
    for (a, share) in SHARES.iter().enumerate() {
        for (b, other) in SHARES.iter().enumerate().filter(|(b, _)| *b != a) {
            shares.insert((a as u64, b as u64), share * other / (1.0 - share));
        }
    }
    shares
}

fn assert_pairs(mut pair: impl FnMut() -> (u64, u64)) {
    let shares = pair_shares();
    let mut counts: BTreeMap<_, u64> = shares.keys().map(|pair| (*pair, 0)).collect();
    (0..50_000).for_each(|_| *counts.get_mut(&pair()).unwrap() += 1);
    let (counts, shares): (Vec<_>, Vec<_>) = (counts.into_values().collect(), shares.into_values().collect());
    assert_distributed(&counts, &shares);
}

#[test]
fn distinct_draws_are_successive_draws_of_what_is_left() {
    let mut sampler = KeySampler::weighted(&WEIGHTS).unwrap().seed(9);
    assert_pairs(|| {
        let pair = sampler.draw_distinct(2).unwrap();
        (pair[0], pair[1])
    });
}

#[test]
fn rest_that_is_drawn_by_waiting_times_has_the_same_distribution() {
    let mut sampler = KeySampler::weighted(&WEIGHTS).unwrap().seed(5);
    assert_pairs(|| {
        let first = sampler.draw();
        (first, sampler.order_of_the_others(&[first].into_iter().collect())[0])
    });
}

#[test]
fn all_keys_can_be_drawn_without_replacement_however_unlike_their_weights() {
    let weights: Vec<f64> = (0..200).map(|i| 2.0f64.powi(-i)).collect();
    let mut all = KeySampler::weighted(&weights).unwrap().draw_distinct(200).unwrap();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
    let error = KeySampler::weighted(&WEIGHTS).unwrap().draw_distinct(5).unwrap_err();
    assert_eq!(error.message(), "a sample of 5 different keys of 4");
    assert!(KeySampler::uniform(3).unwrap().draw_distinct(4).is_err());
}

#[test]
fn draws_depend_on_seed_and_worker_alone() {
    let of = |seed, worker| KeySampler::uniform(1_000).unwrap().seed(seed).worker(worker);
    let draws = of(7, 1).draw_many(5);
    // Computed with another implementation: runs of today must be the same tomorrow.
    assert_eq!(draws, [369, 626, 724, 768, 229]);
    assert_ne!(draws, of(7, 2).draw_many(5));
    assert_ne!(draws, of(8, 1).draw_many(5));
    let one_by_one: Vec<_> = {
        let mut sampler = of(7, 1);
        (0..5).map(|_| sampler.draw()).collect()
    };
    assert_eq!(draws, one_by_one);
}

#[test]
fn local_draws_are_of_the_keys_of_one_server_in_their_proportions() {
    for placement in [Placement::Cyclic(5), Placement::Range(5)] {
        let mut sampler = KeySampler::weighted(&WEIGHTS).unwrap().on_server(&placement, 0, 2).unwrap();
        let local = |key: u64| placement.server_of(&key, 2).unwrap() == 0;
        let sum: f64 = (0..5).filter(|key| local(*key)).map(|key| WEIGHTS[key as usize]).sum();
        let share = |key: u64| if local(key) { WEIGHTS[key as usize] / sum } else { 0.0 };
        let shares: Vec<_> = (0..5).map(share).collect();
        assert_distributed(&counted(sampler.draw_many(20_000), 5), &shares);
    }
    let none = KeySampler::uniform(1).unwrap().on_server(&Placement::Range(1), 0, 2);
    assert_eq!(none.unwrap_err().message(), "no key to sample is on server 0 of 2");
    assert!(KeySampler::uniform(6).unwrap().on_server(&Placement::Range(5), 0, 2).is_err());
}

#[test]
fn sampler_of_any_size_draws_below_it() {
    for n in [1, 2, 3, 1 << 33, u64::MAX] {
        assert!(KeySampler::uniform(n).unwrap().draw_many(100).into_iter().all(|key| key < n));
    }
    assert!(KeySampler::uniform(0).is_err());
}

#[test]
fn picked_places_have_exactly_the_chances_of_their_weights() {
    let weights = [0.0, 3.0, 1.0, 0.0, 4.0, 0.0];
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    // Numbers evenly over all: each place gets its share of them, to the last one.
    let mut counts = [0; 6];
    (0..8_192u64).for_each(|i| counts[pick(&sums, (i << 51) + (1 << 50)).unwrap()] += 1);
    assert_eq!(counts, [0, 3_072, 1_024, 0, 4_096, 0]);
    assert_eq!((pick(&sums, 0), pick(&sums, u64::MAX)), (Some(1), Some(4)));
    assert_eq!((pick(&[], 1), pick(&[0.0, 0.0], 1)), (None, None));
}

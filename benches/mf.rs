//! Offline matrix factorization: time per rating and epoch, beside a hand-written sequential loop over the
//! same ratings with the same update.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::{Bench, Figure, medians};
use waterwheel::ml::mf::{MfParams, Rating};
use waterwheel::prelude::*;

const USERS: u32 = 70_000;
const ITEMS: u32 = 10_000;
const EPOCHS: u32 = 6;
const RATE: f32 = 0.01;
const REG: f32 = 0.05;

/// Median time per rating of epochs 2 and later, in nanoseconds.
fn per_rating(ends: &[Instant], n: usize) -> f64 {
    let mut epochs: Vec<_> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    epochs.sort();
    epochs[epochs.len() / 2].as_nanos() as f64 / n as f64
}

fn ours(ratings: &generate::Ratings, workers: usize, rank: usize) -> f64 {
    let n = ratings.count() as usize;
    let ends = Arc::new(Mutex::new(Vec::new()));
    let (at_end, ratings) = (Arc::clone(&ends), ratings.clone());
    let mf = MfParams::new().rank(rank).epochs(EPOCHS).learning_rate(RATE).reg(REG).build().unwrap();
    execute(RuntimeConfig::threads(workers), move |env| {
        let (splits, ratings) = (env.workers(), ratings.clone());
        let data = env.from_splits(splits, move |split| {
            let range = generate::split_range(ratings.count(), split, splits);
            range.clone().zip(ratings.range(range)).map(|(position, row)| Rating {
                user: row.user.into(),
                item: row.item.into(),
                rating: row.rating,
                position,
            })
        });
        let fit = mf.fit(data)?;
        let at_end = Arc::clone(&at_end);
        fit.reports.sink(move |report| {
            if report.epoch.is_some() {
                at_end.lock().unwrap().push(Instant::now());
            }
            Ok(())
        });
        Ok(())
    })
    .unwrap();
    per_rating(&ends.lock().unwrap(), n)
}

/// One step on one rating. `RANK` is a constant, so the loops unroll; four sums let them vectorise.
#[inline(always)]
fn step<const RANK: usize>(p: &mut [f32; RANK], q: &mut [f32; RANK], rating: f32) -> f32 {
    let (p4, p_rest) = p.as_chunks::<4>();
    let (q4, q_rest) = q.as_chunks::<4>();
    let mut sums = [0.0f32; 4];
    for (p, q) in p4.iter().zip(q4) {
        for lane in 0..4 {
            sums[lane] += p[lane] * q[lane];
        }
    }
    let rest: f32 = p_rest.iter().zip(q_rest).map(|(p, q)| p * q).sum();
    let error = rating - ((sums[0] + sums[2]) + (sums[1] + sums[3]) + rest);
    for (p, q) in p.iter_mut().zip(q) {
        let (old_p, old_q) = (*p, *q);
        *p += RATE * (error * old_q - REG * old_p);
        *q += RATE * (error * old_p - REG * old_q);
    }
    error
}

/// The loop that one would write for one thread: two arrays, the ratings in the given order.
fn by_hand<const RANK: usize>(rows: &[generate::RatingRow]) -> f64 {
    let start = |n: u32, seed| -> Vec<[f32; RANK]> {
        let factor = |at| (0.2 * generate::unit(seed, at) - 0.1) as f32;
        (0..u64::from(n)).map(|id| std::array::from_fn(|f| factor(id * RANK as u64 + f as u64))).collect()
    };
    let (mut users, mut items) = (start(USERS, 1), start(ITEMS, 2));
    let mut ends = Vec::new();
    for _ in 0..EPOCHS {
        let mut sum = 0.0;
        for row in rows {
            let error = step(&mut users[row.user as usize], &mut items[row.item as usize], row.rating);
            sum += f64::from(error * error);
        }
        std::hint::black_box(sum);
        ends.push(Instant::now());
    }
    per_rating(&ends, rows.len())
}

fn main() {
    let bench = Bench::from_args("mf");
    let n = if bench.quick { 1_000_000 } else { 10_000_000 };
    let ratings = generate::Ratings::new(USERS, ITEMS, n).unwrap();
    let rows: Vec<_> = ratings.iter().collect();
    for rank in [10, 32] {
        let [by_hand, one, two] = medians(
            if bench.quick { 3 } else { 7 },
            [
                &mut || if rank == 10 { by_hand::<10>(&rows) } else { by_hand::<32>(&rows) },
                &mut || ours(&ratings, 1, rank),
                &mut || ours(&ratings, 2, rank),
            ],
        );
        let case = &format!("rank {rank}");
        let (processes, unit) = (1, "ns/rating");
        let figures = [
            (1, one, by_hand, "hand-written loop"),
            (2, two, by_hand, "hand-written loop"),
            (2, two, one, "ours, 1 worker"),
        ];
        for (workers, ours, floor, floor_name) in figures {
            bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit });
        }
    }
}

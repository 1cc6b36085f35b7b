//! The same transformations inside a loop: it ends, and nothing is lost.

use std::collections::BTreeMap;

use waterwheel::iteration::feedback_loop;
use waterwheel::prelude::*;

use super::fixture::sorted;
use crate::cluster::{everywhere, test_path};

const ODD: OutputTag<u64> = OutputTag::new("odd");

#[test]
fn transformations_inside_a_loop_leave_it_to_end_by_itself() {
    let job = |config| {
        execute(config, |env| {
            let starts = env.from_iter(1..=300u64).rebalance().into_edge();
            let outside = env.from_iter([1u64]).into_edge();
            let steps = feedback_loop::<_, Round, _, _>(env.place(), "collatz", |it, fed_back| {
                let all = DataStream::from_edge(it.enter(starts)).union(DataStream::from_edge(fed_back));
                let visits = all.clone().key_by(|x| *x).count();
                let rules = DataStream::from_edge(it.enter(outside));
                let moved = all
                    .filter(|x| *x > 1)
                    .shuffle(1)
                    .rescale()
                    .async_map(AsyncOptions::unordered(3), |x| async move { Ok(x) })
                    .key_by(|x| *x)
                    .connect_broadcast(rules)
                    .process(|_, _: &mut u8, _: &u64, x, out| out.emit(x), |rule, x, _| *rule = x);
                let split = moved.process_with_side_outputs(|x, out, side| {
                    if x % 2 == 0 { out.emit(x / 2) } else { side.emit(&ODD, x) }
                });
                let odd = split.side_output(&ODD).key_by(|x| *x);
                let even = split.into_main();
                let odd = odd.connect(even.clone().filter(|_| false).key_by(|x| *x)).process(
                    |_, _: &mut u8, x, out: &mut Collector<u64>| out.emit(3 * x + 1),
                    |_, _, _, _| (),
                );
                let next = even.connect(odd).map(|x| x, |x| x);
                (next.into_edge(), it.leave(visits.into_edge()))
            });
            Ok(DataStream::from_edge(steps).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(transformations_inside_a_loop_leave_it_to_end_by_itself), job, |found, shape| {
        let mut visits = BTreeMap::<u64, u64>::new();
        let mut expected = Vec::new();
        for start in 1..=300u64 {
            let path = std::iter::successors(Some(start), |x| match x {
                1 => None,
                x if x % 2 == 0 => Some(x / 2),
                x => Some(3 * x + 1),
            });
            for x in path {
                let n = visits.entry(x).or_default();
                *n += 1;
                expected.push((x, *n));
            }
        }
        assert_eq!(sorted(found), sorted(expected), "{shape}");
    });
}

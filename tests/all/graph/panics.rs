//! Panics of functions that run inside differential dataflow's operators.

use waterwheel::prelude::*;

fn error_of(
    job: impl for<'s> Fn(Collection<'s, (u32, u32)>) -> Collection<'s, (u32, u32)> + Send + Sync + 'static,
) -> Error {
    let run = execute(RuntimeConfig::threads(2), move |env| {
        let pairs = env.from_batches([vec![((1u32, 2u32), 1)], vec![((3, 4), 1)]]).into_collection();
        Ok(job(pairs).changes().collect())
    });
    run.unwrap_err()
}

#[test]
fn panic_of_a_function_names_its_operator_wherever_it_runs() {
    let in_map = error_of(|pairs| pairs.map(|_| panic!("in map")));
    let in_reduce = error_of(|pairs| pairs.reduce(|_, _, _: &mut Vec<(u32, i64)>| panic!("in reduce")));
    let in_join = error_of(|pairs| pairs.clone().join_map(pairs, |_, _, _| panic!("in join")));
    let in_threshold = error_of(|pairs| pairs.threshold(|_, _| panic!("in threshold")));
    let in_loop = error_of(|pairs| {
        pairs.iterate(|_scope, pairs| {
            pairs.reduce(|_, _, _: &mut Vec<(u32, i64)>| panic!("in loop")).name("step")
        })
    });
    for (error, operator, text) in [
        (in_map, "map", "in map"),
        (in_reduce, "reduce", "in reduce"),
        (in_join, "join", "in join"),
        (in_threshold, "threshold", "in threshold"),
        (in_loop, "iterate/step", "in loop"),
    ] {
        assert_eq!(error.site().unwrap().operator, operator, "{error}");
        assert!(error.message().contains(text), "{error}");
    }
}

//! Mistakes in a graph that are found before a record moves.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// The error of a job, and every process has one.
fn error_of<O: Outcome>(
    config: RuntimeConfig,
    job: impl for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
) -> Error {
    execute(config, job).err().unwrap()
}

#[test]
fn parallelism_that_no_worker_or_too_many_have_is_refused() {
    for (n, workers) in [(0, 1), (2, 1), (5, 4)] {
        let error = error_of(RuntimeConfig::threads(workers), move |env| {
            env.from_iter(0..10).set_parallelism(n).collect();
            Ok(())
        });
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.site().unwrap().operator, "set_parallelism");
        assert!(error.site().unwrap().location.contains("graph.rs"));
        assert_eq!(error.message(), format!("parallelism is {n}, expected 1 to {workers}"));
    }
}

#[test]
fn uid_that_two_operators_have_is_refused_with_both_lines() {
    let job = |config| {
        let line = line!();
        let error = error_of(config, |env| {
            let numbers = env.from_iter(0..10).uid("numbers");
            let doubled = numbers.map(|x| 2 * x).uid("twice");
            doubled.filter(|x| *x > 3).uid("twice").collect();
            Ok(())
        });
        (error, line)
    };
    let check = |(error, line): (Error, u32), shape: &str| {
        assert_eq!(error.kind(), ErrorKind::Config, "{shape}");
        assert_eq!(error.site().unwrap().operator, "filter", "{shape}");
        let text = error.message();
        assert!(
            text.starts_with("uid \"twice\" is used twice, by the operators made at "),
            "{text}; {shape}"
        );
        let lines = [line + 3, line + 4].map(|line| format!("graph.rs:{line}:"));
        assert!(lines.iter().all(|line| text.contains(line)), "{text}; {shape}");
    };
    everywhere(test_path!(uid_that_two_operators_have_is_refused_with_both_lines), job, check);
}

#[test]
fn uid_that_is_empty_is_refused() {
    let error = error_of(RuntimeConfig::threads(2), |env| {
        env.from_iter(0..10).map(|x| x + 1).uid("").collect();
        Ok(())
    });
    assert_eq!((error.kind(), error.site().unwrap().operator.as_str()), (ErrorKind::Config, "map"));
    assert_eq!(error.message(), "uid is empty, expected a name that no other operator of the job has");
}

#[test]
fn uid_of_one_operator_may_be_set_again_and_given_away() {
    let sums = execute(RuntimeConfig::threads(2), |env| {
        let numbers = env.from_iter(0..10u32).uid("a").uid("a").uid("b");
        let more = numbers.clone().map(|x| x + 1).uid("a");
        Ok(numbers.uid("b").union(more).uid("c").collect())
    })
    .unwrap();
    assert_eq!(sums.concat().iter().sum::<u32>(), 45 + 55);
}

#[test]
fn limits_that_can_not_work_are_refused() {
    let error = error_of(RuntimeConfig::threads(2), |env| {
        env.from_iter(0..10).async_map(AsyncOptions::unordered(0), |x| async move { Ok(x) }).collect();
        Ok(())
    });
    assert_eq!((error.kind(), error.site().unwrap().operator.as_str()), (ErrorKind::Config, "async_map"));
    assert_eq!(error.message(), "limit is 0 requests in flight, expected 1 or more");
    let error = error_of(RuntimeConfig::threads(2), |env| {
        env.from_iter(0..10u64).key_by(|x| *x).state_ttl(std::time::Duration::ZERO).count().collect();
        Ok(())
    });
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.message(), "state_ttl is 0, expected a time above zero");
}

/// Every end of a stream, and what is no stream, can be given a name and a uid; each uid is the only one of its kind.
#[test]
fn uid_of_a_sink_of_side_outputs_and_of_a_collection_is_refused_when_it_is_taken() {
    const ODD: OutputTag<u32> = OutputTag::new("odd");
    type Job = for<'s> fn(&Env<'s>, DataStream<'s, u32>);
    let jobs: [(&str, Job); 6] =
        [
            ("the sink", |_env, numbers| drop(numbers.sink(|_| Ok(())).name("the sink").uid("taken"))),
            ("the records", |_env, numbers| drop(numbers.collect().name("the records").uid("taken"))),
            ("the local records", |_env, numbers| {
                drop(numbers.collect_local().name("the local records").uid("taken"));
            }),
            ("the sides", |_env, numbers| {
                let divided = numbers.process_with_side_outputs(|x, out, side| {
                    if x % 2 == 1 { side.emit(&ODD, x) } else { out.emit(x) }
                });
                divided.name("the sides").uid("taken").side_output(&ODD).collect();
            }),
            ("the changes", |env, _numbers| {
                let changes = env.from_batches([vec![(1u32, 1)]]).into_collection();
                drop(changes.map(|x| x).name("the changes").uid("taken"));
            }),
            ("the sums", |_env, numbers| {
                drop(numbers.key_by(|x| x % 2).sum(|x| *x).name("the sums").uid("taken"));
            }),
        ];
    for (name, job) in jobs {
        let error = error_of(RuntimeConfig::threads(2), move |env| {
            let numbers = env.from_iter(0..10u32).uid("taken");
            job(env, numbers);
            Ok(())
        });
        let operator = &error.site().unwrap().operator;
        assert_eq!((error.kind(), operator.as_str()), (ErrorKind::Config, name), "{error}");
        assert!(error.message().starts_with("uid \"taken\" is used twice"), "{error}");
    }
}

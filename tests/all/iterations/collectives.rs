//! `BroadcastUtilsTest`, `AllReduceImplTest`, `DataStreamUtilsTest` and the counting case of `WindowsTest`.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

fn sorted<X: Ord>(mut items: Vec<X>) -> Vec<X> {
    items.sort();
    items
}

/// Joins numbers to a text, from `empty` on each worker.
struct Text {
    empty: u64,
}

impl AggregateFunction for Text {
    type In = u64;
    type Acc = u64;
    type Out = String;

    fn create_accumulator(&self) -> u64 {
        self.empty
    }

    fn add(&self, accumulator: &mut u64, record: u64) {
        *accumulator += record;
    }

    fn result(&self, accumulator: &u64) -> String {
        accumulator.to_string()
    }

    fn merge(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

#[test]
fn records_of_all_workers_are_brought_together() {
    let job = |config| {
        let found = execute(config, |env| {
            let numbers = env.from_iter(0..20u64).rebalance();
            let counts = numbers.clone().map_partition(|records| [records.len()]);
            let sum = numbers.clone().reduce(|a, b| a + b);
            let texts = numbers.clone().aggregate(Text { empty: 0 });
            let texts = texts.union(numbers.clone().aggregate(Text { empty: 1 }));
            let (few, all) = (numbers.clone().sample(10, 7), numbers.clone().sample(30, 7));
            let batches = env.from_iter(0..100u64).rebalance().count_window_all(14).map(|batch| batch.len());
            let none = numbers.filter(|_| false).reduce(u64::max);
            Ok((
                (counts.collect(), sum.collect(), texts.collect()),
                (few.collect(), all.collect(), batches.collect()),
                (none.collect(), env.from_iter([env.workers()]).collect()),
            ))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(records_of_all_workers_are_brought_together), job, |found, shape| {
        let ((counts, sum, texts), (few, all, batches), (none, workers)) = found;
        let n = workers[0];
        assert_eq!((counts, sum), (vec![20 / n; n], vec![190]), "{shape}");
        assert_eq!(sorted(texts), ["190".to_string(), (190 + n).to_string()], "{shape}");
        let few = sorted(few);
        assert!(few.len() == 10 && few.windows(2).all(|pair| pair[0] < pair[1]), "{shape} {few:?}");
        assert_eq!(sorted(all), Vec::from_iter(0..20), "{shape}");
        assert_eq!((batches, none), (vec![14; 7], vec![]), "{shape}");
    });
}

#[test]
fn co_group_has_all_records_of_a_key_on_both_sides() {
    let job = |config| {
        let found = execute(config, |env| {
            let (few, many) = (env.from_iter(0..5u64).rebalance(), env.from_iter(3..12u64).rebalance());
            let groups = few.co_group(many, (|x| x % 4, |x| x % 4), |key, a, b| [(*key, a.len(), b.len())]);
            Ok(groups.collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(co_group_has_all_records_of_a_key_on_both_sides), job, |found, shape| {
        assert_eq!(sorted(found), [(0, 2, 2), (1, 1, 2), (2, 1, 2), (3, 1, 3)], "{shape}");
    });
}

#[test]
fn broadcast_variables_are_complete_before_the_first_record() {
    let job = |config| {
        let found = execute(config, |env| {
            let records = env.from_iter(0..40u64).rebalance();
            let (first, second) = (env.from_iter(0..40u64).rebalance(), env.from_iter(100..140u64));
            let sums = records.with_broadcast(first, |x, first| (x, first.len(), first.iter().sum::<u64>()));
            let sums = sums.with_broadcast(second, |(x, n, sum), second| (x, n + second.len(), sum));
            Ok(sums.collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(broadcast_variables_are_complete_before_the_first_record), job, |found, shape| {
        assert_eq!(sorted(found), Vec::from_iter((0..40).map(|x| (x, 80, 780))), "{shape}");
    });
}

#[test]
fn arrays_of_all_workers_are_summed_up_on_all_workers() {
    let job = |config| {
        let found = execute(config, move |env| {
            let workers = env.workers();
            let sums = [0usize, 2048, 8192, 24_576, 5].map(|length| {
                let element = |worker, i| (worker * i) as f64 + 0.5;
                let array = move |worker| [(0..length).map(|i| element(worker, i)).collect::<Vec<f64>>()];
                env.from_splits(workers, array).all_reduce_sum().map(move |sum| (workers, length, sum))
            });
            let [none, some, more, most, few] = sums;
            Ok(none.union(some).union(more).union(most).union(few).collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(arrays_of_all_workers_are_summed_up_on_all_workers), job, |found, shape| {
        let n = found[0].0;
        assert_eq!(found.len(), 5 * n, "{shape}");
        for (_, length, sum) in found {
            let pairs = (n * (n - 1) / 2) as f64;
            let expected: Vec<_> = (0..length).map(|i| pairs * i as f64 + 0.5 * n as f64).collect();
            assert!(sum == expected, "{shape} {length}");
        }
    });
}

#[test]
fn arrays_that_do_not_fit_together_are_an_error() {
    let outcome = |arrays: Vec<Vec<f64>>, spread: bool| {
        let done = execute(RuntimeConfig::threads(2), move |env| {
            let arrays = env.from_iter(arrays.clone());
            let arrays = if spread { arrays.rebalance() } else { arrays };
            Ok(arrays.all_reduce_sum().collect())
        });
        done.map(|sums| sums.concat()).map_err(|error| error.message().to_string())
    };
    let second = outcome(vec![vec![1.0], vec![2.0]], false).unwrap_err();
    assert_eq!(second, "a second array on worker 0, expected one");
    let other = outcome(vec![vec![1.0], vec![2.0, 3.0]], true).unwrap_err();
    assert!(other.starts_with("arrays of ") && other.ends_with("expected the same"), "{other}");
    assert_eq!(outcome(vec![], true).unwrap(), Vec::<Vec<f64>>::new());
}

/// Gradient descent with a model on all workers: the gradient is summed up once in each round.
#[test]
fn sums_of_each_round_train_a_model() {
    let job = |config| {
        let found = execute(config, |env| {
            let points = env.from_iter((0..64u32).map(|i| f64::from(i) / 64.0)).rebalance();
            let model = env.from_splits(env.workers(), |_| [vec![0.0f64, 0.0]]);
            let config = IterationConfig::new().max_rounds(2000);
            let (models,) = Iterations::iterate_bounded(
                (model,),
                (points.replay(),),
                config,
                |it, (model,), (points,)| {
                    let (next,) = it.for_each_round((model, points), |(model, points)| {
                        let parts = points.with_broadcast(model.clone().filter(|_| true), |x, models| {
                            let [a, b] = models[0][..] else { unreachable!("a line") };
                            let error = a * x + b - (3.0 * x - 2.0);
                            vec![error * x / 32.0, error / 32.0]
                        });
                        let part = parts.map_partition(|parts| {
                            [parts
                                .iter()
                                .fold(vec![0.0, 0.0], |sum, part| vec![sum[0] + part[0], sum[1] + part[1]])]
                        });
                        let gradients = part.all_reduce_sum();
                        let next = model.with_broadcast(gradients, |model, gradients| {
                            vec![model[0] - 0.5 * gradients[0][0], model[1] - 0.5 * gradients[0][1]]
                        });
                        (next,)
                    });
                    let last = next.clone().process_epochs(ForwardInputsOfLastRound::new());
                    IterationBodyResult::new((next,), (last,))
                },
            );
            Ok(models.collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(sums_of_each_round_train_a_model), job, |models, shape| {
        for model in models {
            assert!((model[0] - 3.0).abs() < 1e-6 && (model[1] + 2.0).abs() < 1e-6, "{shape} {model:?}");
        }
    });
}

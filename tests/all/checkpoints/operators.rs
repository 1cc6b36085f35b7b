//! The state of each kind of operator, over failures and on other numbers of workers.

use std::collections::BTreeSet;
use std::time::Duration;

use waterwheel::prelude::*;

use super::fixture::{Fuse, RECORDS, check, numbers};

const KEYS: u64 = 5_000;

/// A job whose result is one stream.
fn job<E: Record>(
    config: RuntimeConfig,
    fuse: Fuse,
    build: impl for<'s> Fn(&Env<'s>, DataStream<'s, u64>) -> Result<DataStream<'s, E>> + Send + Sync + 'static,
) -> Result<Vec<E>> {
    let results = execute(config, move |env| Ok(build(env, numbers(env, fuse.clone()))?.collect()))?;
    Ok(results.concat())
}

#[test]
fn count_by_key_at_the_end_is_exact() {
    check(|config, fuse| {
        job(config, fuse, |_env, numbers| Ok(numbers.key_by(|x| x % KEYS).at_end().count()))
    });
}

/// Each result is there once: what was emitted after the checkpoint is emitted again, and what was before is not.
#[test]
fn results_of_a_keyed_function_are_neither_lost_nor_doubled() {
    check(|config, fuse| {
        job(config, fuse, |_env, numbers| {
            Ok(numbers.key_by(|x| (x % KEYS).to_string()).process(
                |key, seen: &mut ListState<u64>, x, out| {
                    seen.add(x);
                    out.emit((key.clone(), seen.get().iter().sum::<u64>()));
                },
            ))
        })
        // Which record of a key comes first may differ; how many results a key has, and the last, may not.
        .map(|results| {
            let mut last = std::collections::BTreeMap::new();
            for (key, sum) in results {
                let entry = last.entry(key).or_insert((0, 0));
                *entry = (entry.0 + 1, sum.max(entry.1));
            }
            last.into_iter().collect()
        })
    });
}

#[test]
fn state_with_a_time_to_live_lives_on() {
    check(|config, fuse| {
        job(config, fuse, |_env, numbers| {
            let keyed = numbers.key_by(|x| x % KEYS).state_ttl(Duration::from_secs(3600));
            Ok(keyed.at_end().fold((0u64, 0u64), |(n, sum), x| (n + 1, sum + x)))
        })
    });
}

/// A function with a state of its own.
#[derive(Default)]
struct Sum {
    n: u64,
    sum: u64,
}

impl ProcessFunction<u64> for Sum {
    type Out = (u64, u64);

    fn process(&mut self, x: u64, _out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.n += 1;
        self.sum += x;
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<(u64, u64)>) -> Result<()> {
        out.emit((self.n, self.sum));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&(self.n, self.sum))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((n, sum)) = state.next_item::<(u64, u64)>()? {
            self.n += n;
            self.sum += sum;
        }
        Ok(())
    }
}

#[test]
fn state_of_a_function_moves_with_it() {
    check(|config, fuse| {
        let parts = job(config, fuse, |_env, numbers| Ok(numbers.process_function(Sum::default())))?;
        Ok(vec![parts.iter().fold((0, 0), |(n, sum), part| (n + part.0, sum + part.1))])
    });
}

#[test]
fn records_kept_until_the_end_are_all_there() {
    check(|config, fuse| {
        let parts = job(config, fuse, |_env, numbers| Ok(numbers.map_partition(|records| [records])))?;
        Ok(parts.concat())
    });
}

/// The second stream ends long before the first: after a restart it must not end once more.
#[test]
fn end_of_one_of_two_inputs_is_answered_once() {
    struct Ends;
    impl CoProcessFunction<u64, u64> for Ends {
        type Out = (u8, u64);

        fn process1(&mut self, x: u64, out: &mut Collector<(u8, u64)>) -> Result<()> {
            if x.is_multiple_of(1000) {
                out.emit((1, x));
            }
            Ok(())
        }

        fn process2(&mut self, x: u64, out: &mut Collector<(u8, u64)>) -> Result<()> {
            out.emit((2, x));
            Ok(())
        }

        fn end_of_input2(&mut self, out: &mut Collector<(u8, u64)>) -> Result<()> {
            out.emit((3, 0));
            Ok(())
        }

        fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
            Ok(())
        }
    }
    check(|config, fuse| {
        let results = job(config, fuse, |env, numbers| {
            let few = env.from_iter(0..10u64).set_parallelism(1);
            Ok(numbers.set_parallelism(1).connect(few).process_function(Ends))
        })?;
        Ok(results)
    });
}

#[test]
fn two_keyed_streams_meet_in_one_state() {
    check(|config, fuse| {
        let results = job(config, fuse, |env, numbers| {
            let others =
                env.from_splits(3, |split| (0..20_000u64).skip(split).step_by(3)).key_by(|x| x % KEYS);
            let pairs = numbers.key_by(|x| x % KEYS).connect(others);
            Ok(pairs.process(
                |key, sums: &mut (u64, u64), x, out| {
                    sums.0 += x;
                    out.emit((*key, *sums));
                },
                |key, sums, x, out| {
                    sums.1 += x;
                    out.emit((*key, *sums));
                },
            ))
        })?;
        let mut last = vec![(0, 0); KEYS as usize];
        results.iter().for_each(|(key, sums)| last[*key as usize] = last[*key as usize].max(*sums));
        Ok(last)
    });
}

/// The rules are complete before the first checkpoint can be made, and come from nowhere else after a restart.
#[test]
fn broadcast_state_is_there_on_workers_that_were_not() {
    struct Kept;
    impl BroadcastProcessFunction<u64, u64> for Kept {
        type Broadcast = (BTreeSet<u64>, Vec<u64>);
        type Out = u64;

        fn process(&mut self, rules: &Self::Broadcast, x: u64, out: &mut Collector<u64>) -> Result<()> {
            match rules.0.len() {
                7 if rules.0.contains(&(x % 31)) => {}
                _ => out.emit(x),
            }
            Ok(())
        }

        fn process_broadcast(
            &mut self,
            rules: &mut Self::Broadcast,
            rule: u64,
            _out: &mut Collector<u64>,
        ) -> Result<()> {
            rules.0.insert(rule);
            rules.1.push(rule);
            assert!(rules.1.len() <= 7, "a rule came twice");
            Ok(())
        }

        fn end_of_input(&mut self, rules: &Self::Broadcast, out: &mut Collector<u64>) -> Result<()> {
            out.emit(RECORDS + rules.1.len() as u64);
            Ok(())
        }

        fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
            Ok(())
        }
    }
    check(|config, fuse| {
        let results = job(config, fuse, |env, numbers| {
            let rules = env.from_iter(0..7u64);
            Ok(numbers.set_parallelism(1).connect_broadcast(rules).process_function(Kept))
        })?;
        Ok(results.into_iter().filter(|x| *x >= RECORDS).collect())
    });
}

#[test]
fn side_outputs_and_dead_letters_are_exact() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            const ODD: OutputTag<u64> = OutputTag::new("odd");
            let numbers = numbers(env, fuse.clone());
            let split =
                numbers.key_by(|x| x % 97).process_with_side_outputs(|_, n: &mut u64, x, out, side| {
                    *n += 1;
                    if x % 2 == 1 { side.emit(&ODD, x) } else { out.emit(x) }
                });
            let odd = split.side_output(&ODD);
            let (good, dead) = split.into_main().try_map_with(BadRecordPolicy::Skip, |x| match x % 10 {
                0 => Err(Error::data("a ten")),
                _ => Ok(*x),
            });
            Ok((odd.collect(), good.collect(), dead.map(|dead| dead.record).collect()))
        })?;
        let (odd, good, dead) = results.into_iter().next().unwrap();
        Ok(vec![odd, good, dead]
            .into_iter()
            .map(|mut part| {
                part.sort_unstable();
                part
            })
            .collect())
    });
}

/// Records go round until they are odd; what they have passed on the way is counted in the loop.
#[test]
fn loop_is_empty_at_every_checkpoint() {
    check(|config, fuse| {
        job(config, fuse, |_env, numbers| {
            let numbers = numbers.filter(|x| *x > 0);
            let (counted,) = Iterations::iterate_unbounded((numbers,), (), |_it, (x,), ()| {
                let counted = x.key_by(|x| x % KEYS).process(|key, n: &mut u64, x, out| {
                    *n += 1;
                    out.emit((x, *key, *n));
                });
                let even = counted.clone().map(|(x, ..)| x).filter(|x| x % 2 == 0).map(|x| x / 2);
                IterationBodyResult::new((even,), (counted.map(|(_x, key, n)| (key, n)),))
            });
            Ok(counted)
        })
    });
}

#[test]
fn answers_of_requests_are_neither_lost_nor_doubled() {
    check(|config, fuse| {
        job(config, fuse, |_env, numbers| {
            Ok(numbers.async_map(AsyncOptions::unordered(64), |x| async move { Ok(x * 3) }))
        })
    });
}

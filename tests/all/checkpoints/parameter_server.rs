//! Jobs of the parameter server, over failures and on other numbers of workers: integer sums are exact.

use waterwheel::prelude::*;

use super::fixture::{Fuse, check, numbers};

const KEYS: u64 = 1_000;

/// Pulls the parameter of each number, then adds the number to it.
struct PullThenPush;

impl WorkerLogic for PullThenPush {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = u64;

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(x % KEYS)?;
        ps.push(x % KEYS, [x, 1])?;
        ps.output(x);
        Ok(())
    }

    fn on_pull_recv(&mut self, _key: &u64, row: &[u64], _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(row.len(), 2);
        Ok(())
    }
}

fn sums(
    config: RuntimeConfig,
    fuse: Fuse,
    ps: PsConfig<u64>,
) -> Result<(Vec<u64>, Vec<(u64, Vec<u64>)>)> {
    let results = execute(config, move |env| {
        let server = SimpleServer::new(
            |_key: &u64, row: &mut Vec<u64>| row.extend([0, 0]),
            |row: &mut [u64], delta: &[u64]| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b),
        );
        let config = ps.clone().width(2).credit(200);
        let trained = transform(numbers(env, fuse.clone()), PullThenPush, server, &config)?;
        Ok((trained.output.collect(), trained.model.collect()))
    })?;
    let (outputs, models): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    Ok((outputs.concat(), models.concat()))
}

/// Sums of all numbers by key, with their count; and how many results there were, and their sum.
fn check_sums(ps: impl Fn() -> PsConfig<u64>) {
    check(|config, fuse| {
        let (outputs, mut model) = sums(config, fuse, ps())?;
        model.push((KEYS, vec![outputs.iter().sum(), outputs.len() as u64]));
        Ok(model)
    });
}

#[test]
fn sums_of_an_asynchronous_job_are_exact() {
    check_sums(PsConfig::new);
}

#[test]
fn sums_are_exact_where_ranges_of_keys_move_to_other_servers() {
    check_sums(|| PsConfig::new().placement(Placement::Range(KEYS)));
    check_sums(|| PsConfig::new().placement(Placement::custom(|key, servers| *key as usize % servers)));
}

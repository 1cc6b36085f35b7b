//! Parameter servers that start from a saved model, over failures while it is loaded and later.

use std::collections::BTreeMap;

use waterwheel::prelude::*;
use waterwheel::ps::{
    LoadModel, LogicReader, LogicWriter, transform_with_double_model_load, transform_with_model_load,
};

use super::fixture::{Fuse, check, numbers};

const KEYS: u64 = 1_000;
const USERS: u64 = 50;

/// Adds the weight of each number's user to the parameter of the number.
#[derive(Default)]
struct AddWeights {
    weights: BTreeMap<u64, u64>,
}

impl WorkerLogic for AddWeights {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = ();

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(x % KEYS, [self.weights.get(&(x % USERS)).copied().unwrap_or(1)])
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        self.weights.iter().try_for_each(|(user, weight)| to.put_keyed(user, weight))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        from.for_each_keyed(|user, weight| {
            self.weights.insert(user, weight);
            Ok(())
        })
    }
}

impl LoadModel for AddWeights {
    type Saved = (u64, u64);

    fn on_load(&mut self, (user, weight): (u64, u64)) -> Result<()> {
        match self.weights.insert(user, weight) {
            Some(_) => Err(Error::data(format!("the weight of user {user} is loaded twice"))),
            None => Ok(()),
        }
    }
}

/// A row that says how often it was loaded, in the digits that sums do not reach.
const LOADED: u64 = 1 << 40;

type AddingServer = SimpleServer<u64, u64, u64, fn(&u64, &mut Vec<u64>), fn(&mut [u64], &[u64])>;

fn adding_server() -> AddingServer {
    SimpleServer::new(|_key, row| row.push(0), |row, delta| row[0] += delta[0])
}

/// The saved rows, each of which burns a piece of the fuse.
fn rows<'s>(env: &Env<'s>, fuse: Fuse) -> DataStream<'s, (u64, Vec<u64>)> {
    let keys = env.from_splits(3, |split| (0..KEYS).skip(split).step_by(3));
    keys.try_map(move |key| fuse.burn().map(|()| (key, vec![LOADED])))
}

#[test]
fn rows_of_a_saved_model_are_loaded_once_over_failures() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            let (model, data) = (rows(env, fuse.clone()), numbers(env, fuse.clone()));
            let config = PsConfig::new().credit(200);
            let trained =
                transform_with_model_load(model, data, AddWeights::default(), adding_server(), &config)?;
            Ok(trained.model.collect())
        })?;
        Ok(results.concat())
    });
}

#[test]
fn parameters_of_workers_are_loaded_once_over_failures() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            let loading = fuse.clone();
            let weights = env.from_splits(2, |split| (0..USERS).skip(split).step_by(2));
            let weights = weights.try_map(move |user| loading.burn().map(|()| (user, user + 2)));
            let weights = weights.key_by(|(user, _)| *user).into_stream();
            let data = numbers(env, fuse.clone()).key_by(|x| x % USERS).into_stream();
            let (rows, worker, config) =
                (rows(env, fuse.clone()), AddWeights::default(), PsConfig::new().credit(200));
            let trained =
                transform_with_double_model_load(rows, weights, data, worker, adding_server(), &config)?;
            Ok(trained.model.collect())
        })?;
        Ok(results.concat())
    });
}

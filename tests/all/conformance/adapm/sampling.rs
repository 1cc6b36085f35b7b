//! T-AD-05: samples of five keys of a thousand, with their values.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

const KEYS: u64 = 1_000;
const WIDTH: u64 = 10;
const SAMPLES: usize = 2_000;
const PER_SAMPLE: usize = 5;

/// How samples are drawn.
#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Repeating,
    Distinct,
    Weighted,
    Local,
}

/// The sampler of a worker, made from nothing but what is the same in every run.
fn sampler(scheme: Scheme, worker: usize, servers: usize) -> ps::KeySampler {
    let sampler = match scheme {
        Scheme::Weighted => {
            ps::KeySampler::weighted(&(0..KEYS).map(|key| key as f64).collect::<Vec<_>>()).unwrap()
        }
        Scheme::Repeating | Scheme::Distinct | Scheme::Local => ps::KeySampler::uniform(KEYS).unwrap(),
    };
    let sampler = sampler.seed(5).worker(worker);
    match scheme {
        Scheme::Local => sampler.on_server(&Placement::Cyclic(KEYS), worker, servers).unwrap(),
        _ => sampler,
    }
}

fn sample(scheme: Scheme, sampler: &mut ps::KeySampler) -> Vec<u64> {
    match scheme {
        Scheme::Distinct => sampler.draw_distinct(PER_SAMPLE).unwrap(),
        _ => sampler.draw_many(PER_SAMPLE),
    }
}

/// Draws and pulls a sample for each record, and checks and outputs it.
struct Samples {
    scheme: Scheme,
    sampler: Option<ps::KeySampler>,
    local: Option<(usize, usize)>,
}

impl WorkerLogic for Samples {
    type In = ();
    type Key = u64;
    type Pull = f64;
    type Push = f64;
    type Out = Vec<u64>;

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        self.sampler = Some(sampler(self.scheme, context.index, context.servers));
        self.local = (self.scheme == Scheme::Local).then_some((context.index, context.servers));
        Ok(())
    }

    fn on_recv(&mut self, _record: (), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull_many(sample(self.scheme, self.sampler.as_mut().unwrap()))
    }

    fn on_pull_recv(&mut self, key: &u64, _: &[f64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        panic!("{key} came alone")
    }

    fn on_pull_many_recv(
        &mut self,
        keys: &[u64],
        rows: &[f64],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        for (key, row) in keys.iter().zip(rows.chunks(WIDTH as usize)) {
            let expected: Vec<f64> = (0..WIDTH).map(|j| (key * 100 + j) as f64).collect();
            assert_eq!(row, expected);
            assert!(self.local.is_none_or(|(server, servers)| *key as usize % servers == server));
        }
        if self.scheme == Scheme::Distinct {
            assert!(keys.iter().enumerate().all(|(i, key)| !keys[..i].contains(key)), "{keys:?}");
        }
        ps.output(keys.to_vec());
        Ok(())
    }
}

/// Runs the samples of all workers; they must be those that were drawn.
fn assert_samples(path: &str, scheme: Scheme) {
    let samples = |config: RuntimeConfig| {
        let workers = config.workers();
        let samples = run(config, move |env| {
            let data = env.from_splits(env.workers(), |_| std::iter::repeat_n((), SAMPLES));
            let init = |key: &u64, row: &mut Vec<f64>| row.extend((0..WIDTH).map(|j| (key * 100 + j) as f64));
            let server = SimpleServer::with_update(init, ps::Sum).emit(Emit::Never);
            let config = PsConfig::new().width(WIDTH as usize).placement(Placement::Cyclic(KEYS));
            let worker = Samples { scheme, sampler: None, local: None };
            Ok(ps::transform(data, worker, server, &config)?.output.collect())
        });
        (workers, sorted(samples))
    };
    everywhere(path, samples, |(workers, found), shape| {
        let of_worker = |worker| {
            let mut sampler = sampler(scheme, worker, workers);
            (0..SAMPLES).map(|_| sample(scheme, &mut sampler)).collect()
        };
        assert_eq!(found, sorted((0..workers).map(of_worker)), "{shape}");
    });
}

#[test]
fn t_ad_05_samples_with_replacement_are_those_of_the_sequence() {
    let path = test_path!(t_ad_05_samples_with_replacement_are_those_of_the_sequence);
    assert_samples(path, Scheme::Repeating);
}

#[test]
fn t_ad_05_samples_without_replacement_have_no_key_twice() {
    assert_samples(test_path!(t_ad_05_samples_without_replacement_have_no_key_twice), Scheme::Distinct);
}

#[test]
fn t_ad_05_weighted_samples_are_those_of_the_sequence() {
    assert_samples(test_path!(t_ad_05_weighted_samples_are_those_of_the_sequence), Scheme::Weighted);
}

#[test]
fn t_ad_05_local_samples_are_of_the_keys_beside_the_worker() {
    assert_samples(test_path!(t_ad_05_local_samples_are_of_the_keys_beside_the_worker), Scheme::Local);
}

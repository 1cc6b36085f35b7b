//! Runs a query at every cluster shape and compares it with the naive evaluation.

use waterwheel::ml::generate::nexmark::{Event, Nexmark};
use waterwheel::ml::generate::split_range;
use waterwheel::prelude::*;

use super::params;
use crate::cluster::everywhere;

/// Compares the rows of a query with those of the naive evaluation, as sets that may hold a row twice.
///
/// Every worker reads a stretch of the time, so that events of all times arrive at once; within a stretch they
/// are out of order.
pub(crate) fn check<R: Record + Ord>(
    path: &str,
    query: impl for<'s> Fn(DataStream<'s, Event>) -> Result<DataStream<'s, R>> + Clone + Send + Sync + 'static,
    naive: impl Fn(&[Event]) -> Vec<R>,
) {
    let site = site();
    let expected = std::cell::OnceCell::new();
    let job = |config| {
        let (site, query) = (site.clone(), query.clone());
        execute(config, move |env| Ok(query(events(env, &site))?.collect())).unwrap().concat()
    };
    everywhere(path, job, |mut rows, shape| {
        rows.sort();
        let expected = expected.get_or_init(|| naive(&site.iter().collect::<Vec<_>>()));
        assert!(expected.len() > 3);
        assert!(&rows == expected, "{shape}: {} rows, expected {}", rows.len(), expected.len());
    });
}

/// Twenty seconds of the site.
fn site() -> Nexmark {
    params().count(20_000).build().unwrap()
}

fn events<'s>(env: &Env<'s>, site: &Nexmark) -> DataStream<'s, Event> {
    let (site, splits) = (site.clone(), env.workers());
    env.from_splits(splits, move |split| site.range(split_range(site.count(), split, splits)))
}

//! Requests to the outside, many at a time: a future per record.

mod requests;

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::operator::{OperatorBuilder, SourcesOf, WakeOn};
use crate::process::Collector;
use crate::stream::DataStream;
use requests::Requests;

/// The order of results; see [`AsyncOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsyncOrder {
    /// That of the records.
    Ordered,
    /// As they come.
    Unordered,
}

/// How [`DataStream::async_map`] runs its requests.
#[derive(Clone, Debug)]
pub struct AsyncOptions {
    order: AsyncOrder,
    limit: usize,
    timeout: Option<Duration>,
}

impl AsyncOptions {
    /// Results leave in the order of the records, so that one slow request keeps those behind it waiting.
    /// Each worker has `limit` records at most that wait for their answer or their turn; 1 or more.
    pub fn ordered(limit: usize) -> Self {
        AsyncOptions { order: AsyncOrder::Ordered, limit, timeout: None }
    }

    /// Results leave as their requests finish. Each worker has `limit` requests in flight at most; 1 or more.
    pub fn unordered(limit: usize) -> Self {
        AsyncOptions { order: AsyncOrder::Unordered, limit, timeout: None }
    }

    /// Ends the run when a request takes longer than this. Default: none does.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    fn check(&self) -> Result<()> {
        match self.limit {
            0 => Err(Error::config("limit is 0 requests in flight, expected 1 or more")),
            _ => Ok(()),
        }
    }
}

impl<'s, D: 'static, T: Clock> DataStream<'s, D, T> {
    /// Replaces each record by what the future of it comes to, with many futures under way at a time: for
    /// look-ups in another system. An error or a panic of a future ends the run.
    ///
    /// While the limit of [`AsyncOptions`] is reached, the sources of this stream are held. Nothing is lost
    /// at the end: the stream ends when every request is answered. In order or not, results keep the time of
    /// their records.
    ///
    /// Futures it is, as in Flink, and not a pool of threads: thousands of requests may wait without a
    /// thread each, and the engine needs no runtime. The worker's own thread polls a future, and only when
    /// its waker is called, from any thread; so a future must not block, and needs not be `Send`. One that
    /// needs the context of a runtime, or that blocks, is handed to that runtime, and what it hands back is
    /// awaited here, for example `handle.spawn(request)` or `handle.spawn_blocking(call)` with tokio.
    ///
    /// A limit of 0 ends the run with an [`ErrorKind::Config`](crate::ErrorKind::Config) error.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{AsyncOptions, RuntimeConfig, execute};
    /// let squares = execute(RuntimeConfig::threads(1), |env| {
    ///     let options = AsyncOptions::ordered(100);
    ///     Ok(env.from_iter(1..=3u64).async_map(options, |x| async move { Ok(x * x) }).collect())
    /// })?;
    /// assert_eq!(squares.concat(), [1, 4, 9]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn async_map<E: 'static, R: Future<Output = Result<E>> + 'static>(
        self,
        options: AsyncOptions,
        f: impl FnMut(D) -> R + 'static,
    ) -> DataStream<'s, E, T> {
        let edge = self.into_edge();
        let mut op = OperatorBuilder::made_at(&edge.place(), "async_map", Location::caller());
        op.refuse_unless(options.check());
        let mut hold = op.source_hold(&edge.sources(), &SourcesOf::default());
        let mut input = op.input(edge, WakeOn::Records);
        let (mut out, edge) = op.output::<Vec<E>>();
        let mut requests = Requests::new(f, options, op.sync_activator());
        // Requests hold their epoch open until they are answered, so none is left at its end.
        op.keep_nothing();
        op.build(move |_promises, activation| {
            let mut collector = Collector::default();
            move |_frontiers| {
                input.for_each(|token, batch| requests.add(Rc::new(token.promise(0)), std::mem::take(batch)));
                requests.run()?;
                while let Some(promise) = requests.take_answers(collector.batch()) {
                    collector.send_promised(&promise, &mut out);
                }
                hold.set(requests.is_full());
                if let Some(pause) = requests.check_timeout()? {
                    activation.wake_after(pause);
                }
                Ok(())
            }
        });
        DataStream::from_edge(edge)
    }
}

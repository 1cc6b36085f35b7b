//! Requests to the outside, in flight many at a time.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use waterwheel::prelude::generate::sm;
use waterwheel::prelude::*;

use super::fixture::sorted;
use crate::cluster::{everywhere, test_path};

/// An answer on its way.
#[derive(Clone, Default)]
struct Reply(Arc<Mutex<(Option<u64>, Option<Waker>)>>);

impl Future for Reply {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        let mut inner = self.0.lock().unwrap();
        inner.1 = Some(context.waker().clone());
        inner.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Reply {
    fn answer(&self, x: u64) {
        let mut inner = self.0.lock().unwrap();
        inner.0 = Some(x);
        let waker = inner.1.take();
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// A system outside the job: a thread that answers `x` with `x + 1`, in an order of its own.
struct Service {
    requests: Sender<(u64, Reply)>,
    in_flight: Arc<AtomicUsize>,
    limit: usize,
}

impl Service {
    fn start(seed: u64, limit: usize) -> Self {
        let (requests, inbox) = channel();
        let in_flight = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&in_flight);
        let serve = move || Self::serve(&inbox, &counter, seed);
        std::thread::Builder::new().spawn(serve).unwrap();
        Service { requests, in_flight, limit }
    }

    /// Answers any of the requests it has, until nobody can ask any more.
    fn serve(inbox: &Receiver<(u64, Reply)>, in_flight: &AtomicUsize, seed: u64) {
        let mut open = Vec::new();
        for turn in 0.. {
            open.extend(inbox.try_iter());
            if open.is_empty() {
                let Ok(first) = inbox.recv() else { return };
                open.push(first);
            }
            let (x, reply): (u64, Reply) = open.swap_remove(sm(seed, turn) as usize % open.len());
            in_flight.fetch_sub(1, Ordering::SeqCst);
            reply.answer(x + 1);
        }
    }

    fn ask(&self, x: u64) -> Reply {
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        assert!(before < self.limit, "{before} requests in flight, limit {}", self.limit);
        let reply = Reply::default();
        self.requests.send((x, reply.clone())).unwrap();
        reply
    }
}

/// Worker, number and answer of 5000 records of each worker.
fn answers(config: RuntimeConfig, options: AsyncOptions, limit: usize) -> Vec<(usize, u64, u64)> {
    let job = move |env: &Env<'_>| {
        let service = Service::start(env.worker_index() as u64, limit);
        let numbered = env.from_splits(env.workers(), |split| (0..5000).map(move |i| (split, i)));
        let answered = numbered.async_map(options.clone(), move |(split, i)| {
            let reply = service.ask(1000 * i);
            async move { Ok((split, i, reply.await)) }
        });
        Ok(answered.collect())
    };
    execute(config, job).unwrap().concat()
}

fn expected(workers: usize) -> Vec<(usize, u64, u64)> {
    (0..workers).flat_map(|worker| (0..5000).map(move |i| (worker, i, 1000 * i + 1))).collect()
}

#[test]
fn ordered_answers_come_in_the_order_of_the_records() {
    let job = |config| answers(config, AsyncOptions::ordered(7), 7);
    everywhere(test_path!(ordered_answers_come_in_the_order_of_the_records), job, |mut found, shape| {
        let workers = found.len() / 5000;
        // By worker; the order of each stays.
        found.sort_by_key(|(worker, ..)| *worker);
        assert_eq!(found, expected(workers), "{shape}");
    });
}

#[test]
fn unordered_answers_come_all() {
    let job = |config| answers(config, AsyncOptions::unordered(7).timeout(Duration::MAX), 7);
    everywhere(test_path!(unordered_answers_come_all), job, |found, shape| {
        let workers = found.len() / 5000;
        assert_eq!(sorted(found), expected(workers), "{shape}");
    });
}

/// Every future waits until as many as the limit are in flight: the job would not end if fewer were.
#[test]
fn as_many_requests_as_the_limit_are_in_flight_together() {
    for options in [AsyncOptions::ordered(16), AsyncOptions::unordered(16)] {
        let found = execute(RuntimeConfig::threads(1), move |env| {
            let waiting = Rc::new(RefCell::new(Vec::<Waker>::new()));
            let released = Rc::new(Cell::new(0u64));
            let numbers = env.from_iter(0..16 * 50u64);
            let passed = numbers.async_map(options.clone(), move |x| {
                let (waiting, released) = (Rc::clone(&waiting), Rc::clone(&released));
                let mut is_counted = false;
                poll_fn(move |context| {
                    if x < released.get() {
                        return Poll::Ready(Ok(x));
                    }
                    if !std::mem::replace(&mut is_counted, true) {
                        waiting.borrow_mut().push(context.waker().clone());
                        if waiting.borrow().len() == 16 {
                            released.set(released.get() + 16);
                            waiting.take().into_iter().for_each(Waker::wake);
                        }
                    }
                    Poll::Pending
                })
            });
            Ok(passed.collect())
        });
        assert_eq!(sorted(found.unwrap().concat()), (0..16 * 50).collect::<Vec<u64>>());
    }
}

/// The first request waits for all others.
#[test]
fn unordered_answers_overtake_a_slow_one() {
    let found = execute(RuntimeConfig::threads(1), |env| {
        let (done, first) = (Rc::new(Cell::new(0u64)), Rc::new(RefCell::new(None::<Waker>)));
        let passed = env.from_iter(0..100u64).async_map(AsyncOptions::unordered(2), move |x| {
            let (done, first) = (Rc::clone(&done), Rc::clone(&first));
            poll_fn(move |context| {
                if x > 0 {
                    done.set(done.get() + 1);
                    first.take().into_iter().for_each(Waker::wake);
                } else if done.get() < 99 {
                    *first.borrow_mut() = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(x))
            })
        });
        Ok(passed.collect())
    });
    assert_eq!(found.unwrap().concat(), (1..100).chain([0]).collect::<Vec<u64>>());
}

/// A request takes 20 steps of the worker; a source that is not held reads its 20 batches meanwhile.
#[test]
fn sources_are_held_while_the_limit_is_reached() {
    let found = execute(RuntimeConfig::threads(1), |env| {
        let (n_read, greatest_lead) = (Rc::new(Cell::new(0u64)), Rc::new(Cell::new(0u64)));
        let (counted, lead) = (Rc::clone(&n_read), Rc::clone(&greatest_lead));
        let numbers = env.from_iter(0..20_000u64).inspect(move |_| counted.set(counted.get() + 1));
        let passed = numbers.async_map(AsyncOptions::ordered(64), move |x| {
            lead.set(lead.get().max(n_read.get() - x));
            let mut polls = 0;
            let lead = Rc::clone(&greatest_lead);
            poll_fn(move |context| {
                polls += 1;
                if polls < 20 {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(lead.get()))
            })
        });
        Ok(passed.collect())
    });
    let leads = found.unwrap().concat();
    assert_eq!(leads.len(), 20_000);
    assert!(*leads.last().unwrap() <= 3 * 1024, "the source ran ahead by {:?} records", leads.last());
}

/// The error of a job whose record 1500 of worker 1 goes wrong.
fn error_of<R: Future<Output = Result<u64>> + 'static>(
    options: AsyncOptions,
    request: impl Fn(bool) -> R + Clone + Send + Sync + 'static,
) -> Error {
    let job = move |env: &Env<'_>| {
        let numbered = env.from_splits(env.workers(), |split| (0..5000u64).map(move |i| (split, i)));
        let request = request.clone();
        numbered.async_map(options.clone(), move |record| request(record == (1, 1500))).name("ask").collect();
        Ok(())
    };
    let error = execute(RuntimeConfig::threads(2), job).unwrap_err();
    let site = error.site().unwrap();
    assert_eq!((site.operator.as_str(), site.worker), ("ask", 1), "{error}");
    error
}

#[test]
fn request_that_fails_panics_or_takes_too_long_ends_the_run() {
    for options in [AsyncOptions::ordered(10), AsyncOptions::unordered(10)] {
        let error = error_of(options.clone(), |fails| async move {
            if fails { Err(Error::data("no such user")) } else { Ok(1) }
        });
        assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "no such user"));
        let error = error_of(options.clone(), |fails| async move {
            assert!(!fails, "boom");
            Ok(1)
        });
        assert!(error.message().starts_with("panicked: boom"), "{error}");
        let error = error_of(options.clone(), |fails| {
            assert!(!fails, "bang");
            async move { Ok(1) }
        });
        assert!(error.message().starts_with("panicked: bang"), "{error}");
        let late = options.timeout(Duration::from_millis(30));
        let error = error_of(late, |fails| {
            poll_fn(move |_context| if fails { Poll::Pending } else { Poll::Ready(Ok(1)) })
        });
        assert_eq!(error.message(), "a request took longer than 30ms");
    }
}

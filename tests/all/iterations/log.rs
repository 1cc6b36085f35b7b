//! A function on any streams that notes the calls that it gets.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

/// A call: of which function, on which worker, for which epoch; [`END_EPOCH`] is the termination.
pub(super) type Call = (String, usize, Round);

/// Emits the calls that it gets.
pub(super) struct Log(pub(super) &'static str);

impl IterationListener for Log {
    type Out = Call;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<Call>,
    ) -> Result<()> {
        assert_eq!(context.epoch(), epoch);
        out.emit((self.0.into(), context.worker_index(), epoch));
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        context: &mut EpochContext,
        out: &mut Collector<Call>,
    ) -> Result<()> {
        assert_eq!(context.epoch(), END_EPOCH);
        out.emit((self.0.into(), context.worker_index(), END_EPOCH));
        Ok(())
    }
}

impl<D> EpochProcessFunction<D> for Log {
    fn process(&mut self, _record: D, _context: &mut EpochContext, _out: &mut Collector<Call>) -> Result<()> {
        Ok(())
    }
}

impl<A, B> EpochCoProcessFunction<A, B> for Log {
    fn process1(
        &mut self,
        _record: A,
        _context: &mut EpochContext,
        _out: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }

    fn process2(
        &mut self,
        _record: B,
        _context: &mut EpochContext,
        _out: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }
}

impl<K> KeyedIterationListener<K> for Log {
    type State = ();
}

impl<K, D> KeyedEpochProcessFunction<K, D> for Log {
    fn process(
        &mut self,
        _key: &K,
        _state: &mut (),
        _record: D,
        _context: &mut EpochContext,
        _out: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }
}

impl<K, A, B> KeyedEpochCoProcessFunction<K, A, B> for Log {
    fn process1(
        &mut self,
        _: &K,
        (): &mut (),
        _: A,
        _: &mut EpochContext,
        _: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }

    fn process2(
        &mut self,
        _: &K,
        (): &mut (),
        _: B,
        _: &mut EpochContext,
        _: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }
}

impl<A, B> EpochBroadcastProcessFunction<A, B> for Log {
    type Broadcast = ();

    fn process(&mut self, (): &(), _: A, _: &mut EpochContext, _: &mut Collector<Call>) -> Result<()> {
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (): &mut (),
        _: B,
        _: &mut EpochContext,
        _: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }
}

impl<K, A, B> KeyedEpochBroadcastProcessFunction<K, A, B> for Log {
    type Broadcast = ();

    fn process(
        &mut self,
        _: &K,
        _: (&mut (), &()),
        _: A,
        _: &mut EpochContext,
        _: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (): &mut (),
        _: B,
        _: &mut EpochContext,
        _: &mut Collector<Call>,
    ) -> Result<()> {
        Ok(())
    }
}

/// The calls of each function on each worker, in the order in which they were made.
fn by_function(calls: Vec<Call>) -> BTreeMap<(String, usize), Vec<Round>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for (name, worker, epoch) in calls {
        found.entry((name, worker)).or_default().push(epoch);
    }
    found
}

/// Asserts that the functions `names` have been called for epochs 0 to `last` and the end on all workers.
pub(super) fn check_calls(calls: Vec<Call>, workers: usize, names: &[&str], last: Round, shape: &str) {
    let epochs: Vec<_> = (0..=last).chain([END_EPOCH]).collect();
    let of_all = names.iter().flat_map(|name| (0..workers).map(|worker| (name.to_string(), worker)));
    let expected: BTreeMap<_, _> = of_all.map(|of| (of, epochs.clone())).collect();
    assert_eq!(by_function(calls), expected, "{shape}");
}

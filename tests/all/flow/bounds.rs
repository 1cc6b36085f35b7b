//! How much is in flight at most, seen from outside.

use waterwheel::engine::operator::{OperatorBuilder, WakeOn};
use waterwheel::iteration::feedback_loop;
use waterwheel::prelude::*;

use super::work;
use crate::cluster::{everywhere, test_path};
use crate::failures::process::within_limit;

const LIMIT: usize = 4096;

/// Ten times what may be in flight.
const RECORDS: u64 = 10 * LIMIT as u64;

type Job = for<'s> fn(&Env<'s>) -> Result<Collected<u64>>;

/// Runs `job` and returns the records it gathered here and what its exchanges have seen.
fn run(config: RuntimeConfig, limit: usize, job: Job) -> (u64, Vec<ExchangeFlow>) {
    let flow = FlowState::new();
    let config = config.max_in_flight_records(limit).flow_state(flow.clone());
    let counts = within_limit("a job with a slow operator", move || execute(config, job)).unwrap();
    (counts.concat().iter().sum(), flow.exchanges())
}

/// What may be in flight at most: the limit, what sources read before they see a hold, and between processes
/// what is under way while the news of it is.
const BOUND: u64 = 3 * LIMIT as u64;

/// No exchange of `job` ever has more than three times the limit in flight.
fn stays_bounded(path: &str, job: Job) {
    stays_below(BOUND, path, job);
}

/// No exchange of `job` ever has more than `most` in flight; at the end nothing is.
fn stays_below(most: u64, path: &str, job: Job) {
    everywhere(
        path,
        |config| run(config, LIMIT, job),
        |(records, exchanges), shape| {
            assert_eq!(records, RECORDS, "{shape}");
            assert!(!exchanges.is_empty(), "{shape}");
            for exchange in exchanges {
                assert!(exchange.peak <= most, "{shape}: {exchange:?}");
                assert!(!exchange.holds && exchange.in_flight <= LIMIT as u64 / 4, "{shape}: {exchange:?}");
            }
        },
    );
}

/// Numbers, read in parts by all workers.
fn numbers<'s>(env: &Env<'s>) -> DataStream<'s, u64> {
    let splits = env.workers() as u64;
    env.from_splits(env.workers(), move |split| (split as u64..RECORDS).step_by(splits as usize))
}

/// Counts the records on each worker.
fn count<'s>(records: DataStream<'s, u64>) -> Collected<u64> {
    struct Count(u64);
    impl ProcessFunction<u64> for Count {
        type Out = u64;

        fn process(&mut self, _record: u64, _out: &mut Collector<u64>) -> Result<()> {
            self.0 += 1;
            Ok(())
        }

        fn end_of_input(&mut self, out: &mut Collector<u64>) -> Result<()> {
            out.emit(self.0);
            Ok(())
        }
    }
    records.process_function(Count(0)).collect()
}

/// The last worker takes its time for every record.
fn slow_on_one<'s, T: Clock>(records: DataStream<'s, u64, T>) -> DataStream<'s, u64, T> {
    let slow = records.worker_index() + 1 == records.workers();
    records.inspect(move |_record| work(if slow { 20 } else { 0 }))
}

fn even(env: &Env<'_>) -> Result<Collected<u64>> {
    Ok(count(slow_on_one(numbers(env).rebalance())))
}

fn skewed(env: &Env<'_>) -> Result<Collected<u64>> {
    let all_to_last = numbers(env).partition_custom(|_record, workers| workers - 1);
    Ok(count(slow_on_one(all_to_last)))
}

/// Every record passes an exchange and a slow operator three times before it leaves.
fn looping(env: &Env<'_>) -> Result<Collected<u64>> {
    let numbers = numbers(env).map(|record| record * 4 + 3).into_edge();
    let left = feedback_loop::<_, Round, _, _>(env.place(), "three laps", |it, fed_back| {
        let all = DataStream::from_edge(it.enter(numbers)).union(DataStream::from_edge(fed_back));
        let worked = slow_on_one(all.key_by(|record| *record).into_stream());
        let more = worked.clone().filter(|record| record % 4 > 0).map(|record| record - 1);
        let done = worked.filter(|record| record % 4 == 0);
        (more.into_edge(), it.leave(done.into_edge()))
    });
    Ok(count(DataStream::from_edge(left)))
}

/// Every record goes round 300 times on its own worker: nothing is ever in an exchange.
fn circling(env: &Env<'_>) -> Result<Collected<u64>> {
    let numbers = numbers(env).map(|record| record * 512 + 300).into_edge();
    let left = feedback_loop::<_, Round, _, _>(env.place(), "300 laps", |it, fed_back| {
        let all = DataStream::from_edge(it.enter(numbers)).union(DataStream::from_edge(fed_back));
        let more = all.clone().filter(|record| record % 512 > 0).map(|record| record - 1);
        let done = all.filter(|record| record % 512 == 0);
        (more.into_edge(), it.leave(done.into_edge()))
    });
    Ok(count(DataStream::from_edge(left)))
}

/// Pulls and pushes through servers that take their time.
fn served(env: &Env<'_>) -> Result<Collected<u64>> {
    #[derive(Clone)]
    struct Touch;
    impl WorkerLogic for Touch {
        type In = u64;
        type Key = u64;
        type Pull = u64;
        type Push = u64;
        type Out = u64;

        fn on_recv(&mut self, record: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
            ps.pull(record % 1000)
        }

        fn on_pull_recv(&mut self, key: &u64, _: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
            ps.output(1);
            ps.push(*key, [1])
        }
    }
    let zero = |_: &u64, row: &mut Vec<u64>| row.push(0);
    let add = |row: &mut [u64], n: &[u64]| {
        work(20);
        row[0] += n[0];
    };
    let server = SimpleServer::new(zero, add).emit(Emit::Never);
    let config = PsConfig::new().credit(512).block_len(64).servers(1);
    let trained = ps::transform(numbers(env), Touch, server, &config)?;
    Ok(count(trained.output))
}

/// The first number comes when all the others have been sent: they wait unread meanwhile.
fn awaiting(env: &Env<'_>) -> Result<Collected<u64>> {
    let (side, main) = (numbers(env).filter(|record| *record == RECORDS - 1), numbers(env));
    let (side, main) = (side.into_edge(), main.filter(|record| *record != RECORDS - 1).into_edge());
    let mut op = OperatorBuilder::new(env.place(), "side first");
    let awaited = side.sources();
    let mut side = op.input_routed(side, WakeOn::Progress, |_record| 0);
    op.spare(&awaited);
    let mut main = op.input_routed(main, WakeOn::Progress, |record| *record);
    let (mut out, edge) = op.output();
    op.build(move |_promises, _activation| {
        move |frontiers| {
            side.for_each(|token, batch| out.send(&token, [batch]));
            if frontiers.is_done(0) {
                main.for_each(|token, batch| out.send(&token, [batch]));
            }
            Ok(())
        }
    });
    Ok(count(DataStream::from_edge(edge)))
}

/// Passes the records of two streams on, slowly on one worker.
struct SlowOnBoth {
    micros: u64,
}

impl SlowOnBoth {
    fn new(env: &Env<'_>) -> Self {
        SlowOnBoth { micros: if env.worker_index() + 1 == env.workers() { 20 } else { 0 } }
    }

    fn pass(&self, record: u64, out: &mut Collector<u64>) -> Result<()> {
        work(self.micros);
        out.emit(record);
        Ok(())
    }
}

impl CoProcessFunction<u64, u64> for SlowOnBoth {
    type Out = u64;

    fn process1(&mut self, record: u64, out: &mut Collector<u64>) -> Result<()> {
        self.pass(record, out)
    }

    fn process2(&mut self, record: u64, out: &mut Collector<u64>) -> Result<()> {
        self.pass(record, out)
    }
}

impl BroadcastProcessFunction<u64, u64> for SlowOnBoth {
    type Broadcast = u64;
    type Out = u64;

    fn process(&mut self, _: &u64, record: u64, out: &mut Collector<u64>) -> Result<()> {
        self.pass(record, out)
    }

    fn process_broadcast(&mut self, sum: &mut u64, record: u64, _: &mut Collector<u64>) -> Result<()> {
        work(self.micros);
        *sum += record;
        Ok(())
    }
}

/// Both inputs of one operator are slow.
fn connected(env: &Env<'_>) -> Result<Collected<u64>> {
    let (even, odd) = (numbers(env).filter(|x| x % 2 == 0), numbers(env).filter(|x| x % 2 == 1));
    Ok(count(even.rebalance().connect(odd.rebalance()).process_function(SlowOnBoth::new(env))))
}

/// As many broadcast records as others.
fn beside_broadcast(env: &Env<'_>) -> Result<Collected<u64>> {
    let both = numbers(env).rebalance().connect_broadcast(numbers(env));
    Ok(count(both.process_function(SlowOnBoth::new(env))))
}

/// Three rounds, each of which waits at the gate until the one before is decided.
fn gated(env: &Env<'_>) -> Result<Collected<u64>> {
    let config = IterationConfig::new();
    let (last,) = Iterations::iterate_bounded((numbers(env),), (), config, |_it, (x,), ()| {
        let worked = slow_on_one(x.rebalance());
        let criteria = worked.clone().process_epochs(TerminateOnMaxIter::new(3));
        let last = worked.clone().process_epochs(ForwardInputsOfLastRound::new());
        IterationBodyResult::new((worked,), (last,)).termination_criteria(criteria)
    });
    Ok(count(last))
}

/// All records again in each of three rounds.
fn replayed(env: &Env<'_>) -> Result<Collected<u64>> {
    let (rounds, data) = (env.from_iter([0u64]), (numbers(env).replay(),));
    let config = IterationConfig::new().max_rounds(3);
    let (last,) = Iterations::iterate_bounded((rounds,), data, config, |_it, (x,), (data,)| {
        let worked = slow_on_one(data.rebalance());
        let last = worked.clone().process_epochs(ForwardInputsOfLastRound::new());
        // The next round begins when this one is complete.
        let next = x.connect(worked).process_epochs(Next);
        IterationBodyResult::new((next,), (last,))
    });
    Ok(count(last))
}

/// Emits one record at the end of each epoch.
struct Next;

impl IterationListener for Next {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if context.worker_index() == 0 {
            out.emit(epoch);
        }
        Ok(())
    }
}

impl EpochCoProcessFunction<u64, u64> for Next {
    fn process1(&mut self, _: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        Ok(())
    }

    fn process2(&mut self, _: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        Ok(())
    }
}

/// A function that passes the records of an epoch on when it is complete.
#[derive(Default)]
struct PassOn(Vec<u64>);

impl IterationListener for PassOn {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _: Round,
        _: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        out.batch().append(&mut self.0);
        Ok(())
    }
}

impl EpochProcessFunction<u64> for PassOn {
    fn process(&mut self, record: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        self.0.push(record);
        Ok(())
    }
}

/// Records of later epochs wait for the calls of earlier ones.
fn listened(env: &Env<'_>) -> Result<Collected<u64>> {
    let config = IterationConfig::new().max_rounds(3);
    let (last,) = Iterations::iterate_bounded((numbers(env),), (), config, |_it, (x,), ()| {
        let kept = slow_on_one(x.rebalance()).process_epochs(PassOn::default());
        let last = kept.clone().process_epochs(ForwardInputsOfLastRound::new());
        IterationBodyResult::new((kept,), (last,))
    });
    Ok(count(last))
}

/// One record of the source becomes 128 before the exchange.
fn multiplied(env: &Env<'_>) -> Result<Collected<u64>> {
    let seeds = env.from_splits(env.workers(), {
        let splits = env.workers() as u64;
        move |split| (split as u64..RECORDS / 128).step_by(splits as usize)
    });
    let many = seeds.flat_map(|seed| (0..128).map(move |i| seed * 128 + i));
    Ok(count(slow_on_one(many.partition_custom(|_record, workers| workers - 1))))
}

#[test]
fn records_that_become_many_before_an_exchange_are_bounded() {
    let path = test_path!(records_that_become_many_before_an_exchange_are_bounded);
    // The step in which a source finds its pace too fast counts as a whole.
    stays_below(3 * LIMIT as u64, path, multiplied);
}

#[test]
fn records_before_a_slow_function_on_two_streams_are_bounded() {
    stays_bounded(test_path!(records_before_a_slow_function_on_two_streams_are_bounded), connected);
}

#[test]
fn broadcast_records_before_a_slow_function_are_bounded() {
    stays_bounded(test_path!(broadcast_records_before_a_slow_function_are_bounded), beside_broadcast);
}

/// What a loop keeps for its next round is let go at once: sources, which could be held, have nothing to do with it.
const EPOCH: u64 = RECORDS + BOUND;

#[test]
fn records_at_the_gate_of_a_loop_are_those_of_one_epoch() {
    stays_below(EPOCH, test_path!(records_at_the_gate_of_a_loop_are_those_of_one_epoch), gated);
}

#[test]
fn replayed_records_before_a_slow_operator_are_those_of_one_epoch() {
    stays_below(EPOCH, test_path!(replayed_records_before_a_slow_operator_are_those_of_one_epoch), replayed);
}

#[test]
fn records_that_wait_for_their_epoch_are_those_of_one() {
    stays_below(EPOCH, test_path!(records_that_wait_for_their_epoch_are_those_of_one), listened);
}

#[test]
fn records_before_one_slow_worker_are_bounded() {
    stays_bounded(test_path!(records_before_one_slow_worker_are_bounded), even);
}

#[test]
fn records_that_all_go_to_one_worker_are_bounded() {
    stays_bounded(test_path!(records_that_all_go_to_one_worker_are_bounded), skewed);
}

#[test]
fn records_inside_a_loop_are_bounded() {
    stays_bounded(test_path!(records_inside_a_loop_are_bounded), looping);
}

#[test]
fn records_that_circle_on_their_worker_are_bounded() {
    stays_bounded(test_path!(records_that_circle_on_their_worker_are_bounded), circling);
}

#[test]
fn operations_before_a_slow_server_are_bounded() {
    stays_bounded(test_path!(operations_before_a_slow_server_are_bounded), served);
}

#[test]
fn input_that_waits_for_the_end_of_another_is_bounded_and_waits_for_nothing_else() {
    let path = test_path!(input_that_waits_for_the_end_of_another_is_bounded_and_waits_for_nothing_else);
    stays_bounded(path, awaiting);
}

/// The other tests would see it if nothing were held: with ten times the limit the same job floods its slow
/// worker.
#[test]
fn records_before_a_slow_worker_are_many_when_the_limit_allows_it() {
    // How far the fast worker gets ahead is chance; that nothing stops it shows in one of a few runs.
    let flooded = (0..20).any(|_| {
        let (records, exchanges) = run(RuntimeConfig::threads(2), RECORDS as usize, skewed);
        assert_eq!(records, RECORDS);
        assert!(exchanges.iter().all(|exchange| exchange.times_held == 0), "{exchanges:?}");
        exchanges.iter().any(|exchange| exchange.peak > BOUND)
    });
    assert!(flooded);
}

#[test]
fn limit_of_zero_counts_nothing() {
    let (records, exchanges) = run(RuntimeConfig::threads(2), 0, even);
    assert_eq!((records, exchanges), (RECORDS, Vec::new()));
}

#[test]
fn state_names_the_operator_and_tells_how_long_it_held() {
    let (_, exchanges) = run(RuntimeConfig::threads(2), LIMIT, |env| {
        Ok(count(slow_on_one(numbers(env).partition_custom(|_, workers| workers - 1).name("crowd"))))
    });
    let crowd = exchanges.iter().find(|exchange| exchange.operator == "crowd").unwrap();
    assert_eq!(crowd.limit, LIMIT as u64);
    assert!(crowd.peak > crowd.limit && crowd.times_held > 1 && !crowd.time_held.is_zero(), "{crowd:?}");
}

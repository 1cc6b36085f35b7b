mod many;

use waterwheel_engine::{Collector, Epoch};

use super::*;
use crate::consistency::PushOrder;
use crate::placement::Placement;
use crate::{Emit, SimpleServer};

type TestBlock = Block<u32, i32, i32>;

fn context() -> ServerContext<u32> {
    let placement = Placement::Hash;
    ServerContext {
        index: 0,
        parallelism: 1,
        workers: 100,
        pull_width: 1,
        push_width: 1,
        placement,
        state: None,
    }
}

/// A server of numbers that begin at `init`; a push takes the place of the number and is output.
fn shard(
    init: i32,
    semantics: Semantics,
) -> Shard<impl ServerLogic<Key = u32, Pull = i32, Push = i32, Out = (u32, Vec<i32>)>, Epoch> {
    let replace = |row: &mut [i32], new: &[i32]| row[0] = new[0];
    let logic = SimpleServer::new(move |_: &u32, row: &mut Vec<i32>| row.push(init), replace);
    let mut shard = Shard::new(logic.emit(Emit::EveryPush), context(), 100, true);
    shard.follow(semantics, 0);
    shard
}

fn request(ops: &[(Op, u32, i32)]) -> TestBlock {
    let mut block = TestBlock::default();
    for (op, key, delta) in ops {
        Run::note(&mut block.runs, *op, 0);
        block.keys.push(*key);
        block.deltas.extend(op.pushes().then_some(*delta));
    }
    block
}

/// Serves a request of a worker at a clock: the rows, or nothing if it waits.
fn ask<S: ServerLogic<Key = u32, Pull = i32, Push = i32>>(
    shard: &mut Shard<S, Epoch>,
    (worker, clock): (usize, u64),
    ops: &[(Op, u32, i32)],
) -> Result<Option<TestBlock>> {
    shard.serve(request(ops), worker, &(0, clock), || None)
}

fn rows(answer: Result<Option<TestBlock>>) -> Vec<i32> {
    answer.unwrap().unwrap().values
}

/// T-FPS-16: `LockPSLogicA`.
#[test]
fn locked_key_is_given_to_one_worker_after_the_other() {
    let mut ps = shard(0, Semantics::Locked);
    let early = ask(&mut ps, (42, 0), &[(Op::Push, 42, 23)]).unwrap_err();
    assert!(early.message().starts_with("worker 42 pushes to 42 without its lock"), "(a) {early}");
    assert_eq!(rows(ask(&mut ps, (42, 0), &[(Op::Pull, 42, 0)])), [0], "(b)");
    for worker in [43, 43] {
        let waiting = ask(&mut ps, (worker, 0), &[(Op::Pull, 42, 0)]).unwrap().unwrap();
        assert_eq!((waiting.values.len(), waiting.answered, waiting.open), (0, 0, 1), "(d), (g)");
    }
    assert_eq!(ps.ps.open_pulls(43), 2);
    let pushed = ask(&mut ps, (42, 0), &[(Op::Push, 42, 23)]).unwrap().unwrap();
    assert_eq!((pushed.applied, ps.ps.out.drain()), (1, vec![(42, vec![23])]), "(c)");
    let late = ps.ps.take_late::<i32>(43).unwrap();
    assert_eq!((late.keys, late.values, late.answered, late.open), (vec![42], vec![23], 1, -1), "(f)");
    // T-NEW-18: the second pull of the worker has its turn too.
    ask(&mut ps, (43, 0), &[(Op::Push, 42, 24)]).unwrap();
    assert_eq!(ps.ps.take_late::<i32>(43).unwrap().values, [24]);
    ask(&mut ps, (43, 0), &[(Op::Push, 42, 25)]).unwrap();
    assert_eq!(rows(ask(&mut ps, (44, 0), &[(Op::Pull, 42, 0)])), [25], "(e) it is free again");
}

#[test]
fn locks_of_a_worker_that_has_ended_go_to_those_that_wait() {
    let mut ps = shard(7, Semantics::Locked);
    ask(&mut ps, (1, 0), &[(Op::Pull, 5, 0), (Op::Pull, 6, 0)]).unwrap();
    ask(&mut ps, (2, 0), &[(Op::Pull, 6, 0)]).unwrap();
    ps.end_worker(1).unwrap();
    let late = ps.ps.take_late::<i32>(2).unwrap();
    assert_eq!((late.keys, late.values), (vec![6], vec![7]));
    assert_eq!(rows(ask(&mut ps, (3, 0), &[(Op::Pull, 5, 0)])), [7]);
}

#[test]
fn fused_operation_answers_with_the_row_after_its_push() {
    let mut ps = shard(1, Semantics::Direct);
    let ops = [(Op::Pull, 3, 0), (Op::PushPull, 3, 9), (Op::Push, 3, 4), (Op::Pull, 3, 0)];
    let answer = ask(&mut ps, (0, 0), &ops).unwrap().unwrap();
    assert_eq!((answer.keys, answer.values), (vec![3; 3], vec![1, 9, 4]));
    assert_eq!((answer.answered, answer.applied, answer.runs.len()), (3, 2, 0));
}

#[test]
fn pull_of_whole_clocks_sees_complete_ones_alone() {
    let whole_clocks = Some(PushOrder::ByValue);
    let mut ps = shard(0, Semantics::Clocked { staleness: Some(0), whole_clocks });
    ask(&mut ps, (0, 0), &[(Op::Push, 3, 7)]).unwrap();
    ask(&mut ps, (1, 0), &[(Op::Push, 3, 5)]).unwrap();
    assert_eq!(rows(ask(&mut ps, (1, 0), &[(Op::Pull, 3, 0)])), [0]);
    assert!(ask(&mut ps, (1, 1), &[(Op::Pull, 3, 0)]).unwrap().is_none());
    ps.advance(Some(&(0, (0, 5)))).unwrap();
    assert!(ps.next_waited().unwrap().is_none());
    ps.advance(Some(&(0, (1, 0)))).unwrap();
    let waited = ps.next_waited().unwrap().unwrap();
    assert_eq!((waited.worker, waited.block.values), (1, vec![7]));
    assert_eq!(ps.ps.out.drain(), [(3, vec![5]), (3, vec![7])]);
}

/// Answers the first pull of a key when a second worker pulls it, both with the number of pulls so far.
#[derive(Default)]
struct InPairs {
    first: Option<usize>,
}

impl ServerLogic for InPairs {
    type Key = u32;
    type Pull = i32;
    type Push = i32;
    type Out = ();

    fn on_pull(
        &mut self,
        key: &u32,
        worker: usize,
        answer: &mut Vec<i32>,
        ps: &mut ParameterServer<u32, i32, ()>,
    ) -> Result<()> {
        match self.first.replace(worker) {
            None if *key == 99 => ps.dismiss_pull(worker, key)?,
            None => ps.add_row(worker, key, &[-1])?,
            Some(first) => {
                ps.answer_pull(first, key, &[1])?;
                answer.push(2);
            }
        }
        Ok(())
    }

    fn on_push(&mut self, _: &u32, _: &[i32], _: &mut ParameterServer<u32, i32, ()>) -> Result<()> {
        Ok(())
    }

    fn on_load(&mut self, _: &u32, _: &[i32]) -> Result<()> {
        Ok(())
    }

    fn close(&mut self, _: &mut Collector<()>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn pulls_are_answered_later_more_than_once_or_not_at_all() {
    let mut ps = Shard::<_, Epoch>::new(InPairs::default(), context(), 100, true);
    let answer = ask(&mut ps, (4, 0), &[(Op::Pull, 1, 0), (Op::Pull, 1, 0)]).unwrap().unwrap();
    assert_eq!((answer.keys, answer.values, answer.answered, answer.open), (vec![1], vec![2], 1, 1));
    let late = ps.ps.take_late::<i32>(4).unwrap();
    assert_eq!((late.values, late.answered), (vec![-1, 1], 1));

    let mut ps = Shard::<_, Epoch>::new(InPairs::default(), context(), 100, true);
    let answer = ask(&mut ps, (4, 0), &[(Op::Pull, 99, 0)]).unwrap().unwrap();
    assert_eq!((answer.keys.len(), answer.answered, answer.open), (0, 1, 0));
}

#[test]
fn block_whose_pushes_and_elements_differ_is_an_error() {
    let mut ps = shard(0, Semantics::Direct);
    let block = TestBlock { deltas: vec![1, 2], ..request(&[(Op::Push, 1, 5)]) };
    assert!(ps.serve(block, 0, &(0, 0), || None).is_err());
}

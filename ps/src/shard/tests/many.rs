//! Operations that the server takes in one go do what they do one by one.

use proptest::prelude::*;

use super::*;
use crate::sampling::Draw;
use crate::{Eviction, Sum, Update};

/// A logic whose operations come one by one, whatever it could do.
struct OneByOne<S>(S);

impl<S: ServerLogic> ServerLogic for OneByOne<S> {
    type Key = S::Key;
    type Pull = S::Pull;
    type Push = S::Push;
    type Out = S::Out;

    fn open(&mut self, context: &ServerContext<S::Key>) -> Result<()> {
        self.0.open(context)
    }

    fn on_pull(
        &mut self,
        key: &S::Key,
        worker: usize,
        answer: &mut Vec<S::Pull>,
        ps: &mut ParameterServer<S::Key, S::Pull, S::Out>,
    ) -> Result<()> {
        self.0.on_pull(key, worker, answer, ps)
    }

    fn on_push(
        &mut self,
        key: &S::Key,
        delta: &[S::Push],
        ps: &mut ParameterServer<S::Key, S::Pull, S::Out>,
    ) -> Result<()> {
        self.0.on_push(key, delta, ps)
    }

    fn on_push_pull(
        &mut self,
        key: &S::Key,
        delta: &[S::Push],
        worker: usize,
        answer: &mut Vec<S::Pull>,
        ps: &mut ParameterServer<S::Key, S::Pull, S::Out>,
    ) -> Result<()> {
        self.0.on_push_pull(key, delta, worker, answer, ps)
    }

    fn on_load(&mut self, key: &S::Key, value: &[S::Pull]) -> Result<()> {
        self.0.on_load(key, value)
    }

    fn close(&mut self, out: &mut Collector<S::Out>) -> Result<()> {
        self.0.close(out)
    }
}

/// Keeps the number of pushes in a slot.
struct Mean;

impl Update<f64, f64> for Mean {
    fn init_slots(&self, _width: usize, slots: &mut Vec<f64>) {
        slots.push(0.0);
    }

    fn apply(&self, row: &mut [f64], slots: &mut [f64], delta: &[f64]) -> Result<()> {
        if delta[0] > 99.0 {
            return Err(Error::operator("too much"));
        }
        slots[0] += 1.0;
        row.iter_mut().zip(delta).for_each(|(mean, x)| *mean += (x - *mean) / slots[0]);
        Ok(())
    }
}

/// How rows are kept.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Hashed,
    Dense,
    Evicting,
    EveryPush,
    Drawn,
}

/// A run of operations of a group.
type Ops = (Op, u32, Vec<u32>);

fn runs() -> impl Strategy<Value = Vec<Ops>> {
    let op = prop_oneof![Just(Op::Pull), Just(Op::Push), Just(Op::PushPull)];
    // Sometimes more keys than are found at a time.
    let keys = prop_oneof![prop::collection::vec(0u32..50, 1..9), prop::collection::vec(0u32..50, 60..150)];
    prop::collection::vec((op, 0u32..3, keys), 1..6)
}

fn block(ops: &[Ops], width: usize, delta: f64) -> Block<u32, f64, f64> {
    let mut block = Block::default();
    for (op, group, keys) in ops {
        let group = if op.pulls() { *group } else { 0 };
        Run::note_many(&mut block.runs, *op, group, keys.len());
        let rows = keys.iter().flat_map(|key| (0..width).map(move |i| delta + f64::from(*key) + i as f64));
        block.deltas.extend(rows.filter(|_| op.pushes()));
        block.keys.extend(keys);
    }
    block
}

/// Everything that a server did with these blocks, in words.
fn served<U: Update<f64, f64>>(
    update: U,
    one_by_one: bool,
    (kept, width, semantics): (Kept, usize, Semantics),
    blocks: &[Vec<Ops>],
    delta: f64,
) -> Vec<String> {
    let server = SimpleServer::with_update(
        move |key: &u32, row: &mut Vec<f64>| row.extend((0..width).map(|i| f64::from(*key) - i as f64)),
        update,
    );
    let server = match kept {
        Kept::Hashed | Kept::Dense => server,
        Kept::Evicting => server.evict(Eviction::new().max_rows(20).min_frequency(2).emit_evicted()),
        Kept::EveryPush => server.emit(Emit::EveryPush),
        Kept::Drawn => server.draw_on(|key| (*key == 7).then_some(Draw { rows: 3, seed: 1 })),
    };
    let placement = match kept {
        Kept::Dense => Placement::Range(50),
        _ => Placement::Hash,
    };
    let context = ServerContext { pull_width: width, push_width: width, placement, ..context() };
    if one_by_one {
        said(Shard::new(OneByOne(server), context, 2, true), semantics, blocks, width, delta)
    } else {
        said(Shard::new(server, context, 2, true), semantics, blocks, width, delta)
    }
}

fn said<S: ServerLogic<Key = u32, Pull = f64, Push = f64, Out = (u32, Vec<f64>)>>(
    mut shard: Shard<S, Epoch>,
    semantics: Semantics,
    blocks: &[Vec<Ops>],
    width: usize,
    delta: f64,
) -> Vec<String> {
    shard.follow(semantics, 0);
    let mut said = Vec::new();
    for (clock, ops) in blocks.iter().enumerate() {
        let answer = shard.serve(block(ops, width, delta), 1, &(0, clock as u64), || None);
        let advanced = shard.advance(Some(&(0, (clock as u64 + 1, 0))));
        said.push(format!("{answer:?} {advanced:?} {:?}", shard.ps.take_late::<f64>(1)));
        if answer.is_err() || advanced.is_err() {
            // The run would end here.
            return said;
        }
        said.push(format!("{:?}", shard.ps.out.drain()));
    }
    shard.close().unwrap();
    said.push(format!("{:?}", shard.ps.out.drain()));
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn operations_on_many_keys_do_what_they_do_one_by_one(
        blocks in prop::collection::vec(runs(), 1..6),
        kept in prop_oneof![
            Just(Kept::Hashed), Just(Kept::Dense), Just(Kept::Evicting), Just(Kept::EveryPush), Just(Kept::Drawn)
        ],
        width in 1usize..4,
        semantics in 0..4,
        (with_slots, fails) in any::<(bool, bool)>(),
    ) {
        let whole_clocks = (semantics == 3).then_some(PushOrder::ByValue);
        let semantics = || match semantics {
            0 => Semantics::Direct,
            1 => Semantics::Locked,
            _ => Semantics::Clocked { staleness: Some(0), whole_clocks },
        };
        let delta = if fails { 60.0 } else { 0.5 };
        let ways = [true, false].map(|one_by_one| match with_slots {
            true => served(Mean, one_by_one, (kept, width, semantics()), &blocks, delta),
            false => served(Sum, one_by_one, (kept, width, semantics()), &blocks, delta),
        });
        prop_assert_eq!(&ways[0], &ways[1]);
    }
}

/// Says that it has answered pulls that it has not, or too many.
struct Boasts(usize);

impl ServerLogic for Boasts {
    type Key = u32;
    type Pull = i32;
    type Push = i32;
    type Out = ();

    fn on_pull_many(
        &mut self,
        _: &[u32],
        _: usize,
        answer: &mut Vec<i32>,
        _: &mut ParameterServer<u32, i32, ()>,
    ) -> Result<usize> {
        answer.push(7);
        Ok(self.0)
    }

    fn on_push_many(&mut self, _: &[u32], _: &[i32], _: &mut ParameterServer<u32, i32, ()>) -> Result<usize> {
        Ok(self.0)
    }

    fn on_pull(
        &mut self,
        _: &u32,
        _: usize,
        answer: &mut Vec<i32>,
        _: &mut ParameterServer<u32, i32, ()>,
    ) -> Result<()> {
        answer.push(8);
        Ok(())
    }

    fn on_push(&mut self, _: &u32, _: &[i32], _: &mut ParameterServer<u32, i32, ()>) -> Result<()> {
        Ok(())
    }

    fn on_load(&mut self, _: &u32, _: &[i32]) -> Result<()> {
        Ok(())
    }
}

#[test]
fn logic_that_answers_a_part_in_one_go_is_asked_for_the_others() {
    let mut ps = Shard::<_, Epoch>::new(Boasts(1), context(), 100, true);
    assert_eq!(rows(ask(&mut ps, (0, 0), &[(Op::Pull, 1, 0), (Op::Pull, 2, 0)])), [7, 8]);
}

#[test]
fn logic_that_says_more_than_it_did_in_one_go_is_an_error() {
    for boasted in [0, 2, 3] {
        let mut ps = Shard::<_, Epoch>::new(Boasts(boasted), context(), 100, true);
        let error = ask(&mut ps, (0, 0), &[(Op::Pull, 1, 0), (Op::Pull, 2, 0)]).unwrap_err();
        assert!(error.message().starts_with(&format!("answers to {boasted} of 2 pulls in one go have 1 ")));
    }
    let mut ps = Shard::<_, Epoch>::new(Boasts(2), context(), 100, true);
    let error = ask(&mut ps, (0, 0), &[(Op::Push, 1, 5)]).unwrap_err();
    assert_eq!(error.message(), "2 pushes were applied in one go, expected 1 at most");
}

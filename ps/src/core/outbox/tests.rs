use proptest::prelude::*;

use super::*;
use crate::block::Run;

type TestBox = Outbox<u32, f32, u32>;

fn outbox(servers: usize, credit: usize) -> TestBox {
    let placement = Placement::custom(|key: &u32, servers| *key as usize % servers);
    let (combine, pushes_overtake) = (None, false);
    TestBox::new(OutboxConfig {
        servers,
        placement,
        push_width: 1,
        combine,
        pushes_overtake,
        credit,
        block_len: 8,
    })
}

fn sent(outbox: &mut TestBox) -> Vec<(usize, Op, u32)> {
    outbox.flush_where(|_, _| true);
    let mut ops = Vec::new();
    while let Some(block) = outbox.pop() {
        let mut keys = block.keys.iter();
        for run in &block.runs {
            let keys = keys.by_ref().take(run.n as usize);
            ops.extend(keys.map(|key| (block.destination as usize, run.op, *key)));
        }
    }
    ops
}

/// T-FPS-01: limit 10; 20 pulls send 10; 5 answers send 15 in all; one more pull sends none; 16 answers
/// send 21.
#[test]
fn pull_limiter_lets_out_as_many_pulls_as_are_answered() {
    let mut outbox = outbox(1, 10);
    (0..20).for_each(|key| outbox.pull(key).unwrap());
    let mut all = sent(&mut outbox);
    assert_eq!(all.len(), 10);
    outbox.settle(5, 0).unwrap();
    all.extend(sent(&mut outbox));
    assert_eq!(all.len(), 15);
    outbox.pull(20).unwrap();
    all.extend(sent(&mut outbox));
    assert_eq!(all.len(), 15);
    (0..16).for_each(|_| {
        outbox.settle(1, 0).unwrap();
        all.extend(sent(&mut outbox));
    });
    assert_eq!(all, (0..21).map(|key| (0, Op::Pull, key)).collect::<Vec<_>>());
    assert!(outbox.is_idle());
}

#[test]
fn push_behind_a_waiting_pull_of_its_server_waits_and_others_do_not() {
    let mut outbox = outbox(2, 1);
    outbox.pull(0).unwrap();
    outbox.pull(2).unwrap();
    outbox.push(2, [7]).unwrap();
    outbox.push(1, [8]).unwrap();
    assert_eq!(sent(&mut outbox), [(0, Op::Pull, 0), (1, Op::Push, 1)]);
    outbox.settle(1, 1).unwrap();
    assert_eq!(sent(&mut outbox), [(0, Op::Pull, 2), (0, Op::Push, 2)]);
}

#[test]
fn credit_that_comes_back_twice_is_an_error() {
    let mut outbox = outbox(1, 4);
    outbox.pull(1).unwrap();
    outbox.settle(1, 0).unwrap();
    assert!(outbox.settle(1, 0).unwrap_err().message().starts_with("credit not conserved"));
}

proptest! {
    /// Whatever is issued and however answers come, order per server holds, no more pulls are out than
    /// credit allows, and all leaves in the end.
    #[test]
    fn operations_leave_in_order_within_the_credit(
        ops in prop::collection::vec((0u32..6, any::<bool>()), 1..200),
        servers in 1usize..4,
        credit in 1usize..40,
    ) {
        let mut outbox = outbox(servers, credit);
        let mut left = Vec::new();
        let (mut pulls_out, mut pushes_out) = (0, 0);
        for (key, is_pull) in &ops {
            if *is_pull { outbox.pull(*key).unwrap() } else { outbox.push(*key, [1]).unwrap() }
            let now = sent(&mut outbox);
            pulls_out += now.iter().filter(|(_, op, _)| *op == Op::Pull).count();
            pushes_out += now.iter().filter(|(_, op, _)| *op == Op::Push).count();
            prop_assert!(pulls_out <= credit);
            left.extend(now);
            if key % 2 == 0 && pulls_out > 0 {
                outbox.settle(1, 0).unwrap();
                pulls_out -= 1;
            }
        }
        while !outbox.is_idle() {
            let now = sent(&mut outbox);
            pulls_out += now.iter().filter(|(_, op, _)| *op == Op::Pull).count();
            pushes_out += now.iter().filter(|(_, op, _)| *op == Op::Push).count();
            prop_assert!(pulls_out <= credit);
            left.extend(now);
            outbox.settle(pulls_out, pushes_out).unwrap();
            (pulls_out, pushes_out) = (0, 0);
        }
        left.extend(sent(&mut outbox));
        for server in 0..servers {
            let issued = ops.iter().filter(|(key, _)| *key as usize % servers == server);
            let issued: Vec<_> = issued.map(|(key, pull)| (*key, *pull)).collect();
            let out = left.iter().filter(|(to, _, _)| *to == server);
            let out: Vec<_> = out.map(|(_, op, key)| (*key, *op == Op::Pull)).collect();
            prop_assert_eq!(issued, out);
        }
    }
}

/// What a worker issues, and what comes back to it.
#[derive(Clone, Debug)]
enum Step {
    Many(Op, u32, Vec<u32>),
    /// So many of the operations that are out come back.
    Settle(usize),
    Flush,
    Snapshot(Vec<u32>),
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![Just(Op::Pull), Just(Op::Push), Just(Op::PushPull)];
    let keys = || prop::collection::vec(0u32..12, 0..40);
    prop_oneof![
        6 => (op, 0u32..3, keys()).prop_map(|(op, group, keys)| Step::Many(op, group, keys)),
        3 => (0usize..50).prop_map(Step::Settle),
        1 => Just(Step::Flush),
        1 => keys().prop_map(Step::Snapshot),
    ]
}

/// An outbox and what has left it.
struct Sending {
    outbox: TestBox,
    one_by_one: bool,
    width: usize,
    left: Vec<(u32, bool, Vec<Run>, Vec<u32>, Vec<u32>)>,
    pulls: usize,
    pushes: usize,
}

impl Sending {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Many(op, group, keys) => self.issue(*op, if op.pulls() { *group } else { 0 }, keys),
            Step::Settle(n) => {
                let (pulls, pushes) = ((*n).min(self.pulls), (*n).min(self.pushes));
                self.outbox.settle(pulls, pushes).unwrap();
                (self.pulls, self.pushes) = (self.pulls - pulls, self.pushes - pushes);
            }
            Step::Flush => self.outbox.flush_where(|_, _| true),
            Step::Snapshot(keys) => {
                let mut route = Route::default();
                self.outbox.route(keys, &mut route).unwrap();
                self.outbox.pull_snapshot(keys, &route, 9);
            }
        }
        while let Some(block) = self.outbox.pop() {
            (self.pulls, self.pushes) = (self.pulls + block.pulls(), self.pushes + block.pushes());
            self.left.push((block.destination, block.snapshot, block.runs, block.keys, block.deltas));
        }
    }

    fn issue(&mut self, op: Op, group: u32, keys: &[u32]) {
        let width = self.width as u32;
        let of = |key: &u32| {
            let key = *key;
            (0..width).map(move |i| 100 * key + i)
        };
        let deltas: Vec<_> = keys.iter().filter(|_| op.pushes()).flat_map(of).collect();
        if !self.one_by_one {
            let mut route = Route::default();
            self.outbox.route(keys, &mut route).unwrap();
            self.outbox.issue_many(Many { op, keys, deltas: &deltas, group }, &route).unwrap();
            return;
        }
        for key in keys {
            let server = self.outbox.router.server_of(key).unwrap();
            match op {
                Op::Pull => self.outbox.pull_from(server, *key, group),
                Op::Push => self.outbox.push(*key, of(key)).unwrap(),
                Op::PushPull => self.outbox.push_and_pull(server, *key, of(key), group).unwrap(),
            }
        }
    }
}

proptest! {
    /// Whatever waits, is combined or fills a block: the same blocks leave at the same time.
    #[test]
    fn operations_on_many_keys_leave_as_one_after_the_other_would(
        steps in prop::collection::vec(step(), 1..30),
        (servers, credit, block_len) in (1usize..4, 1usize..60, 1usize..30),
        width in 1usize..4,
        (combines, pushes_overtake, ranges) in any::<(bool, bool, bool)>(),
    ) {
        let add = |row: &mut [u32], delta: &[u32]| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b);
        let mut ways = [false, true].map(|one_by_one| {
            let placement = match ranges {
                true => Placement::Range(12),
                false => Placement::custom(|key: &u32, servers| *key as usize % servers),
            };
            let combine = combines.then_some(add as Combiner<u32>);
            let push_width = width;
            let config =
                OutboxConfig { servers, placement, push_width, combine, pushes_overtake, credit, block_len };
            let outbox = TestBox::new(config);
            Sending { outbox, one_by_one, width, left: Vec::new(), pulls: 0, pushes: 0 }
        });
        for step in steps.iter().chain([&Step::Flush]) {
            ways.iter_mut().for_each(|way| way.take(step));
            prop_assert_eq!(&ways[0].left, &ways[1].left);
            prop_assert_eq!(ways[0].outbox.has_credit_beside(0), ways[1].outbox.has_credit_beside(0));
            prop_assert_eq!(ways[0].outbox.is_idle(), ways[1].outbox.is_idle());
        }
    }
}

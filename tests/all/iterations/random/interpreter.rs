//! The epoch rules, one record and one round after the other.

use std::collections::BTreeMap;

use super::Found;
use super::program::{Ending, Op, Program};

/// Cases with more records than this in a stream and round are left out.
const MAX_RECORDS: usize = 2000;

/// What operations keep over the rounds of all runs.
#[derive(Default)]
struct States {
    sums: BTreeMap<usize, u64>,
    counts: BTreeMap<(usize, u64), u64>,
    inner: BTreeMap<usize, States>,
}

/// The records of all streams of the outer loop; `None` if they get too many.
pub(super) fn interpret(program: &Program) -> Option<Found> {
    let mut found = Found::new();
    let on_round = |epoch, streams: &[Vec<u64>]| {
        for (i, records) in streams.iter().enumerate().filter(|(_, records)| !records.is_empty()) {
            let mut records = records.clone();
            records.sort();
            found.insert((epoch, i), records);
        }
    };
    let [x, once, replayed] = program.inputs.clone();
    run(program, x, &[once, replayed], &mut States::default(), on_round)?;
    Some(found)
}

/// Runs a loop from its first value, and shows all streams of each round.
fn run(
    program: &Program,
    first: Vec<u64>,
    data: &[Vec<u64>],
    states: &mut States,
    mut on_round: impl FnMut(u64, &[Vec<u64>]),
) -> Option<()> {
    let mut variable = first;
    for round in 0..program.max_rounds {
        let mut streams = vec![variable];
        if let [once, replayed] = data {
            streams.push(if round == 0 { once.clone() } else { Vec::new() });
            streams.push(replayed.clone());
        }
        for (at, op) in program.ops.iter().enumerate() {
            let next = apply(op, at, &streams, states)?;
            if next.len() > MAX_RECORDS {
                return None;
            }
            streams.push(next);
        }
        on_round(round, &streams);
        let fed_back = streams[program.feedback].iter().filter(|x| *x % 4 > 0);
        variable = fed_back.map(|x| x / 2).collect();
        let goes_on = match (data, program.ending) {
            ([], _) | (_, Ending::Feedback) => true,
            (_, Ending::Criteria(i)) => streams[i].iter().any(|x| x % 3 > 0),
        };
        if variable.is_empty() || !goes_on {
            break;
        }
    }
    Some(())
}

fn apply(op: &Op, at: usize, streams: &[Vec<u64>], states: &mut States) -> Option<Vec<u64>> {
    let count = |records: &[u64], modulus: u64, counts: &mut BTreeMap<(usize, u64), u64>| {
        let mut count = |x: &u64| {
            let n = counts.entry((at, x % modulus)).or_default();
            *n += 1;
            (x % modulus + 8 * *n) % 64
        };
        records.iter().map(&mut count).collect()
    };
    Some(match op {
        Op::Map(i, add) => streams[*i].iter().map(|x| (3 * x + add) % 64).collect(),
        Op::Filter(i, modulus) => streams[*i].iter().copied().filter(|x| x % modulus == 0).collect(),
        Op::Union(i, j) => [&streams[*i][..], &streams[*j]].concat(),
        Op::Hold(i) => streams[*i].clone(),
        Op::Sum(i) => {
            let sum = states.sums.entry(at).or_default();
            *sum += streams[*i].iter().sum::<u64>();
            vec![*sum % 64]
        }
        Op::Count(i, modulus) => count(&streams[*i], *modulus, &mut states.counts),
        Op::CountPerRound(i, modulus) => count(&streams[*i], *modulus, &mut BTreeMap::new()),
        Op::SumPerRound(i) => vec![streams[*i].iter().sum::<u64>() % 64],
        Op::Nested(i, inner) => {
            let mut results = Vec::new();
            let on_round = |_, streams: &[Vec<u64>]| results.extend_from_slice(&streams[streams.len() - 1]);
            run(inner, streams[*i].clone(), &[], states.inner.entry(at).or_default(), on_round)?;
            results
        }
    })
}

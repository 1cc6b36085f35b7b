//! What is measured, and how the second process learns of it.

use std::time::Instant;

/// A loop body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// One record on each worker goes round.
    Pass,
    /// The same, but each waits until the round is complete.
    Epochs,
    /// Vectors of so many doubles, one from each worker, are added up on one and sent to all.
    Reduce(usize),
}

impl Case {
    pub const ALL: [Case; 5] =
        [Case::Pass, Case::Epochs, Case::Reduce(1), Case::Reduce(1000), Case::Reduce(100_000)];

    pub fn name(self) -> String {
        match self {
            Case::Pass => "pass-through".into(),
            Case::Epochs => "epoch callbacks".into(),
            Case::Reduce(d) => format!("reduce + broadcast {d}"),
        }
    }
}

/// How many workers there are, in how many processes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub workers: usize,
    pub processes: usize,
}

/// A case and its number of rounds.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub case: Case,
    pub rounds: u64,
}

/// Microseconds of a round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    pub p50: f64,
    pub p99: f64,
}

/// Notes when each round comes by.
pub struct Rounds {
    last: Option<Instant>,
    took: Vec<f64>,
}

impl Rounds {
    pub fn new(rounds: u64) -> Self {
        Rounds { last: None, took: Vec::with_capacity(rounds as usize) }
    }

    pub fn note(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.took.push((now - last).as_secs_f64() * 1e6);
        }
    }

    /// The figures without the first tenth, which warms up.
    pub fn run(&self) -> Run {
        let mut took = self.took[self.took.len() / 10..].to_vec();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
        Run { p50: at(0.5), p99: at(0.99) }
    }
}

/// Which of the two programs a second process runs.
pub enum Side {
    Ours,
    /// With the address of the first process.
    Raw(String),
}

impl Work {
    /// The arguments that make a second process of this program do its part.
    pub fn child_args(&self, side: &Side) -> Vec<String> {
        let case = Case::ALL.iter().position(|case| *case == self.case).unwrap();
        let side = match side {
            Side::Ours => "ours",
            Side::Raw(address) => address,
        };
        vec!["--child".into(), side.into(), case.to_string(), self.rounds.to_string()]
    }
}

/// The part that another process has started this one for, if so.
pub fn child() -> Option<(Side, Work)> {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--child").skip(1).collect();
    let [side, case, rounds] = args.as_slice() else { return None };
    let side = match side.as_str() {
        "ours" => Side::Ours,
        address => Side::Raw(address.into()),
    };
    Some((side, Work { case: Case::ALL[case.parse::<usize>().unwrap()], rounds: rounds.parse().unwrap() }))
}

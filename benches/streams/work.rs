//! What all three programs do, and how a second process is told to do its part.

use std::time::{Duration, Instant};

use waterwheel::engine::hash::key_hash;
use waterwheel::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Lines of text, cut into words, counted by word.
    Words,
    /// Numbers, counted by number.
    Keys,
    /// Numbers with event time, counted by number in tumbling windows.
    Windows,
    /// Numbers through ten maps, one after the other.
    Maps,
}

impl Case {
    pub const ALL: [Case; 4] = [Case::Words, Case::Keys, Case::Windows, Case::Maps];

    pub fn name(self) -> &'static str {
        match self {
            Case::Words => "word count",
            Case::Keys => "keyed count u64",
            Case::Windows => "windowed count u64",
            Case::Maps => "chain of 10 maps",
        }
    }

    /// Records per million that are asked for: for each case to take about as long.
    pub fn thousands(self) -> u64 {
        match self {
            Case::Words => 500,
            Case::Keys | Case::Windows => 1_000,
            Case::Maps => 5_000,
        }
    }

    pub fn loop_name(self) -> &'static str {
        if self == Case::Maps { "plain loop" } else { "hash map" }
    }
}

/// Different words, and different numbers.
const VOCABULARY: u32 = 10_000;

/// A case and its data. The text lives as long as the program.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub case: Case,
    pub n: u64,
    text: &'static [String],
}

/// Where a program runs: threads per process, and processes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub workers: usize,
    pub processes: usize,
}

/// What a program measured and computed.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub ns_per_record: f64,
    pub digest: u64,
}

impl Work {
    pub fn new(case: Case, n: u64) -> Self {
        let words = generate::Words::new(if case == Case::Words { n } else { 0 }, VOCABULARY).unwrap();
        Work { case, n, text: words.lines().collect::<Vec<_>>().leak() }
    }

    /// The lines of part `split` of `splits`.
    pub fn lines(&self, split: usize, splits: usize) -> impl Iterator<Item = &'static str> + use<> {
        let range = generate::split_range(self.text.len() as u64, split, splits);
        self.text[range.start as usize..range.end as usize].iter().map(String::as_str)
    }

    /// The numbers of part `split` of `splits`.
    pub fn numbers(&self, split: usize, splits: usize) -> impl Iterator<Item = u64> + use<> {
        generate::split_range(self.n, split, splits).map(|i| generate::sm(1, i) % u64::from(VOCABULARY))
    }

    /// Numbers and their times, in order of time; every part has some of every time.
    pub fn timed(&self, split: usize, splits: usize) -> impl Iterator<Item = (u64, u64)> + use<> {
        let number = |i| (generate::sm(1, i) % u64::from(VOCABULARY), i / 10);
        (split as u64..self.n).step_by(splits).map(number)
    }

    pub fn run(&self, took: Duration, digest: u64) -> Run {
        Run { ns_per_record: took.as_nanos() as f64 / self.n as f64, digest }
    }

    /// Times one thread.
    pub fn time(&self, f: impl FnOnce() -> u64) -> Run {
        let start = Instant::now();
        let digest = f();
        self.run(start.elapsed(), digest)
    }

    /// The arguments that make a second process of this program do its part.
    pub fn child_args(&self, side: Side) -> Vec<String> {
        let case = Case::ALL.iter().position(|case| *case == self.case).unwrap();
        vec!["--child".into(), side.flag(), case.to_string(), self.n.to_string()]
    }
}

/// The words of a line, each a record of its own.
pub fn words(line: &'static str) -> impl Iterator<Item = String> {
    line.split(' ').map(String::from)
}

/// What one key adds to the digest.
pub fn digest_of<K: Key>(key: &K, count: u64) -> u64 {
    key_hash(key).wrapping_mul(count)
}

/// Length of a window, in milliseconds of event time: ten records of each key.
pub const WINDOW_MS: u64 = 10_000;

/// End of the window that a time is in.
#[inline]
pub fn window_end(time_ms: u64) -> u64 {
    time_ms - time_ms % WINDOW_MS + WINDOW_MS
}

/// What one key of one window adds to the digest.
pub fn window_digest(key: u64, end_ms: u64, count: u64) -> u64 {
    digest_of(&key, count).wrapping_mul(end_ms + 1)
}

/// One of the ten maps.
#[inline]
pub fn step(x: u64) -> u64 {
    x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17)
}

/// Which of the two programs that can have a second process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    /// With the address of the first process.
    Raw(String),
}

impl Side {
    fn flag(&self) -> String {
        match self {
            Side::Ours => "ours".into(),
            Side::Raw(address) => address.clone(),
        }
    }

    /// Does the part of the second process. It prints nothing.
    pub fn run_child(self, work: &Work) {
        match self {
            Side::Ours => {
                crate::ours::run(work, Shape { workers: 1, processes: 2 });
            }
            Side::Raw(address) => crate::raw::run_second(work, &address),
        }
    }
}

/// The part that another process has started this one for, if so.
pub fn child() -> Option<(Side, Work)> {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--child").skip(1).collect();
    let [side, case, n] = args.as_slice() else { return None };
    let side = match side.as_str() {
        "ours" => Side::Ours,
        address => Side::Raw(address.into()),
    };
    Some((side, Work::new(Case::ALL[case.parse::<usize>().unwrap()], n.parse().unwrap())))
}

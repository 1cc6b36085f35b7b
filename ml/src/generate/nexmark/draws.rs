//! Random choices of one event: numbers, prices, names.

use waterwheel_engine::random::{below, sm};

const FIRST_NAMES: [&str; 12] = [
    "Ada", "Alan", "Barbara", "Edgar", "Frances", "Grace", "Jim", "Leslie", "Nancy", "Radia", "Tony", "Yuki",
];
const LAST_NAMES: [&str; 10] =
    ["Allen", "Codd", "Gray", "Hoare", "Hopper", "Lynch", "Moore", "Perlman", "Rivest", "Tarjan"];
const CITIES: [(&str, [&str; 2]); 6] = [
    ("AZ", ["Phoenix", "Tucson"]),
    ("CA", ["Los Angeles", "San Francisco"]),
    ("ID", ["Boise", "Nampa"]),
    ("OR", ["Bend", "Portland"]),
    ("WA", ["Redmond", "Seattle"]),
    ("WY", ["Casper", "Cheyenne"]),
];

/// The random numbers of one event, one after the other.
pub(super) struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    /// Those of event `number`: they do not depend on any other event.
    #[inline]
    pub(super) fn of_event(seed: u64, number: u64) -> Self {
        Draws { seed: sm(sm(seed, 20), number), drawn: 0 }
    }

    /// A number below `n`, which is 1 or more.
    #[inline]
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let draw = sm(self.seed, self.drawn);
        self.drawn += 1;
        below(n, draw)
    }

    /// Whether one of `ratio` equal chances is not the first: `1 - 1/ratio`.
    #[inline]
    pub(super) fn is_hot(&mut self, ratio: u64) -> bool {
        self.below(ratio) > 0
    }

    /// A price from 1.00 to 999,000.00, in cents: every power of ten is as likely as any other.
    #[inline]
    pub(super) fn price(&mut self) -> u64 {
        let decade = self.below(6) as u32;
        10u64.pow(decade) * (100 + self.below(900))
    }

    /// First and last name.
    pub(super) fn name(&mut self) -> String {
        let first = FIRST_NAMES[self.below(FIRST_NAMES.len() as u64) as usize];
        let last = LAST_NAMES[self.below(LAST_NAMES.len() as u64) as usize];
        format!("{first} {last}")
    }

    /// A state and one of its cities.
    pub(super) fn state_and_city(&mut self) -> (String, String) {
        let (state, cities) = CITIES[self.below(CITIES.len() as u64) as usize];
        (state.into(), cities[self.below(cities.len() as u64) as usize].into())
    }

    /// Four groups of four digits.
    pub(super) fn credit_card(&mut self) -> String {
        let [a, b, c, d] = std::array::from_fn(|_| self.below(10_000));
        format!("{a:04} {b:04} {c:04} {d:04}")
    }

    /// `len` small letters.
    pub(super) fn letters(&mut self, len: usize) -> String {
        let mut text = String::with_capacity(len);
        while text.len() < len {
            // Thirteen letters of one number: 26^13 is below 2^64.
            let mut rest = self.below(26u64.pow(13));
            for _ in 0..13.min(len - text.len()) {
                text.push(char::from(b'a' + (rest % 26) as u8));
                rest /= 26;
            }
        }
        text
    }

    /// `least` to twice as many small letters.
    pub(super) fn some_letters(&mut self, least: usize) -> String {
        let len = least + self.below(least as u64 + 1) as usize;
        self.letters(len)
    }
}

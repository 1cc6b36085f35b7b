//! The random numbers of `java.util.Random`, which the original tests draw their data from.

/// The linear congruential generator that the Java documentation specifies.
pub(super) struct Random {
    seed: u64,
}

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random { seed: (seed ^ MULTIPLIER) & MASK }
    }

    /// The next `bits` random bits.
    fn next(&mut self, bits: u32) -> u64 {
        self.seed = self.seed.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        self.seed >> (48 - bits)
    }

    /// A number below `bound`, which is at most 2^31 - 1.
    pub(super) fn next_int(&mut self, bound: u64) -> u64 {
        if bound.is_power_of_two() {
            return (bound * self.next(31)) >> 31;
        }
        loop {
            let drawn = self.next(31);
            let number = drawn % bound;
            // Draws from the last, incomplete multiple of the bound would favour small numbers.
            if drawn - number + (bound - 1) < 1 << 31 {
                return number;
            }
        }
    }

    pub(super) fn next_bool(&mut self) -> bool {
        self.next(1) != 0
    }

    /// A number from 0 to 1.
    pub(super) fn next_double(&mut self) -> f64 {
        let high = self.next(26) << 27;
        (high + self.next(27)) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn java_random_47_draws_the_numbers_of_java() {
    let mut random = Random::new(47);
    let draws = [(); 3].map(|()| (random.next_int(20), random.next_int(15), random.next_double()));
    assert_eq!(
        draws,
        [(18, 5, 0.5309454508634242), (1, 14, 0.18847866977771732), (2, 7, 0.2678662084200585)]
    );
}

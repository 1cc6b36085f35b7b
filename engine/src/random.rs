//! Random numbers that are a function of a seed and a number: any of them can be had at any time, in any order, on any
//! machine.

/// Output `n`, counted from 0, of the generator splitmix64 started at state `seed`.
///
/// Steele, Lea and Flood, *Fast splittable pseudorandom number generators* (OOPSLA 2014), with the
/// constants of Vigna's public-domain `splitmix64.c`.
///
/// # Examples
/// ```
/// assert_eq!(waterwheel_engine::random::sm(0, 0), 0xe220_a839_7b1d_cdaf);
/// ```
#[inline]
pub fn sm(seed: u64, n: u64) -> u64 {
    mixed(seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// The upper 53 bits of [`sm`] as a number in `[0, 1)`.
///
/// # Examples
/// ```
/// assert_eq!(waterwheel_engine::random::unit(0, 0), 0.8833108082136426);
/// ```
#[inline]
pub fn unit(seed: u64, n: u64) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 53) as f64;
    (sm(seed, n) >> 11) as f64 * STEP
}

/// The finish of splitmix64: every bit of the result depends on every bit of `z`.
///
/// # Examples
/// ```
/// assert_eq!(waterwheel_engine::random::mixed(0), 0);
/// ```
#[inline]
pub fn mixed(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number below `n`, which is 1 or more, from the number `draw`: all with the same chance, up to one part in
/// 2^64 / `n`.
///
/// # Examples
/// ```
/// use waterwheel_engine::random::{below, sm};
///
/// assert!((0..100).all(|n| below(6, sm(0, n)) < 6));
/// ```
#[inline]
pub fn below(n: u64, draw: u64) -> u64 {
    // Below `n`, so it fits.
    ((u128::from(draw) * u128::from(n)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sm_is_splitmix64() {
        assert_eq!(
            [0, 1, 2, 3].map(|n| sm(0, n)),
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f, 0xf88b_b8a8_724c_81ec,]
        );
        assert_eq!(sm(1_234_567, 0), 0x599e_d017_fb08_fc85);
        assert_eq!(sm(u64::MAX, u64::MAX), 0xb4d0_55fc_f2cb_bd7b);
    }

    #[test]
    fn unit_far_away_is_golden() {
        assert_eq!(unit(7, 1_000_000_000_000_000_000), 0.2351153992443965);
    }

    proptest! {
        #[test]
        fn unit_is_below_one(seed: u64, n: u64) {
            prop_assert!((0.0..1.0).contains(&unit(seed, n)));
        }
    }
}

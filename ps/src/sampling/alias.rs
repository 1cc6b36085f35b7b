//! A table from which numbers are drawn by weight, in constant time.

use waterwheel_engine::{Error, Result};

/// Vose's table: each place has a number of its own, taken with some probability, and another one for the rest.
#[derive(Debug)]
pub(crate) struct AliasTable {
    weights: Vec<f64>,
    places: Vec<(f64, u32)>,
    above_zero: u64,
}

impl AliasTable {
    /// # Errors
    /// A weight is negative or not finite, all are 0, or there are too many.
    pub(crate) fn new(weights: &[f64]) -> Result<Self> {
        if let Some(at) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            let weight = weights[at];
            return Err(Error::config(format!(
                "weight {at} is {weight}, expected a finite number, 0 or more"
            )));
        }
        let above_zero = weights.iter().filter(|weight| **weight > 0.0).count() as u64;
        let n = u32::try_from(weights.len())
            .map_err(|_| Error::config(format!("{} weights, expected less than 2^32", weights.len())))?;
        if above_zero == 0 {
            return Err(Error::config(format!("none of the {n} weights is above 0")));
        }
        // Divided by the largest one first: their sum can not overflow then.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let mean = weights.iter().map(|weight| weight / largest).sum::<f64>() / f64::from(n);
        let shares: Vec<f64> = weights.iter().map(|weight| weight / largest / mean).collect();
        Ok(AliasTable { places: fill(shares), weights: weights.to_vec(), above_zero })
    }

    pub(crate) fn len(&self) -> u64 {
        self.weights.len() as u64
    }

    /// How many weights are above 0.
    pub(crate) fn above_zero(&self) -> u64 {
        self.above_zero
    }

    pub(crate) fn weight(&self, number: u64) -> f64 {
        self.weights.get(number as usize).copied().unwrap_or(0.0)
    }

    /// The number at a place, where `unit` is drawn from `[0, 1)`.
    #[inline]
    pub(crate) fn at(&self, place: u64, unit: f64) -> u64 {
        match self.places.get(place as usize) {
            Some((probability, other)) if unit >= *probability => u64::from(*other),
            _ => place,
        }
    }
}

/// The places for shares whose mean is 1.
fn fill(mut shares: Vec<f64>) -> Vec<(f64, u32)> {
    let mut places: Vec<(f64, u32)> = (0..shares.len() as u32).map(|number| (1.0, number)).collect();
    let heaviest = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0);
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..shares.len()).partition(|at| shares[*at] < 1.0);
    while let (Some(less), Some(more)) = (small.pop(), large.pop()) {
        places[less] = (shares[less], more as u32);
        shares[more] -= 1.0 - shares[less];
        if shares[more] < 1.0 { small.push(more) } else { large.push(more) }
    }
    // What is left has a share of 1, up to rounding; but a weight of zero must not become one of 1.
    for left in small.into_iter().filter(|left| shares[*left] == 0.0) {
        places[left] = (0.0, heaviest as u32);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The probability of each number, by the places of the table.
    fn probabilities(table: &AliasTable) -> Vec<f64> {
        let n = table.places.len();
        let mut found = vec![0.0; n];
        for (place, (probability, other)) in table.places.iter().enumerate() {
            found[place] += probability / n as f64;
            found[*other as usize] += (1.0 - probability) / n as f64;
        }
        found
    }

    #[test]
    fn weights_that_mean_nothing_are_refused() {
        let message = |weights: &[f64]| AliasTable::new(weights).unwrap_err().message().to_string();
        assert_eq!(message(&[1.0, -1.0]), "weight 1 is -1, expected a finite number, 0 or more");
        assert_eq!(message(&[f64::NAN]), "weight 0 is NaN, expected a finite number, 0 or more");
        assert_eq!(message(&[0.0, 0.0]), "none of the 2 weights is above 0");
        assert_eq!(message(&[]), "none of the 0 weights is above 0");
    }

    #[test]
    fn weights_near_the_largest_number_do_not_overflow() {
        let table = AliasTable::new(&[f64::MAX, f64::MAX, 0.0]).unwrap();
        assert_eq!(probabilities(&table), [0.5, 0.5, 0.0]);
    }

    proptest! {
        #[test]
        fn table_has_the_probabilities_of_its_weights(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1e3f64, 0.0..1e-3f64], 1..60),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0.0));
            let (table, sum) = (AliasTable::new(&weights).unwrap(), weights.iter().sum::<f64>());
            for (found, weight) in probabilities(&table).iter().zip(&weights) {
                prop_assert!((found - weight / sum).abs() < 1e-12);
                prop_assert!(*weight > 0.0 || *found == 0.0);
            }
        }
    }
}

//! Elastic-net regularisation, in place, after each step.

/// Moves `coefficients` against the slope of `reg (elastic_net |w| + (1 - elastic_net) w²/2)`, by `rate`.
///
/// Flink ML's `RegularizationUtils.regularize`; the slope of |w| at 0 is 0.
pub(crate) fn regularize(coefficients: &mut [f64], reg: f64, elastic_net: f64, rate: f64) {
    if reg == 0.0 {
        return;
    }
    for w in coefficients {
        let sign = if *w == 0.0 { 0.0 } else { w.signum() };
        *w -= rate * reg * (elastic_net * sign + (1.0 - elastic_net) * *w);
    }
}

/// What the coefficients cost.
pub(crate) fn penalty(coefficients: &[f64], reg: f64, elastic_net: f64) -> f64 {
    let of_one = |w: &f64| elastic_net * w.abs() + (1.0 - elastic_net) * w * w / 2.0;
    reg * coefficients.iter().map(of_one).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units of `iteration.md` §3.14, from Flink ML's tests.
    #[test]
    fn regularization_units_are_those_of_flink_ml() {
        for (elastic_net, expected) in
            [(0.0, [0.99, -1.98, 0.0]), (1.0, [0.99, -1.99, 0.0]), (0.1, [0.99, -1.981, 0.0])]
        {
            let mut w = [1.0, -2.0, 0.0];
            regularize(&mut w, 0.1, elastic_net, 0.1);
            for (found, expected) in w.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{elastic_net}: {w:?}");
            }
        }
    }
}

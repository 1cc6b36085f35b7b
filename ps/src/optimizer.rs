//! Optimizers that run at the server: pushes are gradients, pulls are weights.
//!
//! What an optimizer remembers of a weight stands in slots behind the row, in the same memory, and is never sent.
//! Give one to [`SimpleServer::with_update`](crate::SimpleServer::with_update).
//!
//! | optimizer | slots of a row of *w* weights |
//! |---|---|
//! | [`Sgd`] | none; 1 when the learning rate falls |
//! | [`Momentum`] | *w* |
//! | [`AdaGrad`] | *w* |
//! | [`Adam`] | 2 *w* + 2 |
//! | [`FtrlProximal`] | 2 *w* |
//!
//! Rows and gradients are `f32` or `f64`, and all is computed in that type. A gradient that is not finite ends the run
//! with an error and changes nothing. Optimizers depend on the order of the pushes: where they come from several
//! workers, results agree up to that order.
//!
//! # Examples
//! ```
//! use waterwheel_engine::{Result, RuntimeConfig, execute};
//! use waterwheel_ps::optimizer::AdaGrad;
//! use waterwheel_ps::{ParameterServerClient, PsConfig, SimpleServer, WorkerLogic, transform};
//!
//! /// Gradients of `(w - 3)^2 / 2`, one after the other.
//! struct Descend;
//! impl WorkerLogic for Descend {
//!     type In = u32;
//!     type Key = u32;
//!     type Pull = f32;
//!     type Push = f32;
//!     type Out = ();
//!     fn on_recv(&mut self, key: u32, ps: &mut ParameterServerClient<Self>) -> Result<()> {
//!         ps.pull(key)
//!     }
//!     fn on_pull_recv(&mut self, key: &u32, w: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
//!         ps.push(*key, [w[0] - 3.0])?;
//!         if (w[0] - 3.0).abs() > 0.01 { ps.pull(*key) } else { Ok(()) }
//!     }
//! }
//!
//! let models = execute(RuntimeConfig::threads(2), |env| {
//!     let server = SimpleServer::with_update(|_: &u32, row: &mut Vec<f32>| row.push(0.0), AdaGrad::new(1.0)?);
//!     let keys = env.from_iter(0..5u32);
//!     Ok(transform(keys, Descend, server, &PsConfig::new())?.model.collect())
//! })?;
//! assert!(models.concat().iter().all(|(_key, w)| (w[0] - 3.0).abs() < 0.02));
//! # Ok::<(), waterwheel_engine::Error>(())
//! ```

mod adagrad;
mod adam;
mod float;
mod ftrl;
mod momentum;
mod rate;
mod sgd;

pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use float::Float;
pub use ftrl::FtrlProximal;
pub use momentum::Momentum;
pub use rate::LearningRate;
pub use sgd::Sgd;

use waterwheel_engine::{Error, Result};

/// Refuses a parameter of an optimizer that is not finite and above zero.
fn above_zero(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(Error::config(format!("{what} is {value}, expected a finite number above 0")))
}

/// Refuses a parameter of an optimizer that is not finite and zero or more.
fn zero_or_more(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(Error::config(format!("{what} is {value}, expected a finite number, 0 or more")))
}

/// Refuses a factor of decay that is not from 0 to below 1.
fn decay(what: &str, value: f64) -> Result<f64> {
    if (0.0..1.0).contains(&value) {
        return Ok(value);
    }
    Err(Error::config(format!("{what} is {value}, expected 0 to below 1")))
}

/// Refuses gradients with which no weight would be a number again.
#[inline]
fn finite<F: Float>(gradient: &[F]) -> Result<()> {
    match gradient.iter().position(|g| !g.is_finite()) {
        None => Ok(()),
        Some(at) => Err(not_finite(at, gradient[at])),
    }
}

#[cold]
fn not_finite<F: Float>(at: usize, found: F) -> Error {
    Error::operator(format!("element {at} of the gradient is {found}, expected a finite number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::Update;

    /// Pushes `gradients` one after the other to a row of one weight, and returns the weight after each.
    pub(super) fn weights<U: Update<f64, f64>>(update: &U, first: f64, gradients: &[f64]) -> Vec<f64> {
        let (mut row, mut slots) = ([first], Vec::new());
        update.init_slots(1, &mut slots);
        let step = |g: &f64| {
            update.apply(&mut row, &mut slots, &[*g]).unwrap();
            row[0]
        };
        gradients.iter().map(step).collect()
    }

    pub(super) fn assert_close(found: &[f64], expected: &[f64]) {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(near),
            "{found:?} {expected:?}"
        );
    }

    fn refuses_what_is_not_finite<U: Update<f32, f32>>(update: U) {
        let (mut row, mut slots) = ([1.0, 2.0], Vec::new());
        update.init_slots(2, &mut slots);
        let before = slots.clone();
        for bad in [f32::NAN, f32::INFINITY] {
            let error = update.apply(&mut row, &mut slots, &[0.5, bad]).unwrap_err();
            assert!(error.message().starts_with("element 1 of the gradient is "), "{error}");
            assert_eq!((row, &slots), ([1.0, 2.0], &before));
        }
        assert!(update.check_widths(2, 1).is_err());
        assert!(update.check_widths(2, 2).is_ok());
    }

    #[test]
    fn optimizers_refuse_gradients_that_are_not_finite_and_change_nothing() {
        refuses_what_is_not_finite(Sgd::new(0.1).unwrap());
        refuses_what_is_not_finite(Sgd::new(LearningRate::InverseSqrt(0.1)).unwrap());
        refuses_what_is_not_finite(Momentum::new(0.1, 0.9).unwrap());
        refuses_what_is_not_finite(AdaGrad::new(0.1).unwrap());
        refuses_what_is_not_finite(Adam::new(0.1).unwrap());
        refuses_what_is_not_finite(FtrlProximal::new(0.1).unwrap());
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let message = |result: Result<f64>| result.unwrap_err().message().to_string();
        assert_eq!(message(above_zero("rate", 0.0)), "rate is 0, expected a finite number above 0");
        assert!(message(above_zero("rate", f64::NAN)).starts_with("rate is NaN"));
        assert_eq!(message(zero_or_more("l1", -1.0)), "l1 is -1, expected a finite number, 0 or more");
        assert_eq!(message(decay("beta1", 1.0)), "beta1 is 1, expected 0 to below 1");
        assert!(decay("beta1", f64::NAN).is_err());
    }
}

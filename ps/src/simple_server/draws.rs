//! Answers with rows that the server draws.

use waterwheel_engine::{Error, Key, Result};

use super::SimpleServer;
use crate::element::Element;
use crate::parameter_server::ParameterServer;
use crate::sampling::{Draw, pick};

/// Which rows are drawn, and how often.
pub(super) struct Draws<K, E> {
    /// How many a key asks for, if it asks for draws.
    asked: fn(&K) -> Option<Draw>,
    /// The weight of a row; all have the same without it.
    weight: Option<fn(&K, &[E]) -> f64>,
}

impl<K, E> Draws<K, E> {
    pub(super) fn new(asked: fn(&K) -> Option<Draw>, weight: Option<fn(&K, &[E]) -> f64>) -> Self {
        Draws { asked, weight }
    }
}

impl<K: Key, E: Element, D, I, U> SimpleServer<K, E, D, I, U> {
    /// Answers a pull with rows that are drawn, if its key asks for that. Returns whether it does.
    #[inline]
    pub(super) fn answer_draw(
        &self,
        key: &K,
        worker: usize,
        ps: &mut ParameterServer<K, E, (K, Vec<E>)>,
    ) -> Result<bool> {
        let Some(draws) = &self.draws else { return Ok(false) };
        let Some(draw) = (draws.asked)(key) else { return Ok(false) };
        match draws.weight {
            None => {
                for (key, row) in draw.numbers().filter_map(|number| self.store.drawn(number)) {
                    ps.add_row(worker, key, &row[..self.width])?;
                }
            }
            Some(weight) => self.draw_by(weight, draw, worker, ps)?,
        }
        ps.dismiss_pull(worker, key)?;
        Ok(true)
    }

    /// Sends rows that are drawn by weight.
    fn draw_by(
        &self,
        weight: fn(&K, &[E]) -> f64,
        draw: Draw,
        worker: usize,
        ps: &mut ParameterServer<K, E, (K, Vec<E>)>,
    ) -> Result<()> {
        let (mut sums, mut sum) = (Vec::with_capacity(self.store.len()), 0.0);
        for (key, row) in self.store.drawable() {
            let of = weight(key, &row[..self.width]);
            if !(of >= 0.0 && of.is_finite()) {
                return Err(Error::operator(format!(
                    "weight of the row of {key:?} is {of}, expected a finite number of 0 or more"
                )));
            }
            sum += of;
            sums.push(sum);
        }
        for place in draw.numbers().filter_map(|number| pick(&sums, number)) {
            if let Some((key, row)) = self.store.drawable_at(place) {
                ps.add_row(worker, key, &row[..self.width])?;
            }
        }
        Ok(())
    }
}

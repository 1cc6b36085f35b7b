//! Pushes that are collected before they are sent.

use waterwheel_engine::{Error, Result};

use crate::models::{BigMatrix, ModelClient, ModelLogic, Scalar};

/// Collects pushes to elements of a [`BigMatrix`] and sends them together.
///
/// It is flushed by hand: what is in it when a worker closes is lost.
///
/// ```
/// # use waterwheel_engine::{Result, RuntimeConfig, execute};
/// # use waterwheel_ps::{PsConfig, models::*};
/// struct Count {
///     buffer: BufferedBigMatrix<i64>,
/// }
/// impl ModelLogic for Count {
///     type In = (u64, usize);
///     type Out = ();
///     fn on_recv(&mut self, (row, column): (u64, usize), ps: &mut ModelClient<'_, Self>) -> Result<()> {
///         if self.buffer.is_full() {
///             self.buffer.flush(ps)?;
///         }
///         self.buffer.push(row, column, 1).map(drop)
///     }
///     fn on_end_of_input(&mut self, ps: &mut ModelClient<'_, Self>) -> Result<()> {
///         self.buffer.flush(ps)
///     }
/// }
/// let sums = execute(RuntimeConfig::threads(2), |env| {
///     let mut models = Models::new(env.workers());
///     let matrix = models.matrix::<i64>(10, 4)?;
///     let cells = env.from_iter((0..1_000u64).map(|i| (i % 10, (i % 4) as usize)));
///     let count = Count { buffer: BufferedBigMatrix::new(&matrix, 100)? };
///     let out = models.transform(cells, count, &PsConfig::new())?;
///     Ok(out.model.flat_map(move |row| matrix.elements_of(&row).unwrap().collect::<Vec<_>>()).collect())
/// })?;
/// assert_eq!(sums.concat().iter().map(|(_column, n)| n).sum::<i64>(), 1_000);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BufferedBigMatrix<E> {
    matrix: BigMatrix<E>,
    capacity: usize,
    rows: Vec<u64>,
    columns: Vec<usize>,
    values: Vec<E>,
}

impl<E: Scalar> BufferedBigMatrix<E> {
    /// A buffer of so many elements.
    ///
    /// # Errors
    /// The capacity is 0.
    pub fn new(matrix: &BigMatrix<E>, capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(Error::config("capacity of a buffer is 0, expected 1 or more"));
        }
        let (rows, columns, values) = (Vec::new(), Vec::new(), Vec::new());
        Ok(BufferedBigMatrix { matrix: matrix.clone(), capacity, rows, columns, values })
    }

    /// The matrix that it pushes to.
    pub fn matrix(&self) -> &BigMatrix<E> {
        &self.matrix
    }

    /// Adds a push to the buffer. Returns whether there was place; if not, nothing is added.
    ///
    /// # Errors
    /// The row or column is out of range.
    pub fn push(&mut self, row: u64, column: usize, value: E) -> Result<bool> {
        self.matrix.check_cell(row, column)?;
        let has_place = !self.is_full();
        if has_place {
            self.rows.push(row);
            self.columns.push(column);
            self.values.push(value);
        }
        Ok(has_place)
    }

    /// Whether there is no place.
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// Pushes in the buffer.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Sends what is in the buffer, and empties it.
    ///
    /// # Errors
    /// The push can not be sent; the buffer keeps it.
    pub fn flush<L: ModelLogic>(&mut self, ps: &mut ModelClient<'_, L>) -> Result<()> {
        self.matrix.push(ps, &self.rows, &self.columns, &self.values)?;
        self.rows.clear();
        self.columns.clear();
        self.values.clear();
        Ok(())
    }
}

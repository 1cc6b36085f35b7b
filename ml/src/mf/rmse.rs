//! Root mean squared error, over everything and by window.

/// Root mean squared error of a stream of errors, summed in `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rmse {
    n: u64,
    sum: f64,
}

impl Rmse {
    /// Adds one error: expected minus predicted.
    #[inline]
    pub fn add(&mut self, error: f64) {
        self.add_many(1, error * error);
    }

    /// Adds `n` errors whose squares sum to `sum_of_squares`.
    #[inline]
    pub fn add_many(&mut self, n: u64, sum_of_squares: f64) {
        self.n += n;
        self.sum += sum_of_squares;
    }

    /// Number of errors.
    pub fn count(&self) -> u64 {
        self.n
    }

    /// The root of the mean square; `None` if there was no error.
    pub fn value(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.sum / self.n as f64).sqrt())
    }
}

/// The RMSE of each window of a fixed number of errors: the prequential (test, then train) curve of an
/// online learner.
///
/// # Examples
/// ```
/// use waterwheel_ml::mf::WindowedRmse;
/// let mut curve = WindowedRmse::new(2);
/// let full: Vec<f64> = [3.0, 3.0, 1.0].into_iter().filter_map(|error| curve.add(error)).collect();
/// assert_eq!(full, [3.0]);
/// assert_eq!(curve.rest().value(), Some(1.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowedRmse {
    window: u64,
    current: Rmse,
    all: Rmse,
}

impl WindowedRmse {
    /// Windows of `window` errors; 0 counts as 1.
    pub fn new(window: u64) -> Self {
        WindowedRmse { window: window.max(1), current: Rmse::default(), all: Rmse::default() }
    }

    /// Adds one error; returns the RMSE of the window that it completes, if it does.
    pub fn add(&mut self, error: f64) -> Option<f64> {
        self.current.add(error);
        self.all.add(error);
        if self.current.count() < self.window {
            return None;
        }
        std::mem::take(&mut self.current).value()
    }

    /// The window that is not full yet.
    pub fn rest(&self) -> Rmse {
        self.current
    }

    /// All errors so far.
    pub fn total(&self) -> Rmse {
        self.all
    }
}

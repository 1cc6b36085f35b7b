//! The server that most jobs need: rows, a function that makes them and one that updates them.

mod draws;
mod logic;

use waterwheel_engine::{Collector, Error, Key, Result};

use crate::element::{Element, zero};
use crate::eviction::Eviction;
use crate::sampling::Draw;
use crate::server::{Combiner, ServerContext};
use crate::state::PsState;
use crate::store::RowStore;
use crate::update::Update;
use draws::Draws;

/// When a [`SimpleServer`] outputs parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// Every parameter once, at the end, in order of key on each server.
    #[default]
    AtClose,
    /// The new value after every push.
    EveryPush,
    /// Never.
    Never,
}

/// The server that most jobs need: a function that makes a parameter and an [`Update`] that applies a push.
///
/// `init(key, row)` appends the first value of a parameter, `width` elements; it must depend on the key
/// alone, so that placement never changes a result. A push to an absent parameter is applied to its initial value.
///
/// Rows lie side by side, and what the update keeps of a row lies behind it. They are found by hash; under
/// [`Placement::Range`](crate::Placement::Range) and [`Placement::Cyclic`](crate::Placement::Cyclic) rows of numbers are found by position, where memory is taken as
/// keys are used. With an [`Eviction`] rows are forgotten.
///
/// # Examples
/// A counter per key, by a function, and a row of sums, by a declared algebra:
/// ```
/// use waterwheel_ps::{SimpleServer, Sum};
/// let counters = SimpleServer::new(
///     |_key: &u64, row: &mut Vec<i64>| row.push(0),
///     |row: &mut [i64], delta: &[i64]| row[0] += delta[0],
/// );
/// let sums = SimpleServer::with_update(|_key: &u64, row: &mut Vec<f32>| row.extend([0.0; 10]), Sum);
/// # let _ = (counters, sums);
/// ```
pub struct SimpleServer<K, E, D, I, U> {
    init: I,
    update: U,
    emit: Emit,
    combine: Option<Combiner<D>>,
    eviction: Option<Eviction>,
    draws: Option<Draws<K, E>>,
    state: Option<PsState>,
    store: RowStore<K, E>,
    /// Elements of a row; its slots are behind them.
    width: usize,
}

impl<K: Key, E: Element, D: Element, I, U> SimpleServer<K, E, D, I, U>
where
    I: Fn(&K, &mut Vec<E>) + 'static,
    U: Fn(&mut [E], &[D]) + 'static,
{
    /// A server from two functions, of which `update(row, delta)` applies a push in place; outputs
    /// [`Emit::AtClose`].
    pub fn new(init: I, update: U) -> Self {
        Self::with_update(init, update)
    }
}

impl<K: Key, E: Element, D: Element, I, U> SimpleServer<K, E, D, I, U>
where
    I: Fn(&K, &mut Vec<E>) + 'static,
    U: Update<E, D>,
{
    /// A server from a function and an update: an algebra, an [optimizer](crate::optimizer), or one of your own;
    /// outputs [`Emit::AtClose`].
    pub fn with_update(init: I, update: U) -> Self {
        SimpleServer {
            init,
            update,
            emit: Emit::AtClose,
            combine: None,
            eviction: None,
            draws: None,
            state: None,
            store: RowStore::hashed(0),
            width: 0,
        }
    }

    /// Declares that updates are a commutative monoid whose operation is `combine(first, second)`; see
    /// [`ServerLogic::combiner`](crate::ServerLogic::combiner). Workers then combine pushes to equal keys before they send them. Algebras that are
    /// [`EXACT`](crate::Algebra::EXACT) declare themselves.
    ///
    /// Sums of floating-point numbers pass for such, up to rounding: what a sum comes to then depends on which
    /// pushes met at a sender.
    #[must_use]
    pub fn combine(mut self, combine: Combiner<D>) -> Self {
        self.combine = Some(combine);
        self
    }

    /// Sets when parameters are output.
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = emit;
        self
    }

    /// Sets when rows are forgotten. Never, by default.
    #[must_use]
    pub fn evict(mut self, eviction: Eviction) -> Self {
        self.eviction = Some(eviction);
        self
    }

    /// Lets workers draw rows from what a server has: a pull of a key for which `draws` says how many is answered with
    /// rows drawn at random, with replacement and all with the same chance, each under its own key in a call of
    /// [`on_pull_recv`](crate::WorkerLogic::on_pull_recv) of its own. A server without rows answers nothing.
    ///
    /// For keys of which nobody knows the whole set; of keys `0..n` a [`KeySampler`](crate::KeySampler) draws without
    /// a message, and by weight. The keys that ask must have a [placement](crate::Placement) of yours, which says
    /// which server draws. Rows are then found by hash, under any placement. Which rows are there, and in which order,
    /// depends on the order in which operations reach the server.
    ///
    /// # Examples
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use waterwheel_ps::{Draw, SimpleServer, Sum};
    ///
    /// #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    /// enum Key {
    ///     Word(String),
    ///     Draw { server: usize, rows: usize, seed: u64 },
    /// }
    /// let server = SimpleServer::with_update(|_: &Key, row: &mut Vec<f32>| row.push(0.0), Sum).draw_on(|key| match key {
    ///     Key::Word(_) => None,
    ///     Key::Draw { rows, seed, .. } => Some(Draw { rows: *rows, seed: *seed }),
    /// });
    /// # let _ = server;
    /// ```
    #[must_use]
    pub fn draw_on(mut self, draws: fn(&K) -> Option<Draw>) -> Self {
        self.draws = Some(Draws::new(draws, None));
        self
    }

    /// As [`draw_on`](Self::draw_on), where a row is drawn with a chance in proportion to its `weight`, a function of
    /// its key and its elements: counts, priorities, how recent it is. Rows of weight 0 are not drawn; if all have it,
    /// nothing is answered. Weights must be finite and not below 0; one that is not ends the run.
    ///
    /// A pull that asks for draws reads all rows of the server once, whatever the number of draws: ask for many at a
    /// time. Pushes cost nothing more. For weights that belong to fixed keys `0..n`, a
    /// [`KeySampler`](crate::KeySampler) draws in constant time.
    ///
    /// # Examples
    /// Words by how often they were counted:
    /// ```
    /// use waterwheel_ps::{Draw, SimpleServer, Sum};
    ///
    /// let zero = |_: &u64, row: &mut Vec<u64>| row.push(0);
    /// let server = SimpleServer::with_update(zero, Sum).draw_by_weight(
    ///     |key| (*key >= 1_000_000).then(|| Draw { rows: 10, seed: *key }),
    ///     |_word, count| count[0] as f64,
    /// );
    /// # let _ = server;
    /// ```
    #[must_use]
    pub fn draw_by_weight(mut self, draws: fn(&K) -> Option<Draw>, weight: fn(&K, &[E]) -> f64) -> Self {
        self.draws = Some(Draws::new(draws, Some(weight)));
        self
    }

    /// Shows there how many rows it holds, and how large they are.
    #[must_use]
    pub fn state(mut self, state: &PsState) -> Self {
        self.state = Some(state.clone());
        self
    }

    /// An empty store for the keys of this server.
    fn open_store(&self, context: &ServerContext<K>) -> Result<RowStore<K, E>> {
        let width = context.pull_width;
        if let Some(eviction) = self.eviction {
            eviction.check()?;
            let store = RowStore::evicting(width, eviction);
            return Ok(if self.draws.is_some() { store.with_keys() } else { store });
        }
        if self.draws.is_some() {
            return Ok(RowStore::hashed(width).with_keys());
        }
        let part = context.placement.part(context.index, context.parallelism);
        Ok(match part.zip(zero()) {
            Some((part, blank)) => RowStore::dense(width, part, blank),
            None => RowStore::hashed(width),
        })
    }

    /// Applies a push, and returns the row after it; `None` if the key has none yet.
    #[inline]
    fn updated(&mut self, key: &K, delta: &[D]) -> Result<Option<&[E]>> {
        let Some(row) = self.store.row(key, |row| (self.init)(key, row))? else { return Ok(None) };
        let (row, slots) = row.split_at_mut(self.width);
        self.update.apply(row, slots, delta).map_err(|error| in_push(key, error))?;
        Ok(Some(row))
    }

    /// Whether operations on many keys may go through the store together: nothing happens between two of them.
    #[inline]
    fn takes_many(&self) -> bool {
        self.eviction.is_none() && self.emit != Emit::EveryPush
    }

    /// Outputs rows that the last operation has evicted.
    #[inline]
    fn emit_evicted(&mut self, out: &mut Collector<(K, Vec<E>)>) {
        if self.eviction.is_some_and(|eviction| eviction.emit) {
            let width = self.width;
            for (key, mut row) in self.store.take_evicted() {
                row.truncate(width);
                out.emit((key, row));
            }
        }
    }
}

impl<K, E, D, I, U> std::fmt::Debug for SimpleServer<K, E, D, I, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut server = f.debug_struct("SimpleServer");
        server.field("emit", &self.emit).field("eviction", &self.eviction).finish_non_exhaustive()
    }
}

#[cold]
fn in_push<K: std::fmt::Debug>(key: &K, error: Error) -> Error {
    Error::new(error.kind(), format!("push to {key:?}: {}", error.message()))
}

#[cfg(test)]
mod tests;

//! The server's side: what pulls, pushes and loaded parameters do.

use waterwheel_engine::{Collector, Key, Result};

use crate::element::Element;
use crate::parameter_server::ParameterServer;
use crate::placement::Placement;
use crate::store::RowStore;

/// What a server logic is told when it opens.
#[derive(Clone, Debug)]
pub struct ServerContext<K> {
    /// Index of this server.
    pub index: usize,
    /// Number of servers.
    pub parallelism: usize,
    /// Number of workers.
    pub workers: usize,
    /// Elements per pulled row.
    pub pull_width: usize,
    /// Elements per pushed row.
    pub push_width: usize,
    /// How keys are spread over the servers.
    pub placement: Placement<K>,
}

/// The logic of a server: one instance per server, called from one thread.
///
/// A pull may be answered at once, later, more than once or not at all; see [`ParameterServer`]. Pulled and
/// pushed rows may have different element types (the *loose* form of Flink-PS). Operations of one
/// worker on one key arrive in the order in which it issued them.
pub trait ServerLogic: 'static {
    /// Type of parameter keys.
    type Key: Key;
    /// Element of the rows that are pulled.
    type Pull: Element;
    /// Element of the rows that are pushed.
    type Push: Element;
    /// What it outputs, on the model stream.
    type Out: 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn open(&mut self, _context: &ServerContext<Self::Key>) -> Result<()> {
        Ok(())
    }

    /// Called with keys that are pulled or pushed next, for a logic that can bring their rows near: a hint,
    /// which changes nothing.
    fn prefetch(&mut self, _keys: &[Self::Key]) {}

    /// Answers a pull: appends the row of `key`, exactly `pull_width` elements, to `answer`. Or appends nothing,
    /// to answer it later with [`ParameterServer::answer_pull`].
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_pull(
        &mut self,
        key: &Self::Key,
        worker: usize,
        answer: &mut Vec<Self::Pull>,
        ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()>;

    /// Applies a push.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_push(
        &mut self,
        key: &Self::Key,
        delta: &[Self::Push],
        ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()>;

    /// Applies a push and answers a pull of the same key, as one operation. The default does the one, then the
    /// other; a logic that finds the row once for both is faster.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    #[inline]
    fn on_push_pull(
        &mut self,
        key: &Self::Key,
        delta: &[Self::Push],
        worker: usize,
        answer: &mut Vec<Self::Pull>,
        ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()> {
        self.on_push(key, delta, ps)?;
        self.on_pull(key, worker, answer, ps)
    }

    /// Called when a worker has ended, or has finished a checkpoint epoch: everything that it issued has been
    /// handled, and it waits for nothing. The place to take back what was given to it, such as a lock.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_worker_end(
        &mut self,
        _worker: usize,
        _ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// How two pushes to one key become one, if applying the result is the same as applying both, in whatever
    /// order among other pushes to the key: the algebra of updates is a commutative monoid. Workers then
    /// combine their pushes to equal keys before they send them. Default: `None`, pushes stay as they are.
    fn combiner(&self) -> Option<Combiner<Self::Push>> {
        None
    }

    /// Takes a parameter of a saved model, before the first pull and push.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_load(&mut self, key: &Self::Key, value: &[Self::Pull]) -> Result<()>;

    /// Called once, when no operation can come any more; the place to output the model.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn close(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// Adds the second row of a push to the first, which both have `push_width` elements.
pub type Combiner<D> = fn(&mut [D], &[D]);

/// When a [`SimpleServer`] outputs parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// Every touched parameter once, at the end, in order of key on each server.
    #[default]
    AtClose,
    /// The new value after every push.
    EveryPush,
    /// Never.
    Never,
}

/// The server that most jobs need: a function that makes a parameter and one that applies a push.
///
/// `init(key, row)` appends the first value of a parameter, `width` elements; it must depend on the key
/// alone, so that placement never changes a result. `update(row, delta)` applies a push in place. A push to
/// an absent parameter is applied to its initial value. Rows lie in one slab per server, found by hash, or by
/// position under [`Placement::Range`].
///
/// # Examples
/// A counter per key:
/// ```
/// use waterwheel_ps::SimpleServer;
/// let counters = SimpleServer::new(
///     |_key: &u64, row: &mut Vec<i64>| row.push(0),
///     |row: &mut [i64], delta: &[i64]| row[0] += delta[0],
/// );
/// # let _ = counters;
/// ```
pub struct SimpleServer<K, E, D, I, U> {
    init: I,
    update: U,
    emit: Emit,
    combine: Option<Combiner<D>>,
    store: RowStore<K, E>,
}

impl<K: Key, E: Element, D: Element, I, U> SimpleServer<K, E, D, I, U>
where
    I: Fn(&K, &mut Vec<E>) + 'static,
    U: Fn(&mut [E], &[D]) + 'static,
{
    /// A server from its two functions; outputs [`Emit::AtClose`].
    pub fn new(init: I, update: U) -> Self {
        SimpleServer { init, update, emit: Emit::AtClose, combine: None, store: RowStore::hashed(1) }
    }

    /// Declares that updates are a commutative monoid whose operation is `combine(first, second)`; see
    /// [`ServerLogic::combiner`]. Workers then combine pushes to equal keys before they send them.
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
}

impl<K, E, D, I, U> std::fmt::Debug for SimpleServer<K, E, D, I, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimpleServer").field("emit", &self.emit).finish_non_exhaustive()
    }
}

impl<K: Key, E: Element, D: Element, I, U> ServerLogic for SimpleServer<K, E, D, I, U>
where
    I: Fn(&K, &mut Vec<E>) + 'static,
    U: Fn(&mut [E], &[D]) + 'static,
{
    type Key = K;
    type Pull = E;
    type Push = D;
    type Out = (K, Vec<E>);

    fn open(&mut self, context: &ServerContext<K>) -> Result<()> {
        let width = context.pull_width;
        self.store = RowStore::hashed(width);
        if let Placement::Range(n) = context.placement {
            let per_server = n.div_ceil(context.parallelism as u64);
            let first = (per_server * context.index as u64).min(n);
            if let Some(blank) = blank_element::<E>() {
                self.store = RowStore::dense(width, first, per_server.min(n - first), blank);
            }
        }
        Ok(())
    }

    fn prefetch(&mut self, keys: &[K]) {
        self.store.prefetch(keys);
    }

    #[inline]
    fn on_pull(
        &mut self,
        key: &K,
        _worker: usize,
        answer: &mut Vec<E>,
        _ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<()> {
        let row = self.store.row(key, |row| (self.init)(key, row))?;
        answer.extend_from_slice(row);
        Ok(())
    }

    #[inline]
    fn on_push(&mut self, key: &K, delta: &[D], ps: &mut ParameterServer<K, E, Self::Out>) -> Result<()> {
        let row = self.store.row(key, |row| (self.init)(key, row))?;
        (self.update)(row, delta);
        if self.emit == Emit::EveryPush {
            ps.output((key.clone(), row.to_vec()));
        }
        Ok(())
    }

    #[inline]
    fn on_push_pull(
        &mut self,
        key: &K,
        delta: &[D],
        _worker: usize,
        answer: &mut Vec<E>,
        ps: &mut ParameterServer<K, E, Self::Out>,
    ) -> Result<()> {
        let row = self.store.row(key, |row| (self.init)(key, row))?;
        (self.update)(row, delta);
        answer.extend_from_slice(row);
        if self.emit == Emit::EveryPush {
            ps.output((key.clone(), row.to_vec()));
        }
        Ok(())
    }

    fn combiner(&self) -> Option<Combiner<D>> {
        self.combine
    }

    fn on_load(&mut self, key: &K, value: &[E]) -> Result<()> {
        let row = self.store.row(key, |row| row.extend_from_slice(value))?;
        row.clone_from_slice(value);
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<Self::Out>) -> Result<()> {
        if self.emit == Emit::AtClose {
            self.store.for_each(|key, row| out.emit((key.clone(), row.to_vec())));
        }
        Ok(())
    }
}

/// Something to fill a dense slab with until its rows are touched: zero, for numbers. Other types keep their
/// rows by hash, where no blank is needed.
fn blank_element<E: 'static>() -> Option<E> {
    macro_rules! first_of {
        ($($number:ty),*) => {
            $({
                let zero: Box<dyn std::any::Any> = Box::new(<$number>::default());
                if let Ok(zero) = zero.downcast::<E>() { return Some(*zero); }
            })*
        };
    }
    first_of!(f32, f64, u64, i64, u32, i32, u16, i16, u8, i8);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(placement: Placement<u32>) -> ServerContext<u32> {
        ServerContext { index: 0, parallelism: 1, workers: 1, pull_width: 1, push_width: 1, placement }
    }

    /// T-FPS-15: initial value 23 is stored by the first pull; a push replaces 0 by 23 and outputs it.
    #[test]
    fn simple_server_stores_the_initial_value_and_outputs_every_push() {
        for placement in [Placement::Hash, Placement::Range(50)] {
            let (mut answer, mut out) = (Vec::new(), Collector::default());
            let mut ps = ParameterServer::new(1, 1);
            let mut server = SimpleServer::new(|_: &u32, row: &mut Vec<i32>| row.push(23), |_, _: &[i32]| ());
            server.open(&context(placement.clone())).unwrap();
            server.on_pull(&42, 0, &mut answer, &mut ps).unwrap();
            server.close(&mut out).unwrap();
            assert_eq!((answer, out.drain()), (vec![23], vec![(42, vec![23])]));

            let (mut answer, mut ps) = (Vec::new(), ParameterServer::new(1, 1));
            let replace = |row: &mut [i32], new: &[i32]| row[0] = new[0];
            let mut server = SimpleServer::new(|_: &u32, row: &mut Vec<i32>| row.push(0), replace);
            server = server.emit(Emit::EveryPush);
            server.open(&context(placement)).unwrap();
            server.on_pull(&42, 0, &mut answer, &mut ps).unwrap();
            server.on_push(&42, &[23], &mut ps).unwrap();
            assert_eq!((answer, ps.out.drain()), (vec![0], vec![(42, vec![23])]));
        }
    }

    #[test]
    fn push_to_an_absent_parameter_is_applied_to_its_initial_value() {
        let (mut out, mut ps) = (Collector::default(), ParameterServer::new(1, 1));
        let add = |row: &mut [i32], delta: &[i32]| row[0] += delta[0];
        let mut server = SimpleServer::new(|key: &u32, row: &mut Vec<i32>| row.push(*key as i32), add);
        server.open(&context(Placement::Hash)).unwrap();
        server.on_push(&5, &[10], &mut ps).unwrap();
        server.close(&mut out).unwrap();
        assert_eq!(out.drain(), [(5, vec![15])]);
    }
}

//! The worker's side: logics that use vectors and matrices, and their requests under way.

use std::marker::PhantomData;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Collector, Error, Result};

use crate::models::message::{Ask, ModelKey};
use crate::models::{Scalar, Values};
use crate::partition::Part;
use crate::snapshot::{LogicReader, LogicWriter, keeps_nothing};
use crate::worker::{ParameterServerClient, WorkerContext, WorkerLogic};

/// The logic of a worker that uses [vectors](super::BigVector) and [matrices](super::BigMatrix): one instance per
/// worker, called from one thread.
///
/// Requests are asynchronous: each takes a function that is called with its answer, and with this logic. What one
/// worker asks of one part of a model takes effect in the order in which it asks; between workers there is no order,
/// but for the clock.
pub trait ModelLogic: Sized + 'static {
    /// A training record.
    type In;
    /// What it outputs.
    type Out: 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn open(&mut self, _context: &WorkerContext) -> Result<()> {
        Ok(())
    }

    /// Handles one record.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_recv(&mut self, record: Self::In, ps: &mut ModelClient<'_, Self>) -> Result<()>;

    /// Called once, when this worker has received its last record.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_end_of_input(&mut self, _ps: &mut ModelClient<'_, Self>) -> Result<()> {
        Ok(())
    }

    /// Called when the clock that this worker asked for has come, as
    /// [`WorkerLogic::on_clock`](crate::WorkerLogic::on_clock).
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_clock(&mut self, _clock: u64, _ps: &mut ModelClient<'_, Self>) -> Result<()> {
        Ok(())
    }

    /// Takes down what this worker keeps, for a checkpoint; as [`WorkerLogic::snapshot`]. Handles of vectors and matrices
    /// need not be: the program makes them anew.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn snapshot(&self, _to: &mut LogicWriter<'_>) -> Result<()> {
        keeps_nothing::<Self>("worker")
    }

    /// Takes over what [`snapshot`](Self::snapshot) has taken down; as [`WorkerLogic::restore`].
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn restore(&mut self, _from: &mut LogicReader<'_>) -> Result<()> {
        Ok(())
    }

    /// Called once, when there is no more input and nothing in flight. May output.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn close(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// What a [`ModelLogic`] talks to the servers with.
#[derive(Debug)]
pub struct ModelClient<'a, L: ModelLogic> {
    ps: &'a mut ParameterServerClient<ModelWorker<L>>,
    requests: &'a mut Requests<L>,
}

impl<L: ModelLogic> ModelClient<'_, L> {
    /// Emits a result on the worker output stream.
    #[inline]
    pub fn output(&mut self, out: L::Out) {
        self.ps.output(out);
    }

    /// Says that this worker has asked everything of its present clock. [`ModelLogic::on_clock`] follows when all
    /// workers have.
    pub fn advance_clock(&mut self) {
        self.ps.advance_clock();
    }

    /// The present clock of this worker, from 0.
    pub fn clock(&self) -> u64 {
        self.ps.clock()
    }

    /// Sends a push to a part.
    pub(crate) fn push(&mut self, model: u32, part: u32, ask: Ask, values: Values) -> Result<()> {
        self.ps.push(ModelKey { model, part, request: 0, message: 0, ask }, [values])
    }

    /// Sends the messages of a request, one or more, and calls `then` with what `gather` has made of their answers.
    pub(crate) fn request<E, F>(
        &mut self,
        model: u32,
        messages: Vec<(u32, Ask)>,
        gather: Gather<E>,
        then: F,
    ) -> Result<()>
    where
        E: Scalar,
        F: FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    {
        self.requests.last += 1;
        let request = self.requests.last;
        let pending = Pending { gather, then, logic: PhantomData };
        self.requests.pending.insert(request, (messages.len(), Box::new(pending)));
        for (message, (part, ask)) in (0..).zip(messages) {
            self.ps.pull(ModelKey { model, part, request, message, ask })?;
        }
        Ok(())
    }
}

/// The requests of a worker that are not answered.
pub(crate) struct Requests<L> {
    last: u64,
    /// Messages that are not answered, and what happens with the answers.
    pending: FxHashMap<u64, (usize, Box<dyn Answer<L>>)>,
}

impl<L> std::fmt::Debug for Requests<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

/// What becomes of the answers of a request.
trait Answer<L: ModelLogic> {
    fn take(&mut self, message: u32, values: &Values) -> Result<()>;
    fn finish(self: Box<Self>, logic: &mut L, ps: &mut ModelClient<'_, L>) -> Result<()>;
}

struct Pending<L, E, F> {
    gather: Gather<E>,
    then: F,
    logic: PhantomData<fn(&mut L)>,
}

impl<L, E, F> Answer<L> for Pending<L, E, F>
where
    L: ModelLogic,
    E: Scalar,
    F: FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
{
    fn take(&mut self, message: u32, values: &Values) -> Result<()> {
        self.gather.take(message, values.expect()?)
    }

    fn finish(self: Box<Self>, logic: &mut L, ps: &mut ModelClient<'_, L>) -> Result<()> {
        (self.then)(logic, self.gather.finish(), ps)
    }
}

/// Puts the answers of a request together.
pub(crate) struct Gather<E> {
    values: Vec<E>,
    /// What each answer is.
    pieces: Vec<Piece>,
    /// The shares that have come, by message. They are added up in that order, in whichever order they came.
    shares: Vec<Vec<E>>,
}

/// Where the values of an answer go.
pub(crate) enum Piece {
    /// To these places.
    Places(Vec<u32>),
    /// To these rows of the answer, which are `width` wide, and there to these columns.
    Rows { rows: Vec<u32>, columns: Part, width: usize },
    /// They are shares, to be added from this place on.
    Shares { from: u32 },
}

impl<E: Scalar> Gather<E> {
    /// For `n` values.
    pub(crate) fn new(n: usize, pieces: Vec<Piece>) -> Self {
        Gather { values: vec![E::ZERO; n], shares: vec![Vec::new(); pieces.len()], pieces }
    }

    fn take(&mut self, message: u32, values: &[E]) -> Result<()> {
        let out_of_place = || Error::internal(format!("an answer of {} values has no place", values.len()));
        match self.pieces.get(message as usize).ok_or_else(out_of_place)? {
            Piece::Places(places) => {
                places.iter().zip(values).for_each(|(place, value)| self.values[*place as usize] = *value);
            }
            Piece::Rows { rows, columns, width } => {
                for (row, values) in rows.iter().zip(values.chunks_exact(columns.len.max(1) as usize)) {
                    let row = self.values.chunks_exact_mut(*width).nth(*row as usize).unwrap_or_default();
                    let places = row.iter_mut().skip(columns.first as usize).step_by(columns.step as usize);
                    places.zip(values).for_each(|(place, value)| *place = *value);
                }
            }
            Piece::Shares { .. } => self.shares[message as usize] = values.to_vec(),
        }
        Ok(())
    }

    /// All values, when all answers are there.
    fn finish(mut self) -> Vec<E> {
        for (piece, shares) in self.pieces.iter().zip(self.shares) {
            if let Piece::Shares { from } = piece {
                let places = self.values.iter_mut().skip(*from as usize);
                places.zip(shares).for_each(|(place, share)| *place = place.plus(share));
            }
        }
        self.values
    }
}

/// A [`ModelLogic`] as the logic of a worker of the parameter server.
#[derive(Debug)]
pub(crate) struct ModelWorker<L> {
    logic: L,
    requests: Requests<L>,
}

impl<L: ModelLogic> ModelWorker<L> {
    pub(crate) fn new(logic: L) -> Self {
        ModelWorker { logic, requests: Requests { last: 0, pending: FxHashMap::default() } }
    }

    fn call(
        &mut self,
        ps: &mut ParameterServerClient<Self>,
        call: impl FnOnce(&mut L, &mut ModelClient<'_, L>) -> Result<()>,
    ) -> Result<()> {
        call(&mut self.logic, &mut ModelClient { ps, requests: &mut self.requests })
    }
}

impl<L: ModelLogic> WorkerLogic for ModelWorker<L> {
    type In = L::In;
    type Key = ModelKey;
    type Pull = Values;
    type Push = Values;
    type Out = L::Out;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        self.logic.open(context)
    }

    fn on_recv(&mut self, record: L::In, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.call(ps, |logic, ps| logic.on_recv(record, ps))
    }

    fn on_pull_recv(
        &mut self,
        key: &ModelKey,
        value: &[Values],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        let (Some((left, answer)), [values]) = (self.requests.pending.get_mut(&key.request), value) else {
            return Err(Error::internal(format!("an answer to request {}, which is not open", key.request)));
        };
        answer.take(key.message, values)?;
        *left -= 1;
        if *left > 0 {
            return Ok(());
        }
        match self.requests.pending.remove(&key.request) {
            Some((_, answer)) => self.call(ps, |logic, ps| answer.finish(logic, ps)),
            None => Ok(()),
        }
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.call(ps, |logic, ps| logic.on_end_of_input(ps))
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.call(ps, |logic, ps| logic.on_clock(clock, ps))
    }

    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        self.logic.snapshot(to)
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        self.logic.restore(from)
    }

    fn close(&mut self, out: &mut Collector<L::Out>) -> Result<()> {
        self.logic.close(out)
    }
}

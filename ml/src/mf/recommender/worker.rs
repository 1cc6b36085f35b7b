//! The worker of a recommender: some of the items, what users have used, and the search.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::hash::key_owner;
use waterwheel_engine::{Collector, DataStream, Error, Result};
use waterwheel_ps::{
    Consistency, KeySampler, LogicReader, LogicWriter, ParameterServerClient, WorkerContext, WorkerLogic,
};

use super::memory::UserMemory;
use super::merge::Part;
use super::{Interaction, Recommender};
use crate::mf::factors::{Side, init_row};
use crate::mf::kernel::dot;
use crate::retrieval::InnerProductIndex;

/// Draws of a negative sample before it is given up, for a user who has used nearly everything.
const DRAWS: usize = 32;

/// Factors that can not be searched, or learned from, are a sign of too long steps: what comes in are ids alone.
#[cold]
fn diverged(what: &str) -> Error {
    Error::operator(format!("training diverged, lower the learning rate: {what}"))
}

/// What a worker outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Out {
    Part(Part),
    /// The row of an item, at the end.
    Item(u64, Vec<f32>),
}

/// Divides what workers output.
pub(super) fn divide(out: DataStream<'_, Out>) -> (DataStream<'_, Part>, DataStream<'_, (u64, Vec<f32>)>) {
    let parts = out.clone().flat_map(|out| match out {
        Out::Part(part) => Some(part),
        Out::Item(..) => None,
    });
    let items = out.flat_map(|out| match out {
        Out::Item(item, row) => Some((item, row)),
        Out::Part(_) => None,
    });
    (parts, items)
}

pub(super) struct RecommenderWorker {
    recommender: Recommender,
    index: InnerProductIndex,
    /// Rows of the items of this worker: factors, then the bias.
    rows: Vec<f32>,
    items: Vec<u64>,
    places: FxHashMap<u64, usize>,
    memory: UserMemory,
    /// Interactions whose user's factors are on their way, in order, by user.
    waiting: FxHashMap<u64, VecDeque<(u64, Interaction)>>,
    worker: usize,
    workers: usize,
    /// The user's factors and a 1 for the bias.
    query: Vec<f32>,
    delta: Vec<f32>,
}

type Client = ParameterServerClient<RecommenderWorker>;

impl RecommenderWorker {
    pub(super) fn new(recommender: &Recommender) -> Result<Self> {
        Ok(RecommenderWorker {
            index: InnerProductIndex::new(recommender.factors.rank() + 1)?,
            rows: Vec::new(),
            items: Vec::new(),
            places: FxHashMap::default(),
            memory: UserMemory::new(recommender.params.user_memory),
            waiting: FxHashMap::default(),
            worker: 0,
            workers: 1,
            query: Vec::new(),
            delta: Vec::new(),
            recommender: recommender.clone(),
        })
    }

    /// Where the row of an item is; one that is new gets its first row.
    fn place_of(&mut self, item: u64) -> usize {
        if let Some(place) = self.places.get(&item) {
            return *place;
        }
        let place = self.items.len();
        self.items.push(item);
        self.places.insert(item, place);
        init_row(&self.recommender.factors, Side::Item, item, &mut self.rows);
        self.rows.push(0.0);
        place
    }

    /// Numbers of an item: its factors and its bias.
    fn width(&self) -> usize {
        self.recommender.factors.rank() + 1
    }

    /// Takes an item over from a checkpoint.
    fn take_item(&mut self, item: u64, row: &[f32]) -> Result<()> {
        if row.len() != self.width() {
            let (found, expected) = (row.len(), self.width());
            return Err(Error::config(format!(
                "the row of item {item} has {found} values in the checkpoint, expected {expected}: the rank has changed since"
            )));
        }
        self.places.insert(item, self.items.len());
        self.items.push(item);
        self.rows.extend_from_slice(row);
        self.index.insert(item, row).map(|_is_new| ())
    }

    /// Items taken as not wanted. Drawn by the number of the interaction alone, so that what a worker does does not depend
    /// on what it did before.
    fn draw_negatives(&mut self, number: u64, user: u64) -> Result<Vec<usize>> {
        if self.items.is_empty() {
            return Ok(Vec::new());
        }
        let seed = crate::generate::sm(self.recommender.factors.seed(), number);
        let mut sampler = KeySampler::uniform(self.items.len() as u64)?.seed(seed);
        let (items, used) = (&self.items, self.memory.of(user));
        let mut draw = || (0..DRAWS).map(|_| sampler.draw() as usize).find(|place| !used.has(items[*place]));
        Ok((0..self.recommender.params.negatives).filter_map(|_| draw()).collect())
    }

    /// One step towards `target` for the item at a place; the user's part of it is added to the delta.
    fn step(&mut self, place: usize, target: f32) -> Result<()> {
        let (rank, rate, reg) = {
            let factors = &self.recommender.factors;
            (factors.rank(), factors.learning_rate(), factors.reg())
        };
        let row = &mut self.rows[place * (rank + 1)..(place + 1) * (rank + 1)];
        let error = target - dot(&self.query, row);
        if !error.is_finite() {
            return Err(diverged("an error is not a number"));
        }
        for ((q, p), delta) in row[..rank].iter_mut().zip(&self.query).zip(&mut self.delta) {
            *delta += rate * (error * *q - reg * p);
            *q += rate * (error * p - reg * *q);
        }
        row[rank] += self.recommender.params.bias_rate * (error - reg * row[rank]);
        self.index.insert(self.items[place], row).map(|_is_new| ()).map_err(|error| diverged(error.message()))
    }

    fn learn(&mut self, number: u64, interaction: Interaction, ps: &mut Client) -> Result<()> {
        self.delta.clear();
        self.delta.resize(self.recommender.factors.rank(), 0.0);
        for place in self.draw_negatives(number, interaction.user)? {
            self.step(place, 0.0)?;
        }
        let place = self.place_of(interaction.item);
        self.step(place, 1.0)?;
        ps.push(interaction.user, self.delta.iter().copied())
    }
}

impl WorkerLogic for RecommenderWorker {
    type In = (u64, Interaction);
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = Out;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        (self.worker, self.workers) = (context.index, context.parallelism);
        Ok(())
    }

    fn on_recv(&mut self, (number, interaction): (u64, Interaction), ps: &mut Client) -> Result<()> {
        self.waiting.entry(interaction.user).or_default().push_back((number, interaction));
        ps.pull(interaction.user)?;
        if matches!(self.recommender.params.consistency, Consistency::Bounded(_)) {
            ps.advance_clock();
        }
        Ok(())
    }

    fn on_pull_recv(&mut self, user: &u64, row: &[f32], ps: &mut Client) -> Result<()> {
        let next = self.waiting.get_mut(user).and_then(VecDeque::pop_front);
        let (number, interaction) =
            next.ok_or_else(|| Error::internal(format!("factors of user {user}, whom nobody waits for")))?;
        if self.waiting.get(user).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(user);
        }
        self.query.clear();
        self.query.extend_from_slice(row);
        self.query.push(1.0);
        let params = &self.recommender.params;
        let used = self.memory.of(*user);
        let found = self.index.top_k(&self.query, params.top, params.pruning, |item| used.has(item));
        let found = found.map_err(|error| diverged(error.message()))?;
        ps.output(Out::Part(Part { number, interaction, best: found.best }));
        self.memory.add(*user, interaction.item);
        if key_owner(&interaction.item, self.workers) == self.worker {
            self.learn(number, interaction, ps)?;
        }
        Ok(())
    }

    /// No interaction is under way, so all workers remember the same.
    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        self.memory.iter().try_for_each(|used| to.put_alike(&used))?;
        let rows = self.rows.chunks_exact(self.width());
        let mut items = self.items.iter().zip(rows).zip(0u64..);
        items.try_for_each(|((item, row), place)| to.put_keyed(item, &(place, row)))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        while let Some((user, items)) = from.next_alike::<(u64, Vec<u64>)>()? {
            items.into_iter().for_each(|item| self.memory.add(user, item));
        }
        let mut items: Vec<(u64, u64, Vec<f32>)> = Vec::new();
        from.for_each_keyed(|item, (place, row): (u64, Vec<f32>)| {
            items.push((place, item, row));
            Ok(())
        })?;
        // What is drawn depends on their order.
        items.sort_unstable_by_key(|(place, item, _)| (*place, *item));
        items.into_iter().try_for_each(|(_, item, row)| self.take_item(item, &row))
    }

    fn close(&mut self, out: &mut Collector<Out>) -> Result<()> {
        let rows = self.rows.chunks_exact(self.width());
        self.items.iter().zip(rows).for_each(|(item, row)| out.emit(Out::Item(*item, row.to_vec())));
        Ok(())
    }
}

//! The server of distributed vectors and matrices.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use waterwheel_engine::checkpoint::Entries;
use waterwheel_engine::{Collector, Error, Result};

use crate::models::Values;
use crate::models::message::{Ask, ModelKey};
use crate::models::table::{MakeTable, Table};
use crate::parameter_server::ParameterServer;
use crate::server::{ServerContext, ServerLogic};
use crate::snapshot::{LogicReader, LogicWriter};
use crate::state::{Figures, PsState};
use crate::store::aside::{Saved, TableId};

/// What a server has of a row of a matrix: some of its columns, or all.
///
/// [`BigMatrix::elements_of`](super::BigMatrix::elements_of) and
/// [`BigVector::element_of`](super::BigVector::element_of) find out whose they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRow {
    pub(crate) model: u32,
    /// The row.
    pub row: u64,
    /// Column of the first value.
    pub first_column: usize,
    /// From the column of a value to that of the next.
    pub column_step: usize,
    /// The values.
    pub values: Values,
}

/// The parts of all models that are on one server. A part is made when it is used first.
pub(crate) struct ModelServer {
    pub(crate) plans: Vec<Box<dyn MakeTable>>,
    tables: FxHashMap<(u32, u32), Box<dyn Table>>,
    destroyed: FxHashSet<(u32, u32)>,
    state: Option<PsState>,
    figures: Option<Arc<Figures>>,
    servers: usize,
    /// Parts whose rows are being written for a checkpoint.
    unwritten: Vec<TableId>,
    /// What was written of them out of turn.
    written: Entries,
}

impl ModelServer {
    /// With these models; shows its size to `state`.
    pub(crate) fn new(plans: Vec<Box<dyn MakeTable>>, state: Option<PsState>) -> Self {
        let (tables, destroyed) = (FxHashMap::default(), FxHashSet::default());
        ModelServer {
            plans,
            tables,
            destroyed,
            state,
            figures: None,
            servers: 0,
            unwritten: Vec::new(),
            written: Entries::default(),
        }
    }

    fn report(&self) {
        if let Some(figures) = &self.figures {
            let sizes = self.tables.values().map(|table| table.size());
            let (rows, bytes) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
            figures.write(rows, bytes, 0);
        }
    }

    fn table(&mut self, model: u32, part: u32) -> Result<&mut dyn Table> {
        let plan = self.plans.get(model as usize).filter(|_| !self.destroyed.contains(&(model, part)));
        match plan {
            Some(plan) => {
                let table = self.tables.entry((model, part)).or_insert_with(|| plan.make(part));
                Ok(table.as_mut())
            }
            None => Err(not_there(model, self.plans.len())),
        }
    }

    /// Runs `work` on a part and on the same part of another model; `None` if that is the same one.
    fn with_both<R>(
        &mut self,
        key: &ModelKey,
        other: u32,
        work: impl FnOnce(&mut dyn Table, Option<&mut dyn Table>) -> Result<R>,
    ) -> Result<R> {
        if key.model == other {
            return work(self.table(other, key.part)?, None);
        }
        self.table(key.model, key.part)?;
        let place = (key.model, key.part);
        let Some(mut table) = self.tables.remove(&place) else {
            return Err(Error::internal("a part of a model that was made is not there"));
        };
        let done = self.table(other, key.part).and_then(|other| work(table.as_mut(), Some(other)));
        self.tables.insert(place, table);
        done
    }
}

type Ps = ParameterServer<ModelKey, Values, ModelRow>;

#[cold]
fn not_there(model: u32, models: usize) -> Error {
    if (model as usize) < models {
        return Error::operator(format!("model {model} was destroyed"));
    }
    Error::operator(format!("model {model} is not one of the {models} of this job"))
}

impl ServerLogic for ModelServer {
    type Key = ModelKey;
    type Pull = Values;
    type Push = Values;
    type Out = ModelRow;

    fn open(&mut self, context: &ServerContext<ModelKey>) -> Result<()> {
        let state = self.state.as_ref().or(context.state.as_ref());
        self.figures = state.map(|state| state.enter(context.index));
        self.servers = context.parallelism;
        Ok(())
    }

    fn on_pull(
        &mut self,
        key: &ModelKey,
        _worker: usize,
        answer: &mut Vec<Values>,
        _ps: &mut Ps,
    ) -> Result<()> {
        let values = match &key.ask {
            Ask::Cells { rows, columns } => self.table(key.model, key.part)?.cells(rows, columns)?,
            Ask::Rows { rows } => self.table(key.model, key.part)?.rows(rows)?,
            Ask::SquaredNorms { rows } => self.table(key.model, key.part)?.squared_norms(rows)?,
            Ask::Pairs { other, left, right } => {
                self.with_both(key, *other, |table, other| table.dot(other, left, right))?
            }
            Ask::Destroy => {
                let Self { tables, written, .. } = self;
                if let Some(table) = tables.get_mut(&(key.model, key.part)) {
                    while table.sweep(written)? {}
                }
                self.table(key.model, key.part)?;
                self.tables.remove(&(key.model, key.part));
                self.destroyed.insert((key.model, key.part));
                Values::U64(Vec::new())
            }
        };
        answer.push(values);
        self.report();
        Ok(())
    }

    fn on_push(&mut self, key: &ModelKey, delta: &[Values], _ps: &mut Ps) -> Result<()> {
        let [values] = delta else {
            return Err(Error::internal(format!("a push of {} lists of values, expected 1", delta.len())));
        };
        let added = match &key.ask {
            Ask::Cells { rows, columns } => self.table(key.model, key.part)?.add_cells(rows, columns, values),
            Ask::Rows { rows } => self.table(key.model, key.part)?.add_rows(rows, values),
            Ask::Pairs { other, left, right } => {
                self.with_both(key, *other, |table, other| table.adjust(other, left, right, values))
            }
            Ask::SquaredNorms { .. } | Ask::Destroy => {
                Err(Error::internal(format!("{:?} as a push", key.ask)))
            }
        };
        self.report();
        added
    }

    fn on_load(&mut self, key: &ModelKey, _value: &[Values]) -> Result<()> {
        Err(Error::internal(format!("{key:?} can not be loaded")))
    }

    fn snapshot(&mut self, to: &mut LogicWriter<'_>) -> Result<()> {
        self.unwritten = self.tables.keys().copied().collect();
        self.unwritten.sort_unstable();
        self.tables.iter_mut().for_each(|(id, table)| table.mark(*id));
        let mut destroyed: Vec<TableId> = self.destroyed.iter().copied().collect();
        destroyed.sort_unstable();
        to.put(&(self.servers, destroyed))
    }

    fn sweep(&mut self, to: &mut LogicWriter<'_>) -> Result<bool> {
        self.written.hand_over(to.entries(), true);
        let Some(table) = self.unwritten.last() else { return Ok(false) };
        let more = match self.tables.get_mut(table) {
            Some(table) => table.sweep(to.entries())?,
            None => false,
        };
        if !more {
            self.unwritten.pop();
        }
        Ok(!self.unwritten.is_empty())
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        while let Some((servers, destroyed)) = from.next_item::<(usize, Vec<TableId>)>()? {
            if servers != self.servers {
                return Err(Error::config(format!(
                    "vectors and matrices were laid out for {servers} servers in the checkpoint, and now for {}: go on \
                     with Models::new({servers})",
                    self.servers
                )));
            }
            self.destroyed.extend(destroyed);
        }
        from.for_each_written_here(|((model, part), row): (TableId, u64), saved: Saved| {
            self.table(model, part)?.restore_row(row, &saved)
        })?;
        self.report();
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<ModelRow>) -> Result<()> {
        let mut places: Vec<_> = self.tables.keys().copied().collect();
        places.sort_unstable();
        for place in places {
            let emit = &mut |row, columns: crate::partition::Part, values| {
                let (first_column, column_step) = (columns.first as usize, columns.step as usize);
                out.emit(ModelRow { model: place.0, row, first_column, column_step, values });
            };
            self.tables[&place].for_each(emit);
        }
        Ok(())
    }
}

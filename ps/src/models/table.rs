//! The elements of one part of a matrix, at its server.

use std::any::Any;
use std::sync::Arc;

use waterwheel_engine::checkpoint::Entries;
use waterwheel_engine::{Error, Result};

use crate::models::message::Numbers;
use crate::models::spec::{Layout, MatrixSpec};
use crate::models::{Scalar, Values};
use crate::partition::Part;
use crate::store::RowStore;
use crate::store::aside::{Saved, TableId};

/// A part of a matrix of some type of elements.
pub(crate) trait Table {
    fn cells(&mut self, rows: &Numbers<u64>, columns: &Numbers<u32>) -> Result<Values>;
    fn rows(&mut self, rows: &Numbers<u64>) -> Result<Values>;
    fn squared_norms(&mut self, rows: &Numbers<u64>) -> Result<Values>;
    fn add_cells(&mut self, rows: &Numbers<u64>, columns: &Numbers<u32>, values: &Values) -> Result<()>;
    fn add_rows(&mut self, rows: &Numbers<u64>, values: &Values) -> Result<()>;
    /// Products of rows of this part with rows of another, or of this one.
    fn dot(
        &mut self,
        other: Option<&mut dyn Table>,
        left: &Numbers<u64>,
        right: &Numbers<u64>,
    ) -> Result<Values>;
    /// Adds to each row of a pair the other row, as it was before, times the value of the pair.
    fn adjust(
        &mut self,
        other: Option<&mut dyn Table>,
        left: &Numbers<u64>,
        right: &Numbers<u64>,
        values: &Values,
    ) -> Result<()>;
    /// Rows that were used, and the memory of the part in bytes.
    fn size(&self) -> (usize, usize);
    /// Calls `visit` with every row that was used.
    fn for_each(&self, visit: &mut dyn FnMut(u64, Part, Values));
    /// Begins to write the rows as they are now, as those of `id`.
    fn mark(&mut self, id: TableId);
    /// Writes some of the rows; whether there are more.
    fn sweep(&mut self, to: &mut Entries) -> Result<bool>;
    /// Takes over a row of a checkpoint.
    fn restore_row(&mut self, row: u64, saved: &Saved) -> Result<()>;
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Makes the parts of a matrix.
pub(crate) trait MakeTable {
    fn make(&self, part: u32) -> Box<dyn Table>;
}

/// A matrix with its layout.
pub(crate) struct Planned<E> {
    pub(crate) spec: MatrixSpec<E>,
    pub(crate) layout: Layout,
}

impl<E: Scalar> MakeTable for Planned<E> {
    fn make(&self, part: u32) -> Box<dyn Table> {
        let columns = self.layout.columns_of(part);
        let store = RowStore::dense(columns.len as usize, self.layout.rows_of(part), E::ZERO);
        Box::new(PartTable { store, columns, init: self.spec.init.clone() })
    }
}

struct PartTable<E> {
    store: RowStore<u64, E>,
    columns: Part,
    init: Option<Arc<dyn Fn(u64, usize) -> E + Send + Sync>>,
}

impl<E: Scalar> PartTable<E> {
    fn row(&mut self, row: u64) -> Result<&mut [E]> {
        let (columns, init) = (self.columns, &self.init);
        self.store.loaded_row(&row, |fresh| match init {
            Some(init) => fresh.extend((0..columns.len).map(|at| init(row, columns.key(at) as usize))),
            None => fresh.resize(columns.len as usize, E::ZERO),
        })
    }

    fn cell(&mut self, row: u64, column: u32) -> Result<&mut E> {
        match self.columns.place(u64::from(column)) {
            Some(place) => Ok(&mut self.row(row)?[place as usize]),
            None => Err(Error::operator(format!("column {column} is not in this part"))),
        }
    }

    /// The rows, one after the other.
    fn copied(&mut self, rows: &Numbers<u64>) -> Result<Vec<E>> {
        let mut copied = Vec::with_capacity(rows.len() * self.columns.len as usize);
        for row in rows.iter() {
            copied.extend_from_slice(self.row(*row)?);
        }
        Ok(copied)
    }

    /// Adds to each of `rows` its row of `others`, times its factor.
    fn add_scaled(&mut self, rows: &Numbers<u64>, others: &[E], factors: &[E]) -> Result<()> {
        let others = others.chunks_exact(self.columns.len.max(1) as usize);
        for ((row, other), factor) in rows.iter().zip(others).zip(factors) {
            add_to(self.row(*row)?, other.iter().map(|element| factor.times(*element)));
        }
        Ok(())
    }
}

fn add_to<E: Scalar>(row: &mut [E], more: impl Iterator<Item = E>) {
    row.iter_mut().zip(more).for_each(|(element, more)| *element = element.plus(more));
}

fn product<E: Scalar>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).fold(E::ZERO, |sum, (a, b)| sum.plus(a.times(*b)))
}

impl<E: Scalar> Table for PartTable<E> {
    fn cells(&mut self, rows: &Numbers<u64>, columns: &Numbers<u32>) -> Result<Values> {
        let cells = rows.iter().zip(columns.iter());
        let cells = cells.map(|(row, column)| self.cell(*row, *column).copied());
        cells.collect::<Result<Vec<E>>>().map(Values::of)
    }

    fn rows(&mut self, rows: &Numbers<u64>) -> Result<Values> {
        self.copied(rows).map(Values::of)
    }

    fn squared_norms(&mut self, rows: &Numbers<u64>) -> Result<Values> {
        let norms = rows.iter().map(|row| self.row(*row).map(|row| product(row, row)));
        norms.collect::<Result<Vec<E>>>().map(Values::of)
    }

    fn add_cells(&mut self, rows: &Numbers<u64>, columns: &Numbers<u32>, values: &Values) -> Result<()> {
        for ((row, column), value) in rows.iter().zip(columns.iter()).zip(values.expect::<E>()?) {
            let cell = self.cell(*row, *column)?;
            *cell = cell.plus(*value);
        }
        Ok(())
    }

    fn add_rows(&mut self, rows: &Numbers<u64>, values: &Values) -> Result<()> {
        let values = values.expect::<E>()?.chunks_exact(self.columns.len.max(1) as usize);
        for (row, more) in rows.iter().zip(values) {
            add_to(self.row(*row)?, more.iter().copied());
        }
        Ok(())
    }

    fn dot(
        &mut self,
        other: Option<&mut dyn Table>,
        left: &Numbers<u64>,
        right: &Numbers<u64>,
    ) -> Result<Values> {
        let (lefts, width) = (self.copied(left)?, self.columns.len as usize);
        let other = same_type::<E>(other)?.unwrap_or(self);
        let products = right.iter().enumerate().map(|(pair, row)| {
            let left = &lefts[pair * width..(pair + 1) * width];
            other.row(*row).map(|row| product(left, row))
        });
        products.collect::<Result<Vec<E>>>().map(Values::of)
    }

    fn adjust(
        &mut self,
        other: Option<&mut dyn Table>,
        left: &Numbers<u64>,
        right: &Numbers<u64>,
        values: &Values,
    ) -> Result<()> {
        let factors = values.expect::<E>()?;
        let lefts = self.copied(left)?;
        match same_type::<E>(other)? {
            Some(other) => {
                let rights = other.copied(right)?;
                self.add_scaled(left, &rights, factors)?;
                other.add_scaled(right, &lefts, factors)
            }
            None => {
                let rights = self.copied(right)?;
                self.add_scaled(left, &rights, factors)?;
                self.add_scaled(right, &lefts, factors)
            }
        }
    }

    fn size(&self) -> (usize, usize) {
        (self.store.len(), self.store.bytes())
    }

    fn for_each(&self, visit: &mut dyn FnMut(u64, Part, Values)) {
        self.store.for_each(|row, elements| visit(*row, self.columns, Values::of(elements.to_vec())));
    }

    fn mark(&mut self, id: TableId) {
        self.store.mark(Some(id));
    }

    fn sweep(&mut self, to: &mut Entries) -> Result<bool> {
        self.store.sweep(to)
    }

    fn restore_row(&mut self, row: u64, saved: &Saved) -> Result<()> {
        self.store.restore_row(&row, saved)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The other part, which must have elements of the same type.
fn same_type<E: Scalar>(other: Option<&mut dyn Table>) -> Result<Option<&mut PartTable<E>>> {
    let Some(other) = other else { return Ok(None) };
    match other.as_any().downcast_mut() {
        Some(other) => Ok(Some(other)),
        None => Err(Error::operator(format!("the other matrix has no elements of {}", E::name()))),
    }
}

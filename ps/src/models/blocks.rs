//! Going through a matrix block by block, with the next block on its way.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use waterwheel_engine::{Error, Result};

use crate::models::{BigMatrix, ModelClient, ModelLogic, Scalar};

/// Some rows, or a column, of a matrix.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Block<E> {
    /// The rows.
    pub rows: Range<u64>,
    /// The columns.
    pub columns: Range<usize>,
    /// The elements, row-major.
    pub values: Vec<E>,
    /// Whether no block follows.
    pub is_last: bool,
}

/// What is left of a walk through a matrix, and what is done with its blocks.
struct Walk<E, F> {
    matrix: BigMatrix<E>,
    /// The next block: its number.
    next: u64,
    blocks: u64,
    /// Rows of a block, or that it goes by columns.
    by: By,
    visit: Rc<RefCell<F>>,
}

#[derive(Clone, Copy)]
enum By {
    Rows(u64),
    Columns,
}

impl<E: Scalar> BigMatrix<E> {
    /// Calls `visit` with all rows, in order, `block_rows` at a time; the last block may be smaller, and of an empty
    /// matrix there is none. While a block is visited, the next one is on its way, and no other.
    ///
    /// # Errors
    /// `block_rows` is 0.
    pub fn for_each_row_block<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        block_rows: u64,
        visit: impl FnMut(&mut L, Block<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        if block_rows == 0 {
            return Err(Error::operator("blocks of 0 rows, expected 1 or more"));
        }
        let blocks = if self.columns() == 0 { 0 } else { self.rows().div_ceil(block_rows) };
        self.walk(By::Rows(block_rows), blocks, visit).fetch(ps)
    }

    /// Calls `visit` with all columns, in order, one at a time; of an empty matrix there is none. While a column is
    /// visited, the next one is on its way, and no other.
    ///
    /// # Errors
    /// The matrix has 2^32 rows or more.
    pub fn for_each_column<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        visit: impl FnMut(&mut L, Block<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        if self.rows() > u64::from(u32::MAX) {
            return Err(Error::operator(format!(
                "a column of {} rows, expected less than 2^32",
                self.rows()
            )));
        }
        let blocks = if self.rows() == 0 { 0 } else { self.columns() as u64 };
        self.walk(By::Columns, blocks, visit).fetch(ps)
    }

    fn walk<F>(&self, by: By, blocks: u64, visit: F) -> Walk<E, F> {
        Walk { matrix: self.clone(), next: 0, blocks, by, visit: Rc::new(RefCell::new(visit)) }
    }
}

impl<E: Scalar, F> Walk<E, F> {
    /// Asks for the next block, if there is one; when it comes, asks for the one after it and visits it.
    fn fetch<L>(self, ps: &mut ModelClient<'_, L>) -> Result<()>
    where
        L: ModelLogic,
        F: FnMut(&mut L, Block<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    {
        if self.next == self.blocks {
            return Ok(());
        }
        let (rows, columns) = self.range();
        let (matrix, by) = (self.matrix.clone(), self.by);
        let all_rows: Vec<u64> = rows.clone().collect();
        let column = vec![columns.start; all_rows.len()];
        let then = move |logic: &mut L, values: Vec<E>, ps: &mut ModelClient<'_, L>| {
            let visit = Rc::clone(&self.visit);
            let is_last = self.next + 1 == self.blocks;
            Walk { next: self.next + 1, ..self }.fetch(ps)?;
            let block = Block { rows, columns, values, is_last };
            // A visit can not begin within another: answers come one after the other.
            (visit.borrow_mut())(logic, block, ps)
        };
        match by {
            By::Rows(_) => matrix.pull_rows(ps, &all_rows, then),
            By::Columns => matrix.pull(ps, &all_rows, &column, then),
        }
    }

    /// Rows and columns of the next block.
    fn range(&self) -> (Range<u64>, Range<usize>) {
        let (rows, columns) = (self.matrix.rows(), self.matrix.columns());
        match self.by {
            By::Rows(n) => (self.next * n..(self.next + 1).saturating_mul(n).min(rows), 0..columns),
            By::Columns => (0..rows, self.next as usize..self.next as usize + 1),
        }
    }
}

//! Distributed matrices.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use crate::models::client::{Gather, Piece};
use crate::models::message::{Ask, Numbers};
use crate::models::server::ModelRow;
use crate::models::spec::{Layout, Split};
use crate::models::{ModelClient, ModelLogic, Scalar, Values};

/// Elements, or pairs of rows, in one message at most, unless it is set.
const MESSAGE_LIMIT: usize = 65_536;

/// A matrix of `rows` times `columns` elements that is spread over the servers: a handle, which a
/// [`ModelLogic`] keeps and works with. Made by [`Models`](super::Models).
///
/// Elements are zero at first, or what [`MatrixSpec::init`](super::MatrixSpec::init) says; pushes add to them. A
/// request is split into messages, by part and by [`with_message_limit`](Self::with_message_limit); its answer comes
/// whole, in the order in which it was asked for. Every operation checks its rows and columns before it sends anything.
///
/// Rows are numbered from 0 by `u64`, columns by `usize`. Row-major means the elements of the first row, then those of
/// the second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BigMatrix<E> {
    model: u32,
    pub(crate) layout: Layout,
    message_limit: usize,
    kind: PhantomData<fn() -> E>,
}

/// What of a request is in one message: for which part, and at which places of the request.
struct Piecewise {
    part: u32,
    places: Vec<u32>,
}

impl<E: Scalar> BigMatrix<E> {
    pub(crate) fn new(model: u32, layout: Layout) -> Self {
        BigMatrix { model, layout, message_limit: MESSAGE_LIMIT, kind: PhantomData }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.layout.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.layout.columns as usize
    }

    /// Number of parts that it is split into.
    pub fn parts(&self) -> usize {
        self.layout.parts as usize
    }

    /// The same matrix, with this limit on the elements, or pairs of rows, in one message; 65,536 by default. A message
    /// of rows has one row at least.
    ///
    /// # Errors
    /// The limit is 0.
    pub fn with_message_limit(&self, elements: usize) -> Result<Self> {
        match elements {
            0 => Err(Error::config("message limit is 0, expected 1 or more")),
            message_limit => Ok(BigMatrix { message_limit, ..self.clone() }),
        }
    }

    /// Asks for the elements at these rows and columns, of which there must be as many, and calls `then` with them.
    ///
    /// # Errors
    /// A row or column is out of range, or there are not as many of both.
    pub fn pull<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        rows: &[u64],
        columns: &[usize],
        then: impl FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        let pieces = self.cells(rows, columns)?;
        let ask = |piece: &Piecewise| (piece.part, cells_of(piece, rows, columns));
        let messages = pieces.iter().map(ask).collect();
        let gathered = pieces.into_iter().map(|piece| Piece::Places(piece.places)).collect();
        ps.request(self.model, messages, Gather::new(rows.len(), gathered), then)
    }

    /// Adds each of `values` to the element at its row and column. There is no answer: it is in effect before anything
    /// that this worker asks later, or, where pushes wait for [whole clocks](crate::PsConfig::whole_clocks), at the end
    /// of its clock.
    ///
    /// # Errors
    /// A row or column is out of range, or there are not as many of all three.
    pub fn push<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        rows: &[u64],
        columns: &[usize],
        values: &[E],
    ) -> Result<()> {
        same_number("values", values.len(), "rows", rows.len())?;
        for piece in self.cells(rows, columns)?.iter().filter(|piece| !piece.places.is_empty()) {
            let values = piece.places.iter().map(|place| values[*place as usize]).collect();
            ps.push(self.model, piece.part, cells_of(piece, rows, columns), Values::of(values))?;
        }
        Ok(())
    }

    /// Asks for whole rows, and calls `then` with their elements, row-major.
    ///
    /// # Errors
    /// A row is out of range.
    pub fn pull_rows<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        rows: &[u64],
        then: impl FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        let (pieces, width) = (self.whole_rows(rows)?, self.columns());
        let n = rows.len().checked_mul(width).ok_or_else(|| too_many(usize::MAX))?;
        let messages =
            pieces.iter().map(|piece| (piece.part, Ask::Rows { rows: taken(rows, piece) })).collect();
        let place = |piece: Piecewise| {
            let columns = self.layout.columns_of(piece.part);
            Piece::Rows { rows: piece.places, columns, width: width.max(1) }
        };
        ps.request(self.model, messages, Gather::new(n, pieces.into_iter().map(place).collect()), then)
    }

    /// Adds to whole rows; `values` are row-major. There is no answer, as of [`push`](Self::push).
    ///
    /// # Errors
    /// A row is out of range, or there are not as many values as elements.
    pub fn push_rows<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        rows: &[u64],
        values: &[E],
    ) -> Result<()> {
        let width = self.columns();
        same_number("values", values.len(), "elements of the rows", rows.len().saturating_mul(width))?;
        for piece in self.whole_rows(rows)?.iter().filter(|piece| !piece.places.is_empty()) {
            let columns = self.layout.columns_of(piece.part);
            let share = |place: &u32| {
                let row = &values[*place as usize * width..(*place as usize + 1) * width];
                let mine = row.iter().skip(columns.first as usize).step_by(columns.step as usize);
                mine.take(columns.len as usize).copied()
            };
            let values = piece.places.iter().flat_map(share).collect();
            ps.push(self.model, piece.part, Ask::Rows { rows: taken(rows, piece) }, Values::of(values))?;
        }
        Ok(())
    }

    /// Asks for the sums of the squares of rows, which the servers compute, and calls `then` with them.
    ///
    /// # Errors
    /// A row is out of range.
    pub fn squared_norms<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        rows: &[u64],
        then: impl FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        let pieces = self.whole_rows(rows)?;
        let messages =
            pieces.iter().map(|piece| (piece.part, Ask::SquaredNorms { rows: taken(rows, piece) })).collect();
        let gathered = pieces.into_iter().map(|piece| self.share_or_places(piece)).collect();
        ps.request(self.model, messages, Gather::new(rows.len(), gathered), then)
    }

    /// Asks for the product of each of the rows `left` with the row of `other` at the same place of `right`, and calls
    /// `then` with them. The servers multiply what they have of the rows, so that what travels does not depend on the
    /// number of columns.
    ///
    /// # Errors
    /// Either matrix is not split by columns, or they are not split alike; a row is out of range; there are not as many
    /// rows on both sides.
    pub fn dot<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        left: &[u64],
        other: &BigMatrix<E>,
        right: &[u64],
        then: impl FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        let pieces = self.pairs(left, other, right)?;
        let messages = pieces.iter().map(|piece| (piece.part, pairs_of(other, left, right, piece))).collect();
        let gathered = pieces.into_iter().map(|piece| self.share_or_places(piece)).collect();
        ps.request(self.model, messages, Gather::new(left.len(), gathered), then)
    }

    /// For each pair of a row of this matrix and one of `other`, adds to each of them the other one, as it was before,
    /// times the factor of the pair: the step of gradient descent on their product. The servers do it, each for its
    /// columns. There is no answer, as of [`push`](Self::push). "Before" is before all pairs of one message; see
    /// [`with_message_limit`](Self::with_message_limit).
    ///
    /// # Errors
    /// As [`dot`](Self::dot), or there are not as many factors as pairs.
    pub fn adjust<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        left: &[u64],
        other: &BigMatrix<E>,
        right: &[u64],
        factors: &[E],
    ) -> Result<()> {
        same_number("factors", factors.len(), "pairs", left.len())?;
        for piece in self.pairs(left, other, right)?.iter().filter(|piece| !piece.places.is_empty()) {
            let factors = piece.places.iter().map(|place| factors[*place as usize]).collect();
            ps.push(self.model, piece.part, pairs_of(other, left, right, piece), Values::of(factors))?;
        }
        Ok(())
    }

    /// Frees the memory of the matrix on all servers, and calls `then` when that is done. Whoever uses it afterwards
    /// ends the run with an error; where pushes wait for whole clocks, so do pushes of the same clock.
    ///
    /// # Errors
    /// The request can not be sent.
    pub fn destroy<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        then: impl FnOnce(&mut L, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        let messages: Vec<_> = (0..self.layout.parts).map(|part| (part, Ask::Destroy)).collect();
        let pieces = messages.iter().map(|_| Piece::Shares { from: 0 }).collect();
        let then = |logic: &mut L, _: Vec<u64>, ps: &mut ModelClient<'_, L>| then(logic, ps);
        ps.request(self.model, messages, Gather::new(0, pieces), then)
    }

    /// The elements of an output row, by column, if it is one of this matrix.
    pub fn elements_of<'r>(
        &self,
        row: &'r ModelRow,
    ) -> Option<impl Iterator<Item = (usize, E)> + use<'r, E>> {
        let values = row.values.as_slice::<E>().filter(|_| row.model == self.model)?;
        let (first, step) = (row.first_column, row.column_step);
        Some(values.iter().enumerate().map(move |(i, value)| (first + i * step, *value)))
    }

    /// The messages of elements, one at least.
    fn cells(&self, rows: &[u64], columns: &[usize]) -> Result<Vec<Piecewise>> {
        same_number("columns", columns.len(), "rows", rows.len())?;
        self.check_rows(rows)?;
        rows.iter().zip(columns).try_for_each(|(row, column)| self.check_cell(*row, *column))?;
        let part = |place: usize| self.layout.part_of(rows[place], columns[place] as u32);
        Ok(in_parts(rows.len(), self.message_limit, part))
    }

    /// The messages of whole rows, one at least.
    fn whole_rows(&self, rows: &[u64]) -> Result<Vec<Piecewise>> {
        self.check_rows(rows)?;
        let limit = (self.message_limit / self.columns().max(1)).max(1);
        Ok(match self.layout.split {
            Split::Rows => in_parts(rows.len(), limit, |place| self.layout.part_of(rows[place], 0)),
            Split::Columns => self.in_all_parts(rows.len(), limit),
        })
    }

    /// The messages of pairs of rows, one at least.
    fn pairs(&self, left: &[u64], other: &BigMatrix<E>, right: &[u64]) -> Result<Vec<Piecewise>> {
        same_number("rows on the right", right.len(), "rows on the left", left.len())?;
        self.check_rows(left)?;
        other.check_rows(right)?;
        let alike = Layout { rows: other.layout.rows, ..self.layout } == other.layout;
        if self.layout.split != Split::Columns || !alike {
            return Err(Error::config(format!(
                "products of rows need two matrices that are split alike by columns: found {:?} and {:?}",
                self.layout, other.layout
            )));
        }
        Ok(self.in_all_parts(left.len(), self.message_limit))
    }

    fn in_all_parts(&self, n: usize, limit: usize) -> Vec<Piecewise> {
        let pieces = in_parts(n, limit, |_| 0).into_iter();
        let for_all = |piece: Piecewise| {
            (0..self.layout.parts).map(move |part| Piecewise { part, places: piece.places.clone() })
        };
        pieces.flat_map(for_all).collect()
    }

    /// What an answer of one value for each place is: a share of it, where every part has some columns of each row.
    fn share_or_places(&self, piece: Piecewise) -> Piece {
        match (self.layout.split, piece.places.first()) {
            (Split::Columns, Some(first)) => Piece::Shares { from: *first },
            _ => Piece::Places(piece.places),
        }
    }

    /// Refuses an element that there is not.
    pub(crate) fn check_cell(&self, row: u64, column: usize) -> Result<()> {
        self.check_rows(&[row])?;
        if column < self.columns() {
            return Ok(());
        }
        Err(out_of_range("column", column as u64, self.columns() as u64))
    }

    fn check_rows(&self, rows: &[u64]) -> Result<()> {
        if u32::try_from(rows.len()).is_err() {
            return Err(too_many(rows.len()));
        }
        match rows.iter().find(|row| **row >= self.layout.rows) {
            Some(row) => Err(out_of_range("row", *row, self.layout.rows)),
            None => Ok(()),
        }
    }
}

/// Sorts the places `0..n` by the part of each, in order, and cuts them into messages of at most `limit`; there is
/// always one message.
fn in_parts(n: usize, limit: usize, part_of: impl Fn(usize) -> u32) -> Vec<Piecewise> {
    let mut places: Vec<(u32, u32)> = (0..n).map(|place| (part_of(place), place as u32)).collect();
    places.sort_unstable();
    let parts = places.chunk_by(|a, b| a.0 == b.0);
    let piece = |places: &[(u32, u32)]| Piecewise {
        part: places[0].0,
        places: places.iter().map(|(_, place)| *place).collect(),
    };
    let pieces: Vec<_> = parts.flat_map(|part| part.chunks(limit).map(piece)).collect();
    if pieces.is_empty() { vec![Piecewise { part: 0, places: Vec::new() }] } else { pieces }
}

fn taken(rows: &[u64], piece: &Piecewise) -> Numbers<u64> {
    piece.places.iter().map(|place| rows[*place as usize]).collect::<Vec<_>>().into()
}

fn cells_of(piece: &Piecewise, rows: &[u64], columns: &[usize]) -> Ask {
    let columns: Vec<u32> = piece.places.iter().map(|place| columns[*place as usize] as u32).collect();
    Ask::Cells { rows: taken(rows, piece), columns: columns.into() }
}

fn pairs_of<E>(other: &BigMatrix<E>, left: &[u64], right: &[u64], piece: &Piecewise) -> Ask {
    Ask::Pairs { other: other.model, left: taken(left, piece), right: taken(right, piece) }
}

fn same_number(what: &str, found: usize, other: &str, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::operator(format!("found {found} {what}, expected {expected}, the number of {other}")))
}

#[cold]
fn out_of_range(what: &str, found: u64, n: u64) -> Error {
    Error::operator(format!("{what} {found} is outside the range 0..{n}"))
}

#[cold]
fn too_many(n: usize) -> Error {
    Error::operator(format!("a request of {n} rows or elements, expected less than 2^32"))
}

//! Vectors of like length, laid out for vectorised scoring.

/// Vectors of a tile.
pub(super) const LANES: usize = 16;

/// One coordinate of the vectors of a tile.
pub(super) type Column = [f32; LANES];

/// Some vectors, in no order.
///
/// They lie in tiles of sixteen, coordinate by coordinate: one pass over a tile scores all of it without a sum across
/// lanes, and one coordinate of sixteen vectors is one cache line, so a filter reads no more than it looks at.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    dim: usize,
    ids: Vec<u64>,
    /// By tile, zeros behind the last.
    lengths: Vec<Column>,
    /// By tile and coordinate, zeros behind the last.
    columns: Vec<Column>,
    greatest: f32,
    least: f32,
}

/// Up to sixteen vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile<'a> {
    pub(super) ids: &'a [u64],
    pub(super) lengths: &'a Column,
    /// One for each coordinate.
    pub(super) columns: &'a [Column],
}

impl Bucket {
    pub(super) fn new(dim: usize) -> Self {
        let (ids, lengths, columns) = (Vec::new(), Vec::new(), Vec::new());
        Bucket { dim, ids, lengths, columns, greatest: 0.0, least: f32::INFINITY }
    }

    pub(super) fn rows(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, row: usize) -> u64 {
        self.ids[row]
    }

    pub(super) fn length(&self, row: usize) -> f32 {
        self.lengths[row / LANES][row % LANES]
    }

    /// Greatest length; 0 without vectors.
    pub(super) fn greatest(&self) -> f32 {
        self.greatest
    }

    /// Least length; infinite without vectors.
    pub(super) fn least(&self) -> f32 {
        self.least
    }

    pub(super) fn tiles(&self) -> impl Iterator<Item = Tile<'_>> {
        let columns = self.columns.chunks_exact(self.dim);
        let tiles = self.ids.chunks(LANES).zip(&self.lengths).zip(columns);
        tiles.map(|((ids, lengths), columns)| Tile { ids, lengths, columns })
    }

    /// The coordinates of a row.
    pub(super) fn vector(&self, row: usize) -> impl Iterator<Item = f32> {
        let first = row / LANES * self.dim;
        self.columns[first..first + self.dim].iter().map(move |column| column[row % LANES])
    }

    pub(super) fn push(&mut self, id: u64, length: f32, vector: impl Iterator<Item = f32>) {
        if self.ids.len().is_multiple_of(LANES) {
            self.lengths.push([0.0; LANES]);
            self.columns.resize(self.columns.len() + self.dim, [0.0; LANES]);
        }
        self.ids.push(id);
        self.write(self.ids.len() - 1, length, vector);
    }

    /// Gives a row another vector.
    pub(super) fn replace(&mut self, row: usize, length: f32, vector: impl Iterator<Item = f32>) {
        let old = self.length(row);
        self.write(row, length, vector);
        self.forget(old);
    }

    /// Takes a row out, the last one moves to its place.
    pub(super) fn swap_remove(&mut self, row: usize) {
        let (old, last) = (self.length(row), self.ids.len() - 1);
        let (from, to) = ((last / LANES * self.dim, last % LANES), (row / LANES * self.dim, row % LANES));
        for f in 0..self.dim {
            self.columns[to.0 + f][to.1] = self.columns[from.0 + f][from.1];
            self.columns[from.0 + f][from.1] = 0.0;
        }
        self.lengths[row / LANES][to.1] = self.length(last);
        self.lengths[last / LANES][from.1] = 0.0;
        self.ids.swap_remove(row);
        let tiles = last.div_ceil(LANES);
        self.lengths.truncate(tiles);
        self.columns.truncate(tiles * self.dim);
        self.forget(old);
    }

    fn write(&mut self, row: usize, length: f32, vector: impl Iterator<Item = f32>) {
        let (tile, lane) = (row / LANES, row % LANES);
        let columns = &mut self.columns[tile * self.dim..(tile + 1) * self.dim];
        columns.iter_mut().zip(vector).for_each(|(column, x)| column[lane] = x);
        self.lengths[tile][lane] = length;
        self.greatest = self.greatest.max(length);
        self.least = self.least.min(length);
    }

    /// Finds the extremes again if a length that is gone was one.
    fn forget(&mut self, length: f32) {
        if length < self.greatest && length > self.least {
            return;
        }
        let lengths = (0..self.rows()).map(|row| self.length(row));
        (self.greatest, self.least) =
            lengths.fold((0.0, f32::INFINITY), |(most, least), x| (f32::max(most, x), f32::min(least, x)));
    }
}

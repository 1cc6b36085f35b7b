//! The text and binary formats of the generated data, for `waterwheel generate` and for other programs.

use std::fmt::Display;
use std::io::{self, Write};

use super::{Graph, GraphEdge, Labels, Points, RatingRow, Ratings, Sparse, Words};

/// Data that can be written as lines of text.
///
/// Comma-separated with a header line, but for [`Sparse`] (LIBSVM's `label index:1 ...` with indices from
/// 1) and [`Words`]. Numbers have the fewest digits that read back as the same number, labels are 0 or 1.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::{Graph, Text};
///
/// let graph = Graph::new(1_000, 1)?;
/// let mut line = Vec::new();
/// graph.write_line(0, &mut line).unwrap();
/// assert_eq!((graph.header(), line), (Some("src,dst".to_owned()), b"4,735".to_vec()));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait Text {
    /// How many lines there are after the header.
    fn n_lines(&self) -> u64;

    /// The header, where the format has one, without the line break.
    fn header(&self) -> Option<String> {
        None
    }

    /// Writes line `idx` without the line break.
    ///
    /// # Errors
    /// Those of the writer.
    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()>;
}

/// Data that can be written as files of little-endian numbers without a header.
///
/// The names carry the sizes, the extensions the meaning and the width in bits:
///
/// | generator | files |
/// |---|---|
/// | [`Labels`] | `lr_{rows}x{dim}` `.f64` (features, row-major), `.y` (labels, `u8`) |
/// | [`Points`] | `km_{rows}x{dim}` `.f64` (coordinates, row-major) |
/// | [`Ratings`] | `ratings_{users}_{items}_{count}` `.u32` (users), `.i32` (items; unsigned), `.r32` (`f32`) |
/// | [`Sparse`] | `sparse_{rows}` `.idx32` (features, row-major), `.y8` (labels, `u8`) |
/// | [`Graph`] | `graph_{nodes}_{edges}` `.src32`, `.dst32` |
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::{Binary, Graph};
///
/// let graph = Graph::new(1_000, 1)?;
/// let mut files = [Vec::new(), Vec::new()];
/// graph.write_row(0, &mut files).unwrap();
/// assert_eq!(graph.file_names(), ["graph_1000_1.src32", "graph_1000_1.dst32"]);
/// assert_eq!(files, [4u32.to_le_bytes(), 735u32.to_le_bytes()]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait Binary<const FILES: usize>: Text {
    /// The names of the files, in the order of [`write_row`](Self::write_row).
    fn file_names(&self) -> [String; FILES];

    /// Writes row `idx`, of as many as there are lines of text, to the end of each file.
    ///
    /// # Errors
    /// Those of the writers.
    fn write_row(&self, idx: u64, files: &mut [impl Write; FILES]) -> io::Result<()>;
}

impl Text for Ratings {
    fn n_lines(&self) -> u64 {
        self.count()
    }

    fn header(&self) -> Option<String> {
        Some("user,item,rating".into())
    }

    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()> {
        let RatingRow { user, item, rating } = self.row(idx);
        write!(out, "{user},{item},{rating}")
    }
}

impl Binary<3> for Ratings {
    fn file_names(&self) -> [String; 3] {
        let stem = format!("ratings_{}_{}_{}", self.users(), self.items(), self.count());
        ["u32", "i32", "r32"].map(|extension| format!("{stem}.{extension}"))
    }

    fn write_row(&self, idx: u64, [users, items, ratings]: &mut [impl Write; 3]) -> io::Result<()> {
        let row = self.row(idx);
        users.write_all(&row.user.to_le_bytes())?;
        items.write_all(&row.item.to_le_bytes())?;
        ratings.write_all(&row.rating.to_le_bytes())
    }
}

impl Text for Points {
    fn n_lines(&self) -> u64 {
        self.rows()
    }

    fn header(&self) -> Option<String> {
        Some(feature_names(self.dim()))
    }

    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()> {
        write_list(out, &self.row(idx).features)
    }
}

impl Binary<1> for Points {
    fn file_names(&self) -> [String; 1] {
        [format!("km_{}x{}.f64", self.rows(), self.dim())]
    }

    fn write_row(&self, idx: u64, [features]: &mut [impl Write; 1]) -> io::Result<()> {
        write_numbers(features, &self.row(idx).features)
    }
}

impl Text for Labels {
    fn n_lines(&self) -> u64 {
        self.rows()
    }

    fn header(&self) -> Option<String> {
        Some(feature_names(self.dim()) + ",label")
    }

    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()> {
        let row = self.row(idx);
        write_list(out, &row.features)?;
        write!(out, ",{}", u8::from(row.label))
    }
}

impl Binary<2> for Labels {
    fn file_names(&self) -> [String; 2] {
        ["f64", "y"].map(|extension| format!("lr_{}x{}.{extension}", self.rows(), self.dim()))
    }

    fn write_row(&self, idx: u64, [features, labels]: &mut [impl Write; 2]) -> io::Result<()> {
        let row = self.row(idx);
        write_numbers(features, &row.features)?;
        labels.write_all(&[u8::from(row.label)])
    }
}

impl Text for Sparse {
    fn n_lines(&self) -> u64 {
        self.rows()
    }

    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()> {
        let row = self.row(idx);
        write!(out, "{}", u8::from(row.label))?;
        row.features.iter().try_for_each(|&feature| write!(out, " {}:1", u64::from(feature) + 1))
    }
}

impl Binary<2> for Sparse {
    fn file_names(&self) -> [String; 2] {
        ["idx32", "y8"].map(|extension| format!("sparse_{}.{extension}", self.rows()))
    }

    fn write_row(&self, idx: u64, [features, labels]: &mut [impl Write; 2]) -> io::Result<()> {
        let row = self.row(idx);
        row.features.iter().try_for_each(|feature| features.write_all(&feature.to_le_bytes()))?;
        labels.write_all(&[u8::from(row.label)])
    }
}

impl Text for Words {
    fn n_lines(&self) -> u64 {
        self.line_count()
    }

    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.line(idx).as_bytes())
    }
}

impl Text for Graph {
    fn n_lines(&self) -> u64 {
        self.edges()
    }

    fn header(&self) -> Option<String> {
        Some("src,dst".into())
    }

    fn write_line(&self, idx: u64, out: &mut impl Write) -> io::Result<()> {
        let GraphEdge { src, dst } = self.row(idx);
        write!(out, "{src},{dst}")
    }
}

impl Binary<2> for Graph {
    fn file_names(&self) -> [String; 2] {
        ["src32", "dst32"].map(|extension| format!("graph_{}_{}.{extension}", self.nodes(), self.edges()))
    }

    fn write_row(&self, idx: u64, [sources, targets]: &mut [impl Write; 2]) -> io::Result<()> {
        let GraphEdge { src, dst } = self.row(idx);
        sources.write_all(&src.to_le_bytes())?;
        targets.write_all(&dst.to_le_bytes())
    }
}

/// `x0,x1,...`
fn feature_names(dim: u32) -> String {
    (0..dim).map(|column| format!("x{column}")).collect::<Vec<_>>().join(",")
}

fn write_list(out: &mut impl Write, items: &[impl Display]) -> io::Result<()> {
    for (idx, item) in items.iter().enumerate() {
        let comma = if idx == 0 { "" } else { "," };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}

fn write_numbers(out: &mut impl Write, numbers: &[f64]) -> io::Result<()> {
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(data: &impl Text) -> Vec<String> {
        let line = |idx| {
            let mut bytes = Vec::new();
            data.write_line(idx, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        data.header().into_iter().chain((0..data.n_lines()).map(line)).collect()
    }

    fn files<const FILES: usize>(data: &impl Binary<FILES>) -> [(String, Vec<u8>); FILES] {
        let mut bytes = [const { Vec::new() }; FILES];
        (0..data.n_lines()).for_each(|idx| data.write_row(idx, &mut bytes).unwrap());
        let mut names = data.file_names().into_iter();
        bytes.map(|bytes| (names.next().unwrap(), bytes))
    }

    #[test]
    fn text_of_dense_rows_reads_back_exactly() {
        let labels = Labels::new(50, 4).unwrap();
        let text = lines(&labels);
        assert_eq!(text[0], "x0,x1,x2,x3,label");
        for (line, row) in text[1..].iter().zip(labels.iter()) {
            let (features, label) = line.rsplit_once(',').unwrap();
            let features: Vec<f64> = features.split(',').map(|x| x.parse().unwrap()).collect();
            assert_eq!((features, label == "1"), (row.features, row.label));
        }
    }

    #[test]
    fn text_of_each_kind_is_as_documented() {
        assert_eq!(
            lines(&Ratings::new(1_000, 500, 2).unwrap()),
            ["user,item,rating", "151,118,2", "0,114,2.5"]
        );
        assert_eq!(lines(&Points::new(1, 2, 10).unwrap()), ["x0,x1", "7.567584269108643,-5.015039330549429"]);
        assert_eq!(lines(&Sparse::with_fields(1, 4, 10).unwrap()), ["1 2:1 11:1 21:1 35:1"]);
        assert_eq!(lines(&Words::new(2, 10_000).unwrap()), ["w1265 w599"]);
        assert_eq!(lines(&Graph::new(1_000, 1).unwrap()), ["src,dst", "4,735"]);
    }

    #[test]
    fn binary_of_dense_kinds_is_as_documented() {
        let x = [7.567584269108643, -5.015039330549429].map(f64::to_le_bytes);
        assert_eq!(files(&Points::new(1, 2, 10).unwrap()), [("km_1x2.f64".into(), x.concat())]);
        let x = [0.1331231503445618, 0.49156351452540226, 0.9420055071735924].map(f64::to_le_bytes);
        let expected = [("lr_1x3.f64".into(), x.concat()), ("lr_1x3.y".into(), vec![1])];
        assert_eq!(files(&Labels::new(1, 3).unwrap()), expected);
    }

    #[test]
    fn binary_of_indexed_kinds_is_as_documented() {
        let expected = [
            ("ratings_1000_500_2.u32".into(), [151, 0].map(u32::to_le_bytes).concat()),
            ("ratings_1000_500_2.i32".into(), [118, 114].map(u32::to_le_bytes).concat()),
            ("ratings_1000_500_2.r32".into(), [2.0, 2.5].map(f32::to_le_bytes).concat()),
        ];
        assert_eq!(files(&Ratings::new(1_000, 500, 2).unwrap()), expected);
        let features = [1, 10, 20, 34].map(u32::to_le_bytes).concat();
        let expected = [("sparse_1.idx32".into(), features), ("sparse_1.y8".into(), vec![1])];
        assert_eq!(files(&Sparse::with_fields(1, 4, 10).unwrap()), expected);
    }
}

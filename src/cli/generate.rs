//! `waterwheel generate`: the data sets of `waterwheel_ml::generate` as text or binary files.

mod nexmark;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use waterwheel_ml::generate::{Binary, Graph, Labels, Points, Ratings, Sparse, Text, Words};

/// Rows between two looks at the clock of the progress bar.
const ROWS_PER_TICK: usize = 8192;

/// What `waterwheel generate` is asked for.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    data: Data,
}

/// The kinds of data. Every row is a function of its number, so the same command makes the same bytes
/// everywhere, and a smaller count makes a prefix.
#[derive(Debug, Subcommand)]
enum Data {
    /// Ratings of items by users, in half stars; rows 9, 19, 29, ... are meant for testing
    ///
    /// Binary files: ratings_{users}_{items}_{count}.u32 (users), .i32 (items), both u32, and .r32 (f32).
    Ratings {
        /// How many users there are, at least 1
        #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
        users: u32,
        /// How many items there are, at least 1
        #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(1..))]
        items: u32,
        /// How many ratings to make
        #[arg(long, default_value_t = 100_000)]
        count: u64,
        #[command(flatten)]
        sink: Sink,
    },
    /// Points around hidden centres, for clustering
    ///
    /// Binary file: km_{rows}x{dim}.f64, row-major.
    Points {
        /// How many points to make
        #[arg(long, default_value_t = 10_000)]
        rows: u64,
        /// How many coordinates a point has, at least 1
        #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
        dim: u32,
        /// How many centres there are, at least 1
        #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
        clusters: u32,
        #[command(flatten)]
        sink: Sink,
    },
    /// Dense rows with a label of 0 or 1, for linear classifiers
    ///
    /// Binary files: lr_{rows}x{dim}.f64, row-major, and .y (labels, u8).
    Labels {
        /// How many rows to make
        #[arg(long, default_value_t = 10_000)]
        rows: u64,
        /// How many features a row has, at least 1
        #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
        dim: u32,
        #[command(flatten)]
        sink: Sink,
    },
    /// Rows of one feature per field with a label of 0 or 1; the text is LIBSVM's, not comma-separated
    ///
    /// A line of text is `label index:1 index:1 ...` with indices from 1, as LIBSVM has them. Binary files:
    /// sparse_{rows}.idx32 (u32, indices from 0, as many a row as there are fields) and .y8 (labels, u8).
    Sparse {
        /// How many rows to make
        #[arg(long, default_value_t = 10_000)]
        rows: u64,
        /// How many fields, and so features, a row has, at least 1
        #[arg(long, default_value_t = Sparse::DEFAULT_FIELDS, value_parser = value_parser!(u32).range(1..))]
        fields: u32,
        /// How many different features a field has, at least 1; times the fields at most 4294967295
        #[arg(long, default_value_t = Sparse::DEFAULT_PER_FIELD, value_parser = value_parser!(u32).range(1..))]
        per_field: u32,
        #[command(flatten)]
        sink: Sink,
    },
    /// Words of a skewed vocabulary, ten on a line
    Words {
        /// How many words to make
        #[arg(long, default_value_t = 100_000)]
        count: u64,
        /// How many different words there are, at least 1
        #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
        vocabulary: u32,
        /// File to write, replaced where it exists; `-` is standard output
        #[arg(long, short, value_name = "PATH", default_value = "-")]
        output: PathBuf,
    },
    /// Directed edges whose low nodes have the most out-edges
    ///
    /// Binary files: graph_{nodes}_{edges}.src32 and .dst32, both u32.
    Graph {
        /// How many nodes there are, at least 1
        #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
        nodes: u32,
        /// How many edges to make
        #[arg(long, default_value_t = 100_000)]
        edges: u64,
        #[command(flatten)]
        sink: Sink,
    },
    /// People, auctions and bids of an auction site in event time, as the NEXMark benchmark describes them
    Nexmark(nexmark::NexmarkArgs),
}

/// Where the data goes, and how it is written.
#[derive(Debug, Args)]
struct Sink {
    /// For csv a file, or `-` for standard output; for binary a directory. Existing files are replaced
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text with a header line; numbers read back exactly
    Csv,
    /// One file per column group, little-endian, without a header
    Binary,
}

/// Writes the data set that was asked for; a reader that closes the pipe early is no error.
pub(crate) fn run(args: GenerateArgs) -> anyhow::Result<()> {
    match args.data {
        Data::Ratings { users, items, count, sink } => sink.write(&Ratings::new(users, items, count)?),
        Data::Points { rows, dim, clusters, sink } => sink.write(&Points::new(rows, dim, clusters)?),
        Data::Labels { rows, dim, sink } => sink.write(&Labels::new(rows, dim)?),
        Data::Sparse { rows, fields, per_field, sink } => {
            sink.write(&Sparse::with_fields(rows, fields, per_field)?)
        }
        Data::Words { count, vocabulary, output } => write_text(&Words::new(count, vocabulary)?, &output),
        Data::Graph { nodes, edges, sink } => sink.write(&Graph::new(nodes, edges)?),
        Data::Nexmark(args) => args.run(),
    }
}

impl Sink {
    fn write<const FILES: usize>(&self, data: &impl Binary<FILES>) -> anyhow::Result<()> {
        match self.format {
            Format::Csv => write_text(data, &self.output),
            Format::Binary if self.output == Path::new("-") => {
                bail!("binary data is several files: name a directory for them with --output")
            }
            Format::Binary => write_files(data, &self.output),
        }
    }
}

/// Rows that are written as lines of text.
trait Lines {
    /// How many rows there are; one may have no line.
    fn n_rows(&self) -> u64;

    /// Writes all lines.
    fn write(&self, out: impl Write, bar: &ProgressBar) -> io::Result<()>;
}

impl<T: Text> Lines for T {
    fn n_rows(&self) -> u64 {
        self.n_lines()
    }

    fn write(&self, mut out: impl Write, bar: &ProgressBar) -> io::Result<()> {
        if let Some(header) = self.header() {
            writeln!(out, "{header}")?;
        }
        for_each_row(self.n_lines(), bar, |idx| {
            self.write_line(idx, &mut out)?;
            out.write_all(b"\n")
        })?;
        out.flush()
    }
}

fn write_text(data: &impl Lines, output: &Path) -> anyhow::Result<()> {
    if output != Path::new("-") {
        let file = File::create(output).with_context(|| format!("can not create {}", output.display()))?;
        return data
            .write(BufWriter::new(file), &progress_bar(data.n_rows())?)
            .with_context(|| format!("can not write {}", output.display()));
    }
    let stdout = io::stdout().lock();
    let bar = if stdout.is_terminal() { ProgressBar::hidden() } else { progress_bar(data.n_rows())? };
    match data.write(BufWriter::with_capacity(1 << 16, stdout), &bar) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("can not write to standard output"),
    }
}

fn write_files<const FILES: usize>(data: &impl Binary<FILES>, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("can not make the directory {}", dir.display()))?;
    let mut files = Vec::with_capacity(FILES);
    for name in data.file_names() {
        let path = dir.join(name);
        let file = File::create(&path).with_context(|| format!("can not create {}", path.display()))?;
        files.push(BufWriter::new(file));
    }
    let Ok(mut files) = <[_; FILES]>::try_from(files) else { bail!("lost a file of {}", dir.display()) };
    for_each_row(data.n_lines(), &progress_bar(data.n_lines())?, |idx| data.write_row(idx, &mut files))
        .and_then(|()| files.iter_mut().try_for_each(Write::flush))
        .with_context(|| format!("can not write to {}", dir.display()))
}

fn for_each_row(n: u64, bar: &ProgressBar, mut write: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    for start in (0..n).step_by(ROWS_PER_TICK) {
        bar.set_position(start);
        (start..n.min(start.saturating_add(ROWS_PER_TICK as u64))).try_for_each(&mut write)?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// A bar on standard error, where that is a terminal.
fn progress_bar(n_rows: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{wide_bar} {percent}% of {len}, {eta} left")?;
    Ok(ProgressBar::new(n_rows).with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn generate(command: &str, output: &Path) -> anyhow::Result<()> {
        let words = ["generate"].into_iter().chain(command.split(' '));
        let output = ["--output".as_ref(), output.as_os_str()];
        run(Cli::try_parse_from(words.map(AsRef::as_ref).chain(output))?.args)
    }

    #[test]
    fn generate_csv_writes_a_header_and_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ratings.csv");
        generate("ratings --users 1000 --items 500 --count 3", &path).unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text, "user,item,rating\n151,118,2\n0,114,2.5\n811,163,3\n");
    }

    #[test]
    fn generate_binary_writes_the_named_files() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        generate("graph --nodes 1000 --edges 20000 --format binary", &dir).unwrap();
        let src = fs::read(dir.join("graph_1000_20000.src32")).unwrap();
        assert_eq!((src.len(), &src[..8]), (80_000, &[4, 0, 0, 0, 254, 1, 0, 0][..]));
        assert_eq!(fs::read(dir.join("graph_1000_20000.dst32")).unwrap().len(), 80_000);
    }

    #[test]
    fn generate_binary_to_standard_output_is_refused() {
        let error = generate("points --format binary", Path::new("-")).unwrap_err();
        assert!(error.to_string().contains("--output"), "{error}");
    }

    #[test]
    fn generate_outside_the_valid_range_is_refused() {
        for command in
            ["ratings --users 0", "points --clusters 0", "words --format binary", "sparse --fields 9999999"]
        {
            assert!(generate(command, Path::new("-")).is_err(), "{command}");
        }
    }
}

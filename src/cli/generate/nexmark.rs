//! `waterwheel generate nexmark`: the events of an auction site, all or of one kind.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use indicatif::ProgressBar;
use serde::Serialize;
use waterwheel_ml::generate::nexmark::{Auction, Bid, Event, Nexmark, NexmarkParams, Person};

use super::{Lines, for_each_row, write_text};

/// What `waterwheel generate nexmark` is asked for.
#[derive(Debug, Args)]
pub(super) struct NexmarkArgs {
    /// How many events happen, of all kinds together
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// What all random choices depend on
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many events happen in a second of event time, at least 1
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(1..))]
    rate: u64,
    /// When the first event happens, in milliseconds
    #[arg(long, default_value_t = 0)]
    start_ms: u64,
    /// Shuffles every so many events; 1 leaves all in order, multiples of 953 are not possible
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    out_of_order: u64,
    /// Pads records to 200 bytes a person, 500 an auction and 100 a bid
    #[arg(long)]
    padded: bool,
    /// Which events to write
    #[arg(long, value_enum, default_value_t = Kind::All)]
    kind: Kind,
    /// How events are written
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// File to write, replaced where it exists; `-` is standard output
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Every event, under the name of its kind: `{"Bid":{...}}`
    All,
    /// People who register: one of 50 events
    Person,
    /// Auctions that open: 3 of 50 events
    Auction,
    /// Bids: 46 of 50 events
    Bid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An object on each line
    Json,
    /// Comma-separated with a header line; for one kind of events
    Csv,
}

impl NexmarkArgs {
    /// Writes the events; a reader that closes the pipe early is no error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.kind == Kind::All && self.format == Format::Csv {
            anyhow::bail!(
                "csv has the columns of one kind of events: say which with --kind, or write --format json"
            );
        }
        let events = Events { site: self.params().build()?, kind: self.kind, format: self.format };
        write_text(&events, &self.output)
    }

    fn params(&self) -> NexmarkParams {
        let params = NexmarkParams::new().count(self.count).seed(self.seed).rate(self.rate);
        params.start_ms(self.start_ms).out_of_order(self.out_of_order).padded(self.padded)
    }
}

/// The events of one kind, or all, as lines.
struct Events {
    site: Nexmark,
    kind: Kind,
    format: Format,
}

impl Lines for Events {
    fn n_rows(&self) -> u64 {
        self.site.count()
    }

    fn write(&self, out: impl Write, bar: &ProgressBar) -> io::Result<()> {
        match self.format {
            Format::Json => {
                let mut lines = JsonLines(out);
                self.for_each(bar, &mut lines)?;
                lines.0.flush()
            }
            Format::Csv => {
                let mut table = Table(csv::WriterBuilder::new().has_headers(false).from_writer(out));
                table.0.write_record(&self.columns()?).map_err(of_io)?;
                self.for_each(bar, &mut table)?;
                table.0.flush()
            }
        }
    }
}

impl Events {
    /// The names of the columns, also where no row tells them.
    fn columns(&self) -> io::Result<csv::StringRecord> {
        let mut row = csv::Writer::from_writer(Vec::new());
        match self.kind {
            Kind::All => {}
            Kind::Person => row.serialize(Person::default()).map_err(of_io)?,
            Kind::Auction => row.serialize(Auction::default()).map_err(of_io)?,
            Kind::Bid => row.serialize(Bid::default()).map_err(of_io)?,
        }
        let row = row.into_inner().map_err(|error| error.into_error())?;
        csv::Reader::from_reader(row.as_slice()).headers().cloned().map_err(of_io)
    }

    fn for_each(&self, bar: &ProgressBar, rows: &mut impl Rows) -> io::Result<()> {
        for_each_row(self.site.count(), bar, |idx| {
            let event = self.site.event(idx);
            match (self.kind, &event) {
                (Kind::All, event) => rows.write(event),
                (Kind::Person, Event::Person(person)) => rows.write(person),
                (Kind::Auction, Event::Auction(auction)) => rows.write(auction),
                (Kind::Bid, Event::Bid(bid)) => rows.write(bid),
                _ => Ok(()),
            }
        })
    }
}

/// Takes records of any type.
trait Rows {
    fn write(&mut self, record: &impl Serialize) -> io::Result<()>;
}

struct JsonLines<W>(W);

impl<W: Write> Rows for JsonLines<W> {
    fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, record)?;
        self.0.write_all(b"\n")
    }
}

struct Table<W: Write>(csv::Writer<W>);

impl<W: Write> Rows for Table<W> {
    fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.0.serialize(record).map_err(of_io)
    }
}

/// The error of the writer, so that a pipe that was closed is known.
fn of_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: NexmarkArgs,
    }

    #[test]
    fn nexmark_defaults_are_those_of_the_generator() {
        let Cli { args } = Cli::try_parse_from(["nexmark"]).unwrap();
        assert_eq!(args.params(), NexmarkParams::new());
    }

    #[test]
    fn nexmark_flags_reach_the_generator() {
        let flags = "nexmark --count 7 --seed 3 --rate 5 --start-ms 11 --out-of-order 4 --padded";
        let Cli { args } = Cli::try_parse_from(flags.split(' ')).unwrap();
        let expected =
            NexmarkParams::new().count(7).seed(3).rate(5).start_ms(11).out_of_order(4).padded(true);
        assert_eq!(args.params(), expected);
    }
}

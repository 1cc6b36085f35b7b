//! Generated files: Nexmark's.

use waterwheel::ml::generate::nexmark::{Bid, Event, Nexmark, NexmarkParams};

use super::fixture::{Dir, assert_refused};

fn site(count: u64) -> Nexmark {
    NexmarkParams::new().count(count).seed(7).rate(100).out_of_order(20).build().unwrap()
}

/// The flags of [`site`].
const SITE: &str = "--seed 7 --rate 100 --out-of-order 20";

/// Runs `generate nexmark` with flags and takes what it has written.
#[track_caller]
fn nexmark(dir: &Dir, flags: &str) -> String {
    let finished = dir.run(&format!("generate nexmark {SITE} {flags}"));
    assert_eq!(finished.code(), Some(0), "{flags}: {finished:?}");
    finished.out
}

#[test]
fn nexmark_as_json_reads_back_as_the_events_of_the_generator() {
    let dir = Dir::new();
    let text = nexmark(&dir, "--count 1000");
    let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(read.iter().eq(&site(1000).iter().collect::<Vec<_>>()));
    let shorter = nexmark(&dir, "--count 400");
    assert!(text.starts_with(&shorter) && shorter.lines().count() == 400);
}

#[test]
fn nexmark_of_one_kind_has_the_records_of_that_kind_alone() {
    let dir = Dir::new();
    let bids: Vec<Bid> = nexmark(&dir, "--count 1000 --kind bid")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(bids, site(1000).iter().filter_map(Event::into_bid).collect::<Vec<_>>());
    assert_eq!(nexmark(&dir, "--count 1000 --kind person").lines().count(), 20);
    assert_eq!(nexmark(&dir, "--count 1000 --kind auction").lines().count(), 60);
}

#[test]
fn nexmark_as_csv_has_a_header_and_one_kind_of_rows() {
    let dir = Dir::new();
    assert_eq!(nexmark(&dir, "--count 1000 --kind bid --format csv -o bids.csv"), "");
    let text = std::fs::read_to_string(dir.path("bids.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("auction,bidder,price,time_ms,extra"));
    let of = |bid: Bid| format!("{},{},{},{},{}", bid.auction, bid.bidder, bid.price, bid.time_ms, bid.extra);
    assert!(lines.eq(site(1000).iter().filter_map(Event::into_bid).map(of)));
    let people = nexmark(&dir, "--count 51 --kind person --format csv --padded");
    assert!(people.starts_with("id,name,email,credit_card,city,state,time_ms,extra\n1000,"), "{people}");
    assert_eq!(people.lines().count(), 3);
    let none = nexmark(&dir, "--count 0 --kind bid --format csv");
    assert_eq!(none, "auction,bidder,price,time_ms,extra\n");
}

#[test]
fn nexmark_that_can_not_be_written_is_refused_with_a_way_out() {
    let dir = Dir::new();
    assert_refused(&dir.run("generate nexmark --format csv"), 1, &["--kind", "--format json"]);
    assert_refused(&dir.run("generate nexmark --out-of-order 953"), 2, &["out_of_order", "953"]);
    assert_refused(&dir.run("generate nexmark --rate 0"), 2, &["--rate", "0"]);
    assert_refused(&dir.run("generate nexmark --kind sellers"), 2, &["person", "auction", "bid"]);
    assert_refused(&dir.run("generate nexmark -o no/such/dir"), 1, &["no/such/dir"]);
}

#[test]
fn nexmark_into_a_pipe_that_closes_early_ends_quietly() {
    let dir = Dir::new();
    for flags in ["", "--kind bid --format csv"] {
        let finished = dir.shell(&format!("$W generate nexmark --count 1000000 {flags} | head -n 1"));
        assert_eq!((finished.code(), finished.out.lines().count(), finished.err.as_str()), (Some(0), 1, ""));
    }
}

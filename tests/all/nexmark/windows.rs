//! Queries 5, 7 and 8: windows.

use std::cmp::Ordering;
use std::time::Duration;

use waterwheel::ml::generate::nexmark::{Bid, Event};
use waterwheel::prelude::*;

use super::timed;

pub(crate) const HOT_SIZE_MS: u64 = 4_000;
/// Does not divide the size.
pub(crate) const HOT_SLIDE_MS: u64 = 1_500;
pub(crate) const HIGHEST_SIZE_MS: u64 = 1_500;
pub(crate) const NEW_SIZE_MS: u64 = 2_000;

fn bids(events: DataStream<'_, Event>) -> EventStream<'_, Bid> {
    timed(events).flat_map(Event::into_bid)
}

fn end_ms(window: TimeWindow) -> u64 {
    u64::try_from(window.end).unwrap()
}

/// The results of windows that end at the same time have the same timestamp.
fn per_end<K: Key, V: Record>(
    results: EventStream<'_, WindowResult<K, V>>,
) -> Result<WindowedStream<'_, u64, WindowResult<K, V>>> {
    Ok(results.key_by(|result| end_ms(result.window)).window(Windows::tumbling(Duration::from_millis(1))?))
}

/// Counts by auction and window, then the most of each window.
pub(crate) fn hot_items(events: DataStream<'_, Event>) -> Result<DataStream<'_, (u64, u64, u64)>> {
    let (size, slide) = (Duration::from_millis(HOT_SIZE_MS), Duration::from_millis(HOT_SLIDE_MS));
    let counts = bids(events).key_by(|bid| bid.auction).window(Windows::sliding(size, slide)?).count();
    let hottest = per_end(counts.results)?.process(|end, _, counts, out| {
        let most = counts.iter().map(|count| count.value).max();
        for hot in counts.iter().filter(|count| Some(count.value) == most) {
            out.emit((*end, hot.key, hot.value));
        }
    });
    Ok(hottest.results.into_stream())
}

/// Keeps the highest bids that tie, as auction, bidder and price.
struct Highest;

impl AggregateFunction for Highest {
    type In = Bid;
    type Acc = Vec<(u64, u64, u64)>;
    type Out = Vec<(u64, u64, u64)>;

    fn create_accumulator(&self) -> Self::Acc {
        Vec::new()
    }

    fn add(&self, best: &mut Self::Acc, bid: Bid) {
        keep_highest(best, vec![(bid.auction, bid.bidder, bid.price)]);
    }

    fn result(&self, best: &Self::Acc) -> Self::Out {
        best.clone()
    }

    fn merge(&self, mut best: Self::Acc, other: Self::Acc) -> Self::Acc {
        keep_highest(&mut best, other);
        best
    }
}

/// Keeps the highest of two lists of bids, of which each has one price; both where they tie.
fn keep_highest(best: &mut Vec<(u64, u64, u64)>, mut other: Vec<(u64, u64, u64)>) {
    let price = |bids: &[(u64, u64, u64)]| bids.first().map(|(_, _, price)| *price);
    match price(best).cmp(&price(&other)) {
        Ordering::Less => *best = other,
        Ordering::Equal => best.append(&mut other),
        Ordering::Greater => {}
    }
}

/// The highest of each auction and window, then of each window.
pub(crate) fn highest_bids(events: DataStream<'_, Event>) -> Result<DataStream<'_, (u64, u64, u64, u64)>> {
    let size = Duration::from_millis(HIGHEST_SIZE_MS);
    let best = bids(events).key_by(|bid| bid.auction).window(Windows::tumbling(size)?).aggregate(Highest);
    let highest = per_end(best.results)?.process(|end, _, best, out| {
        let mut highest = Vec::new();
        best.iter().for_each(|of_auction| keep_highest(&mut highest, of_auction.value.clone()));
        highest.into_iter().for_each(|(auction, bidder, price)| out.emit((*end, auction, bidder, price)));
    });
    Ok(highest.results.into_stream())
}

pub(crate) fn new_sellers(events: DataStream<'_, Event>) -> Result<DataStream<'_, (u64, u64, String)>> {
    let events = timed(events);
    let people = events.clone().flat_map(Event::into_person).key_by(|person| person.id);
    let auctions = events.flat_map(Event::into_auction).key_by(|auction| auction.seller);
    let windows = Windows::tumbling(Duration::from_millis(NEW_SIZE_MS))?;
    let new = people.join(auctions).window(windows).co_group(|id, window, people, auctions, out| {
        if !auctions.is_empty() {
            people.iter().for_each(|person| out.emit((end_ms(window), *id, person.name.clone())));
        }
    });
    Ok(new.results.into_stream())
}

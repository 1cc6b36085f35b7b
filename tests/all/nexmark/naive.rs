//! The queries of NEXMark by plain loops over all events: what the streaming ones must compute.
//!
//! Prices are whole cents and averages are rounded down, so results are exact. Every function takes the
//! events in any order and returns its rows sorted. Windows of `size` contain the times from a multiple of
//! their slide on, `size` of them; a row names its window by the end, which is not in it.

use std::collections::{BTreeMap, BTreeSet};

use waterwheel::ml::generate::nexmark::{Auction, Bid, Event, Person};

/// A price in cents of dollars, as cents of euros: 0.908 euros a dollar, rounded down.
pub(crate) fn euros(dollars: u64) -> u64 {
    dollars * 908 / 1_000
}

/// Whether query 2 selects the auction.
pub(crate) fn is_selected(auction: u64) -> bool {
    auction.is_multiple_of(123)
}

/// The category that query 3 asks for.
pub(crate) const LOCAL_CATEGORY: u64 = 10;
/// The states that query 3 asks for.
pub(crate) const LOCAL_STATES: [&str; 3] = ["OR", "ID", "CA"];
/// How many of the last auctions of a seller query 6 averages.
pub(crate) const LAST_AUCTIONS: usize = 10;

/// Name, city and state of a seller, and the auction.
pub(crate) type LocalItem = (String, String, String, u64);

/// A closed auction with a bid that won.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Won {
    pub(crate) closed_ms: u64,
    pub(crate) auction: u64,
    pub(crate) seller: u64,
    pub(crate) category: u64,
    pub(crate) price: u64,
}

/// Query 0, pass through: every event as it is.
pub(crate) fn q0(events: &[Event]) -> Vec<Event> {
    sorted(events.iter().cloned())
}

/// Query 1, currency: every bid with its price in euros.
pub(crate) fn q1(events: &[Event]) -> Vec<Bid> {
    sorted(bids(events).map(|bid| Bid { price: euros(bid.price), ..bid.clone() }))
}

/// Query 2, selection: auction and price of the bids for auctions whose number is a multiple of 123.
pub(crate) fn q2(events: &[Event]) -> Vec<(u64, u64)> {
    sorted(bids(events).filter(|bid| is_selected(bid.auction)).map(|bid| (bid.auction, bid.price)))
}

/// Query 3, local item suggestion: who in Oregon, Idaho or California sells in category 10, and in which
/// auction? One row for each auction whose seller registers at any time, before or after.
pub(crate) fn q3(events: &[Event]) -> Vec<LocalItem> {
    let local = |person: &&Person| LOCAL_STATES.contains(&person.state.as_str());
    let people: Vec<_> = people(events).filter(local).collect();
    let items = auctions(events).filter(|auction| auction.category == LOCAL_CATEGORY);
    sorted(items.flat_map(|auction| {
        let sellers = people.iter().filter(|person| person.id == auction.seller);
        sellers.map(|p| (p.name.clone(), p.city.clone(), p.state.clone(), auction.id))
    }))
}

/// The auctions that somebody won, in order of closing and then of number.
///
/// A bid counts from the opening of its auction until just before `expires_ms`, if it is not below the
/// reserve. The highest wins. The end of the events closes all auctions, at their `expires_ms`.
pub(crate) fn winning_bids(events: &[Event]) -> Vec<Won> {
    let bids: Vec<_> = bids(events).collect();
    sorted(auctions(events).filter_map(|auction| {
        let open = auction.time_ms..auction.expires_ms;
        let counts = |bid: &&&Bid| {
            bid.auction == auction.id && open.contains(&bid.time_ms) && bid.price >= auction.reserve
        };
        let price = bids.iter().filter(counts).map(|bid| bid.price).max()?;
        let Auction { id, seller, category, expires_ms, .. } = *auction;
        Some(Won { closed_ms: expires_ms, auction: id, seller, category, price })
    }))
}

/// Query 4, average price for a category: each category with a won auction, and the average of what its
/// won auctions brought by the end of the events.
pub(crate) fn q4(events: &[Event]) -> Vec<(u64, u64)> {
    let mut prices: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for won in winning_bids(events) {
        prices.entry(won.category).or_default().push(won.price);
    }
    prices.into_iter().map(|(category, prices)| (category, average(&prices))).collect()
}

/// Query 5, hot items: end, auction and number of bids of the auctions with the most bids in each window of
/// `size_ms` that begins at a multiple of `slide_ms`. Auctions that tie have a row each; a window without
/// bids has none. The first windows begin before time 0.
pub(crate) fn q5(events: &[Event], size_ms: u64, slide_ms: u64) -> Vec<(u64, u64, u64)> {
    let mut counts: BTreeMap<u64, BTreeMap<u64, u64>> = BTreeMap::new();
    for bid in bids(events) {
        for end in sliding_ends(bid.time_ms, size_ms, slide_ms) {
            *counts.entry(end).or_default().entry(bid.auction).or_default() += 1;
        }
    }
    let hottest = counts.into_iter().flat_map(|(end, auctions)| {
        let most = auctions.values().copied().max();
        let hot = auctions.into_iter().filter(move |(_, count)| Some(*count) == most);
        hot.map(move |(auction, count)| (end, auction, count))
    });
    sorted(hottest)
}

/// Query 6, average selling price by seller: for each won auction its seller, its number and the average
/// price of that seller's last ten won auctions, it included, in order of closing and then of number.
pub(crate) fn q6(events: &[Event]) -> Vec<(u64, u64, u64)> {
    let mut prices: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    sorted(winning_bids(events).into_iter().map(|won| {
        let of_seller = prices.entry(won.seller).or_default();
        of_seller.push(won.price);
        let last = &of_seller[of_seller.len().saturating_sub(LAST_AUCTIONS)..];
        (won.seller, won.auction, average(last))
    }))
}

/// Query 7, highest bid: end of the window, auction, bidder and price of the highest bids in each tumbling
/// window. Bids that tie have a row each.
pub(crate) fn q7(events: &[Event], size_ms: u64) -> Vec<(u64, u64, u64, u64)> {
    let window = |bid: &Bid| tumbling_end(bid.time_ms, size_ms);
    let mut highest: BTreeMap<u64, u64> = BTreeMap::new();
    for bid in bids(events) {
        let price = highest.entry(window(bid)).or_default();
        *price = bid.price.max(*price);
    }
    let best = bids(events).filter(|bid| highest.get(&window(bid)) == Some(&bid.price));
    sorted(best.map(|bid| (window(bid), bid.auction, bid.bidder, bid.price)))
}

/// Query 8, monitor new users: end of the window, number and name of everybody who registered and opened an
/// auction in the same tumbling window; one row, however many auctions.
pub(crate) fn q8(events: &[Event], size_ms: u64) -> Vec<(u64, u64, String)> {
    let window = |time_ms| tumbling_end(time_ms, size_ms);
    let sellers: BTreeSet<_> = auctions(events).map(|a| (window(a.time_ms), a.seller)).collect();
    let new = people(events).filter(|person| sellers.contains(&(window(person.time_ms), person.id)));
    sorted(new.map(|person| (window(person.time_ms), person.id, person.name.clone())))
}

fn people(events: &[Event]) -> impl Iterator<Item = &Person> {
    events.iter().filter_map(|event| if let Event::Person(person) = event { Some(person) } else { None })
}

fn auctions(events: &[Event]) -> impl Iterator<Item = &Auction> {
    events.iter().filter_map(|event| if let Event::Auction(auction) = event { Some(auction) } else { None })
}

fn bids(events: &[Event]) -> impl Iterator<Item = &Bid> {
    events.iter().filter_map(|event| if let Event::Bid(bid) = event { Some(bid) } else { None })
}

fn average(prices: &[u64]) -> u64 {
    prices.iter().sum::<u64>() / prices.len() as u64
}

fn tumbling_end(time_ms: u64, size_ms: u64) -> u64 {
    time_ms - time_ms % size_ms + size_ms
}

/// The ends of all windows that contain a time: those of `begin..begin + size` for multiples of the slide.
fn sliding_ends(time_ms: u64, size_ms: u64, slide_ms: u64) -> impl Iterator<Item = u64> {
    let ends = time_ms + 1..=time_ms + size_ms;
    // An end is a begin, maybe below 0, plus the size.
    ends.filter(move |end| (i128::from(*end) - i128::from(size_ms)).rem_euclid(slide_ms.into()) == 0)
}

fn sorted<R: Ord>(rows: impl Iterator<Item = R>) -> Vec<R> {
    let mut rows: Vec<R> = rows.collect();
    rows.sort();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auction(id: u64, seller: u64, category: u64, open: std::ops::Range<u64>) -> Event {
        let (time_ms, expires_ms) = (open.start, open.end);
        Event::Auction(Auction {
            id,
            seller,
            category,
            time_ms,
            expires_ms,
            reserve: 10,
            ..Auction::default()
        })
    }

    fn bid(auction: u64, price: u64, time_ms: u64) -> Event {
        Event::Bid(Bid { auction, bidder: 7, price, time_ms, ..Bid::default() })
    }

    fn person(id: u64, state: &str, time_ms: u64) -> Event {
        Event::Person(Person {
            id,
            name: format!("n{id}"),
            state: state.into(),
            time_ms,
            ..Person::default()
        })
    }

    #[test]
    fn winning_bid_is_in_time_and_not_below_the_reserve() {
        let bids = [bid(1, 99, 4), bid(1, 20, 5), bid(1, 30, 9), bid(1, 98, 10), bid(2, 9, 6), bid(3, 50, 6)];
        let events: Vec<_> =
            bids.into_iter().chain([auction(1, 8, 10, 5..10), auction(2, 8, 10, 5..9)]).collect();
        let won = Won { closed_ms: 10, auction: 1, seller: 8, category: 10, price: 30 };
        assert_eq!(winning_bids(&events), [won]);
        assert_eq!((q4(&events), q6(&events)), (vec![(10, 30)], vec![(8, 1, 30)]));
    }

    #[test]
    fn average_of_a_seller_is_of_the_last_ten_in_order_of_closing() {
        let auctions = (0..12).map(|i| auction(i, 8, i % 2, 0..100 - i));
        let events: Vec<_> = auctions.chain((0..12).map(|i| bid(i, 100 + i, 1))).collect();
        let (last, second) = ((100..110).sum::<u64>() / 10, 100 + (10 + 11) / 2);
        let rows = q6(&events);
        assert_eq!([rows[0], rows[10], rows[11]], [(8, 0, last), (8, 10, second), (8, 11, 111)]);
        assert_eq!(q4(&events), [(0, 105), (1, 106)]);
    }

    #[test]
    fn windows_have_the_bids_from_their_begin_to_before_their_end() {
        let events = [bid(1, 5, 0), bid(1, 6, 9), bid(2, 7, 10), bid(2, 7, 14)];
        assert_eq!(q5(&events, 10, 5), [(5, 1, 1), (10, 1, 2), (15, 2, 2), (20, 2, 2)]);
        assert_eq!(q7(&events, 10), [(10, 1, 7, 6), (20, 2, 7, 7), (20, 2, 7, 7)]);
        // Windows that do not meet: from 0 to 3, 5 to 8, 10 to 13.
        assert_eq!(q5(&events, 3, 5), [(3, 1, 1), (13, 2, 1)]);
    }

    #[test]
    fn joins_match_sellers_whatever_comes_first() {
        let events = [
            auction(1, 7, 10, 5..9),
            person(7, "OR", 9),
            person(8, "WA", 0),
            auction(2, 8, 10, 11..12),
            auction(3, 7, 11, 3..4),
        ];
        assert_eq!(q3(&events), [("n7".to_string(), String::new(), "OR".to_string(), 1)]);
        assert_eq!(q8(&events, 10), [(10, 7, "n7".to_string())]);
        assert_eq!(q8(&events, 20).len(), 2);
    }
}

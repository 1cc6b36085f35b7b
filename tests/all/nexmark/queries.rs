//! Queries 0 to 3, which do not look at the time.

use serde::{Deserialize, Serialize};
use waterwheel::ml::generate::nexmark::{Bid, Event};
use waterwheel::prelude::*;

use super::naive::{LOCAL_CATEGORY, LOCAL_STATES, LocalItem, euros, is_selected};

pub(crate) fn pass_through(events: DataStream<'_, Event>) -> Result<DataStream<'_, Event>> {
    Ok(events)
}

pub(crate) fn currency(events: DataStream<'_, Event>) -> Result<DataStream<'_, Bid>> {
    Ok(events.flat_map(Event::into_bid).map(|bid| Bid { price: euros(bid.price), ..bid }))
}

pub(crate) fn selection(events: DataStream<'_, Event>) -> Result<DataStream<'_, (u64, u64)>> {
    let bids = events.flat_map(Event::into_bid);
    Ok(bids.filter(|bid| is_selected(bid.auction)).map(|bid| (bid.auction, bid.price)))
}

/// What is known of a seller so far.
#[derive(Default, Serialize, Deserialize)]
struct Seller {
    person: Option<(String, String, String)>,
    waiting: Vec<u64>,
}

impl Seller {
    fn item(&self, auction: u64) -> Option<LocalItem> {
        let (name, city, state) = self.person.clone()?;
        Some((name, city, state, auction))
    }
}

/// An incremental join: each pair is emitted when its second half arrives.
pub(crate) fn local_items(events: DataStream<'_, Event>) -> Result<DataStream<'_, LocalItem>> {
    let people = events.clone().flat_map(Event::into_person);
    let local = people.filter(|person| LOCAL_STATES.contains(&person.state.as_str()));
    let items = events.flat_map(Event::into_auction).filter(|item| item.category == LOCAL_CATEGORY);
    let sides = local.key_by(|person| person.id).connect(items.key_by(|item| item.seller));
    Ok(sides.process(
        |_, seller: &mut Seller, person, out| {
            seller.person = Some((person.name, person.city, person.state));
            let waiting = std::mem::take(&mut seller.waiting);
            waiting.into_iter().filter_map(|auction| seller.item(auction)).for_each(|item| out.emit(item));
        },
        |_, seller, auction, out| match seller.item(auction.id) {
            Some(item) => out.emit(item),
            None => seller.waiting.push(auction.id),
        },
    ))
}

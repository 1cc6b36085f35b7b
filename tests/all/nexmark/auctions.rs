//! Queries 4 and 6: auctions that close at a time of their own.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use waterwheel::ml::generate::nexmark::{Auction, Bid, Event};
use waterwheel::prelude::*;

use super::naive::LAST_AUCTIONS;
use super::timed;

fn millis(time_ms: u64) -> i64 {
    i64::try_from(time_ms).unwrap()
}

/// An auction, or a bid for it.
#[derive(Clone, Serialize, Deserialize)]
enum Offer {
    Open(Auction),
    Bid(Bid),
}

impl Offer {
    fn of(event: Event) -> Option<Self> {
        match event {
            Event::Auction(auction) => Some(Offer::Open(auction)),
            Event::Bid(bid) => Some(Offer::Bid(bid)),
            Event::Person(_) => None,
        }
    }

    fn auction(&self) -> u64 {
        match self {
            Offer::Open(auction) => auction.id,
            Offer::Bid(bid) => bid.auction,
        }
    }
}

/// A won auction: what queries 4 and 6 need of it.
#[derive(Clone, Serialize, Deserialize)]
struct Won {
    auction: u64,
    seller: u64,
    category: u64,
    price: u64,
}

/// Holds the bids of an auction until the watermark has passed its end.
struct Closing;

/// What is known of an auction. Bids can come before it.
#[derive(Default, Serialize, Deserialize)]
struct Open {
    auction: Option<Auction>,
    bids: Vec<Bid>,
}

impl Open {
    fn won(&self) -> Option<Won> {
        let auction = self.auction.as_ref()?;
        let open = auction.time_ms..auction.expires_ms;
        let counts = |bid: &&Bid| open.contains(&bid.time_ms) && bid.price >= auction.reserve;
        let price = self.bids.iter().filter(counts).map(|bid| bid.price).max()?;
        Some(Won { auction: auction.id, seller: auction.seller, category: auction.category, price })
    }
}

impl EventProcessFunction<u64, Offer> for Closing {
    type State = Open;
    type Out = Won;

    fn process(
        &mut self,
        _auction: &u64,
        open: &mut Open,
        offer: Offer,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, Won>,
    ) -> Result<()> {
        match offer {
            Offer::Open(auction) => {
                // Once the watermark has passed the last time inside, all bids are there.
                context.register_event_time_timer(millis(auction.expires_ms) - 1);
                open.auction = Some(auction);
            }
            Offer::Bid(bid) => {
                // By then its auction is there, or the bid was made when the auction was not open.
                context.register_event_time_timer(millis(bid.time_ms));
                open.bids.push(bid);
            }
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _auction: &u64,
        open: &mut Open,
        timer: Timer,
        context: &mut TimerContext,
        out: &mut EventCollector<'_, Won>,
    ) -> Result<()> {
        let Timer::EventTime(time) = timer else { return Ok(()) };
        match &open.auction {
            Some(auction) if time < millis(auction.expires_ms) - 1 => {}
            Some(_) => {
                open.won().into_iter().for_each(|won| out.emit(won));
                context.clear_state();
            }
            None => {
                open.bids.retain(|bid| millis(bid.time_ms) > time);
                if open.bids.is_empty() {
                    context.clear_state();
                }
            }
        }
        Ok(())
    }
}

/// Won auctions, each with the last time inside as its timestamp.
fn winning_bids(events: DataStream<'_, Event>) -> EventStream<'_, Won> {
    timed(events).flat_map(Offer::of).key_by(Offer::auction).process_function(Closing)
}

/// Sum and number of prices, told at the end.
struct Average;

impl KeyedProcessFunction<u64, Won> for Average {
    type State = (u64, u64);
    type Out = (u64, u64);

    fn process(
        &mut self,
        _category: &u64,
        (sum, n): &mut (u64, u64),
        won: Won,
        _context: &mut KeyedContext,
        _out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        (*sum, *n) = (*sum + won.price, *n + 1);
        Ok(())
    }

    fn end_of_input(
        &mut self,
        category: &u64,
        (sum, n): &mut (u64, u64),
        out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        out.emit((*category, *sum / *n));
        Ok(())
    }
}

pub(crate) fn category_averages(events: DataStream<'_, Event>) -> Result<DataStream<'_, (u64, u64)>> {
    let won = winning_bids(events).into_stream();
    Ok(won.key_by(|won| won.category).process_function(Average))
}

/// Averages the last prices of a seller in order of closing, which is not that of arrival.
struct LastTen;

#[derive(Default, Serialize, Deserialize)]
struct Sold {
    /// By time of closing and auction: those that the watermark has not passed.
    to_come: BTreeMap<(i64, u64), u64>,
    last: VecDeque<u64>,
}

impl EventProcessFunction<u64, Won> for LastTen {
    type State = Sold;
    type Out = (u64, u64, u64);

    fn process(
        &mut self,
        _seller: &u64,
        sold: &mut Sold,
        won: Won,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        sold.to_come.insert((context.timestamp(), won.auction), won.price);
        context.register_event_time_timer(context.timestamp());
        Ok(())
    }

    fn on_timer(
        &mut self,
        seller: &u64,
        sold: &mut Sold,
        timer: Timer,
        _context: &mut TimerContext,
        out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        let Timer::EventTime(time) = timer else { return Ok(()) };
        while let Some(first) = sold.to_come.first_entry().filter(|entry| entry.key().0 <= time) {
            let ((_, auction), price) = first.remove_entry();
            sold.last.push_back(price);
            if sold.last.len() > LAST_AUCTIONS {
                sold.last.pop_front();
            }
            out.emit((*seller, auction, sold.last.iter().sum::<u64>() / sold.last.len() as u64));
        }
        Ok(())
    }
}

pub(crate) fn seller_averages(events: DataStream<'_, Event>) -> Result<DataStream<'_, (u64, u64, u64)>> {
    let averages = winning_bids(events).key_by(|won| won.seller).process_function(LastTen);
    Ok(averages.into_stream())
}

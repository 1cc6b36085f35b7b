//! The records of the auction site.

use serde::{Deserialize, Serialize};

/// Someone who registers, and can then sell and bid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Person {
    /// Number of the person, from [`Person::FIRST_ID`].
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// Electronic mail address.
    pub email: String,
    /// Four groups of four digits.
    pub credit_card: String,
    /// A city of `state`.
    pub city: String,
    /// A state of the USA, two letters.
    pub state: String,
    /// When the person registered, in event time, milliseconds.
    pub time_ms: u64,
    /// Text without meaning that makes the record as long as those of other generators.
    pub extra: String,
}

/// An item that is offered until `expires_ms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Auction {
    /// Number of the auction, from [`Auction::FIRST_ID`].
    pub id: u64,
    /// What is offered.
    pub item: String,
    /// More about it.
    pub description: String,
    /// Price of the first bid, in cents.
    pub initial_bid: u64,
    /// Least price that the seller takes, in cents.
    pub reserve: u64,
    /// When the auction was opened, in event time, milliseconds.
    pub time_ms: u64,
    /// When it closes, in event time, milliseconds; above `time_ms`.
    pub expires_ms: u64,
    /// The person who sells.
    pub seller: u64,
    /// One of [`Auction::CATEGORIES`] categories, from [`Auction::FIRST_CATEGORY`].
    pub category: u64,
    /// Text without meaning that makes the record as long as those of other generators.
    pub extra: String,
}

/// An offer of a price for an item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bid {
    /// The auction that the bid is for.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The price, in cents.
    pub price: u64,
    /// When the bid was made, in event time, milliseconds.
    pub time_ms: u64,
    /// Text without meaning that makes the record as long as those of other generators.
    pub extra: String,
}

/// What happens at the auction site; the row type of [`Nexmark`](super::Nexmark).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// Somebody registers.
    Person(Person),
    /// Somebody offers an item.
    Auction(Auction),
    /// Somebody bids.
    Bid(Bid),
}

impl Person {
    /// Number of the first person.
    pub const FIRST_ID: u64 = 1_000;
}

impl Auction {
    /// Number of the first auction.
    pub const FIRST_ID: u64 = 1_000;
    /// Number of the first category.
    pub const FIRST_CATEGORY: u64 = 10;
    /// How many categories there are.
    pub const CATEGORIES: u64 = 5;
}

impl Event {
    /// When it happened, in event time, milliseconds.
    #[inline]
    pub fn time_ms(&self) -> u64 {
        match self {
            Event::Person(person) => person.time_ms,
            Event::Auction(auction) => auction.time_ms,
            Event::Bid(bid) => bid.time_ms,
        }
    }

    /// The person, if it is a registration.
    #[inline]
    pub fn into_person(self) -> Option<Person> {
        if let Event::Person(person) = self { Some(person) } else { None }
    }

    /// The auction, if one was opened.
    #[inline]
    pub fn into_auction(self) -> Option<Auction> {
        if let Event::Auction(auction) = self { Some(auction) } else { None }
    }

    /// The bid, if it is one.
    #[inline]
    pub fn into_bid(self) -> Option<Bid> {
        if let Event::Bid(bid) = self { Some(bid) } else { None }
    }
}

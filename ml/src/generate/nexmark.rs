//! The auction site of the NEXMark benchmark: people, auctions and bids in event time.

mod draws;
mod event;
mod params;

use std::ops::Range;

pub use event::{Auction, Bid, Event, Person};
pub use params::NexmarkParams;

use super::clamp;
use draws::Draws;
use params::STRIDE;

/// The events of an auction site, as NEXMark (Tucker, Tufte, Papadimos and Maier, 2002) describes them, with
/// the proportions and skew that Apache Beam's and Flink's generators have by default.
///
/// Of every 50 events the first is a person, the next 3 are auctions and the other 46 bids. Event `n` is at
/// `start + n / rate`. Half of the bids go to one hot auction, which changes with every hundredth auction;
/// the others are spread over the last auctions in flight and ten that are yet to come, so that a join can
/// not rely on order. Sellers and bidders are skewed alike. Prices are whole cents.
///
/// Each event is a function of seed and number alone.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::nexmark::{Event, NexmarkParams};
///
/// let site = NexmarkParams::new().count(1_000).rate(100).build()?;
/// assert_eq!(site.iter().filter(|event| matches!(event, Event::Bid(_))).count(), 920);
/// assert_eq!(site.event(250).time_ms(), 2_500);
/// assert_eq!(site.range(10..20).collect::<Vec<_>>(), site.iter().skip(10).take(10).collect::<Vec<_>>());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Nexmark {
    params: NexmarkParams,
}

/// Events of one round of the proportions.
const ROUND: u64 = 50;
const AUCTIONS: u64 = 3;
/// Hot ones change when this many more exist.
const HOT_STEP: u64 = 100;
/// So many ids that do not exist yet are used.
const LEAD: u64 = 10;

impl Nexmark {
    fn of(params: NexmarkParams) -> Self {
        Nexmark { params }
    }

    /// How many events there are.
    pub fn count(&self) -> u64 {
        self.params.count
    }

    /// How far an event can be behind one that comes before it, in milliseconds of event time: what a
    /// watermark has to allow for. 0 for events in order.
    pub fn max_delay_ms(&self) -> u64 {
        (self.params.group - 1).saturating_mul(1_000).div_ceil(self.params.rate)
    }

    /// The event at place `idx` of the stream.
    pub fn event(&self, idx: u64) -> Event {
        let number = self.number_at(idx);
        let mut draws = Draws::of_event(self.params.seed, number);
        match number % ROUND {
            0 => Event::Person(self.person(number, &mut draws)),
            1..=AUCTIONS => Event::Auction(self.auction(number, &mut draws)),
            _ => Event::Bid(self.bid(number, &mut draws)),
        }
    }

    /// The events at the places of `range`, as far as there are any.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = Event> + Send + use<> {
        let site = self.clone();
        clamp(range, self.count()).map(move |idx| site.event(idx))
    }

    /// All events.
    pub fn iter(&self) -> impl Iterator<Item = Event> + Send + use<> {
        self.range(0..self.count())
    }

    /// The number, in order of event time, of the event at place `idx`.
    fn number_at(&self, idx: u64) -> u64 {
        let group = self.params.group;
        let start = idx - idx % group;
        // A last group that is not full can not be shuffled: it would bring in events beyond the count.
        if group == 1 || start.checked_add(group).is_none_or(|end| end > self.params.count) {
            return idx;
        }
        // The stride has no divisor in common with the group, so this is a permutation of the group.
        let offset = u128::from(idx % group) * u128::from(STRIDE) % u128::from(group);
        start + offset as u64
    }

    fn time_ms(&self, number: u64) -> u64 {
        let after = u128::from(number) * 1_000 / u128::from(self.params.rate);
        self.params.start_ms.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    fn person(&self, number: u64, draws: &mut Draws) -> Person {
        let name = draws.name();
        let email = format!("{}@{}.com", draws.letters(7), draws.letters(5));
        let credit_card = draws.credit_card();
        let (state, city) = draws.state_and_city();
        let fields = name.len() + email.len() + credit_card.len() + state.len() + city.len() + 16;
        Person {
            id: Person::FIRST_ID + last_person(number),
            name,
            email,
            credit_card,
            city,
            state,
            time_ms: self.time_ms(number),
            extra: self.padding(200, fields, draws),
        }
    }

    fn auction(&self, number: u64, draws: &mut Draws) -> Auction {
        let last = last_person(number);
        let seller = if draws.is_hot(self.params.hot_sellers) {
            last / HOT_STEP * HOT_STEP
        } else {
            self.any_person(last, draws)
        };
        let (item, description) = (draws.some_letters(10), draws.some_letters(50));
        let initial_bid = draws.price();
        let time_ms = self.time_ms(number);
        let fields = item.len() + description.len() + 56;
        Auction {
            id: Auction::FIRST_ID + last_auction(number),
            item,
            description,
            initial_bid,
            reserve: initial_bid + draws.price(),
            time_ms,
            expires_ms: time_ms.saturating_add(1 + draws.below(self.longest_auction_ms())),
            seller: Person::FIRST_ID + seller,
            category: Auction::FIRST_CATEGORY + draws.below(Auction::CATEGORIES),
            extra: self.padding(500, fields, draws),
        }
    }

    fn bid(&self, number: u64, draws: &mut Draws) -> Bid {
        let (person, auction) = (last_person(number), last_auction(number));
        let auction = if draws.is_hot(self.params.hot_auctions) {
            auction / HOT_STEP * HOT_STEP
        } else {
            let first = auction.saturating_sub(self.params.auctions);
            first + draws.below(auction - first + 1 + LEAD)
        };
        // One behind the hot seller, so that not the same person buys from himself all the time.
        let bidder = if draws.is_hot(self.params.hot_bidders) {
            person / HOT_STEP * HOT_STEP + 1
        } else {
            self.any_person(person, draws)
        };
        Bid {
            auction: Auction::FIRST_ID + auction,
            bidder: Person::FIRST_ID + bidder,
            price: draws.price(),
            time_ms: self.time_ms(number),
            extra: self.padding(100, 32, draws),
        }
    }

    /// One of the last people, or of those who come next.
    fn any_person(&self, last: u64, draws: &mut Draws) -> u64 {
        let active = self.params.people.min(last + 1);
        last + 1 - active + draws.below(active + LEAD)
    }

    /// Twice the time in which as many auctions are opened as are in flight, and at least 1.
    fn longest_auction_ms(&self) -> u64 {
        let events = u128::from(self.params.auctions) * u128::from(ROUND) / u128::from(AUCTIONS);
        let horizon = 2 * events * 1_000 / u128::from(self.params.rate);
        u64::try_from(horizon).unwrap_or(u64::MAX).max(1)
    }

    fn padding(&self, target: usize, fields: usize, draws: &mut Draws) -> String {
        if self.params.padded { draws.letters(target.saturating_sub(fields)) } else { String::new() }
    }
}

/// The last person at event `number`, counted from 0.
fn last_person(number: u64) -> u64 {
    number / ROUND
}

/// The last auction at event `number`, counted from 0: within a round the person comes before any of its
/// auctions, so it still sees the last one of the round before.
fn last_auction(number: u64) -> u64 {
    let in_round = (number % ROUND).min(AUCTIONS);
    (number / ROUND * AUCTIONS + in_round).saturating_sub(1)
}

#[cfg(test)]
mod tests;

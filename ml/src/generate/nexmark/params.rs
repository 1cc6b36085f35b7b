//! Settings of the auction site, before they are checked.

use waterwheel_engine::{Error, Result};

use super::Nexmark;

/// How many events there are, when they happen and how skewed they are.
///
/// | setting | default | valid |
/// |---|---|---|
/// | [`count`](Self::count) | 100,000 events | any |
/// | [`seed`](Self::seed) | 1 | any |
/// | [`rate`](Self::rate) | 10,000 events per second of event time | 1 or more |
/// | [`start_ms`](Self::start_ms) | 0 ms | any |
/// | [`out_of_order`](Self::out_of_order) | groups of 1: in order | 1 or more, no multiple of 953 |
/// | [`hot_ratios`](Self::hot_ratios) | 2 (auctions), 4 (sellers), 4 (bidders) | each 1 or more |
/// | [`in_flight`](Self::in_flight) | 100 auctions, 1,000 people | each 1 or more |
/// | [`padded`](Self::padded) | no | |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NexmarkParams {
    pub(super) count: u64,
    pub(super) seed: u64,
    pub(super) rate: u64,
    pub(super) start_ms: u64,
    pub(super) group: u64,
    pub(super) hot_auctions: u64,
    pub(super) hot_sellers: u64,
    pub(super) hot_bidders: u64,
    pub(super) auctions: u64,
    pub(super) people: u64,
    pub(super) padded: bool,
}

/// The step through a group of events that are out of order.
pub(super) const STRIDE: u64 = 953;

impl Default for NexmarkParams {
    fn default() -> Self {
        NexmarkParams {
            count: 100_000,
            seed: 1,
            rate: 10_000,
            start_ms: 0,
            group: 1,
            hot_auctions: 2,
            hot_sellers: 4,
            hot_bidders: 4,
            auctions: 100,
            people: 1_000,
            padded: false,
        }
    }
}

impl NexmarkParams {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many events there are. Default 100,000.
    #[must_use]
    pub fn count(mut self, events: u64) -> Self {
        self.count = events;
        self
    }

    /// Sets what all random choices depend on. Default 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many events happen in a second of event time. Default 10,000; valid: 1 or more.
    #[must_use]
    pub fn rate(mut self, events_per_sec: u64) -> Self {
        self.rate = events_per_sec;
        self
    }

    /// Sets when the first event happens, in milliseconds. Default 0.
    #[must_use]
    pub fn start_ms(mut self, time_ms: u64) -> Self {
        self.start_ms = time_ms;
        self
    }

    /// Shuffles every `group` events that follow each other, so that up to `group - 1` later events come
    /// before an event; a last group that is not full stays in order. Default 1: all are in order. Valid: 1
    /// or more, no multiple of 953.
    #[must_use]
    pub fn out_of_order(mut self, group: u64) -> Self {
        self.group = group;
        self
    }

    /// Sets how skewed auctions of bids, sellers and bidders are: a part of `1 - 1/ratio` of them goes to
    /// one that is hot for a while. Defaults 2, 4 and 4; valid: 1 or more, where 1 is no skew.
    #[must_use]
    pub fn hot_ratios(mut self, auctions: u64, sellers: u64, bidders: u64) -> Self {
        (self.hot_auctions, self.hot_sellers, self.hot_bidders) = (auctions, sellers, bidders);
        self
    }

    /// Sets how many of the last auctions get bids, which also says how long auctions last, and how many of
    /// the last people sell and bid. Defaults 100 and 1,000; valid: 1 or more.
    #[must_use]
    pub fn in_flight(mut self, auctions: u64, people: u64) -> Self {
        (self.auctions, self.people) = (auctions, people);
        self
    }

    /// Pads records to the average sizes of other generators: 200 bytes a person, 500 an auction, 100 a bid.
    /// Default no.
    #[must_use]
    pub fn padded(mut self, padded: bool) -> Self {
        self.padded = padded;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A config error that names the setting that is out of its range.
    pub fn build(self) -> Result<Nexmark> {
        let positive = [
            ("rate", self.rate),
            ("out_of_order", self.group),
            ("hot_ratios of auctions", self.hot_auctions),
            ("hot_ratios of sellers", self.hot_sellers),
            ("hot_ratios of bidders", self.hot_bidders),
            ("in_flight auctions", self.auctions),
            ("in_flight people", self.people),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::config(format!("nexmark: {name}: found 0, expected 1 or more")));
        }
        if self.group.is_multiple_of(STRIDE) {
            let group = self.group;
            let text = format!("nexmark: out_of_order: found {group}, expected no multiple of {STRIDE}");
            return Err(Error::config(text));
        }
        Ok(Nexmark::of(self))
    }
}

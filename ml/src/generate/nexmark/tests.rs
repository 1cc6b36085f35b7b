use super::super::tests::digest;
use super::*;
use proptest::prelude::*;

fn site(count: u64) -> Nexmark {
    NexmarkParams::new().count(count).build().unwrap()
}

#[test]
fn nexmark_events_have_the_proportions_of_the_benchmark() {
    let kinds = site(5_000).iter().fold([0; 3], |mut kinds, event| {
        match event {
            Event::Person(_) => kinds[0] += 1,
            Event::Auction(_) => kinds[1] += 1,
            Event::Bid(_) => kinds[2] += 1,
        }
        kinds
    });
    assert_eq!(kinds, [100, 300, 4_600]);
}

#[test]
fn nexmark_ids_are_without_gap() {
    let (mut people, mut auctions) = (Vec::new(), Vec::new());
    for event in site(5_000).iter() {
        match event {
            Event::Person(person) => people.push(person.id),
            Event::Auction(auction) => auctions.push(auction.id),
            Event::Bid(_) => {}
        }
    }
    assert_eq!(people, (1_000..1_100).collect::<Vec<_>>());
    assert_eq!(auctions, (1_000..1_300).collect::<Vec<_>>());
}

#[test]
fn nexmark_half_of_the_bids_and_three_quarters_of_bidders_and_sellers_are_hot() {
    let (mut bids, mut auctions) = (Vec::new(), Vec::new());
    for event in site(500_000).iter().skip(400_000) {
        match event {
            Event::Bid(bid) => bids.push(bid),
            Event::Auction(auction) => auctions.push(auction),
            Event::Person(_) => {}
        }
    }
    let part = |hot: usize, of: usize| hot as f64 / of as f64;
    // Besides the hot draws a few of the others hit the same id.
    let hot = bids.iter().filter(|bid| bid.auction % HOT_STEP == 0).count();
    assert!((0.5..0.53).contains(&part(hot, bids.len())), "{hot}");
    let hot = bids.iter().filter(|bid| bid.bidder % HOT_STEP == 1).count();
    assert!((0.74..0.78).contains(&part(hot, bids.len())), "{hot}");
    let hot = auctions.iter().filter(|auction| auction.seller % HOT_STEP == 0).count();
    assert!((0.73..0.78).contains(&part(hot, auctions.len())), "{hot}");
}

#[test]
fn nexmark_out_of_order_is_a_permutation_within_its_delay() {
    let params = NexmarkParams::new().count(1_003).rate(100);
    let in_order: Vec<_> = params.clone().build().unwrap().iter().collect();
    let shuffled = params.out_of_order(50).build().unwrap();
    assert_eq!(shuffled.max_delay_ms(), 490);
    let (mut events, mut latest, mut worst): (Vec<_>, _, _) = (Vec::new(), 0, 0);
    for event in shuffled.iter() {
        latest = event.time_ms().max(latest);
        worst = worst.max(latest - event.time_ms());
        events.push(event);
    }
    assert!((400..=490).contains(&worst), "{worst}");
    assert_ne!(events, in_order);
    events.sort_by_key(Event::time_ms);
    assert_eq!(events, in_order);
}

#[test]
fn nexmark_padding_makes_records_of_the_usual_size() {
    let padded = NexmarkParams::new().count(100).padded(true).build().unwrap();
    for event in padded.iter() {
        match event {
            Event::Person(p) => {
                let text = [&p.name, &p.email, &p.credit_card, &p.city, &p.state, &p.extra];
                assert_eq!(text.map(String::len).iter().sum::<usize>(), 200 - 16);
            }
            Event::Auction(a) => {
                assert_eq!(a.item.len() + a.description.len() + a.extra.len(), 500 - 56);
            }
            Event::Bid(b) => assert_eq!(b.extra.len(), 100 - 32),
        }
    }
}

#[test]
fn nexmark_settings_out_of_range_are_named() {
    let message = |params: NexmarkParams| params.build().unwrap_err().message().to_string();
    assert_eq!(message(NexmarkParams::new().rate(0)), "nexmark: rate: found 0, expected 1 or more");
    assert_eq!(
        message(NexmarkParams::new().out_of_order(1_906)),
        "nexmark: out_of_order: found 1906, expected no multiple of 953"
    );
    assert!(message(NexmarkParams::new().hot_ratios(2, 0, 4)).contains("sellers"));
    assert!(message(NexmarkParams::new().in_flight(1, 0)).contains("people"));
}

#[test]
fn nexmark_events_are_golden() {
    let site = site(10_000);
    let texts = site.iter().map(|event| format!("{event:?}").into_bytes());
    assert_eq!(digest(texts), 0x65aa_de58_3b5f_6ced);
    let first_bid = Bid { auction: 1_000, bidder: 1_001, price: 594, time_ms: 0, extra: String::new() };
    assert_eq!(site.event(4), Event::Bid(first_bid));
}

proptest! {
    #[test]
    fn nexmark_far_events_are_consistent(idx in 0u64..1 << 50, seed: u64, rate in 1u64..1_000_000) {
        let site = NexmarkParams::new().count(u64::MAX).seed(seed).rate(rate).build().unwrap();
        let persons = idx / 50 + 1;
        match site.event(idx) {
            Event::Person(person) => prop_assert_eq!(person.id, Person::FIRST_ID + idx / 50),
            Event::Auction(auction) => {
                prop_assert!(auction.expires_ms > auction.time_ms && auction.reserve > auction.initial_bid);
                prop_assert!(auction.seller < Person::FIRST_ID + persons + LEAD);
                prop_assert!((10..15).contains(&auction.category));
            }
            Event::Bid(bid) => {
                prop_assert!((100..=99_900_000).contains(&bid.price));
                prop_assert!(bid.bidder < Person::FIRST_ID + persons + LEAD);
                prop_assert!(bid.auction < Auction::FIRST_ID + 3 * persons + LEAD);
            }
        }
    }
}

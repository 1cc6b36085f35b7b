//! Each query against its naive evaluation.

use super::fixture::check;
use super::{auctions, naive, queries, windows};
use crate::cluster::test_path;

macro_rules! cases {
    ($($test:ident: $query:path, $naive:expr;)*) => {$(
        #[test]
        fn $test() {
            check(test_path!($test), $query, $naive);
        }
    )*};
}
cases! {
    q0_pass_through_equals_the_events: queries::pass_through, naive::q0;
    q1_currency_equals_the_naive_evaluation: queries::currency, naive::q1;
    q2_selection_equals_the_naive_evaluation: queries::selection, naive::q2;
    q3_local_items_equal_the_naive_evaluation: queries::local_items, naive::q3;
    q4_category_averages_equal_the_naive_evaluation: auctions::category_averages, naive::q4;
    q5_hot_items_equal_the_naive_evaluation:
        windows::hot_items, |events| naive::q5(events, windows::HOT_SIZE_MS, windows::HOT_SLIDE_MS);
    q6_seller_averages_equal_the_naive_evaluation: auctions::seller_averages, naive::q6;
    q7_highest_bids_equal_the_naive_evaluation:
        windows::highest_bids, |events| naive::q7(events, windows::HIGHEST_SIZE_MS);
    q8_new_sellers_equal_the_naive_evaluation:
        windows::new_sellers, |events| naive::q8(events, windows::NEW_SIZE_MS);
}

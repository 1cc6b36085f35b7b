//! Recommending before learning, beside what is popular.

use std::collections::{BTreeMap, VecDeque};

use waterwheel::ml::mf::{Interaction, Recommendation, RecommenderParams, recommend_popular};
use waterwheel::ml::ranking::{QualityByWindow, QualityState, quality_by_window};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Users of four kinds, each with ten items of its own, which a user goes through again and again.
fn of_four_kinds(n: u64) -> Vec<Interaction> {
    let used = |number: u64| {
        let (user, turn) = (number % 40, number / 40);
        Interaction { user, item: 100 * (user % 4) + (user + turn) % 10, time: number as i64 }
    };
    (0..n).map(used).collect()
}

/// What a run leaves: recommendations in order, and the quality by window, of a recommender and of what is popular.
type Left = (Vec<Recommendation>, Vec<QualityByWindow>, Vec<QualityByWindow>);

fn run(
    config: RuntimeConfig,
    params: &RecommenderParams,
    used: &[Interaction],
    window: i64,
    memory: usize,
) -> Result<Left> {
    let (recommender, used) = (params.clone().user_memory(memory).build()?, used.to_vec());
    let values: Vec<Left> = execute(config, move |env| {
        let interactions = || env.from_iter(used.clone());
        let fit = recommender.fit(interactions())?;
        let by_window = move |found: &Recommendation| (found.number as i64 / window, found.rank());
        let quality = quality_by_window(fit.recommendations.clone(), by_window, &QualityState::new());
        let popular = recommend_popular(interactions(), 5, memory);
        let popular = quality_by_window(popular, by_window, &QualityState::new());
        Ok((fit.recommendations.collect(), quality.collect(), popular.collect()))
    })?;
    let (mut recommendations, quality, popular) = values.into_iter().next().unwrap_or_default();
    recommendations.sort_by_key(|found| found.number);
    Ok((recommendations, quality, popular))
}

/// No list has what the user is remembered to have used; lists are sorted.
fn check_lists(found: &[Recommendation], used: &[Interaction], memory: usize, place: &str) {
    let mut seen: BTreeMap<u64, VecDeque<u64>> = BTreeMap::new();
    assert_eq!(found.len(), used.len(), "{place}");
    for (number, (found, interaction)) in found.iter().zip(used).enumerate() {
        assert_eq!((found.number, &found.interaction), (number as u64, interaction), "{place}");
        let seen = seen.entry(interaction.user).or_default();
        assert!(found.best.iter().all(|scored| !seen.contains(&scored.item)), "{place}: {found:?}");
        assert!(found.best.windows(2).all(|pair| pair[0].score >= pair[1].score), "{place}");
        seen.retain(|item| *item != interaction.item);
        seen.push_back(interaction.item);
        if seen.len() > memory {
            seen.pop_front();
        }
    }
}

#[test]
fn recommender_learns_what_users_of_a_kind_want() {
    let used = of_four_kinds(8_000);
    let params = RecommenderParams::new().top(5).consistency(Consistency::BULK_SYNCHRONOUS);
    let job = |config| run(config, &params, &used, 2_000, 5).unwrap();
    let of_two = std::cell::RefCell::new(BTreeMap::new());
    let path = test_path!(recommender_learns_what_users_of_a_kind_want);
    everywhere(path, job, |(found, quality, popular), place| {
        check_lists(&found, &used, 5, place);
        let rate = |quality: &[QualityByWindow]| {
            quality[0].windows().map(|(_, window)| window.hit_rate().unwrap()).collect::<Vec<_>>()
        };
        let (hits, popular) = (rate(&quality), rate(&popular));
        println!("{place}: hit rate {hits:.3?}, popular {popular:.3?}");
        assert!(hits.len() == 4 && hits[3] > 0.9 && popular[3] < 0.5, "{place}: {hits:?} {popular:?}");
        of_two.borrow_mut().insert(place.to_string(), found);
    });
    let of_two = of_two.into_inner();
    assert_eq!(of_two.get("2 workers"), of_two.get("2 processes"));
}

#[test]
fn asynchronous_recommender_learns_too() {
    let used = of_four_kinds(8_000);
    let job = |config| run(config, &RecommenderParams::new().top(5), &used, 2_000, 5).unwrap();
    everywhere(test_path!(asynchronous_recommender_learns_too), job, |(found, quality, _), place| {
        assert_eq!(found.len(), used.len(), "{place}");
        let hits: Vec<_> = quality[0].windows().map(|(_, window)| window.hit_rate().unwrap()).collect();
        println!("{place}: hit rate {hits:.3?}");
        assert!(hits[3] > 0.8, "{place}: {hits:?}");
    });
}

/// T-NEW-03, with next to nothing to learn from.
#[test]
fn t_new_03_default_parameters_run() {
    let job = |config| {
        let values = execute(config, |env| {
            let recommender = RecommenderParams::new().build()?;
            let fit = |n| Ok(recommender.fit(env.from_iter(of_four_kinds(n)))?.recommendations.collect());
            [0, 1, 3].map(fit).into_iter().collect::<Result<Vec<_>>>()
        });
        values.unwrap().swap_remove(0)
    };
    everywhere(test_path!(t_new_03_default_parameters_run), job, |found, place| {
        for (n, mut found) in [0, 1, 3].into_iter().zip(found) {
            found.sort_by_key(|found: &Recommendation| found.number);
            check_lists(&found, &of_four_kinds(n), 65_535, place);
        }
    });
}

/// T-FPS-24: the original's parameters of online factorization with lists of 100, by day to CSV.
#[test]
fn t_fps_24_online_factorization_writes_a_line_for_each_day() {
    let used = of_four_kinds(2_000);
    let params = RecommenderParams::new().rank(10).init(-0.01, 0.01).learning_rate(0.2).negatives(9).top(100);
    let job = |config| run(config, &params, &used, 500, 4).unwrap();
    everywhere(test_path!(t_fps_24_online_factorization_writes_a_line_for_each_day), job, |left, place| {
        check_lists(&left.0, &used, 4, place);
        let mut csv = Vec::new();
        left.1[0].write_csv(&mut csv).unwrap();
        let lines: Vec<_> = std::str::from_utf8(&csv).unwrap().lines().collect();
        assert_eq!((lines.len(), lines[0]), (5, "window,lists,ndcg,recall,hit_rate"), "{place}");
        for (day, line) in lines[1..].iter().enumerate() {
            assert!(line.starts_with(&format!("{day},500,")), "{place}: {line}");
        }
        // Of 40 items at most 100 are recommended: all but the four that are remembered.
        assert!(left.1[0].total().hit_rate().unwrap() > 0.9, "{place}");
    });
}

/// Vectors of users or items.
type Rows = Vec<(u64, Vec<f32>)>;

/// T-FPS-25: the original's parameters of implicit factorization; a vector for each user and item, to be written down.
#[test]
fn t_fps_25_implicit_factorization_leaves_a_vector_for_each_user_and_item() {
    let job = |config| {
        let values: Vec<(Rows, Rows)> = execute(config, |env| {
            let params = RecommenderParams::new().rank(10).init(-0.1, 0.1).learning_rate(0.01).negatives(9);
            let fit = params.user_memory(128).build()?.fit(env.from_iter(of_four_kinds(2_000)))?;
            Ok((fit.users.collect(), fit.items.collect()))
        })
        .unwrap();
        values.into_iter().next().unwrap_or_default()
    };
    let path = test_path!(t_fps_25_implicit_factorization_leaves_a_vector_for_each_user_and_item);
    everywhere(path, job, |(mut users, mut items), place| {
        users.sort_by_key(|(user, _)| *user);
        items.sort_by_key(|(item, _)| *item);
        assert!(users.iter().map(|(user, _)| *user).eq(0..40), "{place}");
        let all = (0..4).flat_map(|kind| (0..10).map(move |item| 100 * kind + item));
        assert!(items.iter().map(|(item, _)| *item).eq(all), "{place}");
        assert!(users.iter().all(|(_, row)| row.len() == 10), "{place}");
        // Behind the factors of an item stands its bias.
        assert!(items.iter().all(|(_, row)| row.len() == 11), "{place}");
        assert!(users.iter().chain(&items).flat_map(|(_, row)| row).all(|x| x.is_finite()), "{place}");
    });
}

#[test]
fn settings_of_a_recommender_out_of_range_are_named() {
    let message = |params: RecommenderParams| params.build().unwrap_err().message().to_string();
    assert_eq!(message(RecommenderParams::new().top(0)), "recommender: top: found 0, expected 1 or more");
    assert_eq!(message(RecommenderParams::new().rank(0)), "rank: found 0, expected 1 to 4096");
    assert!(message(RecommenderParams::new().bias_rate(-1.0)).contains("bias rate: found -1"));
    assert!(
        message(RecommenderParams::new().consistency(Consistency::Serialisable)).contains("serialisable")
    );
    let diverging = RecommenderParams::new().learning_rate(1e20);
    let error = run(RuntimeConfig::threads(1), &diverging, &of_four_kinds(500), 100, 5).unwrap_err();
    assert!(error.message().contains("diverged"), "{error}");
}

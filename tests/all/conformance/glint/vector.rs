//! T-GL-09: pulls and pushes of a vector.

use waterwheel::ps::models::BigVector;

use super::support::{assert_fails, assert_plays, show};
use crate::cluster::test_path;

#[test]
fn t_gl_09_doubles_that_are_pushed_are_pulled() {
    assert_plays(
        test_path!(t_gl_09_doubles_that_are_pushed_are_pulled),
        |models| {
            let (long, short) = (models.vector::<f64>(1_000)?, models.vector::<f64>(9)?);
            Ok(Box::new(move |ps| {
                long.push(ps, &[0, 999], &[0.54, -0.9999])?;
                short.push(ps, &[0, 2, 5, 8], &[0.0, -0.001, 100.001, 3.14152])?;
                long.pull(ps, &[0, 999], show)?;
                short.pull(ps, &[0, 2, 5, 8], show)
            }))
        },
        &[vec![0.54, -0.9999], vec![0.0, -0.001, 100.001, 3.14152]],
    );
}

#[test]
fn t_gl_09_integers_and_longs() {
    assert_plays(
        test_path!(t_gl_09_integers_and_longs),
        |models| {
            let (ints, longs) = (models.vector::<i32>(1_000)?, models.vector::<i64>(9)?);
            Ok(Box::new(move |ps| {
                ints.push(ps, &[0, 999, 99, 98, 100], &[1_090_807, -23, 100, 45, 90])?;
                longs.push(ps, &[0, 2, 5, 8], &[0, -1, 900_800_700_600, -100_200_300_400_500])?;
                ints.pull(ps, &[100, 98, 99, 999, 0], |_, found, ps| {
                    ps.output(found.into_iter().map(i64::from).collect());
                    Ok(())
                })?;
                longs.pull(ps, &[0, 2, 5, 8], show)
            }))
        },
        &[vec![90, 45, 100, -23, 1_090_807], vec![0, -1, 900_800_700_600, -100_200_300_400_500]],
    );
}

#[test]
fn t_gl_09_pushes_to_one_element_are_summed() {
    assert_plays(
        test_path!(t_gl_09_pushes_to_one_element_are_summed),
        |models| {
            let vector = models.vector::<i32>(100)?;
            Ok(Box::new(move |ps| {
                vector.push(ps, &[0, 20, 50, 81], &[10, 10, 20, 30])?;
                vector.push(ps, &[0, 20, 50, 81], &[1, -1, 2, 3])?;
                vector.push(ps, &[7, 7, 7], &[1, 2, 3])?;
                vector.pull(ps, &[0, 20, 50, 81, 7, 8], show)
            }))
        },
        &[vec![11, 9, 22, 33, 6, 0]],
    );
}

#[test]
fn t_gl_09_handle_that_was_serialised_works() {
    assert_plays(
        test_path!(t_gl_09_handle_that_was_serialised_works),
        |models| {
            let vector = models.vector::<f64>(10)?;
            let text = serde_json::to_string(&vector).unwrap();
            let read: BigVector<f64> = serde_json::from_str(&text).unwrap();
            Ok(Box::new(move |ps| {
                vector.push(ps, &[9], &[42.0])?;
                read.pull(ps, &[9], show)
            }))
        },
        &[vec![42.0]],
    );
}

#[test]
fn t_gl_13_key_out_of_range_is_an_error() {
    assert_fails(
        |models| {
            let vector = models.vector::<i64>(105)?;
            Ok(Box::new(move |ps| vector.push(ps, &[105], &[1])))
        },
        "row 105 is outside the range 0..105",
    );
}

//! T-GF-02 to 05: products that the servers compute, each for its columns.

use waterwheel::prelude::*;
use waterwheel::ps::models::{BigMatrix, MatrixSpec, Models, Scalar, Split};

use super::support::{assert_fails, assert_plays, show};
use crate::cluster::test_path;

/// First values of four rows of three columns.
const U: [[f64; 3]; 4] = [[1.0, 2.0, 3.0], [0.5, -1.0, 4.0], [-2.0, 0.25, 1.0], [3.0, 3.0, -0.5]];

/// `u` as above and `v` of zeros, both split by columns.
fn two_matrices(models: &mut Models) -> Result<(BigMatrix<f64>, BigMatrix<f64>)> {
    let spec = MatrixSpec::new(4, 3).split(Split::Columns).partitioning(ps::Partitioning::Cyclic);
    let u = spec.clone().init(|row, column| U[row as usize][column]);
    Ok((models.matrix_of(u)?, models.matrix_of(spec)?))
}

fn dot<E: Scalar>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).fold(E::ZERO, |sum, (a, b)| sum.plus(a.times(*b)))
}

#[test]
fn t_gf_02_first_adjustment_leaves_u_as_it_was_for_v_was_zero() {
    assert_plays(
        test_path!(t_gf_02_first_adjustment_leaves_u_as_it_was_for_v_was_zero),
        |models| {
            let (u, v) = two_matrices(models)?;
            Ok(Box::new(move |ps| {
                u.adjust(ps, &[1, 1, 1], &v, &[1, 2, 3], &[0.5, 0.25, -1.0])?;
                u.pull_rows(ps, &[0, 1, 2, 3], show)?;
                v.pull_rows(ps, &[0, 1, 2, 3], show)
            }))
        },
        &[U.concat(), [[0.0; 3], U[1].map(|x| 0.5 * x), U[1].map(|x| 0.25 * x), U[1].map(|x| -x)].concat()],
    );
}

#[test]
fn t_gf_03_second_adjustment_moves_u_along_itself() {
    assert_plays(
        test_path!(t_gf_03_second_adjustment_moves_u_along_itself),
        |models| {
            let (u, v) = two_matrices(models)?;
            Ok(Box::new(move |ps| {
                u.adjust(ps, &[1, 1, 1], &v, &[1, 2, 3], &[0.5, 0.25, -1.0])?;
                u.adjust(ps, &[1, 1, 1], &v, &[1, 2, 3], &[2.0, 4.0, 1.0])?;
                u.pull_rows(ps, &[0, 1], show)
            }))
        },
        // u1 + (2 * 0.5 + 4 * 0.25 - 1 * 1) u1.
        &[[U[0], U[1].map(|x| x + (1.0 + 1.0 - 1.0) * x)].concat()],
    );
}

#[test]
fn t_gf_04_products_are_zero_at_first_and_then_the_factor_times_the_squared_norm() {
    assert_plays(
        test_path!(t_gf_04_products_are_zero_at_first_and_then_the_factor_times_the_squared_norm),
        |models| {
            let (u, v) = two_matrices(models)?;
            Ok(Box::new(move |ps| {
                u.dot(ps, &[1, 2], &v, &[1, 3], show)?;
                u.adjust(ps, &[1], &v, &[1], &[0.5])?;
                u.dot(ps, &[1, 0, 2, 1], &v, &[1, 1, 1, 0], show)
            }))
        },
        &[
            vec![0.0, 0.0],
            vec![0.5 * dot(&U[1], &U[1]), 0.5 * dot(&U[0], &U[1]), 0.5 * dot(&U[2], &U[1]), 0.0],
        ],
    );
}

#[test]
fn t_gf_05_squared_norms_and_products_within_one_matrix() {
    assert_plays(
        test_path!(t_gf_05_squared_norms_and_products_within_one_matrix),
        |models| {
            let (u, _) = two_matrices(models)?;
            let by_rows =
                models.matrix_of(MatrixSpec::new(4, 3).init(|row, column| U[row as usize][column]))?;
            Ok(Box::new(move |ps| {
                u.squared_norms(ps, &[3, 0], show)?;
                by_rows.squared_norms(ps, &[3, 0], show)?;
                u.dot(ps, &[0, 2], &u, &[1, 2], show)?;
                u.adjust(ps, &[0], &u, &[3], &[2.0])?;
                u.pull_rows(ps, &[0, 3], show)
            }))
        },
        &[
            vec![18.25, 14.0],
            vec![18.25, 14.0],
            vec![dot(&U[0], &U[1]), dot(&U[2], &U[2])],
            [[7.0, 8.0, 2.0], [5.0, 7.0, 5.5]].concat(),
        ],
    );
}

#[test]
fn products_in_messages_of_one_pair_are_the_same() {
    assert_plays(
        test_path!(products_in_messages_of_one_pair_are_the_same),
        |models| {
            let (u, _) = two_matrices(models)?;
            let u = u.with_message_limit(1)?;
            Ok(Box::new(move |ps| {
                u.dot(ps, &[0, 1, 2], &u, &[3, 3, 3], show)?;
                u.squared_norms(ps, &[0, 1, 2, 3], show)
            }))
        },
        &[[0, 1, 2].map(|row| dot(&U[row], &U[3])).to_vec(), U.map(|row| dot(&row, &row)).to_vec()],
    );
}

#[test]
fn products_of_matrices_that_are_split_otherwise_are_refused() {
    for workers in [1, 2] {
        let message =
            crate::conformance::flink_ps::support::try_run(RuntimeConfig::threads(workers), |env| {
                let mut models = Models::new(env.workers());
                let (by_rows, by_columns) = (models.matrix::<f64>(4, 3)?, two_matrices(&mut models)?.0);
                let script =
                    super::support::Script(Box::new(move |ps: &mut super::support::Client<'_, ()>| {
                        by_columns.dot(ps, &[0], &by_rows, &[0], |_, _, _| Ok(()))
                    }));
                models.transform(env.from_iter([()]), script, &PsConfig::new())?;
                Ok(())
            });
        let error = message.unwrap_err();
        let expected = "products of rows need two matrices that are split alike by columns: found ";
        assert!(error.message().starts_with(expected), "{error}");
    }
    assert_fails(
        |models| {
            let (u, v) = two_matrices(models)?;
            Ok(Box::new(move |ps| u.adjust(ps, &[0, 1], &v, &[0, 1], &[1.0])))
        },
        "found 1 factors, expected 2, the number of pairs",
    );
}

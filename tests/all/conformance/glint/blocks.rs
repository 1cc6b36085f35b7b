//! T-GL-14: going through a matrix by blocks of rows and by columns.

use waterwheel::prelude::*;
use waterwheel::ps::models::{BigMatrix, Block, MatrixSpec, Models, Scalar};

use super::support::{Client, Script, assert_fails, assert_plays, assert_plays_in_order};
use crate::cluster::test_path;

/// A matrix with the numbers 0, 1, .. in order.
fn numbered(models: &mut Models, rows: u64, columns: usize) -> Result<BigMatrix<i64>> {
    let init = move |row: u64, column: usize| (row * columns as u64) as i64 + column as i64;
    models.matrix_of(MatrixSpec::new(rows, columns).init(init))
}

/// What a visit outputs.
type Seen = (std::ops::Range<u64>, std::ops::Range<usize>, Vec<i64>, bool);

fn see<E: Scalar + Into<i64>>(
    _: &mut Script<Seen>,
    block: Block<E>,
    ps: &mut Client<'_, Seen>,
) -> Result<()> {
    let values = block.values.into_iter().map(E::into).collect();
    ps.output((block.rows, block.columns, values, block.is_last));
    Ok(())
}

#[test]
fn t_gl_14_columns_of_a_wide_matrix_come_in_order() {
    assert_plays_in_order::<Seen>(
        test_path!(t_gl_14_columns_of_a_wide_matrix_come_in_order),
        |models| {
            let matrix = numbered(models, 2, 4)?;
            Ok(Box::new(move |ps| matrix.for_each_column(ps, see)))
        },
        &[
            (0..2, 0..1, vec![0, 4], false),
            (0..2, 1..2, vec![1, 5], false),
            (0..2, 2..3, vec![2, 6], false),
            (0..2, 3..4, vec![3, 7], true),
        ],
    );
}

#[test]
fn t_gl_14_columns_of_a_high_matrix_come_in_order() {
    assert_plays_in_order::<Seen>(
        test_path!(t_gl_14_columns_of_a_high_matrix_come_in_order),
        |models| {
            let matrix = numbered(models, 4, 2)?;
            Ok(Box::new(move |ps| matrix.for_each_column(ps, see)))
        },
        &[(0..4, 0..1, vec![0, 2, 4, 6], false), (0..4, 1..2, vec![1, 3, 5, 7], true)],
    );
}

#[test]
fn t_gl_14_rows_come_in_blocks_and_the_last_one_is_smaller() {
    assert_plays_in_order::<Seen>(
        test_path!(t_gl_14_rows_come_in_blocks_and_the_last_one_is_smaller),
        |models| {
            let matrix = numbered(models, 5, 2)?;
            Ok(Box::new(move |ps| matrix.for_each_row_block(ps, 2, see)))
        },
        &[
            (0..2, 0..2, vec![0, 1, 2, 3], false),
            (2..4, 0..2, vec![4, 5, 6, 7], false),
            (4..5, 0..2, vec![8, 9], true),
        ],
    );
}

#[test]
fn t_gl_14_block_larger_than_the_matrix_is_all_of_it() {
    assert_plays_in_order::<Seen>(
        test_path!(t_gl_14_block_larger_than_the_matrix_is_all_of_it),
        |models| {
            let matrix = numbered(models, 5, 2)?;
            Ok(Box::new(move |ps| matrix.for_each_row_block(ps, 7, see)))
        },
        &[(0..5, 0..2, (0..10).collect(), true)],
    );
}

#[test]
fn t_gl_14_empty_matrix_has_no_blocks() {
    assert_plays::<Seen>(
        test_path!(t_gl_14_empty_matrix_has_no_blocks),
        |models| {
            let empty =
                [(0, 0), (0, 5), (5, 0)].map(|(rows, columns)| numbered(models, rows, columns).unwrap());
            Ok(Box::new(move |ps| {
                empty.iter().try_for_each(|matrix| {
                    matrix.for_each_row_block(ps, 3, see)?;
                    matrix.for_each_column(ps, see)
                })
            }))
        },
        &[],
    );
}

#[test]
fn blocks_of_no_rows_are_refused() {
    assert_fails(
        |models| {
            let matrix = numbered(models, 5, 2)?;
            Ok(Box::new(move |ps| matrix.for_each_row_block(ps, 0, |_, _, _| Ok(()))))
        },
        "blocks of 0 rows, expected 1 or more",
    );
}

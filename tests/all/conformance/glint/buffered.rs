//! T-GL-10: pushes that are buffered.

use waterwheel::prelude::*;
use waterwheel::ps::models::{BigMatrix, BufferedBigMatrix};

use super::support::{Client, assert_plays, show};
use crate::cluster::test_path;

type Out = Vec<f64>;

/// The two cells that the case looks at.
fn look(matrix: &BigMatrix<f64>, ps: &mut Client<'_, Out>) -> Result<()> {
    matrix.pull(ps, &[0, 48], &[1, 5], show)
}

#[test]
fn t_gl_10_server_sees_a_buffer_when_it_is_flushed_and_not_before() {
    assert_plays(
        test_path!(t_gl_10_server_sees_a_buffer_when_it_is_flushed_and_not_before),
        |models| {
            let matrix = models.matrix::<f64>(49, 6)?;
            Ok(Box::new(move |ps| {
                let mut buffer = BufferedBigMatrix::new(&matrix, 4)?;
                for (row, column, value) in [(0, 1, 0.54), (48, 5, -0.33), (0, 1, 1.5)] {
                    assert!(buffer.push(row, column, value)?);
                }
                look(&matrix, ps)?;
                assert_eq!((buffer.len(), buffer.is_full()), (3, false));
                buffer.flush(ps)?;
                assert!(buffer.is_empty());
                look(&matrix, ps)
            }))
        },
        &[vec![0.0, 0.0], vec![2.04, -0.33]],
    );
}

#[test]
fn t_gl_10_full_buffer_takes_nothing_more() {
    assert_plays(
        test_path!(t_gl_10_full_buffer_takes_nothing_more),
        |models| {
            let matrix = models.matrix::<f64>(49, 6)?;
            Ok(Box::new(move |ps| {
                let mut buffer = BufferedBigMatrix::new(&matrix, 4)?;
                let pushes = [(0, 1, 0.54), (48, 5, -0.33), (0, 1, 1.5), (0, 1, 0.3), (0, 1, 9.0)];
                let taken: Vec<_> = pushes
                    .iter()
                    .map(|(row, column, value)| buffer.push(*row, *column, *value).unwrap())
                    .collect();
                assert_eq!(taken, [true, true, true, true, false]);
                assert!(buffer.is_full());
                assert!(buffer.push(49, 0, 1.0).is_err());
                buffer.flush(ps)?;
                look(&matrix, ps)
            }))
        },
        &[vec![0.54 + 1.5 + 0.3, -0.33]],
    );
}

#[test]
fn t_gl_10_buffer_is_filled_and_flushed_again() {
    assert_plays(
        test_path!(t_gl_10_buffer_is_filled_and_flushed_again),
        |models| {
            let matrix = models.matrix::<i64>(49, 6)?;
            Ok(Box::new(move |ps| {
                let mut buffer = BufferedBigMatrix::new(&matrix, 4)?;
                for _ in 0..3 {
                    for (row, column, value) in [(0, 1, 54), (48, 5, -33), (0, 1, 150), (0, 1, 30)] {
                        assert!(buffer.push(row, column, value)?);
                    }
                    buffer.flush(ps)?;
                }
                matrix.pull(ps, &[0, 48], &[1, 5], show)
            }))
        },
        &[vec![702, -99]],
    );
}

#[test]
fn buffer_of_nothing_is_refused() {
    let matrix = ps::models::Models::new(1).matrix::<f32>(1, 1).unwrap();
    let error = BufferedBigMatrix::new(&matrix, 0).unwrap_err();
    assert_eq!(error.message(), "capacity of a buffer is 0, expected 1 or more");
}

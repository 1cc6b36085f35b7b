//! T-GL-11: requests that are cut into messages.

use waterwheel::ps::models::Models;

use super::support::assert_plays;
use crate::cluster::test_path;

/// The factor of the case.
const STEP: f64 = 314.0 / 100.0;

/// The cells of a matrix of a thousand rows and columns, and a value for each.
fn cells() -> (Vec<u64>, Vec<usize>, Vec<f64>) {
    let n = 0..1_000_000u64;
    let (rows, columns) = (n.clone().map(|i| i % 1_000), n.clone().map(|i| (i / 1_000) as usize));
    (rows.collect(), columns.collect(), n.map(|i| i as f64 * STEP).collect())
}

#[test]
fn t_gl_11_million_elements_in_messages_of_ten_thousand() {
    assert_plays(
        test_path!(t_gl_11_million_elements_in_messages_of_ten_thousand),
        |models| {
            let matrix = models.matrix::<f64>(1_000, 1_000)?.with_message_limit(10_000)?;
            Ok(Box::new(move |ps| {
                let (rows, columns, values) = cells();
                matrix.push(ps, &rows, &columns, &values)?;
                matrix.pull(ps, &rows, &columns, move |_, found, ps| {
                    ps.output(found == values);
                    Ok(())
                })?;
                let all: Vec<u64> = (0..1_000).collect();
                matrix.pull_rows(ps, &all, |_, found, ps| {
                    let expected = |at: usize| (at % 1_000 * 1_000 + at / 1_000) as f64 * STEP;
                    ps.output(found.len() == 1_000_000 && (0..1_000_000).all(|at| found[at] == expected(at)));
                    Ok(())
                })
            }))
        },
        &[true, true],
    );
}

#[test]
fn t_gl_11_vector_of_a_million_in_messages_of_a_thousand() {
    assert_plays(
        test_path!(t_gl_11_vector_of_a_million_in_messages_of_a_thousand),
        |models| {
            let vector = models.vector::<f64>(1_000_000)?.with_message_limit(1_000)?;
            Ok(Box::new(move |ps| {
                let keys: Vec<u64> = (0..1_000_000).collect();
                let (_, _, values) = cells();
                vector.push(ps, &keys, &values)?;
                vector.pull(ps, &keys, move |_, found, ps| {
                    ps.output(found == values);
                    Ok(())
                })
            }))
        },
        &[true],
    );
}

#[test]
fn t_gl_11_message_limit_of_zero_is_refused() {
    let mut models = Models::new(1);
    let (matrix, vector) = (models.matrix::<f64>(2, 2).unwrap(), models.vector::<f64>(2).unwrap());
    let expected = "message limit is 0, expected 1 or more";
    assert_eq!(matrix.with_message_limit(0).unwrap_err().message(), expected);
    assert_eq!(vector.with_message_limit(0).unwrap_err().message(), expected);
}

//! T-GL-05 to 08: pulls and pushes of a matrix.

use waterwheel::prelude::*;
use waterwheel::ps::models::{
    BigMatrix, BigVector, MatrixSpec, ModelClient, ModelLogic, Models, Scalar, Split,
};

use super::support::{assert_all_output, assert_fails, assert_plays, show};
use crate::cluster::test_path;

/// All layouts of a matrix, with so many parts on each server.
fn layouts<E: Scalar>(
    models: &mut Models,
    rows: u64,
    columns: usize,
    per_server: usize,
) -> Vec<BigMatrix<E>> {
    let schemes = [ps::Partitioning::Range, ps::Partitioning::Cyclic];
    let splits = [Split::Rows, Split::Columns];
    let specs = splits.into_iter().flat_map(|split| schemes.map(|scheme| (split, scheme)));
    let spec = |(split, scheme)| {
        MatrixSpec::new(rows, columns).split(split).partitioning(scheme).parts_per_server(per_server)
    };
    specs.map(|kind| models.matrix_of(spec(kind)).unwrap()).collect()
}

#[test]
fn t_gl_05_doubles_that_are_pushed_are_pulled() {
    assert_plays(
        test_path!(t_gl_05_doubles_that_are_pushed_are_pulled),
        |models| {
            let layouts = layouts::<f64>(models, 49, 6, 1);
            Ok(Box::new(move |ps| {
                layouts.iter().try_for_each(|matrix| {
                    matrix.push(ps, &[0], &[1], &[0.54])?;
                    matrix.pull(ps, &[0], &[1], show)
                })
            }))
        },
        &vec![vec![0.54]; 4],
    );
}

#[test]
fn t_gl_05_floats_on_eight_parts_per_server() {
    assert_plays(
        test_path!(t_gl_05_floats_on_eight_parts_per_server),
        |models| {
            let layouts = layouts::<f32>(models, 49, 6, 8);
            Ok(Box::new(move |ps| {
                layouts.iter().try_for_each(|matrix| {
                    matrix.push(ps, &[10, 0, 48], &[0, 1, 5], &[0.0, 0.54, 0.33333])?;
                    matrix.pull(ps, &[10, 0, 48], &[0, 1, 5], show)
                })
            }))
        },
        &vec![vec![0.0, 0.54, 0.33333]; 4],
    );
}

#[test]
fn t_gl_05_integers_and_longs() {
    assert_plays(
        test_path!(t_gl_05_integers_and_longs),
        |models| {
            let (ints, longs) = (layouts::<i32>(models, 23, 10, 1), layouts::<i64>(models, 23, 10, 1));
            Ok(Box::new(move |ps| {
                for (ints, longs) in ints.iter().zip(&longs) {
                    ints.push(ps, &[1, 5, 20], &[0, 1, 8], &[0, -1000, 23_451_234])?;
                    longs.push(ps, &[1, 5, 20], &[0, 8, 1], &[0, -789_300_200_100, 987_100_200_300])?;
                    ints.pull(ps, &[1, 5, 20], &[0, 1, 8], |_, found, ps| {
                        ps.output(found.into_iter().map(i64::from).collect());
                        Ok(())
                    })?;
                    longs.pull(ps, &[1, 5, 20], &[0, 8, 1], show)?;
                }
                Ok(())
            }))
        },
        &vec![[vec![0, -1000, 23_451_234], vec![0, -789_300_200_100, 987_100_200_300]]; 4].concat(),
    );
}

/// The cells that T-GL-06 pushes, and what they hold in the end.
const CELLS: ([u64; 4], [usize; 4]) = ([0, 20, 50, 81], [0, 10, 99, 80]);
const SUMS: [i32; 4] = [101, 99, 22, 33];

/// Whole rows of 100 columns that are zero but for these.
fn expected_rows() -> Vec<i32> {
    let mut rows = vec![0; 400];
    (0..4).for_each(|i| rows[100 * i + CELLS.1[i]] = SUMS[i]);
    rows
}

#[test]
fn t_gl_06_rows_hold_the_sums_of_what_was_pushed_and_zeros() {
    assert_plays(
        test_path!(t_gl_06_rows_hold_the_sums_of_what_was_pushed_and_zeros),
        |models| {
            let layouts = layouts::<i32>(models, 100, 100, 3);
            Ok(Box::new(move |ps| {
                layouts.iter().try_for_each(|matrix| {
                    matrix.push(ps, &CELLS.0, &CELLS.1, &[100, 100, 20, 30])?;
                    matrix.push(ps, &CELLS.0, &CELLS.1, &[1, -1, 2, 3])?;
                    matrix.pull_rows(ps, &CELLS.0, show)
                })
            }))
        },
        &vec![expected_rows(); 4],
    );
}

#[test]
fn t_gl_06_rows_that_are_pushed_whole_are_added() {
    assert_plays(
        test_path!(t_gl_06_rows_that_are_pushed_whole_are_added),
        |models| {
            let layouts = layouts::<i64>(models, 7, 3, 2);
            Ok(Box::new(move |ps| {
                layouts.iter().try_for_each(|matrix| {
                    matrix.push_rows(ps, &[6, 0, 6], &[1, 2, 3, 10, 20, 30, 100, 200, 300])?;
                    matrix.pull_rows(ps, &[0, 6, 1, 0], show)
                })
            }))
        },
        &vec![vec![10, 20, 30, 101, 202, 303, 0, 0, 0, 10, 20, 30]; 4],
    );
}

/// Pushes the values of T-GL-07 on every worker, and pulls them when all have.
struct Aggregate(BigMatrix<i32>);

const AGGREGATED: ([u64; 4], [usize; 4]) = ([0, 2, 5, 8], [0, 10, 99, 80]);

impl ModelLogic for Aggregate {
    type In = usize;
    type Out = Vec<i32>;

    fn on_recv(&mut self, _worker: usize, ps: &mut ModelClient<'_, Self>) -> Result<()> {
        self.0.push(ps, &AGGREGATED.0, &AGGREGATED.1, &[100, 100, 20, 30])?;
        self.0.push(ps, &AGGREGATED.0, &AGGREGATED.1, &[1, -1, 2, 3])
    }

    fn on_end_of_input(&mut self, ps: &mut ModelClient<'_, Self>) -> Result<()> {
        ps.advance_clock();
        Ok(())
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut ModelClient<'_, Self>) -> Result<()> {
        self.0.pull(ps, &AGGREGATED.0, &AGGREGATED.1, |_, found, ps| {
            ps.output(found);
            Ok(())
        })
    }
}

#[test]
fn t_gl_07_pushes_of_all_workers_are_summed() {
    assert_all_output(
        test_path!(t_gl_07_pushes_of_all_workers_are_summed),
        |models| Ok(Aggregate(models.matrix(9, 100)?)),
        |workers| vec![SUMS.map(|sum| sum * workers as i32).to_vec(); workers],
    );
}

#[test]
fn t_gl_08_handle_that_was_serialised_works() {
    assert_plays(
        test_path!(t_gl_08_handle_that_was_serialised_works),
        |models| {
            let matrix = models.matrix::<f64>(9, 10)?;
            let text = serde_json::to_string(&matrix).unwrap();
            let read: BigMatrix<f64> = serde_json::from_str(&text).unwrap();
            assert_eq!(read, matrix);
            Ok(Box::new(move |ps| {
                matrix.push(ps, &[0, 7], &[1, 2], &[12.0, 42.0])?;
                read.pull(ps, &[0, 7], &[1, 2], show)
            }))
        },
        &[vec![12.0, 42.0]],
    );
}

#[test]
fn matrix_begins_as_its_init_says() {
    assert_plays(
        test_path!(matrix_begins_as_its_init_says),
        |models| {
            let init = |row: u64, column: usize| 10 * row as i64 + column as i64;
            let split = [Split::Rows, Split::Columns];
            let specs = split.map(|split| MatrixSpec::new(5, 3).split(split).init(init));
            let [by_rows, by_columns] = specs.map(|spec| models.matrix_of(spec).unwrap());
            Ok(Box::new(move |ps| {
                for matrix in [&by_rows, &by_columns] {
                    matrix.push(ps, &[4], &[2], &[1000])?;
                    matrix.pull_rows(ps, &[4, 0], show)?;
                }
                Ok(())
            }))
        },
        &vec![vec![40, 41, 1042, 0, 1, 2]; 2],
    );
}

#[test]
fn pull_of_nothing_is_answered_with_nothing() {
    assert_plays(
        test_path!(pull_of_nothing_is_answered_with_nothing),
        |models| {
            let (matrix, empty) = (models.matrix::<i64>(5, 3)?, models.matrix::<i64>(0, 0)?);
            Ok(Box::new(move |ps| {
                matrix.push(ps, &[], &[], &[])?;
                matrix.pull(ps, &[], &[], show)?;
                empty.pull_rows(ps, &[], show)
            }))
        },
        &[vec![], vec![]],
    );
}

#[test]
fn t_gl_13_row_or_column_out_of_range_is_an_error_before_anything_is_sent() {
    assert_fails(
        |models| {
            let matrix = models.matrix::<f64>(105, 4)?;
            Ok(Box::new(move |ps| matrix.push(ps, &[0, 105], &[0, 0], &[1.0, 1.0])))
        },
        "row 105 is outside the range 0..105",
    );
    assert_fails(
        |models| {
            let matrix = models.matrix::<f64>(105, 4)?;
            Ok(Box::new(move |ps| matrix.pull(ps, &[0], &[4], |_, _, _| Ok(()))))
        },
        "column 4 is outside the range 0..4",
    );
    assert_fails(
        |models| {
            let matrix = models.matrix::<f64>(105, 4)?;
            Ok(Box::new(move |ps| matrix.push(ps, &[0, 1], &[0, 1], &[1.0])))
        },
        "found 1 values, expected 2, the number of rows",
    );
}

/// Every row that was used comes out at the end, in as many pieces as it has parts.
#[test]
fn matrix_comes_out_at_the_end() {
    let cells = |config: RuntimeConfig| {
        let cells = crate::conformance::flink_ps::support::run(config, |env| {
            let mut models = Models::new(env.workers());
            let spec = MatrixSpec::new(6, 4).split(Split::Columns).partitioning(ps::Partitioning::Cyclic);
            let (matrix, other) = (models.matrix_of::<i64>(spec)?, models.vector::<f32>(3)?);
            let script = Push(matrix.clone(), other.clone());
            let out = models.transform(
                env.from_splits(env.workers(), |split| [split]),
                script,
                &PsConfig::new(),
            )?;
            let cells = out.model.flat_map(move |row| {
                let whole = other.element_of(&row).map(|(key, value)| (100 + key, 0, value as i64));
                let cells = matrix.elements_of(&row).into_iter().flatten();
                let cells = cells.map(|(column, value)| (row.row, column, value));
                cells.chain(whole).collect::<Vec<_>>()
            });
            Ok(cells.collect())
        });
        let mut cells = cells.concat();
        cells.sort();
        cells
    };
    crate::cluster::everywhere(test_path!(matrix_comes_out_at_the_end), cells, |cells, shape| {
        let expected = [(5, 0, 4), (5, 1, 5), (5, 2, 6), (5, 3, 7), (102, 0, 9)];
        assert_eq!(cells, expected, "{shape}");
    });
}

/// Pushes a row of the matrix and an element of the vector, on worker 0.
struct Push(BigMatrix<i64>, BigVector<f32>);

impl ModelLogic for Push {
    type In = usize;
    type Out = ();

    fn on_recv(&mut self, worker: usize, ps: &mut ModelClient<'_, Self>) -> Result<()> {
        if worker > 0 {
            return Ok(());
        }
        self.1.push(ps, &[2], &[9.0])?;
        self.0.push_rows(ps, &[5], &[4, 5, 6, 7])
    }
}

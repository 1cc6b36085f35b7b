//! T-GL-02 to 04: which models there can be, and how they are split.

use waterwheel::prelude::*;
use waterwheel::ps::models::{MatrixSpec, Models, Split};

use super::support::{Client, Script, assert_fails, assert_plays, show};
use crate::cluster::test_path;
use crate::conformance::flink_ps::support::run;

/// A matrix of 49 rows and 7 columns on so many servers.
fn parts(servers: usize, per_server: usize) -> usize {
    let spec = MatrixSpec::<f64>::new(49, 7).parts_per_server(per_server);
    Models::new(servers).matrix_of(spec).unwrap().parts()
}

#[test]
fn t_gl_04_matrix_has_parts_on_every_server_but_no_more_than_rows() {
    assert_eq!([parts(2, 1), parts(2, 3), parts(100, 1)], [2, 6, 49]);
    let few: Vec<_> = (1..4).map(|n| Models::new(3).matrix::<i32>(n, 10).unwrap().parts()).collect();
    assert_eq!(few, [1, 2, 3]);
    let by_columns = MatrixSpec::<f32>::new(1_000, 7).split(Split::Columns);
    assert_eq!(Models::new(20).matrix_of(by_columns).unwrap().parts(), 7);
}

#[test]
fn t_gl_04_vector_of_4200_keys_on_3_servers_has_as_many_parts_as_asked_for() {
    let parts = |per_server| {
        let spec = MatrixSpec::<i64>::new(4_200, 1).parts_per_server(per_server);
        Models::new(3).vector_of(spec).unwrap().parts()
    };
    assert_eq!([parts(1), parts(8)], [3, 24]);
}

#[test]
fn t_gl_03_settings_that_mean_nothing_are_refused() {
    let message = |spec| Models::new(1).matrix_of::<f64>(spec).unwrap_err().message().to_string();
    let no_parts = MatrixSpec::new(2, 2).parts_per_server(0);
    assert_eq!(message(no_parts), "matrix: parts_per_server is 0, expected 1 or more");
    let wide = MatrixSpec::new(2, 1 << 32);
    assert_eq!(message(wide), "matrix: columns is 4294967296, expected less than 2^32 - 1");
    let matrix = Models::new(1).vector_of::<f64>(MatrixSpec::new(2, 2)).unwrap_err();
    assert_eq!(matrix.message(), "vector: found 2 columns, expected 1");
}

#[test]
fn t_gl_04_models_of_all_types_live_in_one_job() {
    assert_plays(
        test_path!(t_gl_04_models_of_all_types_live_in_one_job),
        |models| {
            let (f32s, f64s) = (models.vector::<f32>(10)?, models.matrix::<f64>(2, 10)?);
            let (i32s, i64s) = (models.matrix::<i32>(3, 3)?, models.vector::<i64>(10)?);
            let u64s = models.vector::<u64>(5)?;
            Ok(Box::new(move |ps| {
                f32s.push(ps, &[9], &[0.5])?;
                f64s.push(ps, &[1], &[9], &[1e300])?;
                i32s.push(ps, &[2], &[2], &[-7])?;
                i64s.push(ps, &[0], &[i64::MIN])?;
                u64s.push(ps, &[4], &[u64::MAX])?;
                let text = |n: &dyn std::fmt::Debug| vec![format!("{n:?}")];
                f32s.pull(ps, &[9], move |_, n, ps| {
                    ps.output(text(&n[0]));
                    Ok(())
                })?;
                f64s.pull(ps, &[1], &[9], move |_, n, ps| {
                    ps.output(text(&n[0]));
                    Ok(())
                })?;
                i32s.pull(ps, &[2], &[2], move |_, n, ps| {
                    ps.output(text(&n[0]));
                    Ok(())
                })?;
                i64s.pull(ps, &[0], move |_, n, ps| {
                    ps.output(text(&n[0]));
                    Ok(())
                })?;
                u64s.pull(ps, &[4], move |_, n, ps| {
                    ps.output(text(&n[0]));
                    Ok(())
                })
            }))
        },
        &["0.5", "1e300", "-7", "-9223372036854775808", "18446744073709551615"]
            .map(|text| vec![text.to_string()]),
    );
}

#[test]
fn model_that_was_destroyed_is_gone_for_everybody() {
    assert_plays(
        test_path!(model_that_was_destroyed_is_gone_for_everybody),
        |models| {
            let (gone, stays) = (models.matrix::<i64>(20, 3)?, models.vector::<i64>(3)?);
            Ok(Box::new(move |ps| {
                gone.push(ps, &[19], &[2], &[5])?;
                let stays = stays.clone();
                gone.destroy(ps, move |_, ps| stays.pull(ps, &[0, 2], show))
            }))
        },
        &[vec![0, 0]],
    );
    assert_fails(
        |models| {
            let gone = models.matrix::<i64>(20, 3)?;
            Ok(Box::new(move |ps| {
                let again = gone.clone();
                gone.destroy(ps, move |_, ps| again.push(ps, &[19], &[2], &[1]))
            }))
        },
        "model 0 was destroyed",
    );
}

#[test]
fn model_of_another_job_is_refused() {
    assert_fails(
        |models| {
            models.matrix::<i64>(2, 2)?;
            let mut others = Models::new(1);
            others.matrix::<i64>(2, 2)?;
            let other = others.matrix::<i64>(2, 2)?;
            Ok(Box::new(move |ps| other.push(ps, &[1], &[1], &[1])))
        },
        "model 1 is not one of the 1 of this job",
    );
}

#[test]
fn state_shows_the_memory_of_models_and_that_it_is_freed() {
    for workers in [1, 2, 4] {
        let sizes = [false, true].map(|destroys| {
            let state = ps::PsState::new();
            let watched = state.clone();
            run(RuntimeConfig::threads(workers), move |env| {
                let mut models = Models::new(env.workers());
                models.state(&watched);
                let matrix = models.matrix::<f64>(1_000, 10)?;
                let script = Script(Box::new(move |ps: &mut Client<'_, ()>| {
                    let rows: Vec<u64> = (0..1_000).collect();
                    matrix.push_rows(ps, &rows, &[1.0; 10_000])?;
                    if destroys { matrix.destroy(ps, |_, _| Ok(())) } else { Ok(()) }
                }));
                models.transform(env.from_iter([()]), script, &PsConfig::new())?;
                Ok(())
            });
            let servers = state.servers();
            servers.iter().fold((0, 0), |sum, server| (sum.0 + server.rows, sum.1 + server.bytes))
        });
        assert_eq!((sizes[0].0, sizes[1]), (1_000, (0, 0)), "{workers} workers");
        assert!(sizes[0].1 >= 80_000, "{workers} workers: {sizes:?}");
    }
}

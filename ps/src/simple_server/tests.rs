use super::*;
use crate::parameter_server::ParameterServer;
use crate::placement::Placement;
use crate::server::ServerLogic;

fn context(placement: Placement<u32>) -> ServerContext<u32> {
    ServerContext {
        index: 0,
        parallelism: 1,
        workers: 1,
        pull_width: 1,
        push_width: 1,
        placement,
        state: None,
    }
}

/// T-FPS-15: initial value 23 is stored by the first pull; a push replaces 0 by 23 and outputs it.
#[test]
fn simple_server_stores_the_initial_value_and_outputs_every_push() {
    for placement in [Placement::Hash, Placement::Range(50)] {
        let (mut answer, mut out) = (Vec::new(), Collector::default());
        let mut ps = ParameterServer::new(1, 1);
        let mut server = SimpleServer::new(|_: &u32, row: &mut Vec<i32>| row.push(23), |_, _: &[i32]| ());
        server.open(&context(placement.clone())).unwrap();
        server.on_pull(&42, 0, &mut answer, &mut ps).unwrap();
        server.close(&mut out).unwrap();
        assert_eq!((answer, out.drain()), (vec![23], vec![(42, vec![23])]));

        let (mut answer, mut ps) = (Vec::new(), ParameterServer::new(1, 1));
        let replace = |row: &mut [i32], new: &[i32]| row[0] = new[0];
        let mut server = SimpleServer::new(|_: &u32, row: &mut Vec<i32>| row.push(0), replace);
        server = server.emit(Emit::EveryPush);
        server.open(&context(placement)).unwrap();
        server.on_pull(&42, 0, &mut answer, &mut ps).unwrap();
        server.on_push(&42, &[23], &mut ps).unwrap();
        assert_eq!((answer, ps.out.drain()), (vec![0], vec![(42, vec![23])]));
    }
}

#[test]
fn push_to_an_absent_parameter_is_applied_to_its_initial_value() {
    let (mut out, mut ps) = (Collector::default(), ParameterServer::new(1, 1));
    let add = |row: &mut [i32], delta: &[i32]| row[0] += delta[0];
    let mut server = SimpleServer::new(|key: &u32, row: &mut Vec<i32>| row.push(*key as i32), add);
    server.open(&context(Placement::Hash)).unwrap();
    server.on_push(&5, &[10], &mut ps).unwrap();
    server.close(&mut out).unwrap();
    assert_eq!(out.drain(), [(5, vec![15])]);
}

/// A server that was opened for rows of `width` elements.
fn opened<U: Update<f64, f64>>(
    mut server: SimpleServer<u32, f64, f64, impl Fn(&u32, &mut Vec<f64>) + 'static, U>,
    width: usize,
) -> impl ServerLogic<Key = u32, Pull = f64, Push = f64, Out = (u32, Vec<f64>)> {
    let context = ServerContext { pull_width: width, push_width: width, ..context(Placement::Hash) };
    server.open(&context).unwrap();
    server
}

fn ones(width: usize) -> impl Fn(&u32, &mut Vec<f64>) {
    move |_key, row| row.resize(width, 1.0)
}

#[test]
fn optimizer_at_the_server_shows_weights_and_keeps_its_slots_to_itself() {
    let momentum = crate::optimizer::Momentum::new(0.5, 0.5).unwrap();
    let mut server = opened(SimpleServer::with_update(ones(2), momentum), 2);
    let (mut answer, mut ps) = (Vec::new(), ParameterServer::new(1, 1));
    for _ in 0..2 {
        server.on_push(&7, &[1.0, -2.0], &mut ps).unwrap();
        server.on_pull(&7, 0, &mut answer, &mut ps).unwrap();
    }
    // v: 1, -2; then 1.5, -3.
    assert_eq!(answer, [0.5, 2.0, -0.25, 3.5]);
    server.on_load(&7, &[3.0, 4.0]).unwrap();
    server.close(&mut ps.out).unwrap();
    assert_eq!(ps.out.drain(), [(7, vec![3.0, 4.0])]);
}

#[test]
fn optimizer_that_fails_names_the_key() {
    let sgd = crate::optimizer::Sgd::new(0.5).unwrap();
    let mut server = opened(SimpleServer::with_update(ones(1), sgd), 1);
    let error = server.on_push(&7, &[f64::NAN], &mut ParameterServer::new(1, 1)).unwrap_err();
    assert_eq!(error.message(), "push to 7: element 0 of the gradient is NaN, expected a finite number");
}

#[test]
fn update_by_element_refuses_pushes_of_another_width() {
    let mut server: SimpleServer<u32, i32, i32, _, _> =
        SimpleServer::with_update(|_: &u32, row: &mut Vec<i32>| row.push(0), crate::Sum);
    let context = ServerContext { push_width: 2, ..context(Placement::Hash) };
    let error = server.open(&context).unwrap_err();
    assert!(error.message().starts_with("push_width is 2, expected the pull_width 1"), "{error}");
}

#[test]
fn evicted_rows_are_output_and_come_back_from_their_initial_value() {
    let eviction = Eviction::new().max_rows(2).emit_evicted();
    let mut server = opened(SimpleServer::with_update(ones(1), crate::Sum).evict(eviction), 1);
    let (mut answer, mut ps) = (Vec::new(), ParameterServer::new(1, 1));
    for key in [1, 2, 1, 3] {
        server.on_push(&key, &[10.0], &mut ps).unwrap();
    }
    assert_eq!(ps.out.drain(), [(2, vec![11.0])]);
    server.on_pull(&2, 0, &mut answer, &mut ps).unwrap();
    assert_eq!((answer, ps.out.drain()), (vec![1.0], vec![(1, vec![21.0])]));
    server.close(&mut ps.out).unwrap();
    assert_eq!(ps.out.drain(), [(2, vec![1.0]), (3, vec![11.0])]);
}

#[test]
fn key_below_the_minimum_frequency_is_answered_and_has_no_row() {
    let eviction = Eviction::new().min_frequency(3);
    let mut server = opened(SimpleServer::with_update(ones(1), crate::Sum).evict(eviction), 1);
    let (mut answer, mut ps) = (Vec::new(), ParameterServer::new(1, 1));
    server.on_push(&5, &[10.0], &mut ps).unwrap();
    server.on_pull(&5, 0, &mut answer, &mut ps).unwrap();
    server.on_push(&5, &[10.0], &mut ps).unwrap();
    server.on_pull(&5, 0, &mut answer, &mut ps).unwrap();
    server.on_load(&6, &[7.0]).unwrap();
    server.on_push(&8, &[1.0], &mut ps).unwrap();
    server.close(&mut ps.out).unwrap();
    assert_eq!((answer, ps.out.drain()), (vec![1.0, 11.0], vec![(5, vec![11.0]), (6, vec![7.0])]));
}

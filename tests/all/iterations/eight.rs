//! As many variables, data streams and outputs as there can be, all of different types.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Variable *i* is counted up once a round by the length of data stream *i*, which is replayed or not in turn.
#[test]
fn eight_variables_with_eight_data_streams_and_eight_outputs_of_different_types_are_each_their_own() {
    let path = test_path!(
        eight_variables_with_eight_data_streams_and_eight_outputs_of_different_types_are_each_their_own
    );
    let job = |config| {
        let found = execute(config, |env| {
            let variables = (
                env.from_iter([1u8]),
                env.from_iter([2u16]),
                env.from_iter([3u32]),
                env.from_iter([4u64]),
                env.from_iter([5i8]),
                env.from_iter([6i16]),
                env.from_iter([7i32]),
                env.from_iter([8i64]),
            );
            let data = (
                env.from_iter(["a".to_string()]).replay(),
                env.from_iter([b'b']).no_replay(),
                env.from_iter([(1u8, 2u8)]).replay(),
                env.from_iter([true, false]),
                env.from_iter(['x', 'y', 'z']).replay(),
                env.from_iter([Some(1u64), None]).no_replay(),
                env.from_iter([vec![1.5f64], vec![]]).replay(),
                env.from_iter([[1u16; 3]]),
            );
            let config = IterationConfig::new().max_rounds(3);
            let (a, b, c, d, e, f, g, h) =
                Iterations::iterate_bounded(variables, data, config, |_it, x, data| {
                    let (a, b, c, d, e, f, g, h) = x;
                    // Each output is a variable beside the records of its data stream.
                    let outputs = (
                        a.clone().map(|x| format!("{x}")).union(data.0),
                        b.clone().map(|x| x as u8).union(data.1),
                        c.clone().map(|x| (x as u8, 0)).union(data.2),
                        d.clone().map(|x| x % 2 == 0).union(data.3),
                        e.clone().map(|x| char::from(b'a' + x as u8)).union(data.4),
                        f.clone().map(|x| Some(x as u64)).union(data.5),
                        g.clone().map(|x| vec![f64::from(x)]).union(data.6),
                        h.clone().map(|x| [x as u16; 3]).union(data.7),
                    );
                    let feedback = (
                        a.map(|x| x + 1),
                        b.map(|x| x + 1),
                        c.map(|x| x + 1),
                        d.map(|x| x + 1),
                        e.map(|x| x + 1),
                        f.map(|x| x + 1),
                        g.map(|x| x + 1),
                        h.map(|x| x + 1),
                    );
                    IterationBodyResult::new(feedback, outputs)
                });
            Ok((
                (a.collect(), b.collect(), c.collect(), d.collect()),
                (e.collect(), f.collect(), g.collect(), h.collect()),
            ))
        });
        found.unwrap().swap_remove(0)
    };
    everywhere(path, job, |((mut a, mut b, mut c, mut d), (mut e, mut f, mut g, mut h)), shape| {
        // Three rounds: what is replayed comes three times, the rest once.
        a.sort();
        b.sort();
        c.sort();
        d.sort();
        e.sort();
        f.sort();
        g.sort_by(|x, y| x.partial_cmp(y).unwrap());
        h.sort();
        assert_eq!(a, ["1", "2", "3", "a", "a", "a"], "{shape}");
        assert_eq!(b, [2, 3, 4, b'b'], "{shape}");
        assert_eq!(c, [(1, 2), (1, 2), (1, 2), (3, 0), (4, 0), (5, 0)], "{shape}");
        assert_eq!(d, [false, false, true, true, true], "{shape}");
        assert_eq!(e, ['f', 'g', 'h', 'x', 'x', 'x', 'y', 'y', 'y', 'z', 'z', 'z'], "{shape}");
        assert_eq!(f, [None, Some(1), Some(6), Some(7), Some(8)], "{shape}");
        let reals: Vec<Vec<f64>> =
            vec![vec![], vec![], vec![], vec![1.5], vec![1.5], vec![1.5], vec![7.0], vec![8.0], vec![9.0]];
        assert_eq!(g, reals, "{shape}");
        assert_eq!(h, [[1; 3], [8; 3], [9; 3], [10; 3]], "{shape}");
    });
}

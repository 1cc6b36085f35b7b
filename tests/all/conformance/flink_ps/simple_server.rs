//! T-FPS-15: the simple server's first values and outputs.

use waterwheel::prelude::*;

use super::support::run;
use crate::cluster::{everywhere, test_path};

/// Pulls each record as a key, pushes `push` behind it if there is one, and outputs what was pulled.
struct Pull {
    push: Option<i32>,
}

impl WorkerLogic for Pull {
    type In = u32;
    type Key = u32;
    type Pull = i32;
    type Push = i32;
    type Out = (u32, i32);

    fn on_recv(&mut self, key: u32, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key)?;
        self.push.into_iter().try_for_each(|value| ps.push(key, [value]))
    }

    fn on_pull_recv(&mut self, key: &u32, value: &[i32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, value[0]));
        Ok(())
    }
}

type Outputs = (Vec<(u32, i32)>, Vec<(u32, Vec<i32>)>);

/// What workers and servers output for one record 42, with an update that takes the new value.
fn outputs(config: RuntimeConfig, push: Option<i32>, init: i32, emit: Emit) -> Outputs {
    let results = run(config, move |env| {
        let take_new = |row: &mut [i32], new: &[i32]| row.copy_from_slice(new);
        let server =
            SimpleServer::new(move |_: &u32, row: &mut Vec<i32>| row.push(init), take_new).emit(emit);
        let out = ps::transform(env.from_iter([42]), Pull { push }, server, &PsConfig::new())?;
        Ok((out.output.collect(), out.model.collect()))
    });
    let (pulled, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    (pulled.concat(), model.concat())
}

#[test]
fn t_fps_15_pull_of_an_absent_parameter_stores_its_first_value() {
    everywhere(
        test_path!(t_fps_15_pull_of_an_absent_parameter_stores_its_first_value),
        |config| outputs(config, None, 23, Emit::AtClose),
        |outputs, shape| assert_eq!(outputs, (vec![(42, 23)], vec![(42, vec![23])]), "{shape}"),
    );
}

#[test]
fn t_fps_15_push_is_applied_and_output() {
    everywhere(
        test_path!(t_fps_15_push_is_applied_and_output),
        |config| outputs(config, Some(23), 0, Emit::EveryPush),
        |outputs, shape| assert_eq!(outputs, (vec![(42, 0)], vec![(42, vec![23])]), "{shape}"),
    );
}

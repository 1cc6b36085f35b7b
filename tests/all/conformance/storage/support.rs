//! A worker that pushes what comes.

use std::marker::PhantomData;

use waterwheel::prelude::*;

/// Pushes each record, a key and a delta.
pub(super) struct PushAll<K, D>(PhantomData<(K, D)>);

impl<K, D> PushAll<K, D> {
    pub(super) fn new() -> Self {
        PushAll(PhantomData)
    }
}

impl<K: Key, D: ps::Element> WorkerLogic for PushAll<K, D> {
    type In = (K, D);
    type Key = K;
    type Pull = D;
    type Push = D;
    type Out = ();

    fn on_recv(&mut self, (key, delta): (K, D), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(key, [delta])
    }

    fn on_pull_recv(&mut self, _: &K, _: &[D], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }
}

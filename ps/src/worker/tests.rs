use super::*;
use crate::core::outbox::OutboxConfig;
use crate::placement::Placement;

/// Does nothing by itself.
struct Idle;

impl WorkerLogic for Idle {
    type In = ();
    type Key = u32;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    fn on_recv(&mut self, (): (), _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn on_pull_recv(&mut self, _: &u32, _: &[f32], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }
}

/// A client for keys 0 to 9 and rows of two elements.
fn client(consistency: Consistency, servers: usize) -> ParameterServerClient<Idle> {
    let config = PsConfig::new().width(2).consistency(consistency);
    let outbox = Outbox::new(OutboxConfig {
        servers,
        placement: Placement::Range(10),
        push_width: 2,
        combine: None,
        pushes_overtake: false,
        credit: 100,
        block_len: 4,
    });
    ParameterServerClient::new(outbox, &config, None, None)
}

/// Whether nothing was issued and nothing is expected.
fn is_untouched(client: &mut ParameterServerClient<Idle>) -> bool {
    client.outbox.flush_where(|_, _| true);
    client.is_idle() && client.outbox.pop().is_none()
}

#[test]
fn operation_on_many_keys_that_is_refused_leaves_nothing_half_issued() {
    for servers in [1, 3] {
        let mut ps = client(Consistency::BULK_SYNCHRONOUS, servers);
        let keys = [1, 2, 9, 3, 10, 4];
        let unknown = [
            ps.pull_many(keys).unwrap_err(),
            ps.pull_snapshot(keys).unwrap_err(),
            ps.push_many(&keys, &[0.0; 12]).unwrap_err(),
            ps.push_pull_many(&keys, &[0.0; 12]).unwrap_err(),
        ];
        for error in unknown {
            assert_eq!(error.message(), "key 10 is outside the range 0..10 of the placement");
        }
        for n in [0, 1, 3, 5, 6] {
            let deltas = vec![0.0; n];
            for error in [ps.push_many(&keys[..2], &deltas), ps.push_pull_many(&keys[..2], &deltas)] {
                let error = error.unwrap_err();
                assert_eq!(error.message(), format!("push to 2 keys has {n} elements, expected 2 for each"));
            }
        }
        assert!(is_untouched(&mut ps), "{servers} servers");
        ps.push_many(&[], &[]).unwrap();
        assert!(is_untouched(&mut ps));
    }
}

#[test]
fn pulls_of_many_keys_are_refused_where_they_could_wait_for_each_other() {
    let mut ps = client(Consistency::Serialisable, 1);
    for (call, refused) in
        [("pull_many", ps.pull_many([1])), ("push_pull_many", ps.push_pull_many(&[1], &[0.0; 2]))]
    {
        let error = refused.unwrap_err();
        assert!(error.message().starts_with(&format!("{call} with serialisable consistency")), "{error}");
    }
    assert!(is_untouched(&mut ps));
}

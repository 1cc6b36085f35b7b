//! T-PL-03: a hundred requests of each worker to each server, each with its response.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

const REQUESTS: u32 = 100;

/// A request: server, number and text.
type Request = (u32, u32, String);

/// Answers with the text and who asked.
struct Responder;

impl ServerLogic for Responder {
    type Key = Request;
    type Pull = String;
    type Push = ();
    type Out = usize;

    fn on_pull(
        &mut self,
        (server, number, body): &Request,
        worker: usize,
        answer: &mut Vec<String>,
        ps: &mut ps::ParameterServer<Request, String, usize>,
    ) -> Result<()> {
        answer.push(format!("{body}: server {server} has request {number} of worker {worker}"));
        ps.output(worker);
        Ok(())
    }

    fn on_push(
        &mut self,
        _request: &Request,
        _nothing: &[()],
        _ps: &mut ps::ParameterServer<Request, String, usize>,
    ) -> Result<()> {
        Ok(())
    }

    fn on_load(&mut self, _request: &Request, _value: &[String]) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Requester {
    index: usize,
    servers: u32,
}

impl WorkerLogic for Requester {
    type In = ();
    type Key = Request;
    type Pull = String;
    type Push = ();
    type Out = String;

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        (self.index, self.servers) = (context.index, context.servers as u32);
        Ok(())
    }

    fn on_recv(&mut self, _record: (), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let servers = 0..self.servers;
        (0..REQUESTS).try_for_each(|number| {
            servers.clone().try_for_each(|server| ps.pull((server, number, "test".to_string())))
        })
    }

    fn on_pull_recv(
        &mut self,
        (server, number, _): &Request,
        response: &[String],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        let worker = self.index;
        assert_eq!(response, [format!("test: server {server} has request {number} of worker {worker}")]);
        ps.output(response[0].clone());
        Ok(())
    }
}

#[test]
fn t_pl_03_every_request_has_its_response() {
    let counted = |config: RuntimeConfig| {
        let workers = config.workers();
        let results = run(config, move |env| {
            let data = env.from_splits(env.workers(), |_| [()]);
            let to_server = Placement::custom(|(server, ..): &Request, _servers| *server as usize);
            let config = PsConfig::new().placement(to_server).credit(7);
            let out = ps::transform(data, Requester::default(), Responder, &config)?;
            Ok((out.output.collect(), out.model.collect()))
        });
        let (responses, asked): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        (workers, sorted(responses), asked.concat().len())
    };
    everywhere(
        test_path!(t_pl_03_every_request_has_its_response),
        counted,
        |(workers, mut responses, asked), shape| {
            let expected = REQUESTS as usize * workers * workers;
            assert_eq!((responses.len(), asked), (expected, expected), "{shape}");
            responses.dedup();
            assert_eq!(responses.len(), expected, "{shape}");
        },
    );
}

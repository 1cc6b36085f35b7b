//! The admin port, asked as Prometheus, an orchestrator and a browser do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;

use waterwheel::admin::{AdminServer, JobView, metrics_page};
use waterwheel::prelude::*;

/// Status and body of an answer to a GET.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

/// The value of the metric with this name and these labels.
fn metric(text: &str, start: &str) -> f64 {
    let line =
        text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in\n{text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// A job in a loop, asked in the middle of it by one of its own records, so that it runs for certain.
#[test]
fn running_job_shows_its_operators_its_loop_and_its_phase() {
    for threads in [1, 2, 4] {
        let mut config = RuntimeConfig::threads(threads);
        let view = JobView::of(&mut config);
        let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), &view).unwrap();
        let address = server.address();
        assert_eq!(get(address, "/readyz"), (503, "waiting\n".into()));
        assert_eq!(get(address, "/livez").0, 200);
        let (tell, told) = channel();
        execute(config, move |env| {
            let (numbers, data) = (env.from_iter(0..1000u64), env.from_iter([0u8]));
            let config = IterationConfig::new().max_rounds(5);
            let tell = tell.clone();
            let out = Iterations::iterate_bounded((numbers,), (data,), config, |_it, (x,), (_d,)| {
                let x = x.rebalance().map(|x| x + 1).name("step");
                IterationBodyResult::new((x.clone(),), (x,))
            });
            out.0.filter(|x| *x == 1004).sink(move |_| {
                let asked = ["/readyz", "/metrics", "/graph"].map(|path| get(address, path));
                tell.send(asked).unwrap();
                Ok(())
            });
            Ok(())
        })
        .unwrap();
        let [ready, metrics, graph] = told.recv().unwrap();
        assert_eq!(ready, (200, "running\n".into()));
        assert!(metrics.1.ends_with("# EOF\n"), "{}", metrics.1);
        assert!(metric(&metrics.1, "waterwheel_loop_round{") >= 4.0);
        let graph: serde_json::Value = serde_json::from_str(&graph.1).unwrap();
        assert_eq!(graph["phase"], "running");
        assert!(
            graph["connections"].as_array().unwrap().iter().any(|line| line["kind"] == "feedback"),
            "{graph}"
        );
        let (_, after) = get(address, "/metrics");
        let steps: f64 = (0..threads)
            .map(|worker| {
                let lines = after.lines().filter(|line| {
                    line.starts_with("waterwheel_operator_records_in_total{")
                        && line.contains("/step\"")
                        && line.contains(&format!("worker=\"{worker}\""))
                });
                lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
            })
            .sum();
        assert_eq!(steps, 5000.0);
        assert_eq!(get(address, "/readyz"), (503, "ended\n".into()));
    }
}

#[test]
fn failed_job_is_not_ready_and_says_so() {
    let mut config = RuntimeConfig::threads(2);
    let view = JobView::of(&mut config);
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), &view).unwrap();
    let failed = execute(config, |env| {
        env.from_iter(0..10).sink(|_| Err(Error::data("no")));
        Ok(())
    });
    assert!(failed.is_err());
    assert_eq!(get(server.address(), "/readyz"), (503, "failed\n".into()));
}

#[test]
fn page_config_version_and_unknown_paths_are_answered() {
    let mut config = RuntimeConfig::threads(3).job_name("a job").secret("0123456789abcdef");
    let view = JobView::of(&mut config);
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), &view).unwrap();
    let address = server.address();
    let (status, page) = get(address, "/");
    assert!(status == 200 && page.contains("<title>Waterwheel</title>"));
    for file in ["style.css", "script.js", "layout.js"] {
        assert_eq!(get(address, &format!("/{file}")).0, 200, "{file}");
    }
    let (_, config) = get(address, "/config");
    assert!(!config.contains("0123456789abcdef"), "{config}");
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        (&config["threads"], &config["job-name"], &config["secret"]),
        (&"3".into(), &"a job".into(), &"set".into())
    );
    assert!(get(address, "/version").1.contains("\"version\""));
    assert_eq!(get(address, "/nothing").0, 404);
}

#[test]
fn address_that_others_reach_is_refused_without_a_word() {
    let config = RuntimeConfig::threads(1).admin(Some("0.0.0.0:0".parse().unwrap()));
    let error = execute(config, |_env| Ok(())).unwrap_err();
    assert!(error.message().starts_with("admin port: found 0.0.0.0:0"), "{error}");
}

#[test]
fn port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = execute(RuntimeConfig::threads(1).admin(Some(address)), |_env| Ok(())).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Config, &*format!("can not listen on {address}"))
    );
}

/// Event time and keys show too: the watermark of the last second is behind all records.
#[test]
fn keyed_and_timed_operators_show_their_keys_and_watermarks() {
    let mut config = RuntimeConfig::threads(2);
    let view = JobView::of(&mut config);
    let (tell, told) = channel();
    execute(config, move |env| {
        let strategy = WatermarkStrategy::monotonous(|time: &i64| *time);
        let tell = tell.clone();
        let view = view.clone();
        let slow = env.from_iter((0..500_000i64).map(|i| i * 4)).assign_timestamps_and_watermarks(strategy);
        let window = Windows::tumbling(std::time::Duration::from_secs(1))?;
        let counts = slow.key_by(|time| time % 10).window(window).count().results.into_stream();
        counts.sink(move |_| {
            let _ = tell.send(view.graph_json());
            Ok(())
        });
        Ok(())
    })
    .unwrap();
    let watermarks = told.iter().flat_map(|graph| {
        let graph: serde_json::Value = serde_json::from_str(&graph).unwrap();
        let operators = graph["operators"].as_array().unwrap().clone();
        let window = operators.into_iter().filter(|operator| operator["name"] == "window_count");
        window.flat_map(|operator| operator["workers"].as_array().unwrap().clone()).collect::<Vec<_>>()
    });
    let seconds: Vec<f64> = watermarks.filter_map(|worker| worker["watermark"].as_f64()).collect();
    assert!(seconds.iter().any(|second| (1.0..2_000.0).contains(second)), "{seconds:?}");
}

/// Prometheus refuses a page with two lines for one set of labels: many operators have the same name.
#[test]
fn no_two_samples_have_the_same_labels() {
    let mut config = RuntimeConfig::threads(2);
    let view = JobView::of(&mut config);
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), &view).unwrap();
    execute(config, |env| {
        for _ in 0..3 {
            env.from_iter(0..100u64).rebalance().map(|x| x + 1).key_by(|x| x % 3).count().sink(|_| Ok(()));
        }
        Ok(())
    })
    .unwrap();
    let (_, text) = get(server.address(), "/metrics");
    let samples =
        || text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    assert_eq!(text.lines().filter(|line| line.starts_with("waterwheel_operator_keys{")).count(), 6);
    let names: std::collections::BTreeSet<_> = samples().map(|(name, _)| name).collect();
    assert!(names.len() > 100);
    assert_eq!(names.len(), samples().count());
}

/// `docs/metrics.md` is made from the program.
#[test]
fn page_of_metrics_is_that_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == metrics_page(), "docs/metrics.md, expected:\n{}", metrics_page());
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> std::collections::BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.match_indices("waterwheel_").map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]
    });
    names.collect()
}

/// What the expressions of the dashboard's panels are made of.
fn metrics_of_the_dashboard() -> std::collections::BTreeSet<String> {
    let text = include_str!("../../docs/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked = targets.flat_map(|target| metrics_in(target["expr"].as_str().unwrap()));
    asked.map(String::from).collect()
}

#[test]
fn dashboard_asks_for_metrics_that_there_are() {
    let page = metrics_page();
    let asked = metrics_of_the_dashboard();
    let unknown: Vec<_> = asked.iter().filter(|name| !page.contains(&format!("| `{name}` |"))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A metric that comes later is put on a panel, or here with the reason why it is on none.
#[test]
fn dashboard_shows_every_metric_that_can_be_drawn() {
    // The phase is a label; the dashboard takes the names of jobs from it.
    let on_no_panel = ["waterwheel_up"];
    let page = metrics_page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `waterwheel_"));
    let documented = rows.map(|row| format!("waterwheel_{}", row.split('`').next().unwrap()));
    let shown = metrics_of_the_dashboard();
    let missing: Vec<_> =
        documented.filter(|name| !shown.contains(name) && !on_no_panel.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(on_no_panel.iter().all(|name| page.contains(name) && !shown.contains(*name)));
}

/// Panels stand beside each other, two in a row, and each has a number of its own.
#[test]
fn dashboard_lays_out_its_panels_without_overlap() {
    let text = include_str!("../../docs/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for (index, panel) in (0u64..).zip(panels) {
        let place = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert_eq!(place, [index % 2 * 12, index / 2 * 8, 12, 8], "{}", panel["title"]);
        assert_eq!(panel["id"], index + 1);
    }
}

/// Nobody has to wire a parameter server: a run that is watched keeps its figures.
#[test]
fn parameter_servers_show_by_themselves() {
    use waterwheel::ps::{Sum, transform};

    struct PushAndPull;
    impl WorkerLogic for PushAndPull {
        type In = u64;
        type Key = u64;
        type Pull = f32;
        type Push = f32;
        type Out = ();

        fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
            ps.push(x % 100, [1.0])?;
            ps.pull(x % 100)
        }

        fn on_pull_recv(&mut self, _: &u64, _: &[f32], _: &mut ParameterServerClient<Self>) -> Result<()> {
            Ok(())
        }
    }

    let mut config = RuntimeConfig::threads(2);
    let view = JobView::of(&mut config);
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), &view).unwrap();
    execute(config, |env| {
        let zeros = || SimpleServer::with_update(|_: &u64, row: &mut Vec<f32>| row.push(0.0), Sum);
        for _ in 0..2 {
            let numbers = env.from_iter(0..2_000u64).rebalance();
            transform(numbers, PushAndPull, zeros(), &PsConfig::new())?.model.sink(|_| Ok(()));
        }
        Ok(())
    })
    .unwrap();
    let (_, text) = get(server.address(), "/metrics");
    let sum = |prefix: &str| {
        let of = text.lines().filter(|line| line.starts_with(prefix));
        of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
    };
    for name in ["parameter server", "parameter server #2"] {
        let of = |metric: &str| sum(&format!("waterwheel_parameter_server_{metric}{{name=\"{name}\""));
        assert_eq!(of("rows"), 100.0, "{text}");
        assert!(of("bytes") > 0.0, "{text}");
        assert_eq!((of("pulls_total"), of("worker_pulls_total")), (2_000.0, 2_000.0), "{text}");
        assert_eq!(of("worker_credit_used"), 0.0, "{text}");
    }
    assert!(get(server.address(), "/graph").1.contains("\"hot_keys\""));
}

#[test]
fn supervised_job_shows_its_attempts() {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (tell, told) = channel();
    let soon = Restarts::new(1).pauses(Duration::from_millis(1), Duration::from_millis(1));
    let config = RuntimeConfig::threads(1).admin(Some(free));
    supervise(config, soon, move |env| {
        let (tell, attempt) = (tell.clone(), ATTEMPTS.fetch_add(1, Ordering::Relaxed));
        env.from_iter([1]).sink(move |_| {
            let _ = tell.send(get(free, "/readyz"));
            if attempt == 0 { Err(Error::operator("a passing trouble")) } else { Ok(()) }
        });
        Ok(())
    })
    .unwrap();
    let answers: Vec<_> = told.iter().collect();
    assert_eq!(answers, vec![(200, "running\n".to_string()); 2]);
}

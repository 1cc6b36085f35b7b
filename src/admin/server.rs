//! The HTTP server of the admin port.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;
use waterwheel_engine::{Error, JobPhase, Result};

use crate::admin::metrics::openmetrics;
use crate::admin::view::JobView;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
const LAYOUT: &str = include_str!("page/layout.js");

/// Serves what a [`JobView`] sees over HTTP, on a thread of its own, until it is dropped.
///
/// # Examples
/// ```
/// use waterwheel::admin::{AdminServer, JobView};
///
/// use waterwheel::prelude::RuntimeConfig;
///
/// let view = JobView::of(&mut RuntimeConfig::threads(1));
/// let server = AdminServer::bind("127.0.0.1:0".parse()?, &view)?;
/// println!("http://{}", server.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Listens on `address`; port 0 is any free one.
    ///
    /// Whoever reaches the address can read what the job does, though not its records: keep it on the loopback interface,
    /// or behind what knows who may.
    ///
    /// # Errors
    /// The address can not be used.
    pub fn bind(address: SocketAddr, view: &JobView) -> Result<Self> {
        let failed = |error| Error::config(format!("can not listen on {address}")).caused_by(error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let app = routes(view.clone());
        let serve = move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!("the admin port can not be used: {error}"),
                };
                tokio::select! {
                    result = axum::serve(listener, app).into_future() => {
                        if let Err(error) = result {
                            tracing::error!("the admin port has failed: {error}");
                        }
                    }
                    _ = stopped => {}
                }
            });
        };
        let thread =
            std::thread::Builder::new().name("waterwheel:admin".into()).spawn(serve).map_err(failed)?;
        Ok(AdminServer { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

type Answer = ([(HeaderName, &'static str); 2], String);

fn routes(view: JobView) -> Router {
    Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", PAGE) }))
        .route("/style.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/script.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/layout.js", get(|| async { file("text/javascript; charset=utf-8", LAYOUT) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/graph", get(|view: State<JobView>| async move { json(view.graph_json()) }))
        .route("/config", get(|view: State<JobView>| async move { json(view.config_json()) }))
        .route("/version", get(|| async { json(version()) }))
        .with_state(view)
}

async fn ready(State(view): State<JobView>) -> (StatusCode, String) {
    let phase: &str = view.phase().into();
    let is_ready = view.phase() == JobPhase::Running;
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, format!("{phase}\n"))
}

async fn metrics(State(view): State<JobView>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match openmetrics(view.snapshot()) {
        Ok(text) => answer(OPEN_METRICS, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn version() -> String {
    serde_json::json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") }).to_string()
}

fn json(text: String) -> Answer {
    answer("application/json", text)
}

fn file(kind: &'static str, text: &'static str) -> Answer {
    answer(kind, text.to_string())
}

/// Nothing is kept by browsers: numbers move, and the page belongs to the program.
fn answer(kind: &'static str, text: String) -> Answer {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text)
}

//! The HTTP server of the admin port.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use waterwheel_engine::{JobPhase, Result};

use crate::admin::metrics::openmetrics;
use crate::admin::view::JobView;
use crate::http::HttpServer;

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
pub struct AdminServer(HttpServer);

impl AdminServer {
    /// Listens on `address`; port 0 is any free one.
    ///
    /// Whoever reaches the address can read what the job does, though not its records: keep it on the loopback interface,
    /// or behind what knows who may.
    ///
    /// # Errors
    /// The address can not be used.
    pub fn bind(address: SocketAddr, view: &JobView) -> Result<Self> {
        HttpServer::bind(address, "admin", routes(view.clone())).map(AdminServer)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
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

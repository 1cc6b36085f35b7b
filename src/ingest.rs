//! Records that come by HTTP.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};
use waterwheel_engine::{DataStream, Env, Error, Result, Source, SourcePosition, SourceStatus, WhenDurable};

use crate::http::HttpServer;

/// Bodies that wait to be read by the job; clients that send further ones wait.
const WAITING_BODIES: usize = 64;

/// Longest body.
const MAX_BODY_BYTES: usize = 16 << 20;

/// How long the source waits before it looks again for what may have come.
const PAUSE: Duration = Duration::from_millis(1);

/// Lines that are sent by `POST /`, and acknowledged when they are durable.
///
/// A body is UTF-8 with a record in each line; blank lines are none. The answer is 200 when the lines are in a checkpoint
/// that is durable; in a job without checkpoints, when they have been read. While the job is behind, clients wait. One that
/// gets no answer, or another one, does not know what became of its lines: it sends them again, and they may be there twice.
///
/// | answer | means |
/// |---|---|
/// | 200 | all lines are taken |
/// | 400 | the body is no UTF-8 |
/// | 413 | it has more than 16 MiB |
/// | 503 | the job ends: send it elsewhere |
///
/// # Examples
/// ```
/// use std::io::{Read, Write};
/// use std::sync::mpsc::channel;
/// use waterwheel::ingest::HttpLines;
/// use waterwheel::prelude::*;
///
/// let (told, address) = channel();
/// let client = std::thread::spawn(move || -> std::io::Result<String> {
///     let mut socket = std::net::TcpStream::connect(address.recv().expect("the job listens"))?;
///     let request = "POST / HTTP/1.1\r\nHost: job\r\nConnection: close\r\nContent-Length: 7\r\n\r\none\ntwo";
///     socket.write_all(request.as_bytes())?;
///     let mut answer = String::new();
///     socket.read_to_string(&mut answer)?;
///     Ok(answer)
/// });
/// let lines = HttpLines::on("127.0.0.1:0".parse()?).when_bound(move |address| told.send(address).unwrap_or_default());
/// let found = execute(RuntimeConfig::threads(1), move |env| {
///     let input = lines.clone();
///     let last = move |line: &String| if line == "two" { input.close() };
///     Ok(lines.read(env).inspect(last).collect())
/// })?;
/// assert_eq!(found.concat(), ["one", "two"]);
/// assert!(client.join().unwrap()?.starts_with("HTTP/1.1 200 OK"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpLines {
    address: SocketAddr,
    is_closed: Arc<AtomicBool>,
    bound: Arc<dyn Fn(SocketAddr) + Send + Sync>,
}

impl fmt::Debug for HttpLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLines").field("address", &self.address).finish_non_exhaustive()
    }
}

impl HttpLines {
    /// Lines that are sent to this address; port 0 is any free one. Whoever reaches it can send some.
    pub fn on(address: SocketAddr) -> Self {
        HttpLines { address, is_closed: Arc::default(), bound: Arc::new(|_address| ()) }
    }

    /// Calls `f` with the address when the job listens there.
    #[must_use]
    pub fn when_bound(mut self, f: impl Fn(SocketAddr) + Send + Sync + 'static) -> Self {
        self.bound = Arc::new(f);
        self
    }

    /// Ends the input: what has come is read, and then the stream ends. Without it the stream is endless.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// The stream of the lines, read by worker 0, where it listens from when the job runs.
    ///
    /// An address that can not be used ends the run.
    #[track_caller]
    pub fn read<'s>(&self, env: &Env<'s>) -> DataStream<'s, String> {
        let lines = self.clone();
        env.source("http_lines", 1, move |_split| LineSource::listen(&lines))
    }
}

/// What a client has sent, and how it is told that this is durable.
struct Body {
    lines: String,
    taken: oneshot::Sender<()>,
}

/// Clients that wait for what they sent to be durable, in order of their lines.
#[derive(Default)]
struct Waiting {
    clients: VecDeque<oneshot::Sender<()>>,
    /// Clients that are no longer among them.
    answered: u64,
}

/// Reads bodies line by line.
struct LineSource {
    bodies: mpsc::Receiver<Body>,
    waiting: Arc<Mutex<Waiting>>,
    is_closed: Arc<AtomicBool>,
    /// Lets go of the port when the source is dropped.
    _server: HttpServer,
}

impl LineSource {
    fn listen(lines: &HttpLines) -> Result<Self> {
        let (sender, bodies) = mpsc::channel(WAITING_BODIES);
        let app = Router::new()
            .route("/", post(take))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(sender);
        let server = HttpServer::bind(lines.address, "ingest", app)?;
        (lines.bound)(server.address());
        let is_closed = Arc::clone(&lines.is_closed);
        Ok(LineSource { bodies, waiting: Arc::default(), is_closed, _server: server })
    }
}

/// Answers a client when its lines are durable. One whose body is too long is told so before it sends it.
async fn take(State(sender): State<mpsc::Sender<Body>>, request: Request) -> Response {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > MAX_BODY_BYTES) {
        return (StatusCode::PAYLOAD_TOO_LARGE, "more than 16 MiB\n").into_response();
    }
    let lines = match String::from_request(request, &()).await {
        Ok(lines) => lines,
        Err(refusal) => return refusal.into_response(),
    };
    let (taken, durable) = oneshot::channel();
    let is_sent = sender.send(Body { lines, taken }).await.is_ok();
    // The job may end before it has read them, or before they are durable.
    match is_sent && durable.await.is_ok() {
        true => (StatusCode::OK, "taken\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the job has ended\n").into_response(),
    }
}

impl Source for LineSource {
    type Item = String;

    fn read(&mut self, limit: usize, out: &mut Vec<String>) -> Result<SourceStatus> {
        let full = out.len() + limit;
        // Looked at before the channel: what was sent before is read.
        let is_closed = self.is_closed.load(Ordering::SeqCst);
        while out.len() < full {
            match self.bodies.try_recv() {
                Ok(Body { lines, taken }) => {
                    out.extend(lines.lines().filter(|line| !line.is_empty()).map(String::from));
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clients.push_back(taken);
                }
                Err(_) if is_closed => return Ok(SourceStatus::Done),
                Err(mpsc::error::TryRecvError::Empty) => return Ok(SourceStatus::Idle(PAUSE)),
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    return Err(Error::data("the server of the lines has ended"));
                }
            }
        }
        Ok(SourceStatus::Ready)
    }

    /// What was not acknowledged is sent again by whoever sent it.
    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&()).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        position.get::<()>()
    }

    fn when_durable(&mut self) -> Option<WhenDurable> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let up_to = waiting.answered + waiting.clients.len() as u64;
        if waiting.clients.is_empty() {
            return None;
        }
        let waiting = Arc::clone(&self.waiting);
        Some(Box::new(move || {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            while waiting.answered < up_to {
                let Some(client) = waiting.clients.pop_front() else { break };
                waiting.answered += 1;
                // It may have gone.
                let _ = client.send(());
            }
            Ok(())
        }))
    }
}

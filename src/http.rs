//! A server of HTTP on a thread of its own.

use std::future::IntoFuture;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::{Notify, oneshot};
use waterwheel_engine::{Error, Result};

/// How long answers that are under way may take when the server is dropped.
const GRACE: Duration = Duration::from_secs(1);

/// Answers requests from when it is bound until it is dropped.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on `address`; port 0 is any free one. The thread is named after what it serves.
    ///
    /// # Errors
    /// The address can not be used.
    pub(crate) fn bind(address: SocketAddr, what: &'static str, app: Router) -> Result<Self> {
        let failed = |error| Error::config(format!("can not listen on {address}")).caused_by(error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!("{what} can not use its port: {error}"),
                };
                let told = Arc::new(Notify::new());
                let tell = Arc::clone(&told);
                let closed = async move {
                    let _ = stopped.await;
                    tell.notify_one();
                };
                tokio::select! {
                    result = axum::serve(listener, app).with_graceful_shutdown(closed).into_future() => {
                        if let Err(error) = result {
                            tracing::error!("{what} has failed: {error}");
                        }
                    }
                    () = async {
                        told.notified().await;
                        tokio::time::sleep(GRACE).await;
                    } => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name(format!("waterwheel:{what}"));
        let thread = thread.spawn(serve).map_err(failed)?;
        Ok(HttpServer { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

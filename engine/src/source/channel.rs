//! Records from ordinary threads, and lines of a socket.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::source::{Source, SourceStatus};
use crate::stream::DataStream;

/// How long a source waits before it looks again for what another thread may have sent.
const PAUSE: Duration = Duration::from_millis(1);

/// Lines of a socket that wait to be read by the job.
const SOCKET_LINES: usize = 4096;

/// A channel from ordinary threads into a job: senders, and the end that [`Env::from_channel`] reads. At most `capacity`
/// records wait in it; then a sender waits.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, channel, execute};
///
/// let (sender, records) = channel::<u64>(100);
/// let thread = std::thread::spawn(move || (1..=1000).try_for_each(|x| sender.send(x)));
/// let sum = execute(RuntimeConfig::threads(2), move |env| {
///     Ok(env.from_channel(&records).rebalance().collect())
/// })?;
/// assert_eq!(sum.concat().iter().sum::<u64>(), 500_500);
/// thread.join().unwrap()?;
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub fn channel<T>(capacity: usize) -> (ChannelSender<T>, ChannelRecords<T>) {
    let (sender, receiver) = sync_channel(capacity.max(1));
    (ChannelSender(sender), ChannelRecords(Arc::new(Mutex::new(Some(receiver)))))
}

/// Sends records into a job. The stream ends when all clones are gone.
pub struct ChannelSender<T>(SyncSender<T>);

impl<T> Clone for ChannelSender<T> {
    fn clone(&self) -> Self {
        ChannelSender(self.0.clone())
    }
}

impl<T> fmt::Debug for ChannelSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelSender")
    }
}

impl<T> ChannelSender<T> {
    /// Sends a record; waits while the channel is full.
    ///
    /// # Errors
    /// The job has ended and nobody reads the channel.
    pub fn send(&self, record: T) -> Result<()> {
        self.0.send(record).map_err(|_| Error::data("nobody reads the channel: the job has ended"))
    }
}

/// The end of a [`channel`] that a job reads.
pub struct ChannelRecords<T>(Arc<Mutex<Option<Receiver<T>>>>);

impl<T> fmt::Debug for ChannelRecords<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelRecords")
    }
}

impl<T> ChannelRecords<T> {
    fn take(&self) -> Result<Receiver<T>> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| Error::config("the channel has been read by a job already"))
    }
}

/// Reads what is in a channel.
struct ChannelSource<T>(Receiver<T>);

impl<T: 'static> Source for ChannelSource<T> {
    type Item = T;

    fn read(&mut self, limit: usize, out: &mut Vec<T>) -> Result<SourceStatus> {
        for _ in 0..limit {
            match self.0.try_recv() {
                Ok(record) => out.push(record),
                Err(TryRecvError::Empty) => return Ok(SourceStatus::Idle(PAUSE)),
                Err(TryRecvError::Disconnected) => return Ok(SourceStatus::Done),
            }
        }
        Ok(SourceStatus::Ready)
    }
}

/// Reads the lines of a socket on a thread of its own, so that no worker waits for them.
struct SocketSource {
    lines: Option<Receiver<io::Result<String>>>,
    address: String,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl SocketSource {
    fn connect(address: &str) -> Result<Self> {
        let failed = |error| Error::data(format!("can not connect to {address}")).caused_by(error);
        let socket = TcpStream::connect(address).map_err(failed)?;
        let reader = BufReader::new(socket.try_clone().map_err(failed)?);
        let (sender, lines) = sync_channel(SOCKET_LINES);
        let read = move || {
            // Nobody reads any more when sending fails.
            let _ = reader.lines().try_for_each(|line| sender.send(line));
        };
        let thread =
            std::thread::Builder::new().name("waterwheel:socket".into()).spawn(read).map_err(failed)?;
        Ok(SocketSource { lines: Some(lines), address: address.into(), socket, thread: Some(thread) })
    }
}

impl Source for SocketSource {
    type Item = String;

    fn read(&mut self, limit: usize, out: &mut Vec<String>) -> Result<SourceStatus> {
        let Some(lines) = &self.lines else { return Ok(SourceStatus::Done) };
        for _ in 0..limit {
            match lines.try_recv() {
                Ok(Ok(line)) => out.push(line),
                Ok(Err(error)) => {
                    return Err(Error::data(format!("can not read from {}", self.address)).caused_by(error));
                }
                Err(TryRecvError::Empty) => return Ok(SourceStatus::Idle(PAUSE)),
                Err(TryRecvError::Disconnected) => return Ok(SourceStatus::Done),
            }
        }
        Ok(SourceStatus::Ready)
    }
}

impl Drop for SocketSource {
    fn drop(&mut self) {
        // Wakes the thread, wherever it waits.
        self.lines = None;
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl<'s> Env<'s> {
    /// The records that ordinary threads send through a [`channel`], read by worker 0. In a job of several processes each
    /// has a channel, and that of process 0 is read.
    ///
    /// The job can not go back to a record that was sent before: with checkpoints this needs
    /// [`allow_rereading`](crate::CheckpointConfig::allow_rereading), and what was on its way in a crash is lost. A channel
    /// that another job has read ends the run.
    #[track_caller]
    pub fn from_channel<T: Send + 'static>(&self, records: &ChannelRecords<T>) -> DataStream<'s, T> {
        let records = ChannelRecords(Arc::clone(&records.0));
        self.source("from_channel", 1, move |_split| records.take().map(ChannelSource))
    }

    /// The lines that a TCP server sends, as UTF-8 without their ends, until it closes the connection; read by worker 0.
    /// For trying things out: a socket can not go back, so with checkpoints this needs
    /// [`allow_rereading`](crate::CheckpointConfig::allow_rereading), and what was on its way in a crash is lost.
    ///
    /// # Errors
    /// The address is none, as `localhost:9000` is one. During the run: nobody listens there, or the connection breaks or
    /// sends what is no UTF-8.
    ///
    /// # Examples
    /// ```
    /// use std::io::Write;
    /// use waterwheel_engine::{RuntimeConfig, execute};
    ///
    /// let server = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = server.local_addr()?.to_string();
    /// let thread = std::thread::spawn(move || server.accept()?.0.write_all(b"one\ntwo\n"));
    /// let lines = execute(RuntimeConfig::threads(1), move |env| Ok(env.read_socket(&address)?.collect()))?;
    /// assert_eq!(lines.concat(), ["one", "two"]);
    /// thread.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_socket(&self, address: &str) -> Result<DataStream<'s, String>> {
        let wrong = |error| Error::config(format!("address {address:?}")).caused_by(error);
        address.to_socket_addrs().map_err(wrong)?;
        let address = address.to_string();
        Ok(self.source("read_socket", 1, move |_split| SocketSource::connect(&address)))
    }
}

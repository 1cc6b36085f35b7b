//! Storage on the `object_store` crate, whose calls run on a thread of their own, unless they are answered at once.

use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::{Builder, Runtime};

use crate::checkpoint::store::storage::{Listing, ObjectInfo, Storage, StorageError, Trouble, Upload};
use crate::error::{Error, Result};

/// How long a call may take. Object stores try again by themselves within it.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// Objects below a prefix of an object store.
#[derive(Clone, Debug)]
pub(super) struct ObjectStorage {
    /// What comes before the names in messages.
    place: String,
    prefix: Path,
    store: Arc<dyn ObjectStore>,
    calls: Arc<Calls>,
    /// The directory, where the store is one.
    directory: Option<PathBuf>,
}

impl ObjectStorage {
    pub(super) fn new(place: String, store: Arc<dyn ObjectStore>, prefix: Path) -> Result<Self> {
        let calls = Arc::new(Calls::start(DEADLINE)?);
        Ok(ObjectStorage { place, prefix, store, calls, directory: None })
    }

    /// Of a store that answers at once: without a thread.
    pub(super) fn at_once(place: String, store: Arc<dyn ObjectStore>) -> Self {
        let calls = Arc::new(Calls { runtime: None, deadline: DEADLINE });
        ObjectStorage { place, prefix: Path::default(), store, calls, directory: None }
    }

    /// Says that the objects are files below a directory, so that what unfinished writes leave can be found.
    pub(super) fn in_directory(mut self, directory: PathBuf) -> Self {
        self.directory = Some(directory);
        self
    }

    fn path(&self, name: &str) -> Path {
        name.split('/')
            .filter(|part| !part.is_empty())
            .fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn call<T, C, F>(&self, action: &str, name: &str, call: C) -> Result<T, StorageError>
    where
        T: Send + 'static,
        C: FnOnce(Arc<dyn ObjectStore>, Path) -> F,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        self.calls.wait(call(Arc::clone(&self.store), self.path(name)), &|| self.describe(action, name))
    }

    fn describe(&self, action: &str, name: &str) -> String {
        format!("can not {action} {}/{name}", self.place)
    }

    fn io_error(&self, action: &str, name: &str, error: std::io::Error) -> StorageError {
        StorageError::new(Trouble::Other, self.describe(action, name)).caused_by(error)
    }
}

impl Storage for ObjectStorage {
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        self.call("write", name, |store, path| async move {
            store.put_opts(&path, PutPayload::from(bytes), PutMode::Create.into()).await.map(|_| ())
        })
    }

    fn upload(&self, name: &str) -> Result<Box<dyn Upload>, StorageError> {
        let upload =
            self.call("write", name, |store, path| async move { store.put_multipart(&path).await })?;
        let (calls, message) = (Arc::clone(&self.calls), self.describe("write", name));
        Ok(Box::new(ObjectUpload { upload: Some(upload), calls, message }))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, StorageError> {
        let wanted = range.end.saturating_sub(range.start);
        let bytes =
            self.call("read", name, |store, path| async move { store.get_range(&path, range).await })?;
        if bytes.len() as u64 != wanted {
            let message =
                format!("{}: {wanted} bytes wanted, {} found", self.describe("read", name), bytes.len());
            return Err(StorageError::new(Trouble::Other, message));
        }
        Ok(bytes.into())
    }

    fn head(&self, name: &str) -> Result<ObjectInfo, StorageError> {
        let meta = self.call("read", name, |store, path| async move { store.head(&path).await })?;
        Ok(info(&meta))
    }

    fn list(&self, directory: &str) -> Result<Listing, StorageError> {
        let found = self.call("list", directory, |store, path| async move {
            store.list_with_delimiter(Some(&path)).await
        });
        let found = match found {
            Err(error) if error.trouble() == Trouble::NotFound => return Ok(Listing::default()),
            found => found?,
        };
        let last = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let mut directories: Vec<_> = found.common_prefixes.iter().map(last).collect();
        let mut objects: Vec<_> = found.objects.iter().map(info).collect();
        directories.sort();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Listing { directories, objects })
    }

    /// The crate writes to `name#1`, or a higher number, and moves it when it is whole; its own lists leave these out.
    fn unfinished(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        let Some(root) = &self.directory else { return Ok(Vec::new()) };
        let files = match std::fs::read_dir(root.join(directory)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(|error| self.io_error("list", directory, error))?,
        };
        let mut names = Vec::new();
        for file in files {
            let file = file.map_err(|error| self.io_error("list", directory, error))?;
            names.extend(file.file_name().into_string().ok().filter(|name| is_unfinished(name)));
        }
        names.sort();
        Ok(names)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        if let (Some(root), true) = (&self.directory, is_unfinished(name)) {
            return match std::fs::remove_file(root.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(self.io_error("remove", name, error))
                }
                _ => Ok(()),
            };
        }
        match self.call("remove", name, |store, path| async move { store.delete(&path).await }) {
            Err(error) if error.trouble() == Trouble::NotFound => Ok(()),
            done => done,
        }
    }
}

/// Whether a file is one that a write has not ended.
fn is_unfinished(name: &str) -> bool {
    let number = name.rsplit_once('#').map_or("", |(_, number)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn info(meta: &ObjectMeta) -> ObjectInfo {
    let name = meta.location.filename().unwrap_or_default().to_owned();
    let written = meta.last_modified.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    ObjectInfo { name, length: meta.size, written }
}

struct ObjectUpload {
    /// Gone once it was completed or aborted.
    upload: Option<Box<dyn MultipartUpload>>,
    calls: Arc<Calls>,
    message: String,
}

impl Upload for ObjectUpload {
    fn write(&mut self, bytes: Vec<u8>) -> Result<(), StorageError> {
        let Some(upload) = &mut self.upload else { return Err(self.ended()) };
        let written = upload.put_part(PutPayload::from(bytes));
        self.calls.wait(written, &|| self.message.clone())
    }

    fn complete(&mut self) -> Result<(), StorageError> {
        let Some(mut upload) = self.upload.take() else { return Err(self.ended()) };
        let completed = async move { upload.complete().await.map(|_| ()) };
        self.calls.wait(completed, &|| self.message.clone())
    }

    fn abort(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // What is left behind is garbage, and collected as such.
            let _ = self.calls.wait(async move { upload.abort().await }, &String::new);
        }
    }
}

impl ObjectUpload {
    fn ended(&self) -> StorageError {
        StorageError::new(Trouble::Other, format!("{}: it was ended before", self.message))
    }
}

/// The thread that asynchronous calls run on. Callers wait on a channel, so that they may be anywhere, inside of another
/// asynchronous runtime too, and so that the deadline holds whatever a call does.
#[derive(Debug)]
struct Calls {
    /// None where all calls are answered at once.
    runtime: Option<Runtime>,
    deadline: Duration,
}

impl Calls {
    fn start(deadline: Duration) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("waterwheel:checkpoints")
            .enable_all()
            .build()
            .map_err(|error| Error::config("can not start a thread for checkpoints").caused_by(error))?;
        Ok(Calls { runtime: Some(runtime), deadline })
    }

    fn wait<T, F>(&self, call: F, describe: &dyn Fn() -> String) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return answered_at_once(call, describe) };
        let (answer, answered) = channel();
        let task = runtime.spawn(async move {
            // Nobody listens any more when the deadline has passed.
            let _ = answer.send(call.await);
        });
        match answered.recv_timeout(self.deadline) {
            Ok(done) => done.map_err(|error| as_storage_error(error, describe())),
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                let message = format!("{}: no answer in {:?}", describe(), self.deadline);
                Err(StorageError::new(Trouble::TimedOut, message))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(StorageError::new(Trouble::Other, format!("{}: the call was cut short", describe())))
            }
        }
    }
}

fn answered_at_once<T>(
    call: impl Future<Output = object_store::Result<T>>,
    describe: &dyn Fn() -> String,
) -> Result<T, StorageError> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done.map_err(|error| as_storage_error(error, describe())),
        Poll::Pending => {
            Err(StorageError::new(Trouble::Other, format!("{}: it is not answered at once", describe())))
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // Not waiting for calls whose deadline has passed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn as_storage_error(error: object_store::Error, message: String) -> StorageError {
    let trouble = match &error {
        object_store::Error::NotFound { .. } => Trouble::NotFound,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            Trouble::AlreadyExists
        }
        _ => Trouble::Other,
    };
    // Its text has its causes in it.
    StorageError::new(trouble, message).caused_by(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe() -> String {
        "can not write x".into()
    }

    #[test]
    fn call_without_an_answer_ends_at_its_deadline() {
        let calls = Calls::start(Duration::from_millis(20)).unwrap();
        let never = std::future::pending::<object_store::Result<()>>();
        let error = calls.wait(never, &describe).unwrap_err();
        assert_eq!(error.trouble(), Trouble::TimedOut);
        assert_eq!(error.to_string(), "can not write x: no answer in 20ms");
        // The thread is there for the next call.
        assert_eq!(calls.wait(async { Ok(7) }, &describe).unwrap(), 7);
    }

    /// Programs have asynchronous runtimes of their own, in which another one may neither block nor be dropped.
    #[test]
    fn calls_inside_of_another_runtime_are_answered() {
        let outer = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let answer = outer.block_on(async {
            let calls = Calls::start(DEADLINE).unwrap();
            calls.wait(async { Ok(7) }, &describe).unwrap()
        });
        assert_eq!(answer, 7);
    }

    #[test]
    fn call_that_panics_is_an_error() {
        let calls = Calls::start(DEADLINE).unwrap();
        let answer: Result<(), _> = calls.wait(async { panic!("inside") }, &describe);
        assert_eq!(answer.unwrap_err().to_string(), "can not write x: the call was cut short");
    }

    #[test]
    fn call_that_is_not_answered_at_once_is_an_error_where_all_are() {
        let calls = Calls { runtime: None, deadline: DEADLINE };
        assert_eq!(calls.wait(async { Ok(7) }, &describe).unwrap(), 7);
        let error = calls.wait(std::future::pending::<object_store::Result<()>>(), &describe).unwrap_err();
        assert_eq!(error.to_string(), "can not write x: it is not answered at once");
    }

    #[test]
    fn names_of_unfinished_writes_are_told_from_others() {
        for (name, expected) in
            [("a.part#1", true), ("a#12", true), ("a", false), ("a#", false), ("a#1b", false)]
        {
            assert_eq!(is_unfinished(name), expected, "{name}");
        }
    }
}

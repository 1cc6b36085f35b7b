//! What the store asks of the place where its objects are.

use std::fmt;
use std::ops::Range;

use crate::error::Error;

/// A place for immutable objects: a directory, memory, a bucket.
///
/// Names are relative, with `/` between directories. Every call waits until it is done, or until the deadline of the
/// place has passed; what was written is durable when the call returns.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Writes an object that must not be there yet. Nobody sees half of it.
    ///
    /// # Errors
    /// [`Trouble::AlreadyExists`] if it is there; others if it can not be written.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), StorageError>;

    /// Begins an object that is too large for one call. It is not there before [`Upload::complete`].
    ///
    /// # Errors
    /// It can not be written.
    fn upload(&self, name: &str) -> Result<Box<dyn Upload>, StorageError>;

    /// Reads a range of bytes of an object.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] if it is not there; others if it can not be read or ends before the range does.
    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, StorageError>;

    /// The size of an object, and when it was written.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] if it is not there; others if it can not be read.
    fn head(&self, name: &str) -> Result<ObjectInfo, StorageError>;

    /// The objects and directories directly below a directory, by name; none where it is not there.
    ///
    /// # Errors
    /// It can not be read.
    fn list(&self, directory: &str) -> Result<Listing, StorageError>;

    /// Names of what uploads and writes that never ended have left directly below a directory. A place that hides them
    /// has none.
    ///
    /// # Errors
    /// It can not be read.
    fn unfinished(&self, directory: &str) -> Result<Vec<String>, StorageError>;

    /// Removes an object, or what an unfinished write has left. One that is gone already is as good.
    ///
    /// # Errors
    /// It can not be removed.
    fn delete(&self, name: &str) -> Result<(), StorageError>;
}

/// An object that is being written.
pub trait Upload: Send {
    /// Writes more of it: [`CHUNK`] bytes in each call but the last.
    ///
    /// # Errors
    /// It can not be written.
    fn write(&mut self, bytes: Vec<u8>) -> Result<(), StorageError>;

    /// Ends it: it is there, whole and durable.
    ///
    /// # Errors
    /// It can not be written.
    fn complete(&mut self) -> Result<(), StorageError>;

    /// Gives it up, as far as that is possible.
    fn abort(&mut self);
}

/// Bytes in one call of [`Upload::write`] (8 MiB; S3 takes no less than five).
pub const CHUNK: usize = 8 << 20;

/// What a directory has in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names of the directories, without what is above them.
    pub directories: Vec<String>,
    /// The objects.
    pub objects: Vec<ObjectInfo>,
}

/// An object, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The name, without the directories above it.
    pub name: String,
    /// Its size in bytes.
    pub length: u64,
    /// When it was written, as RFC 3339 has it, to the second and in UTC.
    pub written: String,
}

/// What went wrong with an object.
#[derive(Debug)]
pub struct StorageError {
    trouble: Trouble,
    message: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Kinds of [`StorageError`] that the store tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such object.
    NotFound,
    /// There is such an object already.
    AlreadyExists,
    /// No answer before the deadline. What was asked for may happen yet.
    TimedOut,
    /// All else: no permission, no space, a broken device or connection.
    Other,
}

impl StorageError {
    /// An error with a message that says what could not be done with which object.
    pub fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        StorageError { trouble, message: message.into(), cause: None }
    }

    /// Adds the underlying cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What kind of error it is.
    pub fn trouble(&self) -> Trouble {
        self.trouble
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl StorageError {
    /// As an error of the store. Not `From`, or `?` in programs would have more than one error to choose from.
    pub(crate) fn into_error(self) -> Error {
        let as_error = Error::storage(self.message);
        match self.cause {
            Some(cause) => as_error.caused_by(cause),
            None => as_error,
        }
    }
}

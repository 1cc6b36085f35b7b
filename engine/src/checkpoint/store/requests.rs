//! Requests for savepoints: how a program that is not the job asks a running job for one, wherever the two run.

use crate::checkpoint::store::layout::{self, Layout};
use crate::checkpoint::store::storage::{StorageError, Trouble};
use crate::checkpoint::store::{Checkpoint, CheckpointStore};
use crate::error::{Error, ErrorKind, Result};

impl CheckpointStore {
    /// Asks the job, if it runs, to make its next checkpoint at once and to keep it as a savepoint of this name.
    ///
    /// # Errors
    /// * [`ErrorKind::Config`]: the name is not 1 to 128 letters of ASCII, digits, `.`, `_` and `-`; there is a savepoint
    ///   of this name, or one was asked for already.
    /// * [`ErrorKind::Storage`].
    pub fn request_savepoint(&self, name: &str) -> Result<()> {
        // What can be the name of a job can be that of a savepoint.
        Layout::new(name).map_err(|_| {
            Error::config(format!(
                "savepoint name \"{name}\": expected 1 to 128 of the letters a-z and A-Z, digits, '.', '_' and '-', the \
                 first of them no '.'"
            ))
        })?;
        let job = self.job();
        if let Some(savepoint) = self.savepoint(name)? {
            let epoch = savepoint.epoch();
            return Err(Error::config(format!("job \"{job}\" has a savepoint \"{name}\", at epoch {epoch}")));
        }
        match self.storage.create(&self.layout.request(name), Vec::new()) {
            Err(error) if error.trouble() == Trouble::AlreadyExists => {
                Err(Error::config(format!("a savepoint \"{name}\" of job \"{job}\" was asked for already")))
            }
            done => done.map_err(StorageError::into_error),
        }
    }

    /// Names of the savepoints that were asked for and are not there yet, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn savepoint_requests(&self) -> Result<Vec<String>> {
        let requests = self.storage.list(&self.layout.requests()).map_err(StorageError::into_error)?.objects;
        Ok(requests.into_iter().map(|object| object.name).filter(|name| Layout::new(name).is_ok()).collect())
    }

    /// Takes back a request, or notes that it was answered. Nothing happens if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn withdraw_savepoint_request(&self, name: &str) -> Result<()> {
        match self.storage.delete(&self.layout.request(name)) {
            Err(error) if error.trouble() == Trouble::NotFound => Ok(()),
            done => done.map_err(StorageError::into_error),
        }
    }

    /// The savepoint of a name, if there is one. Damaged checkpoints are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn savepoint(&self, name: &str) -> Result<Option<Checkpoint>> {
        for epoch in self.epochs()?.into_iter().rev() {
            match self.checkpoint(epoch) {
                Ok(checkpoint) if checkpoint.savepoint() == Some(name) => return Ok(Some(checkpoint)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Data => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A checkpoint by its epoch, or a savepoint by its name, after every byte of it was read and found right.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: there is none. [`ErrorKind::Data`]: it is damaged. [`ErrorKind::Storage`].
    pub fn verified(&self, epoch_or_name: &str) -> Result<Checkpoint> {
        let epoch = match epoch_or_name.parse::<u64>().ok().filter(|_| layout::is_number(epoch_or_name)) {
            Some(epoch) => Some(epoch).filter(|_| self.epochs().is_ok_and(|epochs| epochs.contains(&epoch))),
            None => self.savepoint(epoch_or_name)?.map(|savepoint| savepoint.epoch()),
        };
        let epoch = epoch.ok_or_else(|| {
            let job = self.job();
            Error::config(format!(
                "job \"{job}\" has no checkpoint {epoch_or_name}; `waterwheel ckpt ls` shows what there is"
            ))
        })?;
        self.verify(epoch)
    }
}

//! What may go: checkpoints that newer ones have replaced, and what crashed attempts have left.

use rustc_hash::FxHashSet;

use crate::checkpoint::store::manifest::Manifest;
use crate::checkpoint::store::reader::check_length;
use crate::checkpoint::store::storage::StorageError;
use crate::checkpoint::store::{CheckpointStore, layout};
use crate::error::{Error, ErrorKind, Result};

/// Who asks for garbage, and so what nobody can still need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GarbageScope {
    /// Some other process, while the job may run: nothing of the newest attempt is garbage.
    Beside,
    /// This attempt, in its own run: what it has written for epochs before its last commit, and all of earlier attempts.
    Attempt(u64),
    /// The job does not run, and is not started meanwhile: all that no checkpoint needs.
    Stopped,
}

/// What can be removed, as [`CheckpointStore::garbage`] has found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Epochs of checkpoints that newer ones have replaced, ascending.
    pub checkpoints: Vec<u64>,
    /// Names of objects: manifests first.
    pub objects: Vec<String>,
    /// Bytes of these objects; what unfinished writes have left is not counted.
    pub bytes: u64,
}

impl Garbage {
    fn add(&mut self, name: String, bytes: u64) {
        self.objects.push(name);
        self.bytes += bytes;
    }
}

/// What the manifests that stay say of parts.
struct Needed {
    parts: FxHashSet<String>,
    /// Parts of these epochs stay whole, because their manifest can not be read.
    epochs: FxHashSet<u64>,
    newest_attempt: Option<u64>,
    newest_epoch: Option<u64>,
    scope: GarbageScope,
}

impl Needed {
    /// Whether nobody can still be about to commit what this attempt has written for this epoch.
    fn is_over(&self, attempt: u64, epoch: u64) -> bool {
        let earlier = self.newest_attempt.is_some_and(|newest| attempt < newest);
        match self.scope {
            GarbageScope::Beside => earlier,
            GarbageScope::Attempt(mine) => {
                earlier || attempt == mine && self.newest_epoch.is_some_and(|newest| epoch < newest)
            }
            GarbageScope::Stopped => true,
        }
    }
}

impl CheckpointStore {
    /// Finds what can be removed.
    ///
    /// With `keep` (1 or more) all checkpoints but so many of the newest are: savepoints do not count and stay. A part
    /// stays as long as any checkpoint that stays refers to it. A checkpoint with a damaged manifest or without all of its
    /// parts counts as none; it goes once it is older than those that stay.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; [`ErrorKind::Config`] if `keep` is 0.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::checkpoint::{CheckpointMeta, CheckpointStore, GarbageScope};
    /// let store = CheckpointStore::in_memory("words")?;
    /// let attempt = store.claim_attempt(0)?;
    /// for epoch in 0..5 {
    ///     let (part, _) = store.writer(attempt, epoch, 0).finish()?;
    ///     store.commit(epoch, &[part], CheckpointMeta { attempt, ..Default::default() })?;
    ///     store.remove(&store.garbage(Some(2), GarbageScope::Attempt(attempt))?)?;
    /// }
    /// assert_eq!(store.epochs()?, [3, 4]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn garbage(&self, keep: Option<usize>, scope: GarbageScope) -> Result<Garbage> {
        if keep == Some(0) {
            return Err(Error::config("0 checkpoints are to be kept, expected at least 1"));
        }
        let mut stay = Vec::new();
        let mut garbage = Garbage::default();
        let (mut kept, keep) = (0, keep.unwrap_or(usize::MAX));
        for (epoch, manifest) in self.all_manifests()?.into_iter().rev() {
            let is_savepoint = manifest.as_ref().is_some_and(|manifest| manifest.savepoint.is_some());
            if kept >= keep && !is_savepoint {
                garbage.checkpoints.insert(0, epoch);
                garbage.add(self.layout.manifest(epoch), 0);
            } else {
                kept += usize::from(!is_savepoint && self.is_whole(manifest.as_ref())?);
                stay.push((epoch, manifest));
            }
        }
        self.add_objects(&stay, scope, &mut garbage)?;
        Ok(garbage)
    }

    /// Finds what can be removed together with the checkpoint of an epoch, a savepoint or not. What an earlier
    /// checkpoint is still needed for stays.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; [`ErrorKind::Config`] if there is no checkpoint of this epoch.
    pub fn garbage_without(&self, epoch: u64, scope: GarbageScope) -> Result<Garbage> {
        let mut stay = self.all_manifests()?;
        let Ok(at) = stay.binary_search_by_key(&epoch, |(epoch, _)| *epoch) else {
            let epochs: Vec<_> = stay.iter().map(|(epoch, _)| epoch).collect();
            return Err(Error::config(format!(
                "job {} has no checkpoint of epoch {epoch}, there are {epochs:?}",
                self.job()
            )));
        };
        stay.remove(at);
        let mut garbage = Garbage { checkpoints: vec![epoch], ..Garbage::default() };
        garbage.add(self.layout.manifest(epoch), 0);
        self.add_objects(&stay, scope, &mut garbage)?;
        Ok(garbage)
    }

    /// Removes what [`garbage`](Self::garbage) has found, manifests first. What is gone already is as good.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]: part of it may be left, and is garbage still.
    pub fn remove(&self, garbage: &Garbage) -> Result<()> {
        garbage
            .objects
            .iter()
            .try_for_each(|name| self.storage.delete(name).map_err(StorageError::into_error))
    }

    /// All manifests in order; `None` where one can not be read because it is damaged.
    fn all_manifests(&self) -> Result<Vec<(u64, Option<Manifest>)>> {
        let mut all = Vec::new();
        for epoch in self.epochs()? {
            match self.manifest(epoch) {
                Ok((manifest, _)) => all.push((epoch, Some(manifest))),
                Err(error) if error.kind() == ErrorKind::Data => all.push((epoch, None)),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Whether a checkpoint has all of its parts, as far as names and lengths tell.
    fn is_whole(&self, manifest: Option<&Manifest>) -> Result<bool> {
        let Some(manifest) = manifest else { return Ok(false) };
        let mut parts = manifest.all_parts();
        match parts.try_for_each(|part| check_length(self.storage(), &self.layout, part)) {
            Err(error) if error.kind() == ErrorKind::Data => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn add_objects(
        &self,
        stay: &[(u64, Option<Manifest>)],
        scope: GarbageScope,
        garbage: &mut Garbage,
    ) -> Result<()> {
        let manifests = stay.iter().filter_map(|(_, manifest)| manifest.as_ref());
        let unreadable = stay.iter().filter(|(_, manifest)| manifest.is_none()).map(|(epoch, _)| *epoch);
        let needed = Needed {
            parts: manifests.flat_map(Manifest::all_parts).map(|part| part.name(&self.layout)).collect(),
            epochs: unreadable.collect(),
            newest_attempt: self.newest_attempt()?,
            newest_epoch: stay.iter().map(|(epoch, _)| *epoch).max(),
            scope,
        };
        self.add_unfinished_manifests(&needed, garbage)?;
        for directory in
            self.storage.list(&self.layout.parts()).map_err(StorageError::into_error)?.directories
        {
            if let Some(attempt) = layout::number(&directory) {
                self.add_parts(attempt, &needed, garbage)?;
            }
        }
        self.add_claims(&needed, garbage)
    }

    /// A manifest that was not written to its end can not be committed any more once there is a later one.
    fn add_unfinished_manifests(&self, needed: &Needed, garbage: &mut Garbage) -> Result<()> {
        let directory = self.layout.manifests();
        for name in self.storage.unfinished(&directory).map_err(StorageError::into_error)? {
            let epoch = name.split_once('#').and_then(|(name, _)| layout::manifest_epoch(name));
            let over = epoch.is_some_and(|epoch| needed.newest_epoch.is_some_and(|newest| epoch < newest));
            if over || needed.scope == GarbageScope::Stopped {
                garbage.add(format!("{directory}/{name}"), 0);
            }
        }
        Ok(())
    }

    fn add_parts(&self, attempt: u64, needed: &Needed, garbage: &mut Garbage) -> Result<()> {
        let directory = self.layout.parts_of(attempt);
        for object in self.storage.list(&directory).map_err(StorageError::into_error)?.objects {
            let Some((epoch, _)) = layout::part_epoch(&object.name) else { continue };
            let name = format!("{directory}/{}", object.name);
            let is_needed = needed.parts.contains(&name) || needed.epochs.contains(&epoch);
            if !is_needed && needed.is_over(attempt, epoch) {
                garbage.add(name, object.length);
            }
        }
        // A writer of the own attempt may be late, but it is at work.
        let scope = match needed.scope {
            GarbageScope::Attempt(_) => GarbageScope::Beside,
            scope => scope,
        };
        let unfinished =
            Needed { parts: FxHashSet::default(), epochs: FxHashSet::default(), scope, ..*needed };
        if unfinished.is_over(attempt, 0) {
            let names = self.storage.unfinished(&directory).map_err(StorageError::into_error)?;
            names.into_iter().for_each(|name| garbage.add(format!("{directory}/{name}"), 0));
        }
        Ok(())
    }

    /// Of the attempts that were begun, the last is enough.
    fn add_claims(&self, needed: &Needed, garbage: &mut Garbage) -> Result<()> {
        for object in self.storage.list(&self.layout.attempts()).map_err(StorageError::into_error)?.objects {
            if layout::number(&object.name).is_some_and(|attempt| Some(attempt) < needed.newest_attempt) {
                garbage.add(format!("{}/{}", self.layout.attempts(), object.name), 0);
            }
        }
        Ok(())
    }
}

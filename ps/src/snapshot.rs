//! What the logics of workers and servers put into checkpoints, and get back in a later run.

use serde::{Serialize, de::DeserializeOwned};
use waterwheel_engine::checkpoint::{Entries, Saved, Written};
use waterwheel_engine::hash::{group_owner, key_group};
use waterwheel_engine::{Error, Key, Result, StateReader};

/// Kind of the entries of logics in checkpoints.
const ENTRIES: &str = "rows";

/// Takes what a logic keeps, at the end of a checkpoint epoch: nothing is in flight then.
///
/// # Examples
/// See [`WorkerLogic::snapshot`](crate::WorkerLogic::snapshot).
#[derive(Debug)]
pub struct LogicWriter<'a>(&'a mut Written);

impl<'a> LogicWriter<'a> {
    pub(crate) fn new(to: &'a mut Written) -> Self {
        LogicWriter(to)
    }

    /// Adds an item that belongs to this instance: [`LogicReader::next_item`] gives it back.
    ///
    /// # Errors
    /// It can not be encoded.
    pub fn put<V: Serialize + ?Sized>(&mut self, item: &V) -> Result<()> {
        self.0.items().put(item)
    }

    /// Adds an item that all instances have alike at this moment, and put all: [`LogicReader::next_alike`] gives each
    /// that of one of them, however many there are.
    ///
    /// # Errors
    /// It can not be encoded.
    pub fn put_alike<V: Serialize + ?Sized>(&mut self, item: &V) -> Result<()> {
        self.0.copied().put(item)
    }

    /// Adds what belongs to `key`: [`LogicReader::for_each_keyed`] gives it to the instance that the key belongs to in the
    /// later run.
    ///
    /// # Errors
    /// It can not be encoded.
    pub fn put_keyed<K: Key, V: Serialize>(&mut self, key: &K, entry: &V) -> Result<()> {
        self.entries().put(key_group(key), &(key, entry))
    }

    /// Whether what is put for keys may be [added](Self::add_to_entries) to what the checkpoint before holds.
    pub(crate) fn may_add(&self) -> bool {
        self.0.may_add()
    }

    /// Takes over what the checkpoint before holds for keys: of several entries of one key the last one counts.
    pub(crate) fn add_to_entries(&mut self) {
        self.0.add_to(ENTRIES);
    }

    pub(crate) fn entries(&mut self) -> &mut Entries {
        self.0.entries(ENTRIES)
    }
}

/// Which keys belong to an instance of a logic.
enum Mine<'a> {
    /// Those whose key group it owns: (its index, how many instances, how many workers the job has).
    Groups { index: usize, parallelism: usize, workers: usize },
    /// Those of a server with a placement; `unmoved` if all rows are where they were.
    Placed { index: usize, server_of: &'a dyn Fn(&dyn std::any::Any) -> Result<usize>, unmoved: bool },
}

/// Gives back what [`LogicWriter`] has taken.
///
/// Each instance gets the items that it put itself; with another number of instances, instance `i` of `n` gets those of
/// all whose index modulo `n` is `i`, which may be none. Entries of keys go where the keys belong: at a server where the
/// placement says, at a worker where `key_by` sends records of the key.
pub struct LogicReader<'a> {
    items: StateReader,
    alike: StateReader,
    saved: &'a Saved<'a>,
    mine: Mine<'a>,
}

impl<'a> LogicReader<'a> {
    /// For worker `index` of `parallelism`, in a job of `workers` threads.
    pub(crate) fn of_worker(
        saved: &'a Saved<'a>,
        (index, parallelism, workers): (usize, usize, usize),
    ) -> Result<Self> {
        let items = saved.items_of(index, parallelism)?;
        Ok(LogicReader {
            items,
            alike: saved.copied()?,
            saved,
            mine: Mine::Groups { index, parallelism, workers },
        })
    }

    /// For server `index` of `servers`, which has the keys that `server_of` says.
    pub(crate) fn of_server(
        saved: &'a Saved<'a>,
        (index, servers): (usize, usize),
        server_of: &'a dyn Fn(&dyn std::any::Any) -> Result<usize>,
        unmoved: bool,
    ) -> Result<Self> {
        let items = saved.items_of(index, servers)?;
        Ok(LogicReader {
            items,
            alike: saved.copied()?,
            saved,
            mine: Mine::Placed { index, server_of, unmoved },
        })
    }

    /// The next item that was put, in order; `None` behind the last.
    ///
    /// # Errors
    /// It is of another type than the one that was put.
    pub fn next_item<V: DeserializeOwned>(&mut self) -> Result<Option<V>> {
        self.items.next_item()
    }

    /// What all instances had [alike](LogicWriter::put_alike), in order; `None` behind the last.
    ///
    /// # Errors
    /// It is of another type than the one that was put.
    pub fn next_alike<V: DeserializeOwned>(&mut self) -> Result<Option<V>> {
        self.alike.next_item()
    }

    /// Hands every entry whose key belongs to this instance to `take`, in no order.
    ///
    /// # Errors
    /// An entry is of another type than the one that was put, the checkpoint can not be read, or those of `take`.
    pub fn for_each_keyed<K: Key, V: DeserializeOwned>(
        &self,
        take: impl FnMut(K, V) -> Result<()>,
    ) -> Result<()> {
        match &self.mine {
            Mine::Groups { index, parallelism, workers } => self.for_each_entry(
                |group, _writer| group_owner(group, *workers) % parallelism == *index,
                |_key: &K| Ok(true),
                take,
            ),
            Mine::Placed { unmoved: true, .. } => self.for_each_written_here(take),
            Mine::Placed { index, server_of, .. } => {
                self.for_each_entry(|_, _| true, |key: &K| Ok(server_of(key)? == *index), take)
            }
        }
    }

    /// As [`for_each_keyed`](Self::for_each_keyed), for keys that belong to instances by a rule of the logic's own:
    /// `is_mine` says which belong to this one.
    ///
    /// # Errors
    /// As [`for_each_keyed`](Self::for_each_keyed).
    pub fn for_each_keyed_where<K: Key, V: DeserializeOwned>(
        &self,
        is_mine: impl Fn(&K) -> bool,
        take: impl FnMut(K, V) -> Result<()>,
    ) -> Result<()> {
        self.for_each_entry(|_, _| true, |key: &K| Ok(is_mine(key)), take)
    }

    /// Hands every entry that this instance has written to `take`.
    pub(crate) fn for_each_written_here<K: Key, V: DeserializeOwned>(
        &self,
        take: impl FnMut(K, V) -> Result<()>,
    ) -> Result<()> {
        let (Mine::Groups { index, .. } | Mine::Placed { index, .. }) = &self.mine;
        self.for_each_entry(|_group, writer| writer == *index, |_key: &K| Ok(true), take)
    }

    fn for_each_entry<K: Key, V: DeserializeOwned>(
        &self,
        is_wanted: impl Fn(u64, usize) -> bool,
        is_mine: impl Fn(&K) -> Result<bool>,
        mut take: impl FnMut(K, V) -> Result<()>,
    ) -> Result<()> {
        self.saved.entries_where(ENTRIES, is_wanted, |mut entries| {
            while let Some((key, entry)) = entries.next_item::<(K, V)>()? {
                if is_mine(&key)? {
                    take(key, entry)?;
                }
            }
            Ok(())
        })
    }
}

impl std::fmt::Debug for LogicReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogicReader").field("saved", self.saved).finish_non_exhaustive()
    }
}

/// The default of logics: one without fields keeps nothing; any other has to say what it keeps.
pub(crate) fn keeps_nothing<L>(side: &str) -> Result<()> {
    if size_of::<L>() == 0 {
        return Ok(());
    }
    Err(Error::config(format!(
        "this {side} logic may keep a state that checkpoints do not hold: implement snapshot, and restore if it keeps \
         anything"
    )))
}

//! Names of users and items, and the ids that stand for them.

use rustc_hash::FxHashSet;
use waterwheel_engine::hash::key_hash;
use waterwheel_engine::{DataStream, Error, Result};

/// Names by id. Ratings have numbers for users and items; this says which names they stand for.
///
/// The id of a name is its fixed hash, so that it depends on nothing but the name: not on other names, nor on workers.
/// Two names with one id are found when they are put together, and refused; with a million names there is one chance in
/// 40 million of that.
///
/// # Examples
/// ```
/// use waterwheel_ml::mf::Names;
///
/// let names = Names::new(["alice".to_string(), "bob".to_string()])?;
/// assert_eq!(names.get(Names::id("bob")), Some("bob"));
/// assert_eq!(names.get(7), None);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Ascending.
    ids: Vec<u64>,
    /// In the order of the ids.
    names: Vec<String>,
}

impl Names {
    /// The id that stands for a name: [`key_hash`](waterwheel_engine::hash::key_hash) of the text.
    pub fn id(name: &str) -> u64 {
        key_hash(&name.to_string())
    }

    /// Of names in any order, which may come more than once.
    ///
    /// # Errors
    /// Two names have the same id.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut pairs: Vec<(u64, String)> = names.into_iter().map(|name| (key_hash(&name), name)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let (id, a, b) = (pair[0].0, &pair[0].1, &pair[1].1);
            return Err(Error::data(format!(
                "the names {a:?} and {b:?} have the same hash, {id}: one of them needs another name"
            )));
        }
        let (ids, names) = pairs.into_iter().unzip();
        Ok(Names { ids, names })
    }

    /// The name that an id stands for.
    pub fn get(&self, id: u64) -> Option<&str> {
        let at = self.ids.binary_search(&id).ok()?;
        Some(&self.names[at])
    }

    /// Their ids, ascending.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// The names, in the order of their ids.
    pub fn as_slice(&self) -> &[String] {
        &self.names
    }

    /// Those of these ids, which ascend.
    ///
    /// # Errors
    /// An id has no name.
    pub(super) fn only(mut self, ids: &[u64]) -> Result<Self> {
        if let Some(id) = ids.iter().find(|id| self.ids.binary_search(id).is_err()) {
            return Err(Error::data(format!("id {id} has no name")));
        }
        let mut is_kept = self.ids.iter().map(|id| ids.binary_search(id).is_ok());
        self.names.retain(|_| is_kept.next().unwrap_or(false));
        self.ids = ids.to_vec();
        Ok(self)
    }

    /// Each of the names once, on the worker that owns it.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_ml::mf::Names;
    ///
    /// let names = execute(RuntimeConfig::threads(2), |env| {
    ///     let names = env.from_iter(["bob", "alice", "bob"].map(String::from));
    ///     Ok(Names::distinct(names).collect())
    /// })?;
    /// assert_eq!(Names::new(names.concat())?.as_slice().len(), 2);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn distinct<'s>(names: DataStream<'s, String>) -> DataStream<'s, String> {
        // Most names come often: a worker sends each on once. One that goes on from a checkpoint sends some again.
        let mut sent = FxHashSet::default();
        let first = names.filter(move |name| sent.insert(key_hash(name))).name("names");
        let once = first.key_by_ref(|name| name).process(|name, known: &mut bool, _context, out| {
            if !std::mem::replace(known, true) {
                out.emit(name.clone());
            }
        });
        once.name("distinct_names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        Names::new(list.iter().map(ToString::to_string)).unwrap()
    }

    /// They are in saved models and must not change.
    #[test]
    fn id_of_a_name_has_its_golden_value() {
        assert_eq!(Names::id("waterwheel"), 0xccff8a38ba1862ff);
    }

    #[test]
    fn names_are_found_by_id_in_any_order_and_once() {
        let all = names(&["b", "a", "", "b", "O'Brien, Pat", "山田"]);
        assert_eq!(all.as_slice().len(), 5);
        assert!(all.as_slice().iter().all(|name| all.get(Names::id(name)) == Some(name)));
        assert_eq!(all, names(&["山田", "O'Brien, Pat", "", "a", "b"]));
        assert_eq!(names(&[]).get(0), None);
    }

    #[test]
    fn names_of_some_ids_are_kept_and_an_id_without_a_name_is_refused() {
        let mut ids = vec![Names::id("a"), Names::id("c")];
        ids.sort_unstable();
        assert_eq!(names(&["a", "b", "c"]).only(&ids).unwrap(), names(&["a", "c"]));
        let error = names(&["a", "b"]).only(&ids).unwrap_err();
        assert_eq!(error.message(), format!("id {} has no name", Names::id("c")));
    }
}

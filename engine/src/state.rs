//! State types for the fields of a keyed state: Flink's, as plain values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One value, or none.
///
/// As [`ListState`], [`MapState`] and [`ReducingState`] it is made empty by `Default` and can be stored in a
/// checkpoint; a key's state is a struct of them.
///
/// # Examples
/// ```
/// use serde::{Deserialize, Serialize};
/// use waterwheel_engine::{ListState, RuntimeConfig, ValueState, execute};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Seen {
///     first: ValueState<u64>,
///     later: ListState<u64>,
/// }
///
/// let last = execute(RuntimeConfig::threads(1), |env| {
///     let seen = env.from_iter([5u64, 7, 9]).key_by(|_| 0u8).process(|_, seen: &mut Seen, x, out| {
///         match seen.first.value() {
///             None => seen.first.update(x),
///             Some(_) => seen.later.add(x),
///         }
///         out.emit((seen.first.value().copied(), seen.later.get().to_vec()));
///     });
///     Ok(seen.collect())
/// })?;
/// assert_eq!(last.concat().last(), Some(&(Some(5), vec![7, 9])));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueState<V> {
    value: Option<V>,
}

impl<V> ValueState<V> {
    /// The value, if it was set.
    pub fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// The value, to be changed in place.
    pub fn value_mut(&mut self) -> Option<&mut V> {
        self.value.as_mut()
    }

    /// Sets the value.
    pub fn update(&mut self, value: V) {
        self.value = Some(value);
    }

    /// Takes the value away.
    pub fn take(&mut self) -> Option<V> {
        self.value.take()
    }

    /// Unsets the value.
    pub fn clear(&mut self) {
        self.value = None;
    }
}

impl<V> Default for ValueState<V> {
    fn default() -> Self {
        ValueState { value: None }
    }
}

/// Values in the order they were added.
///
/// # Examples
/// The last three values of each key:
/// ```
/// use waterwheel_engine::{ListState, RuntimeConfig, execute};
///
/// let last = execute(RuntimeConfig::threads(1), |env| {
///     let last = env.from_iter(1..=5u64).key_by(|_| 0u8).process(|_, last: &mut ListState<u64>, x, out| {
///         last.add(x);
///         let few = last.get().iter().rev().take(3).rev().copied().collect::<Vec<_>>();
///         last.update(few);
///         out.emit(last.get().to_vec());
///     });
///     Ok(last.collect())
/// })?;
/// assert_eq!(last.concat().last(), Some(&vec![3, 4, 5]));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListState<V> {
    values: Vec<V>,
}

impl<V> ListState<V> {
    /// All values.
    pub fn get(&self) -> &[V] {
        &self.values
    }

    /// Adds one value.
    pub fn add(&mut self, value: V) {
        self.values.push(value);
    }

    /// Adds values in order.
    pub fn add_all(&mut self, values: impl IntoIterator<Item = V>) {
        self.values.extend(values);
    }

    /// Replaces all values.
    pub fn update(&mut self, values: impl IntoIterator<Item = V>) {
        self.values = values.into_iter().collect();
    }

    /// Takes all values away.
    pub fn take(&mut self) -> Vec<V> {
        std::mem::take(&mut self.values)
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}

impl<V> Default for ListState<V> {
    fn default() -> Self {
        ListState { values: Vec::new() }
    }
}

/// A value per user key, in order of these: iteration does not depend on history, so it is the same after a
/// restart from a checkpoint. Operations take logarithmic time.
///
/// # Examples
/// How often each user has bought each item:
/// ```
/// use waterwheel_engine::{MapState, RuntimeConfig, execute};
///
/// let bought = execute(RuntimeConfig::threads(1), |env| {
///     let sales = env.from_iter([(1u32, "tea"), (1, "milk"), (1, "tea")].map(|(user, item)| (user, item.to_string())));
///     let bought = sales.key_by(|sale| sale.0).process(|_, items: &mut MapState<String, u64>, (_, item), out| {
///         *items.get_or_default(item) += 1;
///         out.emit(items.entries().map(|(item, n)| format!("{item} {n}")).collect::<Vec<_>>());
///     });
///     Ok(bought.collect())
/// })?;
/// assert_eq!(bought.concat().last().unwrap(), &["milk 1", "tea 2"]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "K: Ord + Deserialize<'de>, V: Deserialize<'de>"))]
pub struct MapState<K, V> {
    entries: BTreeMap<K, V>,
}

impl<K: Ord, V> MapState<K, V> {
    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// The value of `key`, to be changed in place.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    /// The value of `key`, made by `Default` if there is none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.entries.entry(key).or_default()
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn put(&mut self, key: K, value: V) -> Option<V> {
        self.entries.insert(key, value)
    }

    /// Sets the values of many keys.
    pub fn put_all(&mut self, entries: impl IntoIterator<Item = (K, V)>) {
        self.entries.extend(entries);
    }

    /// Removes `key` and returns the value it had.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    /// Whether there is a value of `key`.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Keys and values, in order of key.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// Keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// Values, in order of key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all keys.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl<K, V> Default for MapState<K, V> {
    fn default() -> Self {
        MapState { entries: BTreeMap::new() }
    }
}

/// One value that takes in each value added. The function is given with the value, as functions can not be
/// stored.
///
/// # Examples
/// ```
/// use waterwheel_engine::{ReducingState, RuntimeConfig, execute};
///
/// let highest = execute(RuntimeConfig::threads(1), |env| {
///     let highest = env.from_iter([3u64, 9, 4]).key_by(|_| 0u8).process(|_, high: &mut ReducingState<u64>, x, out| {
///         high.add(x, u64::max);
///         out.emit(*high.get().unwrap());
///     });
///     Ok(highest.collect())
/// })?;
/// assert_eq!(highest.concat(), [3, 9, 9]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReducingState<V> {
    value: Option<V>,
}

impl<V> ReducingState<V> {
    /// What was reduced so far, if anything was added.
    pub fn get(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// Adds a value: the first stays as it is, every further one becomes `reduce(so_far, value)`.
    pub fn add(&mut self, value: V, reduce: impl FnOnce(V, V) -> V) {
        self.value = Some(match self.value.take() {
            Some(so_far) => reduce(so_far, value),
            None => value,
        });
    }

    /// Forgets everything added.
    pub fn clear(&mut self) {
        self.value = None;
    }
}

impl<V> Default for ReducingState<V> {
    fn default() -> Self {
        ReducingState { value: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        value: ValueState<u8>,
        list: ListState<u8>,
        map: MapState<u8, String>,
        reducing: ReducingState<u8>,
    }

    /// Golden bytes: the states add nothing to the encoding of what they hold.
    #[test]
    fn states_have_the_bytes_of_what_they_hold() {
        let mut all = All::default();
        assert_eq!(postcard::to_stdvec(&all).unwrap(), [0, 0, 0, 0]);
        all.value.update(7);
        all.list.add_all([3, 1]);
        all.map.put_all([(9, "b".to_string()), (4, "a".to_string())]);
        all.reducing.add(5, |a, b| a + b);
        all.reducing.add(6, |a, b| a + b);
        let bytes = postcard::to_stdvec(&all).unwrap();
        assert_eq!(bytes, [1, 7, 2, 3, 1, 2, 4, 1, b'a', 9, 1, b'b', 1, 11]);
        assert_eq!(postcard::from_bytes::<All>(&bytes).unwrap(), all);
    }
}

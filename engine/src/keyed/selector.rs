//! Where the key of a record comes from.

use crate::hash::{Key, key_owner};

/// The key of a record, asked for a whole batch at a time where that spares calls.
pub(crate) trait KeySelector<D, K> {
    /// The key of one record.
    fn key(&self, record: &D) -> K;

    /// Appends the worker, of `n`, that owns each record's key.
    fn owners(&self, records: &[D], n: usize, owners: &mut Vec<usize>);

    /// Appends the key of each record, unless they are parts of the records, which [`part`](Self::part) lends.
    fn keys(&self, records: &[D], keys: &mut Vec<K>);

    /// The key where it is a part of the record.
    fn part<'a>(&self, record: &'a D) -> Option<&'a K>;
}

/// Makes a key of each record.
pub(crate) struct Made<F>(pub(crate) F);

impl<D, K: Key, F: Fn(&D) -> K> KeySelector<D, K> for Made<F> {
    #[inline]
    fn key(&self, record: &D) -> K {
        (self.0)(record)
    }

    fn owners(&self, records: &[D], n: usize, owners: &mut Vec<usize>) {
        owners.extend(records.iter().map(|record| key_owner(&(self.0)(record), n)));
    }

    fn keys(&self, records: &[D], keys: &mut Vec<K>) {
        keys.extend(records.iter().map(&self.0));
    }

    fn part<'a>(&self, _record: &'a D) -> Option<&'a K> {
        None
    }
}

/// Finds the key in each record.
pub(crate) struct Part<F>(pub(crate) F);

impl<D, K: Key, F: Fn(&D) -> &K> KeySelector<D, K> for Part<F> {
    #[inline]
    fn key(&self, record: &D) -> K {
        (self.0)(record).clone()
    }

    fn owners(&self, records: &[D], n: usize, owners: &mut Vec<usize>) {
        owners.extend(records.iter().map(|record| key_owner((self.0)(record), n)));
    }

    fn keys(&self, _records: &[D], _keys: &mut Vec<K>) {}

    #[inline]
    fn part<'a>(&self, record: &'a D) -> Option<&'a K> {
        Some((self.0)(record))
    }
}

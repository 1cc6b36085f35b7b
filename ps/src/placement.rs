//! Which server holds a parameter.

use std::fmt;
use std::sync::Arc;

use waterwheel_engine::hash::key_owner;
use waterwheel_engine::{Error, Key, Result};

use crate::dense::dense_index;
use crate::partition::{Part, Partitioning};

/// How parameters are spread over the servers.
///
/// Default: [`Hash`](Self::Hash).
pub enum Placement<K> {
    /// By the key's group, as [`waterwheel_engine::hash`] documents it. For keys of any type.
    Hash,
    /// Keys `0..n`, which must be integers, in contiguous ranges, as
    /// [`Partitioning::Range`](crate::Partitioning::Range) splits them. A key outside `0..n` is an error.
    Range(u64),
    /// Keys `0..n`, which must be integers, in turn: key `k` is on server `k mod servers`. A key outside `0..n` is an
    /// error. Of keys in order of frequency every server gets its share.
    Cyclic(u64),
    /// By a function of the key and the number of servers, which must return an index below that number.
    Custom(Arc<dyn Fn(&K, usize) -> usize + Send + Sync>),
}

impl<K> Placement<K> {
    /// [`Placement::Custom`] from a function.
    pub fn custom(server_of: impl Fn(&K, usize) -> usize + Send + Sync + 'static) -> Self {
        Placement::Custom(Arc::new(server_of))
    }
}

impl<K> Clone for Placement<K> {
    fn clone(&self) -> Self {
        match self {
            Placement::Hash => Placement::Hash,
            Placement::Range(n) => Placement::Range(*n),
            Placement::Cyclic(n) => Placement::Cyclic(*n),
            Placement::Custom(f) => Placement::Custom(Arc::clone(f)),
        }
    }
}

impl<K> fmt::Debug for Placement<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placement::Hash => f.write_str("Hash"),
            Placement::Range(n) => write!(f, "Range({n})"),
            Placement::Cyclic(n) => write!(f, "Cyclic({n})"),
            Placement::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}

impl<K: Key> Placement<K> {
    /// The server of `key`, of `servers` in all.
    #[inline]
    pub(crate) fn server_of(&self, key: &K, servers: usize) -> Result<usize> {
        match self {
            Placement::Hash => Ok(key_owner(key, servers)),
            Placement::Range(n) => numbered(Partitioning::Range, key, *n, servers),
            Placement::Cyclic(n) => numbered(Partitioning::Cyclic, key, *n, servers),
            Placement::Custom(_) if servers == 1 => Ok(0),
            Placement::Custom(server_of) => match server_of(key, servers) {
                server if server < servers => Ok(server),
                server => Err(Error::operator(format!(
                    "placement of key {key:?}: found server {server}, expected 0 to {}",
                    servers - 1
                ))),
            },
        }
    }

    /// The keys of a server, where they have positions.
    pub(crate) fn part(&self, server: usize, servers: usize) -> Option<Part> {
        let (scheme, n) = match self {
            Placement::Range(n) => (Partitioning::Range, *n),
            Placement::Cyclic(n) => (Partitioning::Cyclic, *n),
            Placement::Hash | Placement::Custom(_) => return None,
        };
        Some(scheme.part(server as u64, n, servers as u64))
    }
}

/// A placement on a number of servers that stays: the way of every operation, so there is no division where few servers
/// have ranges.
pub(crate) struct Router<K> {
    placement: Placement<K>,
    servers: usize,
    /// First keys of all servers but the first, if they have ranges and are few.
    firsts: Vec<u64>,
}

/// Servers whose ranges are compared one by one at most.
const FEW: usize = 16;

impl<K: Key> Router<K> {
    pub(crate) fn new(placement: Placement<K>, servers: usize) -> Self {
        let has_few_ranges = matches!(placement, Placement::Range(_)) && servers <= FEW;
        let parts =
            (1..servers).filter(|_| has_few_ranges).filter_map(|server| placement.part(server, servers));
        let firsts = parts.map(|part| part.first).collect();
        Router { placement, servers, firsts }
    }

    /// As [`Placement::server_of`].
    #[inline]
    pub(crate) fn server_of(&self, key: &K) -> Result<usize> {
        match (&self.placement, dense_index(key)) {
            (Placement::Range(n), Some(index)) if index < *n && !self.firsts.is_empty() => {
                Ok(self.firsts.iter().map(|first| usize::from(index >= *first)).sum())
            }
            _ => self.placement.server_of(key, self.servers),
        }
    }
}

impl<K: Key> Router<K> {
    /// The servers of many keys, which are written to `route`.
    ///
    /// # Errors
    /// As [`server_of`](Self::server_of), for the first key that has no server.
    pub(crate) fn route(&self, keys: &[K], route: &mut Route) -> Result<()> {
        let mut servers = std::mem::take(route).into_memory();
        if self.servers == 1 {
            keys.iter().try_for_each(|key| self.server_of(key).map(drop))?;
            *route = Route::One(0);
            return Ok(());
        }
        servers.resize(keys.len(), 0);
        for (key, server) in keys.iter().zip(&mut servers) {
            *server = self.server_of(key)? as u32;
        }
        *route = match servers.first() {
            Some(first) if servers.iter().all(|server| server == first) => Route::One(*first as usize),
            _ => Route::Each(servers),
        };
        Ok(())
    }
}

/// Which servers many keys go to.
#[derive(Debug)]
pub(crate) enum Route {
    /// All to this one.
    One(usize),
    /// Each to its own.
    Each(Vec<u32>),
}

impl Default for Route {
    fn default() -> Self {
        Route::Each(Vec::new())
    }
}

impl Route {
    /// An empty list with the memory of this one.
    fn into_memory(self) -> Vec<u32> {
        match self {
            Route::One(_) => Vec::new(),
            Route::Each(mut servers) => {
                servers.clear();
                servers
            }
        }
    }

    /// The server of the key that stands there.
    #[inline]
    pub(crate) fn server(&self, at: usize) -> usize {
        match self {
            Route::One(server) => *server,
            Route::Each(servers) => servers[at] as usize,
        }
    }

    /// Those of `keys` that go to `server`, in order.
    pub(crate) fn keys_of<'a, K>(&'a self, server: usize, keys: &'a [K]) -> impl Iterator<Item = &'a K> {
        keys.iter().enumerate().filter(move |(at, _)| self.server(*at) == server).map(|(_, key)| key)
    }
}

#[inline]
fn numbered<K: Key>(scheme: Partitioning, key: &K, n: u64, servers: usize) -> Result<usize> {
    match dense_index(key) {
        Some(index) if index < n && servers == 1 => Ok(0),
        Some(index) if index < n => Ok(scheme.part_of(index, n, servers as u64) as usize),
        _ => Err(out_of_range(key, n)),
    }
}

#[cold]
fn out_of_range<K: fmt::Debug>(key: &K, n: u64) -> Error {
    Error::operator(format!("key {key:?} is outside the range 0..{n} of the placement"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_placement_covers_all_keys_even_when_servers_do_not_divide_them() {
        // Five keys on four servers made an array of negative size elsewhere.
        let place = Placement::Range(5);
        let servers: Vec<_> = (0u32..5).map(|key| place.server_of(&key, 4).unwrap()).collect();
        assert_eq!(servers, [0, 1, 2, 3, 3]);
        assert!(place.server_of(&5, 4).unwrap_err().message().contains("outside the range 0..5"));
    }

    #[test]
    fn t_gl_13_key_out_of_range_is_an_error_on_any_number_of_servers() {
        for (place, servers) in [(Placement::Cyclic(105), 13), (Placement::Range(105), 12)] {
            for servers in [1, servers] {
                assert!(place.server_of(&104, servers).is_ok());
                for key in [105i64, -2, i64::MAX, i64::MIN] {
                    let error = place.server_of(&key, servers).unwrap_err();
                    let expected = format!("key {key} is outside the range 0..105 of the placement");
                    assert_eq!(error.message(), expected);
                }
            }
        }
    }

    #[test]
    fn range_of_all_keys_has_a_server_for_each() {
        for place in [Placement::Range(u64::MAX), Placement::Cyclic(u64::MAX)] {
            for servers in 1..9 {
                assert!(place.server_of(&(u64::MAX - 1), servers).unwrap() < servers);
                assert_eq!(place.server_of(&0, servers).unwrap(), 0);
                assert!(place.server_of(&u64::MAX, servers).is_err());
            }
        }
    }

    #[test]
    fn router_agrees_with_its_placement() {
        for (servers, n) in [(1, 10), (2, 7), (3, 9), (5, 3), (16, 100), (17, 100)] {
            for place in [Placement::Range(n), Placement::Cyclic(n), Placement::Hash] {
                let router = Router::new(place.clone(), servers);
                for key in 0..n + 2 {
                    let (found, expected) = (router.server_of(&key), place.server_of(&key, servers));
                    assert_eq!(found.ok(), expected.ok(), "{key} of {place:?} on {servers}");
                }
            }
        }
    }

    #[test]
    fn custom_placement_out_of_range_is_an_error() {
        let place = Placement::custom(|key: &i32, _servers| *key as usize);
        assert_eq!(place.server_of(&1, 2).unwrap(), 1);
        assert!(place.server_of(&2, 2).is_err());
    }

    #[test]
    fn negative_keys_have_a_server() {
        for servers in 1..9 {
            assert!(Placement::Hash.server_of(&i32::MIN, servers).unwrap() < servers);
        }
    }
}

//! Keyed streams and the states of their keys, for the layers that build their own operators.

use std::rc::Rc;

use crate::checkpoint::{Saved, Snapshot, State, Written};
use crate::clock::Clock;
use crate::connect::KeyedConnectedStreams;
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::{KeyStates, KeyedStream};
use crate::operator::{Input, OperatorBuilder, WakeOn};
use crate::record::Record;

impl<'s, T: Clock> OperatorBuilder<'s, T> {
    /// Adds an input that brings each record to the worker that owns its key, of the first `n`, and what reads the key.
    /// `n` is the stream's [`parallelism`](KeyedStream::parallelism), or the higher one of two keyed inputs.
    pub fn input_keyed<K: Key, D: Record>(
        &mut self,
        keyed: KeyedStream<'s, K, D, T>,
        wake: WakeOn,
        n: usize,
    ) -> (Input<Vec<D>, T>, impl Fn(&D) -> K + use<K, D, T>) {
        let key = Rc::clone(&keyed.key);
        let input = keyed.routed_input(self, wake, n);
        self.set_parallelism(n);
        (input, move |record: &D| key.key(record))
    }
}

/// The states of one worker's keys, with the stream's [time to live](KeyedStream::state_ttl).
pub struct KeyedStates<K, S>(KeyStates<K, S>);

impl<K: Key, S: State> KeyedStates<K, S> {
    /// Runs `f` on the state of `key`, made by `Default` if there is none.
    #[inline]
    pub fn with<R>(&mut self, key: &K, f: impl FnOnce(&mut S) -> R) -> R {
        self.0.with(key, |state, _is_new| f(state))
    }

    /// Runs `f` on every state that has not timed out, in order of key.
    ///
    /// # Errors
    /// The first error of `f`, which is not called again.
    pub fn for_each(&mut self, f: impl FnMut(&K, &mut S) -> Result<()>) -> Result<()> {
        self.0.for_each(f)
    }

    /// Drops all states.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K: Key, S: State> Snapshot for KeyedStates<K, S> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.0.mark(to);
        Ok(())
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        self.0.sweep(to)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.0.restore(from)
    }
}

impl<K, S> std::fmt::Debug for KeyedStates<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedStates")
    }
}

impl<K: Key, D: Record, T: Clock> KeyedStream<'_, K, D, T> {
    /// States for an operator on this stream.
    pub fn states<S: State>(&self) -> KeyedStates<K, S> {
        KeyedStates(KeyStates::new(self.ttl.clone()))
    }
}

impl<K: Key, A: Record, B: Record, T: Clock> KeyedConnectedStreams<'_, K, A, B, T> {
    /// States for an operator on both streams.
    pub fn states<S: State>(&self) -> KeyedStates<K, S> {
        KeyedStates(KeyStates::new(self.ttl()))
    }
}

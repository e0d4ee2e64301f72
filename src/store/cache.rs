//! A bounded cache in two generations: what was used since the last turn, and what was used before.
//!
//! When the young generation has half of the limit it becomes the old one, and what was in the old
//! one is dropped. So what is used stays, without a list to keep in order.

use hashbrown::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bounded by bytes; shared between readers.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    limit: usize,
    generations: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    young_bytes: usize,
    old: HashMap<K, (V, usize)>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache of at most so many bytes; 0 keeps nothing.
    pub(super) fn new(limit: usize) -> Self {
        let generations = Generations {
            young: HashMap::new(),
            young_bytes: 0,
            old: HashMap::new(),
        };
        Self {
            limit,
            generations: Mutex::new(generations),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        if self.limit == 0 {
            return None;
        }
        let mut generations = self.lock();
        if let Some((value, _)) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = generations.old.remove_entry(key)?;
        generations.put(key, value.clone(), bytes, self.limit);
        Some(value)
    }

    /// Keeps a value of so many bytes; one over a quarter of the limit is not kept.
    pub(super) fn put(&self, key: K, value: V, bytes: usize) {
        if bytes > self.limit / 4 {
            self.remove(&key);
            return;
        }
        let mut generations = self.lock();
        generations.old.remove(&key);
        generations.put(key, value, bytes, self.limit);
    }

    pub(super) fn remove(&self, key: &K) {
        let mut generations = self.lock();
        generations.old.remove(key);
        if let Some((_, bytes)) = generations.young.remove(key) {
            generations.young_bytes -= bytes;
        }
    }

    /// True for a cache that keeps nothing.
    pub(super) fn is_off(&self) -> bool {
        self.limit == 0
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        let generations = self.lock();
        let old: usize = generations.old.values().map(|(_, bytes)| bytes).sum();
        generations.young_bytes + old
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn put(&mut self, key: K, value: V, bytes: usize, limit: usize) {
        if let Some((_, before)) = self.young.insert(key, (value, bytes)) {
            self.young_bytes -= before;
        }
        self.young_bytes += bytes;
        if self.young_bytes > limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_limit_holds() {
        let cache = Cache::new(1000);
        for number in 0..500 {
            cache.put(number, number, 10);
            assert_eq!(cache.get(&0), Some(0));
            assert!(cache.bytes() <= 1020);
        }
        assert_eq!(cache.get(&1), None);
        cache.remove(&0);
        assert_eq!(cache.get(&0), None);
        cache.put(7, 7, 251);
        assert_eq!(cache.get(&7), None);
        let nothing = Cache::new(0);
        nothing.put(1, 1, 1);
        assert_eq!(nothing.get(&1), None);
    }
}

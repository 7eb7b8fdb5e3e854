//! What a set of crossings adds up to, the naive way: sort, dedupe, count. Written apart from the code under test.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::crossing::{Direction, Key};
use occupancy::ledger::Totals;
use occupancy::time::{Day, UnixMs};

/// A set of crossings of one DPU.
#[derive(Debug, Clone, Default)]
pub struct Model {
    keys: BTreeSet<Key>,
}

impl FromIterator<Key> for Model {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect() }
    }
}

impl Model {
    /// The totals over all crossings that pass.
    pub fn totals(&self, pass: impl Fn(&Key) -> bool) -> Totals {
        let count = |direction| self.keys.iter().filter(|key| key.direction == direction && pass(key)).count() as u64;
        Totals { entered: count(Direction::Plus), exited: count(Direction::Minus) }
    }

    /// The totals before an instant.
    #[must_use]
    pub fn before(&self, at: UnixMs) -> Totals {
        self.totals(|key| key.at < at)
    }

    /// Each crossing and the totals within its day, itself included.
    #[must_use]
    pub fn rows(&self) -> Vec<(Key, Totals)> {
        self.keys.iter().map(|key| (*key, self.totals(|other| day(other) == day(key) && other <= key))).collect()
    }

    /// The totals before each day that has a crossing.
    #[must_use]
    pub fn openings(&self) -> BTreeMap<Day, Totals> {
        self.keys.iter().map(|key| (day(key), self.totals(|other| day(other) < day(key)))).collect()
    }

    /// The last crossing.
    #[must_use]
    pub fn last(&self) -> Option<Key> {
        self.keys.last().copied()
    }
}

fn day(key: &Key) -> Day {
    Day(i32::try_from(key.at.ms().div_euclid(24 * 60 * 60 * 1000)).unwrap())
}

//! The live view: a store whose counters, and the totals they tell, are kept in memory by following their changes.
//!
//! # Guarantees
//!
//! - It answers from memory only while it is *fresh*: while whoever feeds it has confirmed, within the last two seconds,
//!   that every change published by then was taken. Otherwise each call goes to the store: a count never freezes.
//!   Whoever feeds it and may have missed a change restarts it.
//! - What it answers is what the store said at some moment between that confirmation and now. All totals of one DPU in
//!   one call are of one moment, what is read to go with what is held too; and counters are never older than any that
//!   were read through it before.

mod held;
mod lookups;
mod metrics;
mod store;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ::store::Store;
use occupancy::ledger::Change;
use prometheus::Registry;
use tokio::time::Instant;

use self::held::View;
use self::metrics::Metrics;
use crate::lock;

/// How long a confirmation is good for: a few of them may be late, and by no more than this does a count lag that nobody
/// can tell to be old.
pub const FRESH: Duration = Duration::from_secs(2);

/// A store, with a live view before it.
pub struct Live {
    store: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    view: View,
    confirmed: Option<Instant>,
}

impl State {
    fn is_fresh(&self) -> bool {
        self.confirmed.is_some_and(|confirmed| confirmed.elapsed() < FRESH)
    }
}

impl Live {
    /// A view that holds nothing yet, over a store.
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn new(store: Arc<dyn Store>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let state: Arc<Mutex<State>> = Arc::default();
        let metrics = Metrics::new(registry, &state)?;
        Ok(Self { store, state, metrics })
    }

    /// Begins anew: forgets everything, and leaves all to the store until it is confirmed again.
    pub fn restart(&self) {
        let mut state = self.state();
        state.view.clear();
        state.confirmed = None;
        self.metrics.bootstraps.inc();
    }

    /// Takes a change, or counters as the store holds them: those may differ from the beginning of time on.
    pub fn take(&self, change: Change) {
        self.state().view.take(change);
        self.metrics.changes.inc();
    }

    /// Every change published up to an instant has been taken.
    pub fn confirm(&self, as_of: Instant) {
        let mut state = self.state();
        state.confirmed = state.confirmed.max(Some(as_of));
    }

    /// Whether it answers from memory now.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.state().is_fresh()
    }

    /// Looks into memory while it is fresh.
    fn fresh<T>(&self, look: impl FnOnce(&mut View) -> T) -> Option<T> {
        let mut state = self.state();
        state.is_fresh().then(|| look(&mut state.view))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

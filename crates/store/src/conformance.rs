//! What every store must do: one suite, run on each of them by [`conformance_tests!`](crate::conformance_tests).

mod copying;
mod edits;
mod lane;
pub mod model;
mod moment;
mod order;
mod reads;
mod writes;

use std::collections::BTreeMap;

use async_trait::async_trait;
use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Totals};
use occupancy::time::{DAY_MS, Day, UnixMs};

use crate::Store;

pub use copying::{a_copy_holds_the_same, copy, fill, log_of};
pub use edits::{edits_are_compared_and_set, settings_are_compared_and_set};
pub use lane::Lane;
pub use moment::totals_are_of_one_moment_while_others_write;
pub use order::any_order_and_batching_give_the_same_ledgers;
pub use reads::{
    crossings_come_in_pages, dpus_come_in_pages, quarantine_comes_in_pages, stamps_tell_which_state_totals_are_of,
    tails_hold_what_a_merge_needs, totals_follow_the_days,
};
pub use writes::{
    a_commit_cut_short_is_completed_by_its_retry, a_commit_repeated_changes_nothing, a_new_store_is_empty, a_replay_mark_stays,
    an_old_owner_that_writes_late_loses, commits_are_read_back,
};

/// A store under test, empty at first.
#[async_trait]
pub trait Subject: Send {
    /// The store.
    fn store(&self) -> &dyn Store;

    /// Closes it and opens it again, where it outlives that.
    async fn restart(&mut self);
}

/// Runs the whole suite: the expression makes a future of a new, empty [`Subject`](crate::conformance::Subject) each time.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { $make;
            a_new_store_is_empty
            commits_are_read_back
            a_commit_repeated_changes_nothing
            a_commit_cut_short_is_completed_by_its_retry
            a_replay_mark_stays
            an_old_owner_that_writes_late_loses
            tails_hold_what_a_merge_needs
            totals_follow_the_days
            stamps_tell_which_state_totals_are_of
            totals_are_of_one_moment_while_others_write
            crossings_come_in_pages
            dpus_come_in_pages
            quarantine_comes_in_pages
            edits_are_compared_and_set
            settings_are_compared_and_set
            a_copy_holds_the_same
            any_order_and_batching_give_the_same_ledgers
        }
    };
    ($make:expr; $($case:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::conformance::$case(&mut $make.await).await;
        }
    )* };
}

/// Everything a store holds of one DPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The realtime row.
    pub counters: Option<Counters>,
    /// Openings by day.
    pub openings: BTreeMap<Day, Totals>,
    /// Crossings in key order.
    pub rows: Vec<Row>,
}

/// Reads everything a store holds of one DPU.
///
/// # Panics
/// When the store fails.
pub async fn ledger(store: &dyn Store, dpu: &DpuId) -> Ledger {
    Ledger {
        counters: store.counters(std::slice::from_ref(dpu)).await.unwrap()[0],
        openings: store.openings(dpu).await.unwrap().into_iter().collect(),
        rows: store.crossings(dpu, Key::first_at(UnixMs::MIN), UnixMs::MAX, usize::MAX).await.unwrap(),
    }
}

fn dpu(id: &str) -> DpuId {
    id.parse().unwrap()
}

fn at(day: i32, ms: i64) -> UnixMs {
    UnixMs::new(i64::from(day) * DAY_MS + ms).unwrap()
}

/// An unnumbered crossing: +1 when `plus`.
fn key(day: i32, ms: i64, plus: bool) -> Key {
    Key { direction: if plus { Direction::Plus } else { Direction::Minus }, ..Key::first_at(at(day, ms)) }
}

fn totals(entered: u64, exited: u64) -> Totals {
    Totals { entered, exited }
}

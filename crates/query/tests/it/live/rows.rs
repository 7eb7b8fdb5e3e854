//! Counts in the past: what is held of their day, and one row.

use std::sync::Arc;

use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use store::Ledgers;

use super::{Case, minute};
use crate::hooked::Meanwhile;

/// How many entered before some minutes; and how often totals and rows were read for that.
async fn entered(case: &Case, dpu: &DpuId, minutes: &[i64]) -> (Vec<u64>, usize, usize) {
    let asked: Vec<(DpuId, UnixMs)> = minutes.iter().map(|at| (dpu.clone(), minute(*at))).collect();
    let (reads, rows) = (case.store.reads(), case.store.rows());
    // What lies between them is all that counts, but what is held is whole.
    let totals = case.live.relative_totals(&asked).await.unwrap();
    (totals.iter().map(|totals| totals.entered).collect(), case.store.reads() - reads, case.store.rows() - rows)
}

/// The owner's next commit, which nobody is told of yet.
async fn commit(case: &mut Case, dpu: &DpuId, at: i64) {
    let (commit, sent) = case.prepare(dpu, &[(at, true)]).await;
    case.store.commit(commit).await.unwrap();
    case.log.push(sent);
}

/// A view of a DPU with crossings at minutes 10, 20, 30 and 40 of a day that was asked for twice, and on the next one.
async fn held() -> (Case, DpuId) {
    let mut case = Case::new();
    let dpu = case.dpu(0);
    for at in [10, 20, 30, 40, 1_500] {
        commit(&mut case, &dpu, at).await;
    }
    case.restart().await;
    case.confirm();
    assert_eq!(entered(&case, &dpu, &[15, 25]).await, (vec![1, 2], 0, 2), "of one day, once");
    assert_eq!(entered(&case, &dpu, &[15, 35]).await, (vec![1, 3], 1, 0), "whole, to be kept");
    (case, dpu)
}

#[tokio::test(start_paused = true)]
async fn a_count_at_a_random_instant_reads_one_row_where_its_day_was_asked_for() {
    let (case, dpu) = held().await;
    for (at, before) in [(45, 4), (21, 2), (1_440, 4)] {
        assert_eq!(entered(&case, &dpu, &[15, at]).await, (vec![1, before], 0, 1));
    }
    assert_eq!(entered(&case, &dpu, &[16, 41]).await, (vec![1, 4], 0, 2), "where it starts may be a row away, too");
    assert_eq!(entered(&case, &dpu, &[15, 1_501]).await, (vec![1, 5], 0, 0));
    assert_eq!(entered(&case, &dpu, &[15, 1_445]).await, (vec![1, 4], 1, 0), "nothing is held of another day");
    assert_eq!(entered(&case, &dpu, &[15, 1_446]).await, (vec![1, 4], 1, 0));
    assert_eq!(entered(&case, &dpu, &[15, 1_447]).await, (vec![1, 4], 0, 1), "no crossing of it is before");
    assert_eq!(entered(&case, &dpu, &[15, 22]).await, (vec![1, 2], 0, 1));
}

/// Late before where the count starts, at that instant, within, just before its end, and behind it.
#[tokio::test(start_paused = true)]
async fn a_late_crossing_that_was_not_told_of_is_in_both_ends_of_a_count() {
    for (late, now) in [(5, [2, 4]), (15, [1, 4]), (25, [1, 4]), (34, [1, 4]), (37, [1, 3])] {
        let (mut case, dpu) = held().await;
        assert_eq!(entered(&case, &dpu, &[15, 35]).await, (vec![1, 3], 0, 1));
        commit(&mut case, &dpu, late).await;
        assert_eq!(entered(&case, &dpu, &[15, 35]).await, (now.to_vec(), usize::from(late < 35), 1), "late at {late}");
        // Once it is told of, only what it reaches back before is no longer held.
        case.deliver();
        case.confirm();
        assert_eq!(entered(&case, &dpu, &[15, 35]).await, (now.to_vec(), 0, 1 + usize::from(late < 15)), "late at {late}, told of");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_crossing_between_the_look_into_memory_and_the_row_is_in_both_ends_of_a_count() {
    for (late, now) in [(5, [2, 4]), (25, [1, 4]), (37, [1, 3])] {
        for told in [false, true] {
            let (mut case, dpu) = held().await;
            let (commit, (change, _)) = case.prepare(&dpu, &[(late, true)]).await;
            let live = Arc::clone(&case.live);
            let then = Box::new(move || {
                if told {
                    live.take(change);
                }
            });
            case.store.meanwhile(Meanwhile { commit, then });
            assert_eq!(entered(&case, &dpu, &[15, 35]).await, (now.to_vec(), usize::from(late < 35), 1), "late at {late}");
        }
    }
}

/// Several DPUs become worth keeping in one call: one that is asked for now, of which no day is kept, comes before others.
#[tokio::test(start_paused = true)]
async fn what_is_kept_of_several_dpus_is_of_each() {
    let mut case = Case::new();
    let [quiet, first, second] = [0, 1, 2].map(|dpu| case.dpu(dpu));
    for (dpu, before_the_day) in [(&quiet, 1), (&first, 5), (&second, 9)] {
        for at in (0..before_the_day).map(|n| n - 100).chain([10]) {
            commit(&mut case, dpu, at).await;
        }
    }
    for dpu in [&first, &second] {
        for at in [20, 30, 40] {
            commit(&mut case, dpu, at).await;
        }
    }
    case.restart().await;
    case.confirm();
    let ask = async |lookups: &[(&DpuId, i64)]| {
        let asked: Vec<(DpuId, UnixMs)> = lookups.iter().map(|(dpu, at)| (DpuId::clone(dpu), minute(*at))).collect();
        assert_eq!(case.live.totals(&asked).await, case.store.inner.totals(&asked).await, "{lookups:?}");
    };
    ask(&[(&first, 15), (&first, 25), (&second, 15), (&second, 25)]).await;
    ask(&[(&quiet, 5), (&quiet, 35), (&first, 15), (&first, 35), (&second, 15), (&second, 35)]).await;
    let rows = case.store.rows();
    for at in [0, 15, 21, 31] {
        ask(&[(&quiet, 5), (&first, at), (&second, at)]).await;
    }
    assert!(case.store.rows() > rows, "rows go with what is held");
}

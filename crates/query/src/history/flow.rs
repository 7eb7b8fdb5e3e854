//! Buckets without a walk: totals at their edges, and at the last baseline within each. Pure.

use occupancy::bucket::{Bucket, Event, buckets};
use occupancy::time::UnixMs;
use occupancy::world::World;

use super::page::Part;
use crate::count::Known;
use crate::walk::Hung;

/// A bucket, or its part before or after the last baseline in it: of earlier ones nothing shows but the sum.
pub(super) struct Step {
    from: UnixMs,
    until: UnixMs,
    /// From which count it starts, if with a baseline.
    baseline: Option<i64>,
}

/// The steps of one bucket.
pub(super) fn steps(world: &World, space: &str, start: UnixMs, end: UnixMs) -> Vec<Step> {
    let last = world.baseline(space, end.plus_ms(-1));
    let from = last.start().max(start);
    let baseline = (last.at == Some(from)).then_some(last.count);
    let before = (from > start).then_some(Step { from: start, until: from, baseline: None });
    before.into_iter().chain([Step { from, until: end, baseline }]).collect()
}

impl Step {
    /// What hung there during the step, and from when to when.
    pub(super) fn parts<'s, 'a: 's>(&self, hung: &'s [Hung<'a>]) -> impl Iterator<Item = (&'s Hung<'a>, UnixMs, UnixMs)> {
        let (from, until) = (self.from, self.until);
        hung.iter().filter_map(move |one| one.within(from, until).map(|(from, to)| (one, from, to)))
    }
}

impl Part<'_> {
    /// The buckets, given what was looked up.
    pub(super) fn flow(&self, raw: i64, totals: &Known) -> Vec<(Bucket, Option<u64>)> {
        let mut events = Vec::new();
        for step in &self.steps {
            events.extend(step.baseline.map(|count| (step.from, Event::Baseline(count))));
            let (mut entered, mut exited) = (0, 0);
            for (one, from, to) in step.parts(&self.hung) {
                let [before, after] = [from, to].map(|at| totals.before(&one.installation.dpu, at));
                // Over a store without snapshots a late crossing may come between the two.
                let (plus, minus) = (after.entered.saturating_sub(before.entered), after.exited.saturating_sub(before.exited));
                let (inward, outward) = one.inward(plus, minus);
                (entered, exited) = (entered + inward, exited + outward);
            }
            events.extend([(step.from, Event::Entered(entered)), (step.from, Event::Exited(exited))]);
        }
        buckets(self.edges.iter().copied(), raw, events).into_iter().map(|bucket| (bucket, None)).collect()
    }
}

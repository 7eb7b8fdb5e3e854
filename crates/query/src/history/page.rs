//! Which buckets a page holds, and what is looked up for them. Pure.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use occupancy::bucket::{Bucket, Interval};
use occupancy::count::{Found, Plan, Term};
use occupancy::id::{DpuId, SpaceId};
use occupancy::ledger::Counters;
use occupancy::time::UnixMs;
use occupancy::world::World;

use super::flow::{Step, steps};
use super::{HistoryBucket, HistoryCaps, HistoryKey, Span, Stats};
use crate::Snapshot;
use crate::count::Known;
use crate::error::QueryError;
use crate::kept::{Kept, Ticket};
use crate::walk::{Hung, hung};

/// A bucket, and what is missing in it.
pub(super) type Walked = (Bucket, Option<u64>);

/// One space's part of a page.
pub(super) struct Part<'a> {
    /// Which of the spaces asked for.
    pub(super) place: usize,
    /// The space.
    pub(super) space: &'a SpaceId,
    /// Where its days begin.
    pub(super) zone: Tz,
    /// Its buckets lie between these. The one in progress is looked at up to now: what will be is not known.
    pub(super) edges: Vec<UnixMs>,
    /// Up to where the one in progress is looked at, and where it ends.
    in_progress: (UnixMs, UnixMs),
    /// The now of this page.
    pub(super) now: UnixMs,
    /// The count just before the first edge; `None` at the beginning of time.
    opening: Option<Plan>,
    /// What hung over its boundary within the edges.
    pub(super) hung: Vec<Hung<'a>>,
    /// When each of it was last heard.
    heard: Vec<Option<UnixMs>>,
    /// Its first buckets, where they are kept, and the right to keep more.
    pub(super) ticket: Option<Ticket>,
    /// Without a walk: in which steps it is looked up.
    pub(super) steps: Vec<Step>,
}

/// The parts of a page, and where the next one begins.
pub(super) fn lay_out<'a>(
    world: &'a World,
    spaces: &'a [SpaceId],
    span: &Span,
    now: UnixMs,
    after: Option<HistoryKey>,
    caps: HistoryCaps,
) -> Result<(Vec<Part<'a>>, Option<HistoryKey>), QueryError> {
    let after = after.unwrap_or(HistoryKey { place: 0, start: span.from });
    let until = span.to.min(now.plus_ms(1));
    let (mut buckets, mut lookups) = (caps.buckets, caps.lookups);
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (place, space) in spaces.iter().enumerate().skip(after.place) {
        let start = if place == after.place { after.start.max(span.from) } else { span.from };
        if buckets == 0 || lookups == 0 {
            return Ok((parts, Some(HistoryKey { place, start })));
        }
        let zone = span.zone.unwrap_or_else(|| world.zone(space.as_str()));
        let mut edges: Vec<UnixMs> = span.interval.edges(zone, start, until).take(buckets + 1).collect();
        let (Some(first), Some(end)) = (edges.first().copied(), edges.last().copied()) else {
            return Err(QueryError::Calendar { from: start });
        };
        let last = end.min(now.plus_ms(1));
        edges.pop();
        edges.push(last);
        let opening = if first > UnixMs::MIN { world.plan(space.as_str(), first.plus_ms(-1)) } else { None };
        let hung = hung(world, space.as_str(), first, last);
        let mut part = Part {
            place,
            space,
            zone,
            edges,
            in_progress: (last, end),
            now,
            opening,
            hung,
            heard: Vec::new(),
            ticket: None,
            steps: Vec::new(),
        };
        if span.stats == Stats::Flow {
            part.take_steps(world, &mut lookups, parts.is_empty());
        }
        buckets = buckets.saturating_sub(part.windows().count());
        let next = part.edges.last().copied().filter(|last| *last < until);
        parts.push(part);
        if let Some(start) = next {
            return Ok((parts, Some(HistoryKey { place, start })));
        }
    }
    Ok((parts, None))
}

impl<'a> Part<'a> {
    /// The buckets' starts and ends.
    pub(super) fn windows(&self) -> impl Iterator<Item = (UnixMs, UnixMs)> {
        self.edges.iter().copied().zip(self.edges.iter().copied().skip(1))
    }

    /// Takes when its DPUs were heard; before anything else is read.
    pub(super) fn hear(&mut self, counters: &BTreeMap<DpuId, Counters>) {
        self.heard = self.dpus().map(|dpu| counters.get(dpu).and_then(|counters| counters.heard)).collect();
    }

    /// Takes what is kept of it.
    pub(super) fn take_kept(&mut self, kept: &Kept, snapshot: &Snapshot, interval: Interval) {
        // One that was partial and is no more may have got what this was not told of yet.
        let good = |one: &HistoryBucket| !one.partial || self.is_partial(&one.bucket);
        self.ticket = kept.begin(snapshot, self.space, (self.zone, interval), self.windows(), good);
        if self.ticket.as_ref().is_some_and(|ticket| !ticket.found.is_empty()) {
            // What is kept tells where the rest begins.
            self.opening = None;
        }
    }

    /// Lays out the look-ups of as many buckets as may be looked up; on a page without any, of one at least.
    fn take_steps(&mut self, world: &World, left: &mut usize, first: bool) {
        let (mut taken, windows) = (0, self.windows().collect::<Vec<_>>());
        for (start, end) in windows {
            let steps = steps(world, self.space.as_str(), start, end);
            let cost: usize = steps.iter().map(|step| step.parts(&self.hung).count()).sum();
            if cost > *left && !(first && taken == 0) {
                *left = 0;
                break;
            }
            *left = left.saturating_sub(cost);
            self.steps.extend(steps);
            taken += 1;
        }
        self.edges.truncate(taken + 1);
    }

    /// Buckets as they are told.
    pub(super) fn finished(&self, walked: Vec<Walked>) -> Vec<HistoryBucket> {
        let finish = |(bucket, missing): Walked| {
            let bucket = Bucket { end: self.end_of(bucket.end), ..bucket };
            HistoryBucket { partial: self.is_partial(&bucket), bucket, missing }
        };
        walked.into_iter().map(finish).collect()
    }

    /// Where a bucket that was looked at up to `until` ends.
    fn end_of(&self, until: UnixMs) -> UnixMs {
        let (now, end) = self.in_progress;
        if until == now { end } else { until }
    }

    /// Whatever hung over its boundary.
    pub(super) fn dpus(&self) -> impl Iterator<Item = &'a DpuId> {
        self.hung.iter().map(|one| &one.installation.dpu)
    }

    /// The totals to look up.
    pub(super) fn lookups(&self) -> impl Iterator<Item = (&DpuId, UnixMs)> {
        let stepwise = self.steps.iter().flat_map(|step| step.parts(&self.hung));
        let stepwise = stepwise.flat_map(|(one, from, to)| [(&one.installation.dpu, from), (&one.installation.dpu, to)]);
        self.opening.iter().flat_map(Plan::lookups).chain(stepwise)
    }

    /// The raw count just before the first bucket.
    pub(super) fn raw(&self, totals: &Known) -> i64 {
        let found = |term: &Term| Found { lo: totals.before(&term.dpu, term.lo), hi: totals.before(&term.dpu, term.hi), heard: None };
        self.opening.as_ref().map_or(0, |plan| plan.answer(found, 0).raw)
    }

    /// Whether more may come into a bucket, given when its DPUs were heard; see the module's documentation.
    pub(super) fn is_partial(&self, bucket: &Bucket) -> bool {
        let outstanding = |(one, heard): (&Hung<'_>, &Option<UnixMs>)| {
            let during = one.within(bucket.start, bucket.end);
            during.is_some_and(|(_, to)| heard.is_none_or(|heard| heard < to.min(bucket.end.plus_ms(-1))))
        };
        bucket.end > self.now || self.hung.iter().zip(&self.heard).any(outstanding)
    }
}

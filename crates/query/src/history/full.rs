//! Buckets by walking every crossing in them.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::bucket::{Event, OpenBucket};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use occupancy::world::World;

use super::HistoryBucket;
use super::page::{Part, Walked};
use crate::Query;
use crate::error::QueryError;
use crate::missing::missing_of;
use crate::walk::Walk;

/// How many crossings are read ahead, of all DPUs together.
const AHEAD: usize = 65_536;

/// The numbers of a bucket's crossings, by DPU, start of the installation and boot: what a DPU saw elsewhere in between is
/// not missing here.
type Numbers<'a> = BTreeMap<(&'a DpuId, UnixMs, u64), BTreeSet<u64>>;

impl Query {
    /// A part's buckets and what is missing in them, as far as `left` crossings reach: those that are kept, as if they were
    /// walked, then those that are walked.
    pub(super) async fn full(
        &self,
        world: &World,
        part: &Part<'_>,
        mut raw: i64,
        left: &mut usize,
    ) -> Result<Vec<HistoryBucket>, QueryError> {
        let mut told = Vec::new();
        for one in part.ticket.iter().flat_map(|ticket| &ticket.found) {
            let crossings = usize::try_from(one.bucket.entered + one.bucket.exited).unwrap_or(usize::MAX);
            let Some(fewer) = left.checked_sub(crossings) else { return Ok(told) };
            *left = fewer;
            raw = one.bucket.close;
            told.push(HistoryBucket { partial: part.is_partial(&one.bucket), ..one.clone() });
        }
        let walked = part.finished(self.walk(world, part, told.len(), raw, left).await?);
        if let Some(ticket) = &part.ticket {
            self.kept.keep(ticket, &walked, part.now);
        }
        told.extend(walked);
        Ok(told)
    }

    /// A part's buckets after the first `skip`, by walking.
    async fn walk(&self, world: &World, part: &Part<'_>, skip: usize, mut raw: i64, left: &mut usize) -> Result<Vec<Walked>, QueryError> {
        let mut told = Vec::new();
        let (Some(first), Some(last)) = (part.edges.get(skip), part.edges.last()) else { return Ok(told) };
        let mut walk = Walk::new(&part.hung, *first, *last, None, AHEAD);
        let mut next = walk.next(&*self.store).await?;
        for (start, end) in part.windows().skip(skip) {
            let mut open = OpenBucket::new(start, end, raw);
            let mut numbers = Numbers::new();
            let mut baselines = world.baselines(part.space.as_str(), start, end).into_iter().peekable();
            while let Some((one, key)) = next.take_if(|(_, key)| key.at < end) {
                let Some(fewer) = left.checked_sub(1) else { return Ok(told) };
                *left = fewer;
                while let Some(baseline) = baselines.next_if(|baseline| baseline.start() <= key.at) {
                    open.take(baseline.start(), Event::Baseline(baseline.count));
                }
                open.take(key.at, if one.entered(key) { Event::Entered(1) } else { Event::Exited(1) });
                if key.seq > 0 {
                    numbers.entry((&one.installation.dpu, one.installation.from, key.boot)).or_default().insert(key.seq);
                }
                next = walk.next(&*self.store).await?;
            }
            for baseline in baselines {
                open.take(baseline.start(), Event::Baseline(baseline.count));
            }
            let bucket = open.close();
            raw = bucket.close;
            let missing = numbers.values().filter_map(|seen| missing_of(seen, 0)).reduce(u64::saturating_add);
            told.push((bucket, missing));
        }
        Ok(told)
    }
}

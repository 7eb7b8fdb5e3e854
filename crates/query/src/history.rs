//! History: what happened in spaces in each of a row of intervals.
//!
//! # Bounds
//!
//! A page ends at a number of buckets, after a number of crossings walked or, without a walk, of look-ups, whichever comes
//! first ([`HistoryCaps`]); the next one goes on at the bucket that was not finished. Of all crossings on a page only those
//! of one bucket, and some rows ahead for each DPU, are in memory.
//!
//! # What partial means
//!
//! More may come into a bucket: it ends after now, or some DPU that hung over the space's boundary during it has not been
//! heard since it ended, or since the DPU was taken down. It is what `settled` says of a count, for one bucket's part.
//! Buckets that begin after now are left out, and the one in progress is told as it stands now: its close is the count now,
//! its mean that of the time so far.

mod flow;
mod full;
mod page;

use chrono_tz::Tz;
use occupancy::bucket::{Bucket, Interval};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;

use self::page::{Part, lay_out};
use crate::count::{SPACES_MOST, check_known, check_number};
use crate::error::QueryError;
use crate::{Query, check_limit};

/// How much is told of each bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stats {
    /// Everything: the crossings are walked.
    #[default]
    Full,
    /// Entered, exited, adjusted and close alone: a few look-ups a bucket.
    Flow,
}

/// What is asked for of each space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From the start of the bucket that holds this instant.
    pub from: UnixMs,
    /// To the end of the bucket that holds the ms before this instant.
    pub to: UnixMs,
    /// How long the buckets are.
    pub interval: Interval,
    /// Where their days begin; each space's own zone when `None`.
    pub zone: Option<Tz>,
    /// How much is told.
    pub stats: Stats,
}

/// What one page may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryCaps {
    /// Buckets of all spaces together: 1 to 10,000.
    pub buckets: usize,
    /// Crossings walked.
    pub crossings: usize,
    /// Look-ups for [`Stats::Flow`]. A page holds one bucket at least, however many its DPUs.
    pub lookups: usize,
}

impl Default for HistoryCaps {
    fn default() -> Self {
        Self { buckets: 10_000, crossings: 2_000_000, lookups: 50_000 }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryKey {
    /// With which of the spaces asked for, from 0.
    pub place: usize,
    /// With the bucket that holds this instant.
    pub start: UnixMs,
}

/// A page of history.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The spaces of this page, in the order asked. One that goes on on the next page is there again.
    pub series: Vec<Series>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<HistoryKey>,
    /// The now that `partial` goes by.
    pub now: UnixMs,
}

/// Consecutive buckets of one space.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose.
    pub space: SpaceId,
    /// Where the days of its buckets begin.
    pub zone: Tz,
    /// The buckets.
    pub buckets: Vec<HistoryBucket>,
}

/// A bucket, and how far it is to be trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryBucket {
    /// What happened. With [`Stats::Flow`] its extremes and its mean say nothing.
    pub bucket: Bucket,
    /// Crossings that DPUs numbered and we never got: of each boot and installation, between the first and the last number
    /// in the bucket. `None` where there are no numbers, and with [`Stats::Flow`].
    pub missing: Option<u64>,
    /// Whether more may come.
    pub partial: bool,
}

impl Query {
    /// A page of the history of spaces: all of the first, then all of the second, and so on.
    ///
    /// # Errors
    /// A space is unknown, the range empty or in the future or before the calendar, a number out of bounds, one bucket
    /// larger than a page, or the store fails.
    pub async fn history(
        &self,
        spaces: &[SpaceId],
        span: &Span,
        after: Option<HistoryKey>,
        caps: HistoryCaps,
    ) -> Result<History, QueryError> {
        check_number(spaces, SPACES_MOST)?;
        check_limit(caps.buckets, HistoryCaps::default().buckets)?;
        let now = (self.clock)();
        if span.from > now {
            return Err(QueryError::Ahead { at: span.from, latest: now });
        }
        if span.from >= span.to {
            return Err(QueryError::EmptyRange { from: span.from, to: span.to });
        }
        let snapshot = self.topology.current().await?;
        let world = &snapshot.world;
        check_known(world, spaces)?;
        let (mut parts, mut next) = lay_out(world, spaces, span, now, after, caps)?;
        // Before the totals: what counts as heard is in them.
        let counters = self.counters_of(parts.iter().flat_map(Part::dpus).collect()).await?;
        for part in &mut parts {
            part.hear(&counters);
            if span.stats == Stats::Full {
                part.take_kept(&self.kept, &snapshot, span.interval);
            }
        }
        let totals = self.look_up(parts.iter().flat_map(Part::lookups).collect()).await?;

        let mut series: Vec<Series> = Vec::new();
        let mut left = caps.crossings;
        for part in &parts {
            let raw = part.raw(&totals);
            let told = match span.stats {
                Stats::Flow => part.finished(part.flow(raw, &totals)),
                Stats::Full => self.full(world, part, raw, &mut left).await?,
            };
            let cut = part.windows().nth(told.len());
            if let Some((start, end)) = cut {
                if told.is_empty() && series.iter().all(|one| one.buckets.is_empty()) {
                    return Err(QueryError::BucketTooLarge { start, end, most: caps.crossings });
                }
                next = Some(HistoryKey { place: part.place, start });
            }
            series.push(Series { space: part.space.clone(), zone: part.zone, buckets: told });
            if cut.is_some() {
                break;
            }
        }
        Ok(History { series, next, now })
    }
}

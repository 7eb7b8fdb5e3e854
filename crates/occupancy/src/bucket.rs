//! History: what happened in a space in each of a row of intervals, and how those intervals lie on the calendar.

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::time::{UnixMs, add_days, day_start, local_date};

/// How long a bucket is. Days start at the first instant of the local date; shorter steps are elapsed time from
/// there, the last one cut at the next midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interval {
    /// This many minutes, at most a day's worth.
    Minutes(u16),
    /// A local day of 23, 24 or 25 hours.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

impl Interval {
    /// Every interval by its name.
    pub const ALL: [(&'static str, Self); 8] = [
        ("1m", Self::Minutes(1)),
        ("5m", Self::Minutes(5)),
        ("15m", Self::Minutes(15)),
        ("30m", Self::Minutes(30)),
        ("1h", Self::Minutes(60)),
        ("1d", Self::Day),
        ("1w", Self::Week),
        ("1mo", Self::Month),
    ];

    /// The interval of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, interval)| *interval)
    }

    /// The start of the bucket that holds `at`; `None` at the edge of the calendar.
    #[must_use]
    pub fn floor(self, zone: Tz, at: UnixMs) -> Option<UnixMs> {
        let date = bucket_date(zone, at)?;
        match self {
            Self::Minutes(minutes) => {
                let start = day_start(zone, date)?;
                let step = step_ms(minutes);
                Some(start.plus_ms(at.since(start) / step * step))
            }
            Self::Day => day_start(zone, date),
            Self::Week => day_start(zone, add_days(date, -i64::from(date.weekday().num_days_from_monday()))?),
            Self::Month => day_start(zone, date.with_day(1)?),
        }
    }

    /// The start of the bucket after the one that starts at `start`; `None` at the edge of the calendar.
    #[must_use]
    pub fn next(self, zone: Tz, start: UnixMs) -> Option<UnixMs> {
        let date = bucket_date(zone, start)?;
        match self {
            Self::Minutes(minutes) => Some(start.plus_ms(step_ms(minutes)).min(day_start(zone, add_days(date, 1)?)?)),
            Self::Day => day_after(zone, start, add_days(date, 1)?),
            Self::Week => day_after(zone, start, add_days(date, 7)?),
            Self::Month => {
                let (year, month) = if date.month() == 12 { (date.year() + 1, 1) } else { (date.year(), date.month() + 1) };
                day_after(zone, start, NaiveDate::from_ymd_opt(year, month, 1)?)
            }
        }
    }

    /// The edges of the buckets that cover `[from, to)`: `from` floors, `to` ceils. Lazy, as there may be many.
    pub fn edges(self, zone: Tz, from: UnixMs, to: UnixMs) -> impl Iterator<Item = UnixMs> {
        let mut done = false;
        std::iter::successors(self.floor(zone, from), move |start| self.next(zone, *start)).take_while(move |edge| {
            let more = !done;
            done = *edge >= to;
            more
        })
    }
}

fn step_ms(minutes: u16) -> i64 {
    i64::from(minutes.max(1)) * 60_000
}

/// The local date whose day, counted from its first instant, holds `at`. Clocks set back over midnight show the old
/// date again for a while; the new day has begun all the same.
fn bucket_date(zone: Tz, at: UnixMs) -> Option<NaiveDate> {
    let date = local_date(zone, at);
    let next = add_days(date, 1)?;
    if day_start(zone, next)? <= at { Some(next) } else { Some(date) }
}

/// The first day start after `start`, from `date` on: a skipped date starts together with the one after it.
fn day_after(zone: Tz, start: UnixMs, date: NaiveDate) -> Option<UnixMs> {
    let next = day_start(zone, date)?;
    if next > start { Some(next) } else { day_start(zone, add_days(date, 1)?) }
}

/// Something that changes a space's raw count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// From here on the count starts at this many; before the crossings of the same ms.
    Baseline(i64),
    /// This many people entered.
    Entered(u64),
    /// This many people exited.
    Exited(u64),
}

/// A count and the first instant it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extreme {
    /// How many people: never negative.
    pub count: i64,
    /// The first instant of the bucket at which it was so.
    pub at: UnixMs,
}

/// What happened in `[start, end)`: previous close + entered - exited + adjusted = close, all raw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// First instant.
    pub start: UnixMs,
    /// First instant after.
    pub end: UnixMs,
    /// People who entered.
    pub entered: u64,
    /// People who exited.
    pub exited: u64,
    /// What baselines added.
    pub adjusted: i64,
    /// The raw count at `end` - 1 ms.
    pub close: i64,
    /// The lowest count over every ms, after all crossings of that ms.
    pub min: Extreme,
    /// The highest.
    pub max: Extreme,
    /// The mean over every ms of the count.
    pub mean: f64,
}

/// The buckets between consecutive `edges`, from the raw count just before the first edge and the events in order of
/// time (at one instant, baselines first). Events outside the edges are left out of account.
pub fn buckets(edges: impl IntoIterator<Item = UnixMs>, raw: i64, events: impl IntoIterator<Item = (UnixMs, Event)>) -> Vec<Bucket> {
    let mut edges = edges.into_iter();
    let Some(mut start) = edges.next() else { return Vec::new() };
    let mut events = events.into_iter().skip_while(move |(at, _)| *at < start).peekable();
    let mut raw = raw;
    let mut found = Vec::new();
    for end in edges {
        let mut open = OpenBucket::new(start, end, raw);
        while let Some((at, event)) = events.next_if(|(at, _)| *at < end) {
            open.take(at, event);
        }
        let bucket = open.close();
        raw = bucket.close;
        found.push(bucket);
        start = end;
    }
    found
}

/// A bucket in the making.
#[derive(Debug, Clone)]
pub struct OpenBucket {
    bucket: Bucket,
    /// Since when `bucket.close` has held; the value before it is settled.
    since: UnixMs,
    /// Whether a first value has been settled into the extremes.
    settled: bool,
    /// Sum over settled ms of the count.
    people_ms: f64,
}

impl OpenBucket {
    /// The bucket `[start, end)`, from the raw count just before it.
    #[must_use]
    pub fn new(start: UnixMs, end: UnixMs, raw: i64) -> Self {
        let extreme = Extreme { count: raw.max(0), at: start };
        let bucket = Bucket { start, end, entered: 0, exited: 0, adjusted: 0, close: raw, min: extreme, max: extreme, mean: 0.0 };
        Self { bucket, since: start, settled: false, people_ms: 0.0 }
    }

    /// Settles the value that held in `[since, at)`.
    fn settle(&mut self, at: UnixMs) {
        if at <= self.since {
            return;
        }
        let held = Extreme { count: self.bucket.close.max(0), at: self.since };
        if !self.settled || held.count < self.bucket.min.count {
            self.bucket.min = held;
        }
        if !self.settled || held.count > self.bucket.max.count {
            self.bucket.max = held;
        }
        self.settled = true;
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
        {
            self.people_ms += held.count as f64 * at.since(self.since) as f64;
        }
        self.since = at;
    }

    /// Takes the next event: in order of time and, at one instant, baselines first.
    pub fn take(&mut self, at: UnixMs, event: Event) {
        self.settle(at);
        let bucket = &mut self.bucket;
        match event {
            Event::Baseline(count) => {
                bucket.adjusted += count - bucket.close;
                bucket.close = count;
            }
            Event::Entered(people) => {
                bucket.entered += people;
                bucket.close += people.cast_signed();
            }
            Event::Exited(people) => {
                bucket.exited += people;
                bucket.close -= people.cast_signed();
            }
        }
    }

    /// The bucket, when all its events were taken.
    #[must_use]
    pub fn close(mut self) -> Bucket {
        self.settle(self.bucket.end);
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
        let length_ms = self.bucket.end.since(self.bucket.start) as f64;
        self.bucket.mean = if length_ms > 0.0 { self.people_ms / length_ms } else { 0.0 };
        self.bucket
    }
}

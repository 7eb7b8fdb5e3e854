//! History against a naive walk over every instant at which something changes, on a calendar stepped through by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Weekday};
use chrono_tz::Tz;
use occupancy::bucket::Interval;
use occupancy::crossing::Key;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use proptest::prelude::{Strategy, any, prop};
use query::{History, HistoryBucket, HistoryCaps, HistoryKey, Query, QueryError, Series, Span, Stats};
use store::{FjallStore, MemoryStore, Store};

use crate::model::{BATCH, Case, DOORWAYS, Happens, SPACES, boot_at, case, fill, first_showing, inside, keyspace, run};
use crate::support::{at, campus, doorway, edit, hung, id, key, query, take, topology};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;

/// What is asked of a case's spaces.
#[derive(Debug, Clone)]
struct Asked {
    interval: &'static str,
    zone: Option<Tz>,
    from: i64,
    length: i64,
    now: i64,
    /// Caps of a page: buckets, crossings, look-ups.
    caps: (usize, usize, usize),
}

fn asked() -> impl Strategy<Value = Asked> {
    let interval = prop::sample::select(Interval::ALL.map(|(name, _)| name).to_vec());
    let zones = ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"];
    let zone = prop::option::of(prop::sample::select(zones.to_vec()));
    let now = proptest::prop_oneof![2 => proptest::prelude::Just(8 * DAY_MS), 1 => 0..6 * DAY_MS];
    let shares = (0..6 * DAY_MS, 1..1000i64, any::<bool>());
    (interval, zone, shares, now, (3..200usize, 1..40usize, 8..200usize)).prop_map(|(interval, zone, (from, share, whole), now, caps)| {
        let most = match interval {
            "1m" => 5 * 60 * MINUTE_MS,
            "5m" => DAY_MS,
            _ => 5 * DAY_MS,
        };
        // Both ends on an edge now and then.
        let (from, length) = if whole { (from / DAY_MS * DAY_MS, most) } else { (from, (most * share / 1000).max(1)) };
        Asked { interval, zone: zone.map(id), from: from.min(now), length, now, caps }
    })
}

/// The edges of the buckets that cover `[from, to)`.
fn edges(asked: &Asked, zone: Tz, from: UnixMs, to: UnixMs) -> Vec<UnixMs> {
    let near = DateTime::from_timestamp_millis(from.ms()).unwrap().date_naive();
    let dates = (-35..45).map(|days| near + TimeDelta::days(days));
    let mut days: Vec<_> = dates.map(|date| (first_showing(zone, date.and_time(NaiveTime::MIN)), date)).collect();
    days.dedup_by_key(|(start, _)| *start);
    let minutes = match asked.interval {
        "1m" => 1,
        "5m" => 5,
        "15m" => 15,
        "30m" => 30,
        "1h" => 60,
        other => {
            let begins = |date: &chrono::NaiveDate| match other {
                "1w" => date.weekday() == Weekday::Mon,
                "1mo" => date.day() == 1,
                _ => true,
            };
            days.retain(|(_, date)| begins(date));
            DAY_MS / MINUTE_MS * 99
        }
    };
    let mut all = Vec::new();
    for pair in days.windows(2) {
        let mut at = pair[0].0;
        while at < pair[1].0 {
            all.push(at);
            at = at.plus_ms(minutes * MINUTE_MS);
        }
    }
    all.extend(days.last().map(|(start, _)| *start));
    let first = all.iter().rposition(|edge| *edge <= from).unwrap();
    let last = all.iter().position(|edge| *edge >= to).unwrap();
    all[first..=last].to_vec()
}

/// A bucket as the naive walk finds it. Times stand for themselves, the mean for itself times the length.
#[derive(Debug, Clone, PartialEq)]
struct Naive {
    start: UnixMs,
    end: UnixMs,
    flow: (u64, u64, i64, i64),
    min: (i64, UnixMs),
    max: (i64, UnixMs),
    people_ms: i64,
    missing: Option<u64>,
    partial: bool,
}

/// A space's story, and the raw count after each of its events.
struct Story {
    events: Vec<(UnixMs, Happens)>,
    raws: Vec<i64>,
}

impl Story {
    fn of(case: &Case, space: &str, now: UnixMs) -> Self {
        let mut events = case.story(space);
        events.retain(|(at, _)| *at <= now);
        let mut raw = 0;
        let raws = events.iter().map(|(_, happens)| {
            raw = match happens {
                Happens::Reset => 0,
                Happens::Correction(_, count) => i64::from(*count),
                Happens::Crossing((_, _, _, entered)) => raw + if *entered { 1 } else { -1 },
            };
            raw
        });
        Self { raws: raws.collect(), events }
    }

    /// The raw count at an instant, this instant included.
    fn raw(&self, at: UnixMs) -> i64 {
        let before = self.events.partition_point(|(when, _)| *when <= at);
        before.checked_sub(1).map_or(0, |last| self.raws[last])
    }

    fn bucket(&self, case: &Case, space: &str, (start, end): (UnixMs, UnixMs), now: UnixMs) -> Naive {
        let until = end.min(now.plus_ms(1));
        let within: Vec<&(UnixMs, Happens)> = self.events.iter().filter(|(at, _)| (start..until).contains(at)).collect();
        let entered =
            |wanted: bool| within.iter().filter(|(_, one)| matches!(one, Happens::Crossing((_, _, _, in_)) if *in_ == wanted)).count();
        let (entered, exited) = (entered(true) as u64, entered(false) as u64);
        let (before, close) = (self.raw(start.plus_ms(-1)), self.raw(until.plus_ms(-1)));
        let adjusted = close - before - entered as i64 + exited as i64;

        let mut changes: Vec<UnixMs> = within.iter().map(|(at, _)| *at).chain([start, until]).collect();
        changes.sort();
        changes.dedup();
        let counts: Vec<(i64, UnixMs, UnixMs)> = changes.windows(2).map(|pair| (self.raw(pair[0]).max(0), pair[0], pair[1])).collect();
        let lowest = counts.iter().map(|(count, from, _)| (*count, *from)).min().unwrap();
        let highest = counts.iter().map(|(count, from, _)| (*count, std::cmp::Reverse(*from))).max().unwrap();
        let people_ms = counts.iter().map(|(count, from, to)| count * to.since(*from)).sum();
        Naive {
            start,
            end,
            flow: (entered, exited, adjusted, close),
            min: lowest,
            max: (highest.0, highest.1.0),
            people_ms,
            missing: missing(case, space, start, until),
            partial: partial(case, space, start, end, now),
        }
    }
}

/// What hung over a space's boundary: DPU, from, to.
fn hung_over(case: &Case, space: &str) -> Vec<(usize, UnixMs, UnixMs)> {
    let boundary = |name: &str| DOORWAYS.iter().any(|(one, a, b)| *one == name && inside(space, a) != inside(space, b));
    let all = case.installations().into_iter().filter(|one| boundary(one.doorway.as_str()));
    all.map(|one| (one.dpu.as_str().parse().unwrap(), one.from, one.end())).collect()
}

fn missing(case: &Case, space: &str, start: UnixMs, end: UnixMs) -> Option<u64> {
    let mut missing = None;
    for (dpu, from, to) in hung_over(case, space) {
        let within = case.crossings.iter().filter(|one| {
            let at = case.at(one.1);
            one.0 == dpu && one.2 > 0 && at >= start && at < end && at >= from && at < to
        });
        let mut runs: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (_, ms, seq, _) in within {
            runs.entry(boot_at(case.at(*ms))).or_default().insert(*seq);
        }
        for numbers in runs.values() {
            *missing.get_or_insert(0) += numbers.last().unwrap() - numbers.first().unwrap() + 1 - numbers.len() as u64;
        }
    }
    missing
}

fn partial(case: &Case, space: &str, start: UnixMs, end: UnixMs, now: UnixMs) -> bool {
    let heard = |dpu: usize| {
        let all = case.crossings.iter().enumerate().filter(|(_, one)| one.0 == dpu);
        all.map(|(i, one)| case.at(one.1).min(case.appended(i / BATCH))).max()
    };
    let unheard = |(dpu, from, to): &(usize, UnixMs, UnixMs)| {
        *from < end && *to > start && heard(*dpu).is_none_or(|heard| heard < (*to).min(end.plus_ms(-1)))
    };
    end > now || hung_over(case, space).iter().any(unheard)
}

fn told(one: &HistoryBucket, now: UnixMs) -> Naive {
    let bucket = &one.bucket;
    let length = bucket.end.min(now.plus_ms(1)).since(bucket.start);
    Naive {
        start: bucket.start,
        end: bucket.end,
        flow: (bucket.entered, bucket.exited, bucket.adjusted, bucket.close),
        min: (bucket.min.count, bucket.min.at),
        max: (bucket.max.count, bucket.max.at),
        people_ms: (bucket.mean * length as f64).round() as i64,
        missing: one.missing,
        partial: one.partial,
    }
}

/// All pages, put together.
async fn pages(query: &Query, spaces: &[SpaceId], span: &Span, caps: HistoryCaps) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let mut after = None;
    loop {
        let History { series, next, .. } = query.history(spaces, span, after, caps).await.unwrap();
        let held: usize = series.iter().map(|one| one.buckets.len()).sum();
        assert!(held <= caps.buckets && held > 0, "{held} buckets, next {next:?}");
        for one in series {
            match all.last_mut().filter(|last| last.space == one.space) {
                Some(last) => last.buckets.extend(one.buckets),
                None => all.push(one),
            }
        }
        after = next;
        if after.is_none() {
            return all;
        }
    }
}

async fn check<S: Store + 'static>(case: &Case, asked: &Asked, store: Arc<S>) {
    fill(case, Arc::clone(&store)).await;
    let now = case.at(asked.now);
    let query = query(&store, now);
    let spaces: Vec<SpaceId> = SPACES.iter().map(|(name, _)| id(name)).collect();
    let (from, to) = (case.at(asked.from), case.at(asked.from + asked.length));
    let full = Span { from, to, interval: Interval::named(asked.interval).unwrap(), zone: asked.zone, stats: Stats::Full };
    let flow = Span { stats: Stats::Flow, ..full };

    let mut most = asked.caps.1;
    let mut expected = Vec::new();
    for (name, _) in SPACES {
        let own = if ["annex", "attic"].contains(&name) { case.annex_zone.unwrap_or(case.zone) } else { case.zone };
        let story = Story::of(case, name, now);
        let edges = edges(asked, asked.zone.unwrap_or(own), from, to.min(now.plus_ms(1)));
        let buckets: Vec<Naive> = edges.windows(2).map(|pair| story.bucket(case, name, (pair[0], pair[1]), now)).collect();
        most = buckets.iter().map(|bucket| (bucket.flow.0 + bucket.flow.1) as usize).max().unwrap_or(0).max(most);
        expected.push((name.to_owned(), buckets));
    }
    let found = |series: &[Series]| -> Vec<(String, Vec<Naive>)> {
        series.iter().map(|one| (one.space.to_string(), one.buckets.iter().map(|one| told(one, now)).collect())).collect()
    };
    let caps = HistoryCaps { buckets: asked.caps.0, crossings: most, lookups: asked.caps.2 };
    let in_pages = pages(&query, &spaces, &full, caps).await;
    assert_eq!(found(&in_pages), expected);
    assert_eq!(pages(&query, &spaces, &full, HistoryCaps::default()).await, in_pages, "pages of any size are one");

    let flows = |series: &[Series]| -> Vec<_> {
        let buckets = series.iter().flat_map(|one| one.buckets.iter().map(|one| told(one, now)));
        buckets.map(|one| (one.start, one.end, one.flow, one.partial)).collect()
    };
    for caps in [caps, HistoryCaps::default()] {
        assert_eq!(flows(&pages(&query, &spaces, &flow, caps).await), flows(&in_pages), "without a walk");
    }
    for one in &in_pages {
        let some = one.buckets.iter().step_by(one.buckets.len() / 3 + 1).chain(one.buckets.last());
        for bucket in some.map(|one| &one.bucket) {
            let at = bucket.end.plus_ms(-1).min(now);
            assert_eq!(query.count(&one.space, Some(at)).await.unwrap().raw, bucket.close, "{} at {at}", one.space);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    #[test]
    fn history_is_that_of_a_naive_walk(case in case(), asked in asked()) {
        run(check(&case, &asked, Arc::new(MemoryStore::new())));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(30))]

    #[test]
    fn it_is_on_disk_as_well(case in case(), asked in asked()) {
        let folder = tempfile::tempdir().unwrap();
        run(check(&case, &asked, Arc::new(FjallStore::open(folder.path()).unwrap())));
    }
}

proptest::proptest! {
    // Every case takes seconds, and so does each step towards a smaller one.
    #![proptest_config(proptest::prelude::ProptestConfig { max_shrink_iters: 20, ..proptest::prelude::ProptestConfig::with_cases(3) })]

    #[test]
    fn it_is_in_a_cluster_as_well(case in case(), asked in asked()) {
        run(async {
            if let Some(store) = keyspace().await {
                check(&case, &asked, Arc::new(store)).await;
            }
        });
    }
}

/// A campus with three crossings of the hall on one day, two on the next.
async fn hall(now: &str) -> Query {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, at(now));
    edit(&query, topology(campus())).await;
    let numbered = |text: &str, seq, sign| Key { boot: 1, seq, ..key(text, sign) };
    let seen = vec![
        numbered("2024-02-01T09:00:00Z", 1, 1),
        numbered("2024-02-01T10:00:00Z", 2, 1),
        numbered("2024-02-01T12:00:00Z", 5, -1),
        numbered("2024-02-02T09:00:00Z", 6, 1),
        numbered("2024-02-02T18:00:00Z", 9, 1),
    ];
    take(&store, "1", seen, None, at("2024-02-02T18:00:00Z")).await;
    query
}

fn days(from: &str, to: &str, stats: Stats) -> Span {
    Span { from: at(from), to: at(to), interval: Interval::Day, zone: None, stats }
}

#[tokio::test]
async fn a_bucket_with_more_crossings_than_a_page_walks_is_refused_and_flow_is_not() {
    let query = hall("2024-03-01T00:00:00Z").await;
    let few = HistoryCaps { crossings: 2, ..HistoryCaps::default() };
    let ask = async |from, stats| query.history(&[id("hall")], &days(from, "2024-02-03T00:00:00Z", stats), None, few).await;
    let refused = ask("2024-02-01T00:00:00Z", Stats::Full).await.unwrap_err();
    assert_eq!(
        refused,
        QueryError::BucketTooLarge { start: at("2024-02-01T00:00:00Z"), end: at("2024-02-02T00:00:00Z"), most: 2 },
        "{refused}"
    );
    assert_eq!(ask("2024-02-02T00:00:00Z", Stats::Full).await.unwrap().series[0].buckets.len(), 1);
    assert_eq!(ask("2024-02-01T00:00:00Z", Stats::Flow).await.unwrap().series[0].buckets.len(), 2);
}

#[tokio::test]
async fn a_page_ends_with_the_crossings_it_may_walk() {
    let query = hall("2024-03-01T00:00:00Z").await;
    let caps = HistoryCaps { crossings: 4, ..HistoryCaps::default() };
    let span = days("2024-01-31T00:00:00Z", "2024-02-04T00:00:00Z", Stats::Full);
    let page = query.history(&[id("hall"), id("campus")], &span, None, caps).await.unwrap();
    assert_eq!(page.series[0].buckets.iter().map(|one| one.bucket.close).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((page.series.len(), page.next), (1, Some(HistoryKey { place: 0, start: at("2024-02-02T00:00:00Z") })));
}

#[tokio::test]
async fn the_bucket_in_progress_is_told_as_it_stands() {
    let query = hall("2024-02-01T17:59:59.999Z").await;
    let span = days("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", Stats::Full);
    let buckets = query.history(&[id("hall")], &span, None, HistoryCaps::default()).await.unwrap().series.remove(0).buckets;
    let [HistoryBucket { bucket, missing, partial }] = &buckets[..] else { panic!("{buckets:?}") };
    assert_eq!((bucket.end, bucket.close, *missing, *partial), (at("2024-02-02T00:00:00Z"), 1, Some(2), true));
    assert!((bucket.mean - 11.0 / 18.0).abs() < 1e-9, "{}: one hour of 1, two of 2, six of 1", bucket.mean);
}

#[tokio::test]
async fn what_a_moved_dpu_saw_elsewhere_is_not_missing() {
    let query = hall("2024-03-01T00:00:00Z").await;
    let list = vec![
        hung("1", "front", "hall", "2024-01-01T00:00:00Z", Some("2024-02-01T09:30:00Z")),
        hung("1", "away", "campus", "2024-02-01T09:30:00Z", Some("2024-02-01T11:00:00Z")),
        hung("1", "front", "hall", "2024-02-01T11:00:00Z", None),
    ];
    let mut document = campus();
    document.doorways.push(doorway("away", "outside", "campus"));
    document.installations = list;
    edit(&query, topology(document)).await;
    let span = days("2024-02-01T00:00:00Z", "2024-02-02T00:00:00Z", Stats::Full);
    let page = query.history(&[id("hall"), id("campus")], &span, None, HistoryCaps::default()).await.unwrap();
    let told: Vec<_> = page.series.iter().map(|one| (one.buckets[0].bucket.close, one.buckets[0].missing)).collect();
    assert_eq!(told, [(0, Some(0)), (1, Some(0))]);
}

//! Buckets against a walk over every ms, and calendar edges in awkward zones.

use chrono_tz::Tz;
use occupancy::bucket::{Bucket, Event, Extreme, Interval, buckets};
use occupancy::time::UnixMs;
use proptest::prelude::*;

fn at(ms: i64) -> UnixMs {
    UnixMs::new(ms).unwrap()
}

/// Walks every ms.
fn naive(edges: &[i64], mut raw: i64, events: &[(i64, Event)]) -> Vec<Bucket> {
    let mut found = Vec::new();
    for pair in edges.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        let (mut entered, mut exited, mut adjusted, mut counts) = (0, 0, 0, Vec::new());
        for ms in start..end {
            for (_, event) in events.iter().filter(|(at, _)| *at == ms) {
                match *event {
                    Event::Baseline(n) => (adjusted, raw) = (adjusted + n - raw, n),
                    Event::Entered(n) => (entered, raw) = (entered + n, raw + n.cast_signed()),
                    Event::Exited(n) => (exited, raw) = (exited + n, raw - n.cast_signed()),
                }
            }
            counts.push((raw.max(0), ms));
        }
        let lowest = counts.iter().map(|(count, _)| *count).min().unwrap();
        let highest = counts.iter().map(|(count, _)| *count).max().unwrap();
        let first = |count| Extreme { count, at: at(counts.iter().find(|(c, _)| *c == count).unwrap().1) };
        let mean = counts.iter().map(|(count, _)| *count as f64).sum::<f64>() / counts.len() as f64;
        found.push(Bucket {
            start: at(start),
            end: at(end),
            entered,
            exited,
            adjusted,
            close: raw,
            min: first(lowest),
            max: first(highest),
            mean,
        });
    }
    found
}

fn event() -> impl Strategy<Value = (i64, Event)> {
    (0i64..60, prop_oneof![(0i64..9).prop_map(Event::Baseline), (1u64..3).prop_map(Event::Entered), (1u64..3).prop_map(Event::Exited)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn buckets_equal_a_walk_over_every_ms(
        start in 0i64..20,
        steps in prop::collection::vec(1i64..20, 1..6),
        raw in -5i64..5,
        mut events in prop::collection::vec(event(), 0..20),
    ) {
        events.sort_by_key(|(at, event)| (*at, !matches!(event, Event::Baseline(_))));
        let edges: Vec<i64> = steps.iter().scan(start, |edge, step| { *edge += step; Some(*edge) }).collect();
        let edges: Vec<i64> = std::iter::once(start).chain(edges).collect();
        let found = buckets(edges.iter().map(|ms| at(*ms)), raw, events.iter().map(|(ms, event)| (at(*ms), *event)));
        let expected = naive(&edges, raw, &events);
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found.mean - expected.mean).abs() < 1e-9, "{} {}", found.mean, expected.mean);
            prop_assert_eq!(Bucket { mean: 0.0, ..*found }, Bucket { mean: 0.0, ..*expected });
        }
    }

    #[test]
    fn edges_tile_time_without_gap_or_overlap(
        zone in prop::sample::select(vec!["UTC", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia", "America/Havana"]),
        interval in prop::sample::select(Interval::ALL.map(|(_, interval)| interval).to_vec()),
        from in 946_684_800_000i64..1_800_000_000_000,
    ) {
        let zone: Tz = zone.parse().unwrap();
        let (from, to) = (at(from), at(from).plus_ms(40 * 3_600_000));
        let edges: Vec<UnixMs> = interval.edges(zone, from, to).collect();
        prop_assert!(edges[0] <= from && *edges.last().unwrap() >= to);
        prop_assert!(edges.len() < 2 || edges[1] > from);
        for pair in edges.windows(2) {
            prop_assert!(pair[0] < pair[1]);
            prop_assert!(pair[0] < to);
            for inside in [pair[0], pair[1].plus_ms(-1)] {
                prop_assert_eq!(interval.floor(zone, inside), Some(pair[0]));
            }
        }
    }
}

fn starts(zone: Tz, interval: &str, from: &str, to: &str) -> Vec<String> {
    let interval = Interval::named(interval).unwrap();
    interval.edges(zone, from.parse().unwrap(), to.parse().unwrap()).map(|edge| edge.to_string()).collect()
}

#[test]
fn days_have_23_24_or_25_hours() {
    use chrono_tz::America::Los_Angeles;
    assert_eq!(
        starts(Los_Angeles, "1d", "2005-10-29T12:00:00Z", "2005-10-31T12:00:00Z"),
        ["2005-10-29T07:00:00.000Z", "2005-10-30T07:00:00.000Z", "2005-10-31T08:00:00.000Z", "2005-11-01T08:00:00.000Z"]
    );
    assert_eq!(starts(Los_Angeles, "1h", "2005-10-30T07:00:00Z", "2005-10-31T08:00:00Z").len(), 26);
    assert_eq!(
        starts(Los_Angeles, "1w", "2005-10-29T12:00:00Z", "2005-10-29T12:00:00Z"),
        ["2005-10-24T07:00:00.000Z", "2005-10-31T08:00:00.000Z"]
    );
    assert_eq!(
        starts(Los_Angeles, "1mo", "2005-12-05T12:00:00Z", "2005-12-06T00:00:00Z"),
        ["2005-12-01T08:00:00.000Z", "2006-01-01T08:00:00.000Z"]
    );
}

#[test]
fn a_day_begins_at_its_first_instant_though_clocks_go_back_over_midnight() {
    // At 00:01 on 2006-10-29 St. John's went back to 23:01 of the day before.
    use chrono_tz::America::St_Johns;
    assert_eq!(
        starts(St_Johns, "1d", "2006-10-29T02:45:00Z", "2006-10-29T03:00:00Z"),
        ["2006-10-29T02:30:00.000Z", "2006-10-30T03:30:00.000Z"]
    );
}

#[test]
fn the_calendar_ends_where_instants_do() {
    use chrono_tz::UTC;
    for (_, interval) in Interval::ALL {
        assert_eq!(interval.next(UTC, UnixMs::MAX), None);
        let edges: Vec<UnixMs> = interval.edges(UTC, UnixMs::MAX, UnixMs::MAX).collect();
        assert!(edges.len() <= 1, "{edges:?}");
    }
}

//! Counts against a walk through time, crossing by crossing, written apart from the plan of lookups.

use chrono::{NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use occupancy::baseline::Kind;
use occupancy::count::{Found, SILENT_AFTER_MS, Term};
use occupancy::crossing::{Crossing, Direction, Key};
use occupancy::edit::{Change, Correction, Edit, Note};
use occupancy::ledger::Totals;
use occupancy::time::{UnixMs, local_date};
use occupancy::topology::{Document, Reset};
use occupancy::world::World;
use proptest::prelude::*;

use crate::topology::{at, doorway, hung, put, space};

const ZONES: [&str; 5] = ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"];
const SPACES: [&str; 4] = ["campus", "house", "hall", "cafe"];
const DOORS: [(&str, &str, &str); 4] =
    [("gate", "outside", "campus"), ("front", "campus", "house"), ("inner", "hall", "cafe"), ("back", "outside", "cafe")];
const HOUR_MS: i64 = 3_600_000;

/// A few days around an instant at which many zones change their clocks.
#[derive(Debug, Clone)]
struct Case {
    document: Document,
    corrections: Vec<Correction>,
    crossings: Vec<Crossing>,
    asked: Vec<UnixMs>,
}

fn instant() -> impl Strategy<Value = UnixMs> {
    // Whole hours and half hours come up often, so that baselines, moves and crossings fall on one ms.
    let near = prop_oneof![
        Just("2005-10-30T00:00:00Z"), // clocks back in America and Lord Howe's forward
        Just("2006-04-02T00:00:00Z"), // clocks forward in America and Lord Howe's back
    ];
    (near, -72i64..72, prop_oneof![Just(0), Just(HOUR_MS / 2), 0..HOUR_MS])
        .prop_map(|(near, hours, ms)| near.parse::<UnixMs>().unwrap().plus_ms(hours * HOUR_MS + ms))
}

fn case() -> impl Strategy<Value = Case> {
    let zones = prop::collection::vec(prop::option::of(prop::sample::select(ZONES.to_vec())), 4);
    let time = prop_oneof![
        Just(None),
        prop::sample::select(vec!["00:00:00", "01:30:00", "02:30:00", "02:15:00", "04:00:00", "23:30:00"])
            .prop_map(|text| Some(text.parse::<NaiveTime>().unwrap()))
    ];
    let resets = prop::collection::vec((0usize..4, instant(), time), 0..5);
    // Each DPU's life: a row of instants cut it into installations at random doorways, either way round, with gaps.
    let life = prop::collection::vec((instant(), prop::option::of((0usize..4, any::<bool>()))), 1..4);
    let lives = prop::collection::vec(life, 1..4);
    let corrections = prop::collection::vec((0usize..4, instant(), 0u32..5), 0..4);
    let crossings = prop::collection::vec((0usize..4, instant(), any::<bool>()), 0..40);
    (zones, resets, lives, corrections, crossings, prop::collection::vec(instant(), 4)).prop_map(
        |(zones, resets, lives, corrections, crossings, mut asked)| {
            let parents = [None, Some("campus"), Some("house"), Some("house")];
            let mut spaces: Vec<_> = SPACES.iter().zip(parents).map(|(id, parent)| space(id, parent)).collect();
            for (space, zone) in spaces.iter_mut().zip(zones) {
                space.time_zone = zone.map(|zone| zone.parse().unwrap());
            }
            let mut resets: Vec<Reset> =
                resets.into_iter().map(|(i, from, at)| Reset { space: SPACES[i].parse().unwrap(), from, at }).collect();
            resets.sort();
            resets.dedup_by(|a, b| (&a.space, a.from) == (&b.space, b.from));
            let mut installations = Vec::new();
            for (dpu, mut life) in lives.into_iter().enumerate() {
                life.sort_by_key(|(at, _)| *at);
                life.dedup_by_key(|(at, _)| *at);
                for (i, (from, place)) in life.iter().enumerate() {
                    if let Some((door, turned)) = place {
                        let (id, a, b) = DOORS[*door];
                        let to = life.get(i + 1).map(|(at, _)| at.ms());
                        installations.push(hung(&format!("d{dpu}"), id, if *turned { a } else { b }, from.ms(), to));
                    }
                }
            }
            let doorways = DOORS.iter().map(|(id, a, b)| doorway(id, a, b)).collect();
            let corrections = corrections
                .into_iter()
                .enumerate()
                .map(|(i, (space, at, count))| Correction {
                    id: format!("c{i}").parse().unwrap(),
                    space: SPACES[space].parse().unwrap(),
                    at,
                    count,
                })
                .collect();
            let crossings = crossings.into_iter().enumerate().map(|(i, (dpu, at, plus))| {
                let direction = if plus { Direction::Plus } else { Direction::Minus };
                Crossing { dpu: format!("d{dpu}").parse().unwrap(), key: Key { at, boot: 0, seq: i as u64, direction } }
            });
            let crossings: Vec<Crossing> = crossings.collect();
            asked.extend(crossings.iter().map(|crossing| crossing.key.at).take(4));
            Case { document: Document { spaces, resets, doorways, installations }, corrections, crossings, asked }
        },
    )
}

fn world(case: &Case) -> World {
    let mut world = World::default();
    world.apply(&put("campus", case.document.clone())).unwrap();
    world
        .apply(&Edit { made_at: at(0), change: Change::Corrections { corrections: case.corrections.clone(), note: Note::default() } })
        .unwrap();
    world
}

/// The entries in force for a space and its zone, found by climbing by hand.
fn inherited(case: &Case, id: &str) -> (Vec<Reset>, Tz) {
    let path: &[&str] = match id {
        "campus" => &["campus"],
        "house" => &["house", "campus"],
        "hall" => &["hall", "house", "campus"],
        _ => &["cafe", "house", "campus"],
    };
    let own = |id: &&str| case.document.resets.iter().filter(|reset| reset.space.as_str() == *id).cloned().collect::<Vec<_>>();
    let resets = path.iter().map(own).find(|list| !list.is_empty()).unwrap_or_default();
    let zone = path.iter().find_map(|id| case.document.spaces.iter().find(|space| space.id.as_str() == *id).unwrap().time_zone);
    (resets, zone.unwrap_or(Tz::UTC))
}

/// Every reset of a space: minute by minute, the first at which each date's clocks show the time or later.
fn resets(case: &Case, id: &str) -> Vec<UnixMs> {
    let (entries, zone) = inherited(case, id);
    let mut found = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let Some(time) = entry.at else { continue };
        let until = entries.get(i + 1).map_or(UnixMs::MAX, |next| next.from);
        let first = local_date(zone, entry.from.plus_ms(-48 * HOUR_MS));
        // The cases reach from October 2005 to April 2006.
        for date in first.iter_days().take(200) {
            let wall: NaiveDateTime = date.and_time(time);
            let mut at = UnixMs::new(wall.and_utc().timestamp_millis()).unwrap().plus_ms(-16 * HOUR_MS);
            while at.utc().with_timezone(&zone).naive_local() < wall {
                at = at.plus_ms(60_000);
            }
            if at >= entry.from && at < until {
                found.push(at);
            }
        }
    }
    found
}

/// (raw, baseline count, baseline instant, entered, exited) by walking through time.
fn naive(case: &Case, id: &str, asked: UnixMs, resets: &[UnixMs]) -> (i64, i64, Option<UnixMs>, i64, i64) {
    let inside: &[&str] = match id {
        "campus" => &SPACES,
        "house" => &["house", "hall", "cafe"],
        other => &[other],
    };
    enum Step {
        Reset,
        Correction(i64),
        Cross(Crossing),
    }
    let mut steps: Vec<(UnixMs, u8, Step)> = Vec::new();
    steps.extend(resets.iter().map(|at| (*at, 0, Step::Reset)));
    steps.extend(
        case.corrections.iter().filter(|made| made.space.as_str() == id).map(|made| (made.at, 1, Step::Correction(i64::from(made.count)))),
    );
    steps.extend(case.crossings.iter().map(|crossing| (crossing.key.at, 2, Step::Cross(crossing.clone()))));
    steps.retain(|(at, _, _)| *at <= asked);
    steps.sort_by_key(|(at, order, _)| (*at, *order));
    let (mut n0, mut since, mut entered, mut exited) = (0, None, 0, 0);
    for (at, _, step) in steps {
        let crossing = match step {
            Step::Reset => {
                (n0, since, entered, exited) = (0, Some(at), 0, 0);
                continue;
            }
            Step::Correction(count) => {
                (n0, since, entered, exited) = (count, Some(at), 0, 0);
                continue;
            }
            Step::Cross(crossing) => crossing,
        };
        for one in &case.document.installations {
            let hangs = one.dpu == crossing.dpu && one.from <= at && one.to.is_none_or(|to| at < to);
            let (_, a, b) = DOORS.iter().find(|(door, _, _)| *door == one.doorway.as_str()).unwrap();
            if !hangs || inside.contains(a) == inside.contains(b) {
                continue;
            }
            let into = inside.contains(&one.enters.to_string().as_str()) == (crossing.key.direction == Direction::Plus);
            if into { entered += 1 } else { exited += 1 }
        }
    }
    (n0 + entered - exited, n0, since, entered, exited)
}

fn totals_before(crossings: &[Crossing], dpu: &str, x: UnixMs) -> Totals {
    let before = crossings.iter().filter(|crossing| crossing.dpu.as_str() == dpu && crossing.key.at < x);
    before.fold(Totals::default(), |totals, crossing| totals.with(crossing.key.direction))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn counts_equal_a_walk_through_time(case in case()) {
        let world = world(&case);
        for id in SPACES {
            let resets = resets(&case, id);
            for asked in &case.asked {
                let plan = world.plan(id, *asked).unwrap();
                let found = |term: &Term| Found {
                    lo: totals_before(&case.crossings, term.dpu.as_str(), term.lo),
                    hi: totals_before(&case.crossings, term.dpu.as_str(), term.hi),
                    heard: None,
                };
                let count = plan.answer(found, SILENT_AFTER_MS);
                let expected = naive(&case, id, *asked, &resets);
                prop_assert_eq!((count.raw, count.baseline.count, count.baseline.at, count.entered, count.exited), expected, "{} at {}", id, asked);
                prop_assert_eq!(count.count(), count.raw.max(0));
            }
        }
    }

    #[test]
    fn the_baselines_of_a_span_are_those_in_force_at_their_instants(case in case(), mut span in (instant(), instant())) {
        let world = world(&case);
        if span.1 < span.0 {
            span = (span.1, span.0);
        }
        for id in SPACES {
            let list = world.baselines(id, span.0, span.1);
            let mut expected: Vec<UnixMs> = resets(&case, id);
            expected.extend(case.corrections.iter().filter(|made| made.space.as_str() == id).map(|made| made.at));
            expected.retain(|at| (span.0..span.1).contains(at));
            expected.sort();
            expected.dedup();
            prop_assert_eq!(list.iter().filter_map(|one| one.at).collect::<Vec<_>>(), expected);
            for one in list {
                prop_assert_eq!(world.baseline(id, one.at.unwrap()), one);
            }
        }
    }
}

#[test]
fn a_correction_beats_a_reset_and_the_later_made_beats_the_earlier() {
    let mut world = World::default();
    let noon: NaiveTime = "12:00:00".parse().unwrap();
    let resets = vec![Reset { space: "hall".parse().unwrap(), from: at(0), at: Some(noon) }];
    world.apply(&put("hall", Document { spaces: vec![space("hall", None)], resets, ..Document::default() })).unwrap();
    let instant: UnixMs = "2024-05-01T12:00:00Z".parse().unwrap();
    assert_eq!(world.baseline("hall", instant).kind, Kind::Reset);
    let correct = |world: &mut World, id: &str, count| {
        let corrections = vec![Correction { id: id.parse().unwrap(), space: "hall".parse().unwrap(), at: instant, count }];
        world.apply(&Edit { made_at: at(0), change: Change::Corrections { corrections, note: Note::default() } }).unwrap();
    };
    correct(&mut world, "z", 5);
    correct(&mut world, "a", 7);
    let baseline = world.baseline("hall", instant);
    assert_eq!((baseline.kind, baseline.count), (Kind::Correction, 7));
    let retraction = Change::Retraction { id: "a".parse().unwrap(), note: Note::default() };
    world.apply(&Edit { made_at: at(1), change: retraction }).unwrap();
    assert_eq!(world.baseline("hall", instant).count, 5);
    assert_eq!(world.baseline("hall", instant.plus_ms(-1)).at, Some(instant.plus_ms(-24 * HOUR_MS)));
}

#[test]
fn an_answer_says_who_was_heard_who_was_silent_and_what_was_uncovered() {
    let mut world = World::default();
    let document = Document {
        spaces: vec![space("hall", None)],
        doorways: vec![doorway("front", "outside", "hall"), doorway("side", "outside", "hall")],
        installations: vec![
            hung("d1", "front", "hall", 1_000, None),
            hung("d2", "side", "hall", 1_000, Some(5_000)),
            hung("d3", "side", "hall", 6_000, None),
        ],
        ..Document::default()
    };
    world.apply(&put("hall", document)).unwrap();
    let answer = |asked: i64, heard: [Option<i64>; 3]| {
        let plan = world.plan("hall", at(asked)).unwrap();
        let of = |term: &Term| heard[term.dpu.as_str()[1..].parse::<usize>().unwrap() - 1];
        plan.answer(|term| Found { heard: of(term).map(at), ..Found::default() }, 2_000)
    };
    let early = answer(4_000, [Some(4_500), Some(4_000), None]);
    assert_eq!((early.heard_to, early.settled(), early.silent.len(), early.uncovered.len()), (Some(at(4_000)), true, 0, 0));
    let gap = answer(5_500, [Some(5_500), Some(5_000), None]);
    assert_eq!((gap.settled(), gap.uncovered.len()), (true, 1), "d2 was heard to its end; nothing hung over the side door since");
    let never = answer(9_000, [Some(9_000), Some(5_000), None]);
    assert_eq!((never.heard_to, never.settled()), (None, false));
    assert_eq!(never.silent.iter().map(ToString::to_string).collect::<Vec<_>>(), ["d3"]);
    let behind = answer(9_000, [Some(8_000), Some(3_000), Some(6_500)]);
    assert_eq!((behind.heard_to, behind.silent.len()), (Some(at(3_000)), 1));
    assert!(world.plan("attic", at(0)).is_none());
}

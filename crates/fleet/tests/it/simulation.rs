//! The campus in action: one seed, one course of events; and counts end at the truth whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveTime;
use chrono_tz::Tz;
use fleet::{Blueprint, Campus, Faults, Fleet, Mix, Pace, People, Sent, Timing};
use occupancy::crossing::Crossing;
use occupancy::id::{DpuId, SpaceId};
use occupancy::time::UnixMs;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};

use crate::naive;

const HOUR_MS: i64 = 3_600_000;
const DAILY: Pace = Pace { crossings_per_hour: 30, people: 150, daily: true };
const STEADY: Pace = Pace { crossings_per_hour: 60, people: 150, daily: false };

/// 06:00 on a Tuesday in Los Angeles.
fn morning() -> UnixMs {
    "2024-06-04T06:00:00-07:00".parse().unwrap()
}

fn campus(dpus: u32, seed: u64) -> Campus {
    let blueprint = Blueprint {
        floors: 2,
        rooms: 4,
        time_zone: Tz::America__Los_Angeles,
        reset: NaiveTime::from_hms_opt(4, 0, 0),
        ..Blueprint::new("campus".parse().unwrap(), dpus, morning().plus_ms(-HOUR_MS), seed)
    };
    Campus::new(blueprint).unwrap()
}

fn fleet(campus: Campus, pace: Pace, mix: Mix, seed: u64) -> Fleet {
    let people = People::new(Arc::new(campus), pace, morning(), seed);
    let timing = Timing { report_every_ms: 5000, heartbeat_every_ms: 60_000 };
    Fleet::new(people, timing, Faults::new(mix, seed))
}

/// All that is sent in so many hours, and what was held back then.
fn all(fleet: &mut Fleet, hours: i64) -> Vec<Sent> {
    let mut sent: Vec<Sent> = fleet.until(morning().plus_ms(hours * HOUR_MS)).collect();
    sent.extend(fleet.rest());
    sent
}

fn bytes(sent: &[Sent]) -> Vec<u8> {
    sent.iter().flat_map(|sent| [sent.at.to_string().into_bytes(), wire::report::encode_json(&sent.report)].concat()).collect()
}

fn truth(people: &People) -> Vec<(SpaceId, i64)> {
    people.census().into_iter().map(|(space, people)| (space, people.cast_signed())).collect()
}

#[test]
fn one_seed_gives_the_same_bytes_every_time() {
    let run = |seed| bytes(&all(&mut fleet(campus(30, seed), DAILY, Mix::BAD_DAY, seed), 8));
    let first = run(1);
    assert!(first.len() > 100_000);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn the_steps_in_which_it_is_asked_for_change_nothing() {
    let mut at_once = fleet(campus(30, 1), DAILY, Mix::BAD_DAY, 1);
    let mut in_steps = at_once.clone();
    let mut steps = Vec::new();
    for step in 0..1000 {
        steps.extend(in_steps.until(morning().plus_ms(step * 31_337)));
    }
    let end = morning().plus_ms(999 * 31_337);
    assert_eq!(steps, at_once.until(end).collect::<Vec<_>>());
    assert!(steps.is_sorted_by_key(|sent| sent.at));
    assert_eq!(in_steps.at(), at_once.at());
}

#[test]
fn crossings_add_up_to_the_truth_at_every_hour_of_a_day_and_everybody_goes_home() {
    let campus = Arc::new(campus(60, 3));
    let document = campus.document();
    let mut people = People::new(Arc::clone(&campus), DAILY, morning(), 3);
    let mut crossings: Vec<Crossing> = Vec::new();
    let mut inside = Vec::new();
    for half_hour in 0..=44 {
        crossings.extend(people.until(morning().plus_ms(half_hour * HOUR_MS / 2)));
        assert_eq!(naive::count(&document, &crossings), truth(&people), "after {half_hour} half hours");
        inside.push(people.inside(campus.root()).unwrap());
    }
    assert!(people.census().iter().all(|(space, count)| people.inside(space) == Some(*count)));
    let [morning, lunch, afternoon, night] = [8, 13, 15, 44].map(|half_hour| inside[half_hour]);
    assert!(morning > 120 && lunch < 110 && afternoon > lunch && night == 0, "{inside:?}");
    assert!(crossings.len() > 5000, "{}", crossings.len());
    let ends: BTreeSet<_> = crossings.iter().map(|one| &one.dpu).collect();
    assert_eq!(ends.len(), 60, "every DPU saw somebody");
}

#[test]
fn a_dpu_numbers_its_crossings_and_sees_one_person_at_a_time() {
    let mut campus = campus(3, 4);
    let [one, other] = [0, 2].map(|dpu| campus.dpus()[dpu].clone());
    campus.swap(&one, &other, morning().plus_ms(HOUR_MS)).unwrap();
    let busy = Pace { crossings_per_hour: 200_000, people: 300, daily: false };
    let mut people = People::new(Arc::new(campus), busy, morning(), 4);
    let crossings: Vec<Crossing> = people.until(morning().plus_ms(2 * HOUR_MS)).collect();
    assert!(crossings.is_sorted_by_key(|one| one.key.at));
    let mut last: BTreeMap<&DpuId, &Crossing> = BTreeMap::new();
    let mut boots = BTreeSet::new();
    for crossing in &crossings {
        if let Some(before) = last.insert(&crossing.dpu, crossing) {
            assert!(before.key.at < crossing.key.at);
            let next = if before.key.boot == crossing.key.boot { before.key.seq + 1 } else { 1 };
            assert_eq!(crossing.key.seq, next);
        }
        boots.insert((&crossing.dpu, crossing.key.boot));
    }
    assert_eq!(boots.len(), 3 + 2, "a DPU that is moved starts anew");
}

#[test]
fn a_steady_campus_keeps_its_pace_and_its_people() {
    let mut people = People::new(Arc::new(campus(100, 5)), STEADY, morning(), 5);
    let first_minute = people.until(morning().plus_ms(60_000)).count();
    assert!((95..=105).contains(&first_minute), "{first_minute}");
    let night = people.until(morning().plus_ms(24 * HOUR_MS)).count();
    assert!((139_000..=145_000).contains(&night), "{night}");
    let inside = people.inside(people.campus().root()).unwrap();
    assert!((100..=200).contains(&inside), "{inside}");
}

#[test]
fn every_dpu_is_heard_every_minute() {
    let mut fleet = fleet(campus(30, 6), Pace { people: 0, ..DAILY }, Mix::default(), 6);
    let sent = all(&mut fleet, 1);
    let mut heard: BTreeMap<&DpuId, Vec<UnixMs>> = BTreeMap::new();
    for one in &sent {
        assert_eq!(one.report.heartbeat.unwrap().at, one.at);
        heard.entry(&one.report.dpu).or_default().push(one.at);
    }
    assert_eq!(heard.len(), 30);
    for times in heard.values() {
        assert!(times.windows(2).all(|two| two[1].since(two[0]) <= 60_000) && times.len() >= 60);
    }
}

#[test]
fn flipped_and_moved_dpus_count_right_only_with_their_true_installations() {
    let mut campus = campus(40, 7);
    let dpus = campus.dpus().to_vec();
    campus.flip(&dpus[0], morning().plus_ms(4 * HOUR_MS)).unwrap();
    campus.swap(&dpus[1], &dpus[30], morning().plus_ms(5 * HOUR_MS)).unwrap();
    let (document, planned) = (campus.document(), campus.planned());
    let mut fleet = fleet(campus, DAILY, Mix::BAD_DAY, 7);
    let sent = all(&mut fleet, 7);
    let crossings = naive::distinct(&sent);
    assert_eq!(naive::count(&document, &crossings), truth(fleet.people()));
    assert_ne!(naive::count(&planned, &crossings), truth(fleet.people()));
}

#[test]
fn a_bad_day_has_every_fault_that_mends_itself() {
    let mut fleet = fleet(campus(40, 8), DAILY, Mix::BAD_DAY, 8);
    let sent = all(&mut fleet, 12);
    let tally = fleet.faults().tally();
    assert!(tally.duplicated > 0 && tally.reordered > 0 && tally.delayed > 0 && tally.cut_off > 0, "{tally:?}");
    let delivered: u64 = sent.iter().map(|sent| sent.report.crossings.len() as u64).sum();
    assert_eq!(delivered - tally.duplicated, naive::distinct(&sent).len() as u64);
    let newest = |sent: &Sent| sent.report.crossings.iter().map(|key| key.as_ref().unwrap().at).max();
    let late_by = sent.iter().filter_map(|sent| Some(sent.at.since(newest(sent)?))).max().unwrap();
    assert!(late_by > HOUR_MS, "{late_by}");
}

#[test]
fn what_is_lost_is_missing_from_the_numbers() {
    let mut fleet = fleet(campus(40, 9), STEADY, Mix { lost_permille: 50, ..Mix::BAD_DAY }, 9);
    let sent = all(&mut fleet, 6);
    let crossings = naive::distinct(&sent);
    let mut last: BTreeMap<(&DpuId, u64), u64> = BTreeMap::new();
    for (dpu, beat) in sent.iter().map(|sent| (&sent.report.dpu, sent.report.heartbeat.unwrap())) {
        let seq = last.entry((dpu, beat.boot)).or_default();
        *seq = beat.last_seq.max(*seq);
    }
    let lost = fleet.faults().tally().lost;
    assert!(lost > 100, "{lost}");
    assert_eq!(last.values().sum::<u64>() - crossings.len() as u64, lost);
}

#[test]
fn fast_clocks_are_ahead_of_what_they_send_and_lose_nobody() {
    let mix = Mix { fast_permille: 300, fast_by_ms: 600_000, ..Mix::default() };
    let campus = campus(40, 10);
    let document = campus.document();
    let mut fleet = fleet(campus, STEADY, mix, 10);
    let sent = all(&mut fleet, 3);
    let fast: BTreeSet<&DpuId> =
        sent.iter().filter(|sent| sent.report.heartbeat.unwrap().at > sent.at).map(|sent| &sent.report.dpu).collect();
    assert!((5..20).contains(&fast.len()), "{}", fast.len());
    for one in &sent {
        let ahead = one.report.crossings.iter().filter(|key| key.as_ref().unwrap().at.since(one.at) > 590_000).count();
        assert_eq!(ahead, if fast.contains(&one.report.dpu) { one.report.crossings.len() } else { 0 });
    }
    assert_eq!(naive::count(&document, &naive::distinct(&sent)), truth(fleet.people()));
}

/// Faults that mend themselves.
fn mix() -> impl Strategy<Value = Mix> {
    (0..300_u32, 0..500_u32, 0..300_u32, 0..500_u32).prop_map(|(duplicated, reordered, delayed, outage)| Mix {
        duplicated_permille: duplicated,
        reordered_permille: reordered,
        delayed_permille: delayed,
        outage_permille: outage,
        ..Mix::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_goes_wrong_and_mends_counts_end_at_the_truth(
        seed in any::<u64>(), dpus in 3..40_u32, mix in mix(), flipped in 0..3_usize, swap in any::<bool>(),
    ) {
        let mut campus = campus(dpus, seed);
        let all_dpus = campus.dpus().to_vec();
        campus.flip(&all_dpus[flipped], morning().plus_ms(HOUR_MS)).unwrap();
        if swap {
            campus.swap(&all_dpus[1], &all_dpus[2], morning().plus_ms(2 * HOUR_MS)).unwrap();
        }
        let document = campus.document();
        document.check(campus.root()).unwrap();
        let mut fleet = fleet(campus, Pace { crossings_per_hour: 60, people: 50, daily: true }, mix, seed);
        let sent = all(&mut fleet, 5);
        prop_assert!(sent.is_sorted_by_key(|sent| sent.at));
        let crossings = naive::distinct(&sent);
        prop_assert!(!crossings.is_empty());
        prop_assert_eq!(naive::count(&document, &crossings), truth(fleet.people()));
    }
}

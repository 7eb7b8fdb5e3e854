//! Folding in any order, batching and repetition equals sorting and summing.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Changes, Counters, DayTail, Fold, Position, Record, Row, Tail, Tally, Totals, fold};
use occupancy::time::{DAY_MS, Day, UnixMs};
use proptest::prelude::*;

/// A store of one ledger, the simplest that keeps what folding asks to be kept.
#[derive(Default, Debug, PartialEq)]
struct Kept {
    openings: BTreeMap<Day, Totals>,
    rows: BTreeMap<Key, Row>,
    counters: Counters,
}

impl Kept {
    fn tail(&self, from: &[Key]) -> Tail {
        let first_day = from[0].at.day();
        let rows_of = |day: Day| self.rows.values().filter(move |row| row.key.at.day() == day);
        let before = self.openings.range(..first_day).next_back();
        let mut tail = Tail {
            before: before.map_or(Totals::default(), |(day, o)| o.plus(rows_of(*day).next_back().map_or(Totals::default(), |r| r.totals))),
            ..Tail::default()
        };
        for day in self.openings.range(first_day..).map(|(day, _)| *day) {
            let mut part = DayTail { last: rows_of(day).next_back().copied(), ..DayTail::default() };
            if let Some(key) = from.iter().find(|key| key.at.day() == day) {
                part.rows = rows_of(day).filter(|row| row.key >= *key).copied().collect();
                part.before = rows_of(day).rfind(|row| row.key < *key).map_or(Totals::default(), |row| row.totals);
            }
            tail.days.insert(day, part);
        }
        tail
    }

    fn fold(&mut self, records: &[Record]) -> Option<Changes> {
        let changes = match fold(&self.counters, records)? {
            Fold::Append(changes) => changes,
            Fold::Merge(merge) => {
                let tail = self.tail(&merge.from());
                merge.apply(&tail)
            }
        };
        self.openings.extend(changes.openings.iter().copied());
        self.rows.extend(changes.rows.iter().map(|row| (row.key, *row)));
        self.counters = changes.counters;
        Some(changes)
    }
}

/// Sort, sum: what the ledger must equal.
fn naive(keys: &BTreeSet<Key>) -> (BTreeMap<Day, Totals>, Vec<(Key, Totals)>, Totals) {
    let (mut openings, mut rows, mut all, mut today) = (BTreeMap::new(), Vec::new(), Totals::default(), Totals::default());
    for key in keys {
        openings.entry(key.at.day()).or_insert_with(|| {
            today = Totals::default();
            all
        });
        match key.direction {
            Direction::Plus => (all.entered, today.entered) = (all.entered + 1, today.entered + 1),
            Direction::Minus => (all.exited, today.exited) = (all.exited + 1, today.exited + 1),
        }
        rows.push((*key, today));
    }
    (openings, rows, all)
}

fn at(ms: i64) -> UnixMs {
    UnixMs::new(ms).unwrap()
}

fn key() -> impl Strategy<Value = Key> {
    // Few instants on few days, so that equal ones, day edges and empty days all come up; before 1970 too.
    (-2i64..4, prop_oneof![0i64..6, DAY_MS - 3..DAY_MS], 0u64..3, 0u64..4, any::<bool>()).prop_map(|(day, ms, boot, seq, plus)| Key {
        at: at(day * DAY_MS + ms),
        boot,
        seq,
        direction: if plus { Direction::Plus } else { Direction::Minus },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_order_any_batching_any_repetition_gives_the_same_ledger(
        keys in prop::collection::vec(key(), 1..24),
        cuts in prop::collection::vec(1usize..6, 1..24),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut sent = keys.clone();
        sent.extend(repeats.iter().map(|index| *index.get(&keys)));
        let mut kept = Kept::default();
        let (mut rest, mut cuts) = (sent.as_slice(), cuts.iter().cycle());
        let (mut accepted, mut duplicate) = (0, 0);
        while !rest.is_empty() {
            let (batch, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            let records: Vec<Record> = batch.chunks(2).map(|keys| Record { crossings: keys.to_vec().into(), heartbeat: None, appended_at: at(0), position: None }).collect();
            for tally in &kept.fold(&records).unwrap().tallies {
                accepted += tally.accepted;
                duplicate += tally.duplicate;
            }
            rest = more;
        }
        let set: BTreeSet<Key> = keys.into_iter().collect();
        let (openings, rows, all) = naive(&set);
        prop_assert_eq!(&kept.openings, &openings);
        prop_assert_eq!(kept.rows.values().map(|row| (row.key, row.totals)).collect::<Vec<_>>(), rows);
        prop_assert_eq!(kept.counters.totals(), all);
        prop_assert_eq!(kept.counters.last, set.last().copied());
        prop_assert_eq!(Some(&kept.counters.opening), openings.values().next_back());
        prop_assert_eq!((accepted, duplicate), (set.len() as u64, (sent.len() - set.len()) as u64));
    }

    #[test]
    fn each_record_is_told_what_became_of_its_crossings(
        sent in prop::collection::vec((prop::collection::vec(key(), 0..4), 0u32..2, 0i64..8), 1..24),
        cuts in prop::collection::vec(1usize..6, 1..24),
    ) {
        let record = |(keys, epoch, offset): &(Vec<Key>, u32, i64)| {
            let position = Some(Position { epoch: *epoch, partition: 0, offset: *offset });
            Record { crossings: keys.clone().into(), heartbeat: None, appended_at: at(0), position }
        };
        let (mut kept, mut stands, mut set) = (Kept::default(), None, BTreeSet::new());
        let (mut rest, mut cuts) = (sent.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (batch, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            let right: Vec<Tally> = batch.iter().map(|(keys, epoch, offset)| {
                let mut tally = Tally::default();
                if stands < Some((*epoch, *offset)) {
                    stands = Some((*epoch, *offset));
                    for key in keys {
                        if set.insert(*key) { tally.accepted += 1 } else { tally.duplicate += 1 }
                    }
                }
                tally
            }).collect();
            let told = kept.fold(&batch.iter().map(record).collect::<Vec<_>>());
            prop_assert_eq!(told.map_or(vec![Tally::default(); batch.len()], |changes| changes.tallies.to_vec()), right);
            rest = more;
        }
        prop_assert_eq!(kept.rows.keys().copied().collect::<BTreeSet<_>>(), set);
    }

    #[test]
    fn a_merge_repairs_whatever_a_crash_left_behind(
        keys in prop::collection::vec(key(), 1..12),
        late in key(),
        openings_only in any::<bool>(),
    ) {
        // A fold that wrote its openings, or openings and rows, but not its counters; then the same again.
        let record = |keys: &[Key]| vec![Record { crossings: keys.to_vec().into(), heartbeat: None, appended_at: at(0), position: None }];
        let mut kept = Kept::default();
        kept.fold(&record(&keys));
        let counters = kept.counters;
        let rows = kept.rows.clone();
        kept.fold(&record(&[late]));
        kept.counters = counters;
        if openings_only {
            kept.rows = rows;
        }
        kept.fold(&record(&[late]));
        let (openings, rows, all) = naive(&keys.iter().copied().chain([late]).collect());
        prop_assert_eq!(&kept.openings, &openings);
        prop_assert_eq!(kept.rows.values().map(|row| (row.key, row.totals)).collect::<Vec<_>>(), rows);
        prop_assert_eq!(kept.counters.totals(), all);
    }
}

fn plus(ms: i64) -> Key {
    Key { at: at(ms), boot: 0, seq: 0, direction: Direction::Plus }
}

#[test]
fn records_the_ledger_holds_by_position_are_skipped() {
    let record = |epoch, offset, ms| Record {
        crossings: vec![plus(ms)].into(),
        heartbeat: None,
        appended_at: at(5),
        position: Some(Position { epoch, partition: 0, offset }),
    };
    let mut kept = Kept::default();
    kept.fold(&[record(1, 7, 10), record(1, 8, 20)]).unwrap();
    assert!(kept.fold(&[record(1, 7, 10), record(1, 8, 20)]).is_none());
    let changes = kept.fold(&[record(1, 8, 20), record(1, 9, 30)]).unwrap();
    assert_eq!(changes.rows.len(), 1);
    assert_eq!(changes.counters.position, Some(Position { epoch: 1, partition: 0, offset: 9 }));
    assert!(kept.fold(&[record(2, 0, 40)]).is_some(), "a new epoch starts at offset 0");
    assert!(kept.fold(&[record(1, 10, 50)]).is_none(), "the epoch before it was drained");
}

#[test]
fn a_stamp_rises_by_at_least_one_a_record_and_follows_the_append_time() {
    let record = |appended| Record { crossings: vec![].into(), heartbeat: None, appended_at: at(appended), position: None };
    let mut kept = Kept::default();
    assert_eq!(kept.fold(&[record(5), record(5), record(5)]).unwrap().counters.stamp_us, 5_002);
    assert_eq!(kept.fold(&[record(4)]).unwrap().counters.stamp_us, 5_003, "a clock that steps back");
    assert_eq!(kept.fold(&[record(6)]).unwrap().counters.stamp_us, 6_000);
}

#[test]
fn heard_is_the_latest_of_device_and_append_time() {
    let beat = |ms| Some(Heartbeat { at: at(ms), boot: 1, last_seq: 3 });
    let mut kept = Kept::default();
    kept.fold(&[Record { crossings: vec![plus(10)].into(), heartbeat: None, appended_at: at(100), position: None }]);
    assert_eq!(kept.counters.heard, Some(at(10)));
    kept.fold(&[Record { crossings: vec![].into(), heartbeat: beat(500), appended_at: at(200), position: None }]);
    assert_eq!(kept.counters.heard, Some(at(200)), "a fast clock is not heard ahead of its time");
    kept.fold(&[Record { crossings: vec![plus(5)].into(), heartbeat: beat(50), appended_at: at(300), position: None }]);
    assert_eq!((kept.counters.heard, kept.counters.heartbeat), (Some(at(200)), beat(500)));
}

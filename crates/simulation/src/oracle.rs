//! What must be: worked out from the log the naive way, apart from the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use occupancy::crossing::{Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Change, Counters, Position, Row};
use occupancy::time::UnixMs;
use store::conformance::ledger;
use store::conformance::model::Model;
use store::{Ledgers as _, Reason, Source};
use wire::Report;

use crate::dpu::Dpu;
use crate::log::Entry;
use crate::world::World;

const FIVE_MINUTES_MS: i64 = 300_000;
/// 2000-01-01.
const YEAR_2000_MS: i64 = 946_684_800_000;

/// Why a time in a report is refused.
fn refusal(world: &World, at: UnixMs, entry: &Entry, report: &Report) -> Option<Reason> {
    if report.accept_clock {
        return None;
    }
    let late_ms = entry.appended_at.ms() - at.ms();
    if at.ms() < YEAR_2000_MS {
        Some(Reason::ClockUnset)
    } else if late_ms < -FIVE_MINUTES_MS {
        Some(Reason::ClockAhead)
    } else {
        world.plan.policy.max_lateness_ms.filter(|limit_ms| late_ms > *limit_ms).map(|_| Reason::TooLate)
    }
}

/// What one record comes to.
enum Read {
    /// For its ledger and for quarantine.
    Home {
        report: Report,
        admitted: Vec<Key>,
        refused: Vec<(Source, Reason)>,
    },
    Foreign,
    Unreadable(Source),
}

fn read(world: &World, entry: &Entry) -> Read {
    let Ok(report) = wire::report::decode(&entry.payload) else {
        return Read::Unreadable(Source { index: Source::WHOLE, ..entry.source() });
    };
    if !world.log().is_home(&report.dpu, entry.position) {
        return Read::Foreign;
    }
    let (mut admitted, mut refused) = (Vec::new(), Vec::new());
    for (index, key) in (0..).zip(report.crossings.iter().flatten()) {
        match refusal(world, key.at, entry, &report) {
            None => admitted.push(*key),
            Some(reason) => refused.push((Source { index, ..entry.source() }, reason)),
        }
    }
    Read::Home { report, admitted, refused }
}

/// What is not durable of the records at some offsets of a partition.
pub(crate) async fn not_durable(world: &World, partition: i32, offsets: Range<i64>) -> Vec<String> {
    let mut missing = Vec::new();
    for offset in offsets {
        let Some(entry) = world.log().entry(partition, offset).cloned() else {
            missing.push(format!("{offset}, which is beyond the end"));
            continue;
        };
        let durable = match read(world, &entry) {
            Read::Unreadable(source) => quarantined(world, &source).await,
            Read::Foreign => {
                world.log().all().any(|copy| copy.position.epoch == entry.position.epoch && copy.copy_of == Some((partition, offset)))
            }
            Read::Home { report, admitted, refused } => {
                let counters = world.store.counters(std::slice::from_ref(&report.dpu)).await.unwrap_or_default();
                let position = counters.into_iter().flatten().next().and_then(|counters| counters.position);
                let mut durable = position >= Some(entry.position);
                for key in admitted {
                    let found = world.store.crossings(&report.dpu, key, key.at.plus_ms(1), 1).await.unwrap_or_default();
                    durable &= found.iter().any(|row| row.key == key);
                }
                for (source, _) in refused {
                    durable &= quarantined(world, &source).await;
                }
                durable && published(world, &report.dpu, entry.position)
            }
        };
        if !durable {
            missing.push(format!("{offset} was durable and published"));
        }
    }
    missing
}

/// Whether those who follow the counters were told of a record.
fn published(world: &World, dpu: &DpuId, record: Position) -> bool {
    world.changelog().get(dpu).into_iter().flatten().any(|change| change.counters.position >= Some(record))
}

async fn quarantined(world: &World, source: &Source) -> bool {
    let before = Source { offset: source.offset - 1, index: Source::WHOLE, ..source.clone() };
    let rows = world.store.quarantined(Some(&before), usize::MAX).await.unwrap_or_default();
    rows.iter().any(|row| row.source == *source)
}

/// What one DPU's records come to.
#[derive(Default)]
struct Expected {
    /// Each crossing, and when it was first appended.
    first: BTreeMap<Key, UnixMs>,
    /// Where in the log each crossing stands first.
    stands: BTreeMap<Key, Position>,
    newest: Option<Counters>,
    heartbeat: Option<Heartbeat>,
    heard: Option<UnixMs>,
    stamp_us: i64,
}

impl Expected {
    fn record(&mut self, world: &World, entry: &Entry, admitted: &[Key], report: &Report) {
        for key in admitted {
            self.first.entry(*key).or_insert(entry.appended_at);
            self.stands.entry(*key).or_insert(entry.position);
        }
        let heartbeat = report.heartbeat.filter(|beat| refusal(world, beat.at, entry, report).is_none());
        self.heartbeat = self.heartbeat.max(heartbeat);
        let times = admitted.iter().map(|key| key.at).chain(heartbeat.map(|beat| beat.at));
        self.heard = self.heard.max(times.map(|at| at.min(entry.appended_at)).max());
        self.stamp_us = (entry.appended_at.ms() * 1_000).max(self.stamp_us + 1);
        self.newest = Some(Counters { position: Some(entry.position), ..Counters::default() });
    }

    fn model(&self) -> Model {
        self.first.keys().copied().collect()
    }

    fn rows(&self) -> Vec<Row> {
        let appended_at = |key| self.first.get(&key).copied().unwrap_or(UnixMs::MIN);
        self.model().rows().into_iter().map(|(key, totals)| Row { key, totals, appended_at: appended_at(key) }).collect()
    }

    fn counters(&self) -> Option<Counters> {
        let (model, rows) = (self.model(), self.rows());
        self.newest.map(|newest| Counters {
            opening: model.last().map(|last| model.before(last.at.day().start())).unwrap_or_default(),
            day: rows.last().map(|row| row.totals).unwrap_or_default(),
            last: model.last(),
            heartbeat: self.heartbeat,
            heard: self.heard,
            position: newest.position,
            stamp_us: self.stamp_us,
        })
    }
}

/// Compares all that is stored with the pure function of the log, and with what the DPUs saw.
pub(crate) async fn compare(world: &World, dpus: &[Dpu]) {
    let mut expected: BTreeMap<_, Expected> = BTreeMap::new();
    let mut refused: BTreeSet<(Source, Reason)> = BTreeSet::new();
    let all: Vec<Entry> = world.log().all().cloned().collect();
    for entry in &all {
        match read(world, entry) {
            Read::Foreign => {}
            Read::Unreadable(source) => drop(refused.insert((source, Reason::Undecodable))),
            Read::Home { report, admitted, refused: out } => {
                expected.entry(report.dpu.clone()).or_default().record(world, entry, &admitted, &report);
                refused.extend(out);
            }
        }
    }
    let rows = world.store.quarantined(None, usize::MAX).await.unwrap_or_default();
    let found: BTreeSet<(Source, Reason)> = rows.into_iter().map(|row| (row.source, row.reason)).collect();
    if found != refused {
        world.wrong(format!("in quarantine is {found:?}, expected {refused:?}"));
    }
    for dpu in dpus {
        let expected = expected.remove(&dpu.id).unwrap_or_default();
        compare_ledger(world, dpu, &expected).await;
    }
    if let Some(stranger) = expected.keys().next() {
        world.wrong(format!("{stranger} is no DPU of this run"));
    }
}

async fn compare_ledger(world: &World, dpu: &Dpu, expected: &Expected) {
    let id = &dpu.id;
    let (found, model) = (ledger(&world.store, id).await, expected.model());
    if found.rows != expected.rows() {
        world.wrong(format!("{id}: stored are the crossings {:?}, expected {:?}", found.rows, expected.rows()));
    }
    if found.openings != model.openings() {
        world.wrong(format!("{id}: stored are the openings {:?}, expected {:?}", found.openings, model.openings()));
    }
    if found.counters != expected.counters() {
        world.wrong(format!("{id}: stored are the counters {:?}, expected {:?}", found.counters, expected.counters()));
    }
    let stored: BTreeSet<Key> = found.rows.iter().map(|row| row.key).collect();
    let lost: Vec<&Key> = dpu.seen.difference(&stored).collect();
    if !lost.is_empty() && world.plan.policy.max_lateness_ms.is_none() {
        world.wrong(format!("{id}: acknowledged and not stored: {lost:?}"));
    }
    compare_changes(world, id, expected, found.counters);
    let instants: Vec<UnixMs> = stored.iter().map(|key| key.at).chain([world.clock()]).collect();
    let asked: Vec<_> = instants.iter().map(|at| (id.clone(), *at)).collect();
    let totals = world.store.totals(&asked).await.unwrap_or_default();
    let naive: Vec<_> = instants.iter().map(|at| model.before(*at)).collect();
    if totals != naive {
        world.wrong(format!("{id}: totals are {totals:?}, expected {naive:?}"));
    }
}

/// The newest change is what is stored, and each reaches back to every crossing that is new to whoever took the changes
/// before it.
fn compare_changes(world: &World, id: &DpuId, expected: &Expected, stored: Option<Counters>) {
    let changes = world.changelog().get(id).cloned().unwrap_or_default();
    let mut held: Option<Counters> = None;
    for Change { counters, from, .. } in changes {
        let Some(before) = held.filter(|held| held.stamp_us < counters.stamp_us) else {
            held = held.or(Some(counters));
            continue;
        };
        let holds = |counters: Counters, record: Position| counters.position.is_some_and(|stands| stands.holds(record));
        let new = expected.stands.iter().filter(|(_, record)| holds(counters, **record) && !holds(before, **record));
        let missed: Vec<&Key> = new.map(|(key, _)| key).filter(|key| from.is_none_or(|from| key.at < from)).collect();
        if !missed.is_empty() {
            world.wrong(format!("{id}: the change at {} reaches back to {from:?} and not to {missed:?}", counters.stamp_us));
        }
        held = Some(counters);
    }
    if held != stored {
        world.wrong(format!("{id}: the newest change is {held:?}, stored is {stored:?}"));
    }
}

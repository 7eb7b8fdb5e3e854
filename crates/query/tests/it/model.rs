//! Counts and what explains them against a naive model: all crossings and baselines sorted by time, added up one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use engines::Cassandra;
use occupancy::crossing::{Direction, Key};
use occupancy::edit::{Change, Correction, Note};
use occupancy::id::{CorrectionId, SpaceId};
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Reset, Side, Space};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::prop_oneof;
use query::Event;
use store::{FjallStore, Ledgers, MemoryStore, Store};
use store_cql::{CqlOptions, CqlStore, Plan, Replication, migrate};

use crate::support::{doorway, edit, id, query, space, take};

#[cfg(test)]
mod dpus;
#[cfg(test)]
mod explained;

const QUARTER_MS: i64 = 900_000;
/// How many crossings come together.
pub(crate) const BATCH: usize = 7;
/// Five days, in quarters of an hour.
const QUARTERS: i64 = 480;
pub(crate) const SPACES: [(&str, Option<&str>); 5] =
    [("campus", None), ("hall", Some("campus")), ("room", Some("hall")), ("annex", Some("campus")), ("attic", Some("annex"))];
pub(crate) const DOORWAYS: [(&str, &str, &str); 7] = [
    ("front", "outside", "hall"),
    ("gate", "campus", "outside"),
    ("inner", "hall", "room"),
    ("bridge", "annex", "room"),
    ("lobby", "campus", "annex"),
    ("hatch", "attic", "outside"),
    ("stairs", "annex", "attic"),
];
/// Zones and a first day, so that clocks change within five days, by an hour or by half an hour, forward or back.
pub(crate) const PLACES: [(&str, &str); 5] = [
    ("America/Los_Angeles", "2005-10-28T00:00:00Z"),
    ("America/Los_Angeles", "2024-03-08T00:00:00Z"),
    ("Australia/Lord_Howe", "2024-10-04T00:00:00Z"),
    ("Australia/Lord_Howe", "2024-04-04T00:00:00Z"),
    ("America/Havana", "2024-03-08T00:00:00Z"),
];

/// A pause, then how long it hung (`None`: for good), over which doorway, and whether +1 enters its first side.
type Part = (i64, Option<i64>, usize, bool);

/// A generated case; every time in ms since the first day.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) zone: Tz,
    pub(crate) annex_zone: Option<Tz>,
    pub(crate) first: UnixMs,
    resets: BTreeMap<(usize, i64), Option<NaiveTime>>,
    /// For each DPU.
    hung: Vec<Vec<Part>>,
    corrections: Vec<(usize, i64, u32, bool)>,
    /// DPU, at, seq, +1, in the order they come.
    pub(crate) crossings: Vec<(usize, i64, u64, bool)>,
    pub(crate) asked: Vec<i64>,
    pub(crate) page: usize,
}

/// Times that often coincide: quarters of an hour, or a ms beside.
fn time() -> impl Strategy<Value = i64> {
    (0..QUARTERS, prop_oneof![3 => Just(0), 1 => Just(-1), 1 => Just(1), 1 => 0..QUARTER_MS]).prop_map(|(q, ms)| q * QUARTER_MS + ms)
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let clock = prop_oneof![3 => (0u32..96).prop_map(|q| NaiveTime::from_hms_opt(q / 4, q % 4 * 15, 0)), 1 => Just(None)];
    let resets = prop::collection::btree_map((0..SPACES.len(), -QUARTERS / 2..QUARTERS), clock, 0..5);
    let part = (0..100i64, prop::option::weighted(0.8, 1..200i64), 0..DOORWAYS.len(), any::<bool>());
    let hung = prop::collection::vec(prop::collection::vec(part, 0..5), 4);
    let corrections = prop::collection::vec((0..SPACES.len(), time(), 0u32..9, prop::bool::weighted(0.2)), 0..6);
    let crossings = prop::collection::vec((0..4usize, time(), prop_oneof![3 => 0..3u64, 1 => 3..9u64], any::<bool>()), 0..150);
    let asked = prop::collection::vec(time(), 4);
    let places = (0..PLACES.len(), any::<bool>());
    (places, resets, hung, corrections, crossings, asked, 1..40usize).prop_map(
        |(place, resets, hung, corrections, crossings, asked, page)| {
            let (zone, first) = PLACES[place.0];
            let first: UnixMs = id(first);
            let resets = resets.into_iter().map(|((space, quarter), at)| ((space, quarter * QUARTER_MS), at)).collect();
            let annex_zone = place.1.then(|| id("Asia/Kolkata"));
            Case { zone: id(zone), annex_zone, first, resets, hung, corrections, crossings, asked, page }
        },
    )
}

impl Case {
    pub(crate) fn at(&self, ms: i64) -> UnixMs {
        self.first.plus_ms(ms)
    }

    /// When the batch with a crossing's number came.
    pub(crate) fn appended(&self, batch: usize) -> UnixMs {
        self.at(QUARTERS * QUARTER_MS + batch as i64)
    }

    pub(crate) fn installations(&self) -> Vec<Installation> {
        let mut all = Vec::new();
        for (dpu, parts) in self.hung.iter().enumerate() {
            let mut from = 0;
            for (pause, length, door, first_side) in parts {
                from += pause * QUARTER_MS;
                let (name, a, b) = DOORWAYS[*door];
                let to = length.map(|length| from + length * QUARTER_MS);
                let enters: Side = id(if *first_side { a } else { b });
                all.push(Installation {
                    dpu: id(&dpu.to_string()),
                    doorway: id(name),
                    enters,
                    from: self.at(from),
                    to: to.map(|to| self.at(to)),
                });
                let Some(to) = to else { break };
                from = to;
            }
        }
        all
    }

    fn document(&self) -> Document {
        let zoned = |(name, parent): (&str, Option<&str>)| {
            let time_zone = match name {
                "campus" => Some(self.zone),
                "annex" => self.annex_zone,
                _ => None,
            };
            Space { time_zone, ..space(name, parent) }
        };
        let resets = self.resets.iter().map(|((place, from), at)| Reset { space: id(SPACES[*place].0), from: self.at(*from), at: *at });
        let doorways: Vec<Doorway> = DOORWAYS.iter().map(|(name, a, b)| doorway(name, a, b)).collect();
        Document { spaces: SPACES.map(zoned).to_vec(), resets: resets.collect(), doorways, installations: self.installations() }
    }

    fn key(&self, (_, ms, seq, plus): (usize, i64, u64, bool)) -> Key {
        Key { at: self.at(ms), boot: boot_at(self.at(ms)), seq, direction: if plus { Direction::Plus } else { Direction::Minus } }
    }
}

/// Which run of its DPU a crossing is of: one of two, which come again, as a run's number need not be greater than the one before.
pub(crate) fn boot_at(at: UnixMs) -> u64 {
    if (at.ms() / (53 * QUARTER_MS)) % 2 == 0 { 7 } else { 3 }
}

/// What happens to a space, in the order it acts within a ms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happens {
    Reset,
    Correction(usize, u32),
    Crossing(Seen),
}

/// DPU, seq, whether +1, whether it enters.
pub(crate) type Seen = (String, u64, bool, bool);

pub(crate) fn inside(space: &str, side: &str) -> bool {
    let mut here = Some(side);
    while let Some(name) = here {
        if name == space {
            return true;
        }
        here = SPACES.iter().find(|(one, _)| *one == name).and_then(|(_, parent)| *parent);
    }
    false
}

/// From which side to which, by DPU's +1 or -1.
fn went(one: &Installation, plus: bool) -> (&'static str, &'static str) {
    let (_, a, b) = DOORWAYS.iter().find(|(name, _, _)| *name == one.doorway.as_str()).unwrap();
    if (one.enters.to_string() == *a) == plus { (b, a) } else { (a, b) }
}

/// The first instant, in steps of a quarter of an hour, at which clocks show `wall` or later.
pub(crate) fn first_showing(zone: Tz, wall: NaiveDateTime) -> UnixMs {
    let mut at = wall.and_utc() - TimeDelta::hours(30);
    while at.with_timezone(&zone).naive_local() < wall {
        at += TimeDelta::minutes(15);
    }
    UnixMs::of(&at)
}

impl Case {
    /// Everything that happens to a space, in order of time.
    pub(crate) fn story(&self, space: &str) -> Vec<(UnixMs, Happens)> {
        let mut story = self.resets_of(space);
        for (order, (place, ms, count, retracted)) in self.corrections.iter().enumerate() {
            if SPACES[*place].0 == space && !retracted {
                story.push((self.at(*ms), Happens::Correction(order, *count)));
            }
        }
        let installations = self.installations();
        for crossing in &self.crossings {
            let (dpu, at) = (crossing.0.to_string(), self.at(crossing.1));
            let covers = |one: &&Installation| one.dpu.as_str() == dpu && one.from <= at && one.to.is_none_or(|to| at < to);
            let Some(one) = installations.iter().find(covers) else { continue };
            let (out_of, into) = went(one, crossing.3);
            if inside(space, into) != inside(space, out_of) {
                story.push((at, Happens::Crossing((dpu, crossing.2, crossing.3, inside(space, into)))));
            }
        }
        story.sort();
        story.dedup();
        story
    }

    fn resets_of(&self, space: &str) -> Vec<(UnixMs, Happens)> {
        let mut lineage = vec![space];
        while let Some((_, Some(parent))) = SPACES.iter().find(|(one, _)| one == lineage.last().unwrap()) {
            lineage.push(parent);
        }
        let zone = if lineage.contains(&"annex") { self.annex_zone.unwrap_or(self.zone) } else { self.zone };
        let entries = |name: &&str| -> Vec<(i64, Option<NaiveTime>)> {
            self.resets.iter().filter(|((place, _), _)| SPACES[*place].0 == *name).map(|((_, from), at)| (*from, *at)).collect()
        };
        let entries = lineage.iter().map(entries).find(|entries| !entries.is_empty()).unwrap_or_default();
        let mut story = Vec::new();
        for (i, (from, time)) in entries.iter().enumerate() {
            let Some(time) = time else { continue };
            let until = entries.get(i + 1).map_or(UnixMs::MAX, |(next, _)| self.at(*next));
            for day in -10..10 {
                let date = DateTime::from_timestamp_millis(self.first.ms()).unwrap().date_naive() + TimeDelta::days(day);
                let at = first_showing(zone, date.and_time(*time));
                if self.at(*from) <= at && at < until {
                    story.push((at, Happens::Reset));
                }
            }
        }
        story
    }
}

pub(crate) async fn fill<S: Store + 'static>(case: &Case, store: Arc<S>) -> query::Query {
    let query = query(&store, case.at(10 * QUARTERS * QUARTER_MS));
    edit(&query, Change::Topology { root: id("campus"), document: case.document(), allow_removal: false }).await;
    for (i, (place, ms, count, retracted)) in case.corrections.iter().enumerate() {
        let one: CorrectionId = id(&format!("c{i}"));
        let correction = Correction { id: one.clone(), space: id(SPACES[*place].0), at: case.at(*ms), count: *count };
        edit(&query, Change::Corrections { corrections: vec![correction], note: Note::default() }).await;
        if *retracted {
            edit(&query, Change::Retraction { id: one, note: Note::default() }).await;
        }
    }
    for (i, few) in case.crossings.chunks(BATCH).enumerate() {
        for dpu in 0..4 {
            let keys: Vec<Key> = few.iter().filter(|one| one.0 == dpu).map(|one| case.key(*one)).collect();
            if !keys.is_empty() {
                take(&store, &dpu.to_string(), keys, None, case.appended(i)).await;
            }
        }
    }
    query
}

async fn events(query: &query::Query, space: &SpaceId, from: UnixMs, to: UnixMs, page: usize) -> Vec<Event> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let found = query.events(space, from, to, after.as_ref(), page).await.unwrap();
        assert!(found.items.len() <= page);
        all.extend(found.items);
        after = found.next;
        if after.is_none() {
            return all;
        }
    }
}

/// Raw, and entered and exited since the last baseline.
fn add_up<'a>(story: impl Iterator<Item = &'a (UnixMs, Happens)>) -> (i64, i64, i64) {
    story.fold((0, 0, 0), |(raw, entered, exited), (_, happens)| match happens {
        Happens::Reset => (0, 0, 0),
        Happens::Correction(_, count) => (i64::from(*count), 0, 0),
        Happens::Crossing((_, _, _, true)) => (raw + 1, entered + 1, exited),
        Happens::Crossing(_) => (raw - 1, entered, exited + 1),
    })
}

async fn check<S: Store + 'static>(case: &Case, store: Arc<S>) {
    let query = fill(case, Arc::clone(&store)).await;
    for (name, _) in SPACES {
        let (space, story) = (id::<SpaceId>(name), case.story(name));
        for at in case.asked.iter().map(|ms| case.at(*ms)) {
            let (raw, entered, exited) = add_up(story.iter().filter(|(when, _)| *when <= at));
            let count = query.count(&space, Some(at)).await.unwrap();
            assert_eq!((count.raw, count.entered, count.exited), (raw, entered, exited), "{name} at {at}: {:?}", count.baseline);
            explained::check(case, &query, &space, &count, &story).await;
        }
        let (from, to) = (case.at(case.asked[0]), case.at(case.asked[1]));
        if from < to {
            let seen = |one: Event| (one.key.at, (one.dpu.to_string(), one.key.seq, one.key.direction == Direction::Plus, one.entered));
            let told: Vec<_> = events(&query, &space, from, to, case.page).await.into_iter().map(seen).collect();
            let happened = story.into_iter().filter(|(when, _)| (from..to).contains(when));
            let happened: Vec<_> =
                happened.filter_map(|(at, happens)| if let Happens::Crossing(one) = happens { Some((at, one)) } else { None }).collect();
            assert_eq!(told, happened, "{name} from {from} to {to}");
        }
    }
    for dpu in 0..4 {
        explained::check_residuals(case, &query, dpu).await;
    }
    let verified = query::verify(&*store as &dyn Ledgers, |difference| panic!("{difference}")).await.unwrap();
    assert_eq!(verified.differences, 0);
}

pub(crate) fn run(task: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]

    #[test]
    fn counts_and_events_are_those_of_a_naive_walk(case in case()) {
        run(check(&case, Arc::new(MemoryStore::new())));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]

    #[test]
    fn they_are_on_disk_as_well(case in case()) {
        let folder = tempfile::tempdir().unwrap();
        run(check(&case, Arc::new(FjallStore::open(folder.path()).unwrap())));
    }
}

/// A new keyspace of the one node all cases share; `None` where Java or Maven is missing.
pub(crate) async fn keyspace() -> Option<CqlStore> {
    static KEYSPACES: AtomicU32 = AtomicU32::new(0);
    let cassandra = engines::or_skip(Cassandra::shared()).unwrap()?;
    let number = KEYSPACES.fetch_add(1, Ordering::Relaxed);
    let options = CqlOptions::new(format!("cql://{}/model_{number}", cassandra.contact_points()[0]).parse().unwrap());
    // Slots that several DPUs share.
    migrate(&options, &Plan { slots: Some(2), replication: Some(Replication::Everywhere(1)) }).await.unwrap();
    Some(CqlStore::connect(&options).await.unwrap())
}

proptest::proptest! {
    // Every case takes seconds, and so does each step towards a smaller one.
    #![proptest_config(proptest::prelude::ProptestConfig { max_shrink_iters: 20, ..proptest::prelude::ProptestConfig::with_cases(3) })]

    #[test]
    fn they_are_in_a_cluster_as_well(case in case()) {
        run(async {
            if let Some(store) = keyspace().await {
                check(&case, Arc::new(store)).await;
            }
        });
    }
}

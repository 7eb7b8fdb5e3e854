//! How the DPUs are, against a naive model: all they ever said in one list, and each answer a walk over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::edit::Change;
use occupancy::id::{DoorwayId, DpuId};
use occupancy::installation::Installation;
use occupancy::time::{DAY_MS, Day, UnixMs};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::prop_oneof;
use query::{ClockOffset, Dpu, Query, QueryError, State};
use store::{FjallStore, MemoryStore, Store};

use super::{Case, QUARTER_MS, case, keyspace, run};
use crate::support::{edit, id, query, take};

/// Four that may hang somewhere, and some that never do.
const DPUS: usize = 7;
/// Two weeks, in quarters of an hour.
const QUARTERS: i64 = 1344;

/// What one DPU says at once, every time in ms since the first day.
#[derive(Debug, Clone)]
struct Report {
    dpu: usize,
    keys: Vec<(i64, u64, u64, bool)>,
    /// At, boot, last seq.
    beat: Option<(i64, u64, u64)>,
    came: i64,
}

/// The topology of a case, and what its DPUs say, in the order it comes.
#[derive(Debug, Clone)]
struct Scene {
    case: Case,
    reports: Vec<Report>,
    now: UnixMs,
    page: usize,
}

/// A DPU's word and when it came.
type Word = (DpuId, Result<Key, Heartbeat>, UnixMs);

fn report() -> impl Strategy<Value = Report> {
    let many = prop_oneof![2 => Just(0i64), 6 => 1..30i64, 1 => 90..180i64];
    let apart = prop::sample::select(vec![0i64, 1, 700, 60_000, 3_600_000, DAY_MS]);
    // First number, 0 for none, and how far apart numbers are.
    let numbers = (prop_oneof![1 => Just(0u64), 3 => 1..40u64], 1..3u64);
    let beat = prop::option::of((prop_oneof![3 => Just(0i64), 1 => -QUARTER_MS..0, 1 => 1..QUARTER_MS], 0..4u64, 0..50u64));
    let late = prop::sample::select(vec![-90_000i64, -1, 0, 0, 250, 3_600_000, 5 * DAY_MS]);
    (0..DPUS, 0..QUARTERS, many, apart, (0..4u64, numbers), any::<bool>(), beat, late).prop_map(
        |(dpu, quarter, many, apart, (boot, (first, step)), plus, beat, late)| {
            let start = quarter * QUARTER_MS;
            let number = |n: i64| if first == 0 { 0 } else { first + n as u64 * step };
            let keys: Vec<_> = (0..many).map(|n| (start + n * apart, boot, number(n), plus == (n % 3 > 0))).collect();
            let end = keys.last().map_or(start, |(at, ..)| *at);
            Report { dpu, keys, beat: beat.map(|(after, boot, last_seq)| (end + after, boot, last_seq)), came: end + late }
        },
    )
}

fn scene() -> impl Strategy<Value = Scene> {
    let reports = prop::collection::vec(report(), 1..14).prop_flat_map(|reports| {
        let again = prop::collection::vec((0..reports.len(), 0..QUARTERS), 0..4);
        (Just(reports), again)
    });
    // Around the silence limit after something that was said.
    let since = prop::sample::select(vec![-1i64, 0, 119_999, 120_000, 120_001, 3_600_000]);
    (case(), reports, any::<prop::sample::Index>(), since, 1..6usize).prop_map(|(case, (mut reports, again), spoke, since, page)| {
        let said = spoke.get(&reports);
        let now = case.at(said.came.min(said.beat.map_or(said.came, |beat| beat.0)) + since);
        let again: Vec<_> = again.into_iter().map(|(which, at)| Report { came: at * QUARTER_MS, ..reports[which].clone() }).collect();
        reports.extend(again);
        reports.retain(|one| !one.keys.is_empty() || one.beat.is_some());
        Scene { case, reports, now, page }
    })
}

impl Scene {
    fn keys(&self, report: &Report) -> Vec<Key> {
        let direction = |plus: bool| if plus { Direction::Plus } else { Direction::Minus };
        report
            .keys
            .iter()
            .map(|(ms, boot, seq, plus)| Key { at: self.case.at(*ms), boot: *boot, seq: *seq, direction: direction(*plus) })
            .collect()
    }

    fn beat(&self, report: &Report) -> Option<Heartbeat> {
        report.beat.map(|(ms, boot, last_seq)| Heartbeat { at: self.case.at(ms), boot, last_seq })
    }

    fn words(&self) -> Vec<Word> {
        let said = |one: &Report| {
            let words = self.keys(one).into_iter().map(Ok).chain(self.beat(one).map(Err));
            let (dpu, came): (DpuId, _) = (id(&one.dpu.to_string()), self.case.at(one.came));
            words.map(|word| (dpu.clone(), word, came)).collect::<Vec<Word>>()
        };
        self.reports.iter().flat_map(said).collect()
    }

    fn model(&self, dpu: &DpuId) -> Model {
        let mut model = Model { now: self.now, ..Model::default() };
        for (_, word, came) in self.words().into_iter().filter(|(who, ..)| who == dpu) {
            let at = match word {
                Ok(key) => {
                    model.crossings.entry(key).or_insert(came);
                    key.at
                }
                Err(beat) => {
                    model.beats.insert(beat);
                    beat.at
                }
            };
            model.heard = model.heard.max(Some(at.min(came)));
        }
        model.hung = self.case.installations().into_iter().filter(|one| one.dpu == *dpu).collect();
        model
    }
}

/// All that is known of one DPU.
#[derive(Debug)]
struct Model {
    /// Each with when it came first.
    crossings: BTreeMap<Key, UnixMs>,
    beats: BTreeSet<Heartbeat>,
    heard: Option<UnixMs>,
    hung: Vec<Installation>,
    now: UnixMs,
}

impl Default for Model {
    fn default() -> Self {
        Self { crossings: BTreeMap::new(), beats: BTreeSet::new(), heard: None, hung: Vec::new(), now: UnixMs::MIN }
    }
}

impl Model {
    fn hangs(&self) -> Option<DoorwayId> {
        let here = |one: &&Installation| one.from <= self.now && one.to.is_none_or(|to| self.now < to);
        self.hung.iter().find(here).map(|one| one.doorway.clone())
    }

    /// The table in DESIGN.md, line by line.
    fn state(&self) -> State {
        let long_ago = |heard: UnixMs| self.now.since(heard) > 120_000;
        match (self.hangs(), self.heard, self.beats.is_empty()) {
            _ if self.hung.is_empty() => State::Unplaced,
            (None, ..) | (_, Some(_), true) => State::Unmonitored,
            (Some(_), None, _) => State::Silent,
            (Some(_), Some(heard), false) if long_ago(heard) => State::Silent,
            (Some(_), Some(_), false) => State::Healthy,
        }
    }

    fn clock_offset(&self) -> Option<ClockOffset> {
        let (last, _) = self.crossings.last_key_value()?;
        let week = self.crossings.iter().rev().filter(|(key, _)| last.at.since(key.at) <= 7 * DAY_MS);
        let mut offsets: Vec<i64> = week.take(100).map(|(key, came)| came.since(key.at)).collect();
        offsets.sort_unstable();
        let worst_ms = *offsets.iter().max_by_key(|offset| (offset.abs(), **offset))?;
        Some(ClockOffset { crossings: offsets.len(), least_ms: offsets[0], median_ms: offsets[offsets.len() / 2], worst_ms })
    }

    fn missing(&self) -> Option<u64> {
        let (last, _) = self.crossings.last_key_value()?;
        let later = self.beats.last().filter(|beat| beat.at > last.at);
        let boot = later.map_or(last.boot, |beat| beat.boot);
        let days: BTreeSet<Day> = self.crossings.keys().map(|key| key.at.day()).collect();
        let of = |day: &Day| self.crossings.keys().filter(|key| key.at.day() == *day && key.boot == boot).collect::<Vec<_>>();
        let walked = days.iter().rev().map(of).take_while(|keys| !keys.is_empty()).flatten();
        let mut numbers: BTreeSet<u64> = walked.map(|key| key.seq).filter(|seq| *seq > 0).collect();
        let (first, came) = (*numbers.first()?, numbers.len() as u64);
        numbers.extend(self.beats.last().filter(|beat| beat.boot == boot).map(|beat| beat.last_seq));
        Some(numbers.last()? - first + 1 - came)
    }

    fn is_known(&self) -> bool {
        self.heard.is_some() || !self.hung.is_empty()
    }

    fn assert_is(&self, told: &Dpu) {
        assert_eq!((told.state, &told.hangs, &told.installations), (self.state(), &self.hangs(), &self.hung), "{told:?}");
        assert_eq!(told.counters.is_some(), self.heard.is_some(), "{told:?}");
        let counters = told.counters.unwrap_or_default();
        let plus = self.crossings.keys().filter(|key| key.direction == Direction::Plus).count() as u64;
        assert_eq!((counters.totals().entered, counters.totals().exited), (plus, self.crossings.len() as u64 - plus), "{told:?}");
        let last = self.crossings.keys().next_back().copied();
        assert_eq!((counters.last, counters.heartbeat, counters.heard), (last, self.beats.last().copied(), self.heard), "{told:?}");
    }
}

/// All pages of a list, each but the last with a next.
async fn listed(query: &Query, placed: Option<bool>, page: usize) -> Vec<Dpu> {
    let (mut all, mut after): (Vec<Dpu>, Option<DpuId>) = (Vec::new(), None);
    loop {
        let found = query.dpus(placed, after.as_ref(), page).await.unwrap();
        assert!(found.items.len() <= page);
        all.extend(found.items);
        after = found.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn check<S: Store + 'static>(scene: &Scene, store: Arc<S>) {
    let query = query(&store, scene.now);
    edit(&query, Change::Topology { root: id("campus"), document: scene.case.document(), allow_removal: false }).await;
    for one in &scene.reports {
        take(&store, &one.dpu.to_string(), scene.keys(one), scene.beat(one), scene.case.at(one.came)).await;
    }
    let ids: BTreeSet<DpuId> = (0..DPUS).map(|dpu| id(&dpu.to_string())).collect();
    let all: BTreeMap<DpuId, Model> = ids.into_iter().map(|dpu| (dpu.clone(), scene.model(&dpu))).collect();
    for (dpu, model) in &all {
        let told = query.dpu(dpu).await;
        if !model.is_known() {
            assert_eq!(told, Err(QueryError::UnknownDpu(dpu.to_string())));
            continue;
        }
        let told = told.unwrap();
        model.assert_is(&told);
        assert_eq!(query.clock_offset(&told).await.unwrap(), model.clock_offset(), "{told:?}");
        assert_eq!(query.missing(&told).await.unwrap(), model.missing(), "{told:?}");
    }
    for placed in [None, Some(true), Some(false)] {
        let wanted = |model: &Model| model.is_known() && placed.is_none_or(|placed| placed != model.hung.is_empty());
        let told = listed(&query, placed, scene.page).await;
        let ids: Vec<&DpuId> = told.iter().map(|dpu| &dpu.id).collect();
        assert_eq!(ids, all.iter().filter(|(_, model)| wanted(model)).map(|(dpu, _)| dpu).collect::<Vec<_>>(), "{placed:?}");
        told.iter().for_each(|dpu| all[&dpu.id].assert_is(dpu));
    }
    let mut states: BTreeMap<State, u64> = State::ALL.map(|state| (state, 0)).into();
    all.values().filter(|model| model.is_known()).for_each(|model| *states.entry(model.state()).or_default() += 1);
    let census = query.census().await.unwrap();
    assert_eq!((census.dpus, census.more), (states, false));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(3000))]

    #[test]
    fn dpus_are_as_all_they_said_tells(scene in scene()) {
        run(check(&scene, Arc::new(MemoryStore::new())));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(20))]

    #[test]
    fn dpus_are_so_on_disk_as_well(scene in scene()) {
        let folder = tempfile::tempdir().unwrap();
        run(check(&scene, Arc::new(FjallStore::open(folder.path()).unwrap())));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { max_shrink_iters: 20, ..proptest::prelude::ProptestConfig::with_cases(4) })]

    #[test]
    fn dpus_are_so_in_a_cluster_as_well(scene in scene()) {
        run(async {
            if let Some(store) = keyspace().await {
                check(&scene, Arc::new(store)).await;
            }
        });
    }
}

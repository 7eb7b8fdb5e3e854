//! The live view against the store it stands before: whatever comes late, twice or never, each answer is what the store
//! said at some moment between the view's position and now.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Change, Counters, Record};
use occupancy::time::UnixMs;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, proptest};
use proptest::prop_oneof;
use proptest::sample::select;
use query::{FRESH, Live};
use store::conformance::{Lane, model::Model};
use store::{Commit, LedgerWrite, Ledgers, Store};
use tokio::time::{Instant, advance};

use crate::hooked::{Hooked, Meanwhile};
use crate::support::{at, id};

const DPUS: usize = 3;
const MINUTE_MS: i64 = 60_000;

/// What happens; a crossing is its minute and whether it is +1.
#[derive(Debug, Clone)]
enum Step {
    /// The owner folds and publishes; or dies in between, and another takes its place.
    Commit { dpu: usize, crossings: Vec<(i64, bool)>, dies: bool },
    /// An old change comes once more.
    Again(prop::sample::Index),
    /// So many changes reach the view.
    Deliver(usize),
    /// The view begins anew.
    Restart,
    /// The view is told that it has everything, if so.
    Confirm,
    /// Time passes.
    Wait,
    /// Counters, then totals before some minutes; perhaps a crossing comes while these are read.
    Read { dpu: usize, minutes: Vec<i64>, meanwhile: Option<(i64, bool)> },
    /// Totals before some minutes while only some of the rows of a commit are there: those with a bit, the openings too.
    Torn { dpu: usize, crossings: Vec<(i64, bool)>, rows: u8, minutes: Vec<i64> },
}

fn crossing() -> impl Strategy<Value = (i64, bool)> {
    // Within two days, often the same minute.
    (prop_oneof![0..20i64, 1_430..1_450i64], any::<bool>())
}

fn step() -> impl Strategy<Value = Step> {
    let dpu = || 0..DPUS;
    // Few, so that what is kept is asked for again; beside what is now.
    let minute = || select(vec![5i64, 10, 15, 1_435, 1_440, 1_445, 4_400]);
    prop_oneof![
        6 => (dpu(), vec(crossing(), 0..4), prop::bool::weighted(0.15)).prop_map(|(dpu, crossings, dies)| Step::Commit { dpu, crossings, dies }),
        1 => any::<prop::sample::Index>().prop_map(Step::Again),
        4 => (1..6usize).prop_map(Step::Deliver),
        1 => prop::bool::weighted(0.3).prop_map(|restart| if restart { Step::Restart } else { Step::Wait }),
        4 => Just(Step::Confirm),
        8 => (dpu(), vec(minute(), 1..4), prop::option::weighted(0.2, crossing()))
            .prop_map(|(dpu, minutes, meanwhile)| Step::Read { dpu, minutes, meanwhile }),
        // The same two of one day, again and again.
        4 => (dpu(), select(vec![[5i64, 10], [5, 15], [10, 1_435]])).prop_map(|(dpu, minutes)| {
            Step::Read { dpu, minutes: minutes.to_vec(), meanwhile: None }
        }),
        2 => (dpu(), vec(crossing(), 1..5), any::<u8>(), vec(minute(), 1..3))
            .prop_map(|(dpu, crossings, rows, minutes)| Step::Torn { dpu, crossings, rows, minutes }),
    ]
}

fn minute(minute: i64) -> UnixMs {
    at("2024-03-01T00:00:00Z").plus_ms(minute * MINUTE_MS)
}

fn key((at_minute, plus): (i64, bool)) -> Key {
    Key { direction: if plus { Direction::Plus } else { Direction::Minus }, ..Key::first_at(minute(at_minute)) }
}

/// One DPU, as the test knows it.
#[derive(Default)]
struct Known {
    /// Every set of crossings its ledger ever was.
    versions: Vec<BTreeSet<Key>>,
    /// The version the view holds, or a later one.
    seen: usize,
}

/// A change on its way, and the version of its ledger.
type Sent = (Change, usize);

struct Case {
    store: Arc<Hooked>,
    live: Arc<Live>,
    owner: Lane,
    owned: BTreeSet<DpuId>,
    known: BTreeMap<DpuId, Known>,
    /// All that was published.
    log: Vec<Sent>,
    /// How much of it the view has taken.
    position: usize,
    beats: i64,
    /// Whether a commit is under way.
    torn: bool,
}

impl Case {
    fn new() -> Self {
        let store = Arc::new(Hooked::default());
        let live = Live::new(Arc::clone(&store) as Arc<dyn Store>, &prometheus::Registry::new()).unwrap();
        let known = (0..DPUS).map(|dpu| (id(&format!("d{dpu}")), Known { versions: vec![BTreeSet::new()], seen: 0 })).collect();
        let (owner, owned, log) = (Lane::default(), BTreeSet::new(), Vec::new());
        Self { store, live: Arc::new(live), owner, owned, known, log, position: 0, beats: 0, torn: false }
    }

    fn dpu(&self, dpu: usize) -> DpuId {
        self.known.keys().nth(dpu).unwrap().clone()
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Commit { dpu, crossings, dies } => {
                let (commit, sent) = self.prepare(&self.dpu(dpu), &crossings).await;
                self.store.commit(commit).await.unwrap();
                if dies {
                    (self.owner, self.owned) = (Lane::default(), BTreeSet::new());
                } else {
                    self.log.push(sent);
                }
            }
            Step::Again(which) if !self.log.is_empty() => self.log.push(which.get(&self.log).clone()),
            Step::Again(_) => {}
            Step::Deliver(changes) => (0..changes).for_each(|_| self.deliver()),
            Step::Restart => self.restart().await,
            Step::Confirm => self.confirm(),
            Step::Wait => advance(FRESH * 3 / 4).await,
            Step::Read { dpu, minutes, meanwhile } => self.read(dpu, &minutes, meanwhile).await,
            Step::Torn { dpu, crossings, rows, minutes } => self.read_torn(&self.dpu(dpu), &crossings, rows, &minutes).await,
        }
    }

    /// What the owner writes, and what it publishes then.
    async fn prepare(&mut self, dpu: &DpuId, crossings: &[(i64, bool)]) -> (Arc<Commit>, Sent) {
        self.beats += 1;
        let crossings: Vec<Key> = crossings.iter().copied().map(key).collect();
        let first = crossings.iter().map(|key| key.at).min();
        let heartbeat = Some(Heartbeat { at: minute(self.beats), boot: 1, last_seq: 0 });
        let known = self.known.get_mut(dpu).unwrap();
        let set: BTreeSet<Key> = known.versions.last().unwrap().iter().chain(&crossings).copied().collect();
        known.versions.push(set);
        let record = Record { crossings: crossings.into(), heartbeat, appended_at: minute(0), position: None };
        let commit = self.owner.prepare(&*self.store.inner, &[(dpu.clone(), record)]).await.unwrap();
        let from = if self.owned.insert(dpu.clone()) { Some(UnixMs::MIN) } else { first };
        let change = Change { dpu: dpu.clone(), counters: commit.ledgers[0].counters.unwrap(), from };
        (Arc::new(commit), (change, known.versions.len() - 1))
    }

    /// The next change reaches the view.
    fn deliver(&mut self) {
        let Some((change, version)) = self.log.get(self.position).cloned() else { return };
        self.position += 1;
        let known = self.known.get_mut(&change.dpu).unwrap();
        known.seen = known.seen.max(version);
        self.live.take(change);
    }

    /// The end of the log first, then the store, then what comes after that end.
    async fn restart(&mut self) {
        self.position = self.log.len();
        self.live.restart();
        let mut after = None;
        while let Some(last) = self.page(after.as_ref()).await {
            after = Some(last);
        }
        for known in self.known.values_mut() {
            known.seen = known.versions.len() - 1;
        }
    }

    async fn page(&self, after: Option<&DpuId>) -> Option<DpuId> {
        let page = self.store.inner.dpus(after, 2).await.unwrap();
        for (dpu, counters) in &page {
            self.live.take(Change { dpu: dpu.clone(), counters: *counters, from: Some(UnixMs::MIN) });
        }
        page.into_iter().next_back().map(|(dpu, _)| dpu)
    }

    fn confirm(&self) {
        if self.position == self.log.len() {
            self.live.confirm(Instant::now());
        }
    }

    async fn read(&mut self, dpu: usize, minutes: &[i64], meanwhile: Option<(i64, bool)>) {
        let dpu = self.dpu(dpu);
        let fresh = self.live.is_fresh();
        let counters = self.live.counters(std::slice::from_ref(&dpu)).await.unwrap()[0].unwrap_or_default();
        let known = self.known.get_mut(&dpu).unwrap();
        let latest = known.versions.len() - 1;
        let like = |set: &BTreeSet<Key>, counters: &Counters| {
            let model: Model = set.iter().copied().collect();
            (model.totals(|_| true), model.last()) == (counters.totals(), counters.last)
        };
        let oldest = if fresh { known.seen } else { latest };
        assert!(known.versions[oldest..].iter().any(|set| like(set, &counters)), "{dpu}: {counters:?} since {oldest}");
        // What was read from the store, the view does not fall behind again.
        known.seen = oldest;

        if let Some(crossing) = meanwhile {
            let (commit, (change, version)) = self.prepare(&dpu, &[crossing]).await;
            self.log.push((change, version));
            // All that was published reaches the view while it waits for the store.
            let changes: Vec<Change> = self.log[self.position..].iter().map(|(change, _)| change.clone()).collect();
            let live = Arc::clone(&self.live);
            let then = Box::new(move || changes.into_iter().for_each(|change| live.take(change)));
            self.store.meanwhile(Meanwhile { commit, then });
        }
        self.ask(&dpu, minutes, if fresh { self.known[&dpu].seen } else { latest }).await;
        if let Some(Meanwhile { commit, .. }) = self.store.missed() {
            self.store.commit(commit).await.unwrap();
        } else if meanwhile.is_some() {
            while self.position < self.log.len() {
                let (change, version) = &self.log[self.position];
                let known = self.known.get_mut(&change.dpu).unwrap();
                known.seen = known.seen.max(*version);
                self.position += 1;
            }
        }
    }

    /// Totals must be those of one version since some.
    async fn ask(&self, dpu: &DpuId, minutes: &[i64], oldest: usize) {
        let asked: Vec<(DpuId, UnixMs)> = minutes.iter().map(|at| (dpu.clone(), minute(*at))).collect();
        let reads = self.store.reads();
        let totals = self.live.totals(&asked).await.unwrap();
        let told = |set: &BTreeSet<Key>| {
            let model: Model = set.iter().copied().collect();
            asked.iter().map(|(_, at)| model.before(*at)).collect::<Vec<_>>()
        };
        let like = self.known[dpu].versions[oldest..].iter().any(|set| told(set) == totals);
        // What a store says amid a commit is its own affair. It is not kept, and what is put together here never is of such a
        // moment.
        let read_amid = self.torn && self.store.reads() > reads;
        assert!(like || read_amid, "{dpu}: {totals:?} before {minutes:?} since {oldest}");
    }

    async fn read_torn(&mut self, dpu: &DpuId, crossings: &[(i64, bool)], rows: u8, minutes: &[i64]) {
        let (commit, sent) = self.prepare(dpu, crossings).await;
        let mut part = Commit::clone(&commit);
        for write in &mut part.ledgers {
            let some = write.rows.iter().enumerate().filter(|(place, _)| rows >> (place % 8) & 1 == 1).map(|(_, row)| *row);
            *write = LedgerWrite { rows: some.collect(), counters: None, ..write.clone() };
        }
        self.store.commit(Arc::new(part)).await.unwrap();
        self.torn = true;
        self.ask(dpu, minutes, self.known[dpu].seen).await;
        self.torn = false;
        self.store.commit(commit).await.unwrap();
        self.log.push(sent);
    }

    /// Once all is in, memory and store say the same.
    async fn ends_alike(mut self) {
        // Whoever took over is given the records again, and publishes what it finds.
        for dpu in self.known.keys().cloned().collect::<Vec<_>>() {
            let (commit, sent) = self.prepare(&dpu, &[]).await;
            self.store.commit(commit).await.unwrap();
            self.log.push(sent);
        }
        while self.position < self.log.len() {
            self.deliver();
        }
        self.confirm();
        let dpus: Vec<DpuId> = self.known.keys().cloned().collect();
        let minutes = [5, 10, 1_435, 1_440, 4_400];
        let asked: Vec<_> = dpus.iter().flat_map(|dpu| minutes.map(|at| (dpu.clone(), minute(at)))).collect();
        let reads = self.store.reads();
        for _ in 0..2 {
            assert_eq!(self.live.counters(&dpus).await, self.store.inner.counters(&dpus).await);
            assert_eq!(self.live.totals(&asked).await, self.store.inner.totals(&asked).await);
        }
        assert!(self.store.reads() <= reads + 2, "the second time all past totals are held");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn every_answer_is_what_the_store_said_since_the_views_position(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut case = Case::new();
            for step in steps {
                case.step(step).await;
            }
            case.ends_alike().await;
        });
    }
}

/// A view over a DPU with crossings at minutes 10 and 20, fresh.
async fn two_crossings() -> (Case, DpuId) {
    let mut case = Case::new();
    case.step(Step::Commit { dpu: 0, crossings: vec![(10, true), (20, true)], dies: false }).await;
    case.restart().await;
    case.confirm();
    let dpu = case.dpu(0);
    (case, dpu)
}

#[tokio::test(start_paused = true)]
async fn the_present_and_baselines_need_no_read_and_others_one() {
    let (case, dpu) = two_crossings().await;
    let entered = async |asked: &[i64]| {
        let asked: Vec<_> = asked.iter().map(|at| (dpu.clone(), minute(*at))).collect();
        let before = case.store.reads();
        let totals = case.live.totals(&asked).await.unwrap();
        (totals.iter().map(|totals| totals.entered).collect::<Vec<_>>(), case.store.reads() - before)
    };
    assert_eq!(entered(&[21, 4_000]).await, (vec![2, 2], 0));
    assert_eq!(entered(&[11, 21]).await, (vec![1, 2], 1), "of one DPU all comes from one place");
    assert_eq!(entered(&[11, 21]).await, (vec![1, 2], 0));
    for at in [5, 12, 13, 14, 15, 16, 17] {
        assert_eq!(entered(&[at, 21]).await.1, 1);
    }
    assert_eq!(entered(&[11]).await, (vec![1], 0), "used last, it is dropped last");
    assert_eq!(entered(&[18, 21]).await, (vec![1, 2], 1));
    assert_eq!((entered(&[11]).await.1, entered(&[5, 21]).await.1), (0, 1), "eight are held");
    let stranger: DpuId = id("stranger");
    assert_eq!(case.live.counters(std::slice::from_ref(&stranger)).await.unwrap(), [None]);
    assert_eq!(case.store.reads(), 10);
    entered(&[1, 2, 3, 4, 6, 7, 21]).await;
    assert_eq!((case.store.reads(), entered(&[11, 21]).await.1), (11, 0), "a history is read once and drives no baseline out");
}

#[tokio::test(start_paused = true)]
async fn a_view_steps_aside_when_it_is_not_confirmed_and_comes_back() {
    let (mut case, dpu) = two_crossings().await;
    // Somebody else commits, and nothing of it reaches the view.
    let (commit, _) = case.prepare(&dpu, &[(30, true)]).await;
    case.store.commit(commit).await.unwrap();
    let now = [(dpu.clone(), minute(4_000))];
    let entered = async |case: &Case| case.live.totals(&now).await.unwrap()[0].entered;
    assert_eq!(entered(&case).await, 2);
    advance(FRESH).await;
    assert_eq!((entered(&case).await, case.live.is_fresh()), (3, false), "a count never freezes");
    // Counters read from the store are not fallen behind, confirmed or not.
    case.live.counters(std::slice::from_ref(&dpu)).await.unwrap();
    case.confirm();
    assert_eq!((entered(&case).await, case.live.is_fresh()), (3, true));
    case.live.restart();
    assert_eq!((entered(&case).await, case.live.is_fresh()), (3, false));
    // An old confirmation is worth nothing.
    case.live.confirm(Instant::now() - FRESH);
    assert!(!case.live.is_fresh());
    assert!(Duration::from_secs(1) < FRESH);
}

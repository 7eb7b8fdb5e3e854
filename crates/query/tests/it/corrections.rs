//! Corrections: made once, all or none, listed with who and why, taken back; whatever else happens meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use occupancy::edit::{Change, EditError, Note};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use occupancy::world::Made;
use proptest::prelude::{Strategy, any, prop};
use query::{Corrected, CorrectionFailed, Counted, EditFailed, Query, QueryError, Shift};
use store::{FjallStore, MemoryStore, StoreError};

use crate::hooked::Hooked;
use crate::support::{NOW, at, campus, edit, hung, id, key, query, take, topology};

fn counted(space: &str, at: Option<UnixMs>, count: u32) -> Counted {
    Counted { space: id(space), at, count }
}

fn note(reason: &str) -> Note {
    Note { reason: reason.to_owned(), by: Some("ann".to_owned()) }
}

fn made(corrected: Corrected) -> Vec<Made> {
    let Corrected::Made(made) = corrected else { panic!("{corrected:?}") };
    made
}

async fn hall() -> (Arc<MemoryStore>, Query) {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, at(NOW));
    edit(&query, topology(campus())).await;
    (store, query)
}

async fn raw(query: &Query, space: &str) -> i64 {
    query.count(&id(space), None).await.unwrap().raw
}

#[tokio::test]
async fn several_are_made_at_once_or_none() {
    let (_, query) = hall().await;
    let both = [counted("hall", None, 12), counted("campus", Some(at("2024-03-01T11:00:00Z")), 40)];
    let made = made(query.correct(&both, &note("round"), None, false).await.unwrap());
    let told: Vec<_> = made.iter().map(|made| (made.correction.id.as_str(), made.correction.at, made.correction.count)).collect();
    assert_eq!(told, [("c1-1", at(NOW), 12), ("c1-2", at("2024-03-01T11:00:00Z"), 40)]);
    assert_eq!((made[0].made_at, &made[0].note, made[1].order), (at(NOW), &note("round"), 1));
    assert_eq!((raw(&query, "hall").await, raw(&query, "campus").await), (12, 40));
    assert_eq!(query.topology().current().await.unwrap().revision, 2, "one edit");

    let one_is_unknown = [counted("hall", None, 1), counted("nowhere", None, 1)];
    let refused = query.correct(&one_is_unknown, &note(""), None, false).await.unwrap_err();
    assert_eq!(refused, EditFailed::Refused(EditError::UnknownSpace(id("nowhere"))).into());
    assert_eq!((raw(&query, "hall").await, query.topology().current().await.unwrap().revision), (12, 2));
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_every_cap_names_itself() {
    let (_, query) = hall().await;
    let ahead = at(NOW).plus_ms(300_001);
    let (long, longer) = ("é".repeat(1000), "é".repeat(1001));
    for (list, note, says) in [
        (vec![], note(""), "1 to 1000 corrections can be made at once, not 0".to_owned()),
        (vec![counted("hall", None, 1); 1001], note(""), "1 to 1000 corrections can be made at once, not 1001".to_owned()),
        (vec![counted("hall", Some(ahead), 1)], note(""), format!("space hall: {ahead} is in the future")),
        (vec![counted("hall", None, 1), counted("hall", Some(at(NOW)), 2)], note(""), format!("space hall is corrected twice at {NOW}")),
        (vec![counted("hall", None, 1)], note(&longer), "`reason` has at most 1000 characters, this one has 1001".to_owned()),
        (
            vec![counted("hall", None, 1)],
            Note { by: Some("x".repeat(201)), ..Note::default() },
            "`by` has at most 200 characters, this one has 201".to_owned(),
        ),
    ] {
        let refused = query.correct(&list, &note, None, false).await.unwrap_err();
        assert!(refused.to_string().starts_with(&says), "{refused}");
    }
    assert_eq!(query.topology().current().await.unwrap().revision, 1);
    query.correct(&[counted("hall", Some(at(NOW).plus_ms(300_000)), 1)], &note(&long), None, false).await.unwrap();
    let refused = query.retract(&id("c1-1"), &note(&longer), false).await.unwrap_err();
    assert!(matches!(refused, CorrectionFailed::TooLong { what: "reason", chars: 1001, .. }), "{refused}");
}

#[tokio::test]
async fn they_are_listed_the_last_made_first_in_pages_with_what_became_of_them() {
    let (_, query) = hall().await;
    for count in 0..5 {
        let space = if count % 2 == 0 { "hall" } else { "campus" };
        query.correct(&[counted(space, Some(at(NOW)), count)], &note(&count.to_string()), None, false).await.unwrap();
    }
    query.retract(&id("c3-1"), &Note { reason: "twice".to_owned(), by: None }, false).await.unwrap();
    let list = async |space: Option<&str>, before, limit| {
        let page = query.corrections(space.map(id::<SpaceId>).as_ref(), before, limit).await.unwrap();
        (page.items.iter().map(|made| made.correction.count).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(list(None, None, 2).await, (vec![4, 3], Some(3)));
    query.correct(&[counted("hall", None, 9)], &note("meanwhile"), None, false).await.unwrap();
    assert_eq!(list(None, Some(3), 2).await, (vec![2, 1], Some(1)), "what comes in does not shift the pages");
    assert_eq!(list(None, Some(1), 2).await, (vec![0], None));
    assert_eq!(list(Some("hall"), None, 3).await, (vec![9, 4, 2], Some(2)));
    assert_eq!(list(Some("campus"), None, 2).await, (vec![3, 1], None));
    let all = query.corrections(None, None, 10).await.unwrap().items;
    let retracted: Vec<_> = all.iter().filter_map(|made| Some((made.correction.count, made.retracted.clone()?))).collect();
    assert_eq!(retracted, [(2, (at(NOW), Note { reason: "twice".to_owned(), by: None }))]);
    assert_eq!(query.corrections(Some(&id("nowhere")), None, 1).await, Err(QueryError::UnknownSpace("nowhere".to_owned())));
    assert_eq!(query.corrections(None, None, 1001).await, Err(QueryError::Limit { asked: 1001, most: 1000 }));
}

#[tokio::test]
async fn a_retraction_brings_back_what_stood_before_and_may_be_said_again() {
    let (_, query) = hall().await;
    for count in [5, 7] {
        query.correct(&[counted("hall", Some(at(NOW)), count)], &note(""), None, false).await.unwrap();
    }
    assert_eq!(raw(&query, "hall").await, 7, "the later made of two at the same instant");
    let first = made(query.retract(&id("c2-1"), &note("miscounted"), false).await.unwrap());
    assert_eq!((raw(&query, "hall").await, first[0].retracted.as_ref()), (5, Some(&(at(NOW), note("miscounted")))));
    assert_eq!(made(query.retract(&id("c2-1"), &note("miscounted"), false).await.unwrap()), first);
    let other = query.retract(&id("c2-1"), &note("another reason"), false).await.unwrap_err();
    assert_eq!(other, EditFailed::Refused(EditError::AlreadyRetracted(id("c2-1"))).into());
    let unknown = query.retract(&id("c9-1"), &note(""), false).await.unwrap_err();
    assert_eq!(unknown, EditFailed::Refused(EditError::UnknownCorrection(id("c9-1"))).into());
    assert_eq!(query.topology().current().await.unwrap().revision, 4);
}

#[tokio::test]
async fn a_dry_run_tells_from_when_counts_change_and_what_they_become() {
    let (store, query) = hall().await;
    take(&store, "1", vec![key("2024-03-01T10:00:00Z", 1), key("2024-03-01T11:30:00Z", -1)], None, at(NOW)).await;
    let (early, late) = (at("2024-03-01T09:00:00Z"), at("2024-03-01T11:00:00Z"));
    let both = [counted("hall", Some(late), 12), counted("hall", Some(early), 3), counted("campus", Some(late), 0)];
    let told = query.correct(&both, &note(""), Some(1), true).await.unwrap();
    let shift = |space, from, now| Shift { space: id(space), from, now: Some(now) };
    assert_eq!(told, Corrected::DryRun(vec![shift("campus", late, [0, -1]), shift("hall", early, [0, 11])]));
    assert_eq!(query.topology().current().await.unwrap().revision, 1);

    query.correct(&both, &note(""), Some(1), false).await.unwrap();
    query.correct(&[counted("hall", Some(late), 20)], &note(""), None, false).await.unwrap();
    let again = query.correct(&both[..1], &note(""), Some(1), true).await.unwrap();
    assert_eq!(again, Corrected::DryRun(vec![shift("hall", late, [19, 11])]), "the key names no dry run");
    let shadowed = query.corrections(None, None, 10).await.unwrap().items.into_iter().find(|made| made.correction.count == 12).unwrap();
    let told = query.retract(&shadowed.correction.id, &note(""), true).await.unwrap();
    assert_eq!(told, Corrected::DryRun(vec![]), "a later made one stands at the same instant");
    let told = query.retract(&id("c2-1"), &note(""), true).await.unwrap();
    assert_eq!(told, Corrected::DryRun(vec![shift("hall", late, [19, 11])]));
    assert_eq!(query.topology().current().await.unwrap().revision, 3);
}

#[tokio::test]
async fn a_request_with_a_key_is_made_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let asked = [counted("hall", None, 12), counted("campus", None, 40)];
    let mut first = Vec::new();
    for minute in 0..3 {
        let store = Arc::new(FjallStore::open(folder.path()).unwrap());
        let query = query(&store, at(NOW).plus_ms(60_000 * minute));
        if minute == 0 {
            edit(&query, topology(campus())).await;
            first = made(query.correct(&asked, &note("round"), Some(7), false).await.unwrap());
        }
        assert_eq!(made(query.correct(&asked, &note("round"), Some(7), false).await.unwrap()), first);
        let other = |list: Vec<Counted>, said: &str| {
            let (query, note) = (&query, note(said));
            async move { query.correct(&list, &note, Some(7), false).await }
        };
        for refused in [
            other(asked[..1].to_vec(), "round").await,
            other(vec![asked[1].clone(), asked[0].clone()], "round").await,
            other([&asked[..], &[counted("campus", Some(at("2024-01-01T00:00:00Z")), 1)]].concat(), "round").await,
            other(asked.to_vec(), "another round").await,
            other(vec![counted("hall", None, 13), asked[1].clone()], "round").await,
            other(vec![counted("hall", Some(at("2024-01-01T00:00:00Z")), 12), asked[1].clone()], "round").await,
        ] {
            assert_eq!(refused, Err(CorrectionFailed::OtherRequest));
        }
        assert_eq!(query.topology().current().await.unwrap().revision, 2);
    }
    assert_eq!(first.iter().map(|made| made.correction.at).collect::<Vec<_>>(), [at(NOW); 2]);
}

/// What happens, and through which of two processes.
#[derive(Debug, Clone)]
enum Step {
    /// Key, space, quarters of an hour before now (`None`: now), count; whether the answer is lost, of an edit made or not.
    Correct(Option<u8>, bool, Option<i64>, u32, Option<bool>),
    /// Which of those made so far; whether the answer is lost.
    Retract(prop::sample::Index, Option<bool>),
    /// The door's DPU is hung anew.
    Hang,
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let key = prop::option::weighted(0.7, 0..4u8);
    let lost = || prop::option::weighted(0.3, any::<bool>());
    let correct = (key, any::<bool>(), prop::option::of(0..3i64), 0..3u32, lost());
    let step = proptest::prop_oneof![
        6 => correct.prop_map(|(key, hall, ago, count, lost)| Step::Correct(key, hall, ago, count, lost)),
        2 => (any::<prop::sample::Index>(), lost()).prop_map(|(which, lost)| Step::Retract(which, lost)),
        1 => proptest::prelude::Just(Step::Hang),
    ];
    prop::collection::vec((any::<bool>(), step), 1..30)
}

/// What was made, kept by hand: key, request, instant, whether it holds.
struct Kept {
    key: Option<u8>,
    asked: Counted,
    at: UnixMs,
    holds: bool,
}

struct Run {
    store: Arc<Hooked>,
    processes: [Query; 2],
    now: Arc<AtomicI64>,
    kept: Vec<Kept>,
}

impl Run {
    async fn new() -> Self {
        let store = Arc::new(Hooked::default());
        let now = Arc::new(AtomicI64::new(at(NOW).ms()));
        let clock = || {
            let now = now.clone();
            Arc::new(move || UnixMs::new(now.load(Ordering::Relaxed)).unwrap())
        };
        let processes = [clock(), clock()].map(|clock| Query::new(store.clone(), clock, query::Settings::default()));
        edit(&processes[0], topology(campus())).await;
        Self { store, processes, now, kept: Vec::new() }
    }

    async fn correct(&mut self, process: usize, key: Option<u8>, asked: Counted, lost: Option<bool>) {
        let now = UnixMs::new(self.now.load(Ordering::Relaxed)).unwrap();
        let before = key.and_then(|key| self.kept.iter().position(|kept| kept.key == Some(key)));
        if let (Some(made), None) = (lost, before) {
            self.store.lose_answer(made);
            let hash = key.map(u128::from);
            let unheard = self.processes[process].correct(std::slice::from_ref(&asked), &note("n"), hash, false).await;
            assert!(matches!(unheard, Err(CorrectionFailed::Edit(EditFailed::Store(StoreError::Unavailable(_))))), "{unheard:?}");
            if made {
                self.kept.push(Kept { key, at: asked.at.unwrap_or(now), asked: asked.clone(), holds: true });
            }
            self.now.fetch_add(1, Ordering::Relaxed);
            if key.is_some() {
                // Whoever was not answered sends it again, and another process takes it.
                Box::pin(self.correct(1 - process, key, asked, None)).await;
            }
            return;
        }
        let told = self.processes[process].correct(std::slice::from_ref(&asked), &note("n"), key.map(u128::from), false).await;
        match before {
            None => {
                let made = made(told.unwrap());
                assert_eq!((made.len(), made[0].order), (1, self.kept.len() as u64));
                self.kept.push(Kept { key, at: asked.at.unwrap_or(now), asked, holds: true });
            }
            Some(place) if self.kept[place].asked == asked => assert_eq!(made(told.unwrap())[0].order, place as u64),
            Some(_) => assert_eq!(told, Err(CorrectionFailed::OtherRequest)),
        }
    }

    async fn retract(&mut self, process: usize, place: usize, lost: Option<bool>) {
        let query = &self.processes[process];
        let id = self.list().await[place].correction.id.clone();
        if let (Some(made), true) = (lost, self.kept[place].holds) {
            self.store.lose_answer(made);
            assert!(query.retract(&id, &note("n"), false).await.is_err());
        }
        let retracted = made(query.retract(&id, &note("n"), false).await.unwrap());
        assert_eq!((retracted.len(), retracted[0].order), (1, place as u64));
        self.kept[place].holds = false;
    }

    /// All corrections, in the order made.
    async fn list(&self) -> Vec<Made> {
        let mut all = Vec::new();
        let mut before = None;
        loop {
            let page = self.processes[0].corrections(None, before, 3).await.unwrap();
            all.extend(page.items);
            before = page.next;
            if before.is_none() {
                all.reverse();
                return all;
            }
        }
    }

    async fn check(&self) {
        let told: Vec<_> = self.list().await.into_iter().map(|made| (made.correction, made.retracted.is_none())).collect();
        let told: Vec<_> = told.iter().map(|(made, holds)| (made.space.as_str(), made.at, made.count, *holds)).collect();
        let kept: Vec<_> = self.kept.iter().map(|kept| (kept.asked.space.as_str(), kept.at, kept.asked.count, kept.holds)).collect();
        assert_eq!(told, kept);
        for space in ["campus", "hall"] {
            let own = || self.kept.iter().filter(|kept| kept.holds && kept.asked.space.as_str() == space);
            for asked in self.kept.iter().flat_map(|kept| [kept.at, kept.at.plus_ms(-1)]) {
                // The last of the latest: `max_by_key` takes the later of equals.
                let expected =
                    own().filter(|kept| kept.at <= asked).max_by_key(|kept| kept.at).map_or(0, |kept| i64::from(kept.asked.count));
                for query in &self.processes {
                    assert_eq!(query.count(&id(space), Some(asked)).await.unwrap().raw, expected, "{space} at {asked}");
                }
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn corrections_are_made_once_whatever_happens_meanwhile(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut run = Run::new().await;
            for (second, step) in steps {
                let process = usize::from(second);
                run.now.fetch_add(1, Ordering::Relaxed);
                match step {
                    Step::Correct(key, hall, ago, count, lost) => {
                        let at = ago.map(|quarters| at(NOW).plus_ms(-quarters * 900_000));
                        run.correct(process, key, counted(if hall { "hall" } else { "campus" }, at, count), lost).await;
                    }
                    Step::Retract(which, lost) if !run.kept.is_empty() => {
                        let place = which.index(run.kept.len());
                        run.retract(process, place, lost).await;
                    }
                    Step::Retract(..) => {}
                    Step::Hang => {
                        let hung = vec![hung("9", "side", "hall", NOW, Some("2024-03-02T00:00:00Z"))];
                        edit(&run.processes[process], Change::Installations { dpu: id("9"), list: hung }).await;
                    }
                }
            }
            run.check().await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_send_the_same_at_once_one_makes_it_and_all_are_told() {
    let store = Arc::new(MemoryStore::new());
    let senders: Vec<Arc<Query>> = (0..8).map(|_| Arc::new(query(&store, at(NOW)))).collect();
    edit(&senders[0], topology(campus())).await;
    for round in 0..10u32 {
        let mut tasks = tokio::task::JoinSet::new();
        for query in &senders {
            let query = query.clone();
            tasks.spawn(async move {
                let keyed = query.correct(&[counted("hall", None, round)], &note("n"), Some(round.into()), false).await.unwrap();
                let own = query.correct(&[counted("campus", None, round)], &note("n"), None, false).await.unwrap();
                (made(keyed).remove(0).correction.id, made(own).remove(0).correction.id)
            });
        }
        let (keyed, own): (BTreeSet<_>, BTreeSet<_>) = tasks.join_all().await.into_iter().unzip();
        assert_eq!((keyed.len(), own.len()), (1, senders.len()), "round {round}");
    }
    assert_eq!(senders[0].topology().current().await.unwrap().world.corrections().len(), 10 * (1 + senders.len()));
}

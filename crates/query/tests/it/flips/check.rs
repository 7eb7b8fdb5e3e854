//! Everything that is told of suspects is what the naive re-computation finds, and the edits told do what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use occupancy::edit::Change;
use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::TestRunner;
use query::{Evidence, Query, Suspect, Suspects, Unjudged};
use store::MemoryStore;

use super::naive::{Flips, Naive};
use super::{Scene, Seen, name, scene};
use crate::model::run;
use crate::support::{edit, id, query, take};

fn number(one: &Suspect) -> usize {
    one.installation.dpu.as_str().parse().unwrap()
}

/// All that is told, some groups of spaces after others.
async fn ask(query: &Query, scene: &Scene, met: &Met) -> Suspects {
    let (mut all, space): (Suspects, SpaceId) = (Suspects::default(), id(&name(scene.asked)));
    loop {
        let part = query.suspects(&space, scene.days, all.next.as_ref(), scene.limit).await.unwrap();
        all.suspects.extend(part.suspects);
        all.beyond_doubt += part.beyond_doubt;
        all.unjudged.extend(part.unjudged);
        all.next = part.next;
        if all.next.is_none() {
            return all;
        }
        met.parts.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many of each the cases had: that they are not all alike.
#[derive(Default)]
struct Met {
    suspects: AtomicUsize,
    turned: AtomicUsize,
    beyond_doubt: AtomicUsize,
    ties: AtomicUsize,
    /// Answers that did not tell all.
    parts: AtomicUsize,
    whys: [AtomicUsize; 4],
}

async fn check(scene: &Scene, met: &Met) {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, scene.now());
    edit(&query, Change::Topology { root: id("s1"), document: scene.document(), allow_removal: false }).await;
    for (dpu, keys, beat) in scene.reports() {
        take(&store, &dpu.to_string(), keys, Some(beat), beat.at).await;
    }
    let (naive, told) = (Naive::new(scene), ask(&query, scene, met).await);
    let flips: Flips = told.suspects.iter().map(number).collect();
    match naive.suspects() {
        Some(suspects) => assert_eq!(flips, suspects),
        None => _ = met.ties.fetch_add(1, Ordering::Relaxed),
    }
    let mut rest: BTreeMap<usize, Unjudged> = BTreeMap::new();
    for dpu in naive.present.keys().filter(|dpu| !flips.contains(dpu)) {
        match naive.why_not(&flips, *dpu) {
            Some(why) => _ = rest.insert(*dpu, why),
            None => _ = met.beyond_doubt.fetch_add(1, Ordering::Relaxed),
        }
    }
    let unjudged = told.unjudged.iter().map(|(dpu, why)| (dpu.as_str().parse().unwrap(), *why));
    assert_eq!(unjudged.collect::<BTreeMap<usize, _>>(), rest);
    rest.values().for_each(|why| _ = met.whys[*why as usize].fetch_add(1, Ordering::Relaxed));
    assert_eq!(told.beyond_doubt + rest.len() + flips.len(), naive.present.len());
    for one in &told.suspects {
        check_suspect(scene, &naive, &flips, one, met);
    }
    for one in &told.suspects {
        check_edit(&query, scene, one).await;
    }
    let again = ask(&query, scene, met).await;
    assert!(again.suspects.iter().all(|one| !flips.contains(&number(one))), "{again:?}");
}

fn check_suspect(scene: &Scene, naive: &Naive, flips: &Flips, one: &Suspect, met: &Met) {
    let dpu = number(one);
    met.suspects.fetch_add(1, Ordering::Relaxed);
    let present = &naive.present[&dpu];
    assert_eq!((&one.installation, one.crossings), (present, naive.crossings(dpu)));
    let misfit = naive.misfits(flips, dpu);
    assert!((0..2).all(|way| (misfit[way] - one.misfit[way]).abs() < 1e-6), "{misfit:?} {one:?}");
    let both = Naive::both(flips, dpu);
    let evidence = naive.days_of(dpu).map(|day| Evidence {
        space: id(&name(day.space)),
        from: day.from,
        to: day.to,
        begins_empty: day.begins_empty,
        numbers: both.each_ref().map(|flips| day.numbers(flips)),
    });
    assert_eq!(one.evidence, evidence.collect::<Vec<_>>());
    let (first, days) = naive.since(flips, dpu);
    assert_eq!(one.days, days);
    // From the start of its installation, or of the first day from which on none speaks against it.
    let turned = first.and_then(|first| naive.days_of(dpu).filter(|day| day.ago == first).map(|day| day.from).max());
    met.turned.fetch_add(usize::from(turned.is_some()), Ordering::Relaxed);
    let from = turned.unwrap_or(UnixMs::MIN).max(present.from);
    let mut list: Vec<Installation> =
        scene.installations().into_iter().filter(|other| other.dpu == present.dpu && other != present).collect();
    if from > present.from {
        list.push(Installation { to: Some(from), ..present.clone() });
    }
    let (a, b) = scene.sides(present);
    let enters = id(&name(if present.enters.to_string() == name(a) { b } else { a }));
    list.push(Installation { from, enters, ..present.clone() });
    list.sort();
    assert_eq!(one.mended, list);
}

/// Once the edit is made, counts are other by this DPU's crossings alone, from then on.
async fn check_edit(query: &Query, scene: &Scene, one: &Suspect) {
    let turned = one.mended.iter().find(|new| new.covers(scene.now())).unwrap().clone();
    let (a, b) = scene.sides(&turned);
    let spaces: Vec<SpaceId> = scene.spaces().map(|space| id(&name(space))).collect();
    let before = query.counts(&spaces, Some(scene.now())).await.unwrap();
    let list = one.mended.clone();
    edit(query, Change::Installations { dpu: turned.dpu.clone(), list }).await;
    let after = query.counts(&spaces, Some(scene.now())).await.unwrap();
    let seen: Vec<Seen> = scene.seen().into_iter().filter(|seen| seen.dpu == number(one) && seen.at <= scene.now()).collect();
    for ((space, before), after) in scene.spaces().zip(before).zip(after) {
        let [in_a, in_b] = [a, b].map(|side| side > 0 && scene.lineage(side).contains(&space));
        let since = turned.from.max(before.baseline.at.unwrap_or(UnixMs::MIN));
        let entering = if turned.enters.to_string() == name(a) { in_a } else { in_b };
        let net: i64 = seen.iter().filter(|seen| seen.at >= since).map(|seen| if seen.plus == entering { 1 } else { -1 }).sum();
        let change = if in_a == in_b { 0 } else { 2 * net };
        assert_eq!(after.raw - before.raw, change, "{space}");
    }
}

#[test]
fn suspects_and_their_evidence_are_what_a_naive_count_of_every_day_finds() {
    let met = Met::default();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1000));
    let ran = runner.run(&scene(), |scene| {
        run(check(&scene, &met));
        Ok(())
    });
    let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let whys = met.whys.each_ref().map(load);
    let [suspects, turned, beyond_doubt, ties, parts] = [&met.suspects, &met.turned, &met.beyond_doubt, &met.ties, &met.parts].map(load);
    println!(
        "{suspects} suspects, {turned} from a later day on; {beyond_doubt} beyond doubt, {whys:?} unjudged; {ties} ties; {parts} parts"
    );
    ran.unwrap();
    assert!(suspects > 100 && turned > 5 && beyond_doubt > 200 && whys.iter().all(|many| *many > 20) && ties < 50 && parts > 50);
}

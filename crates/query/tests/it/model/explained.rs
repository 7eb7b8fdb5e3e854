//! What explains a count adds up to it, and is what a naive walk sees at each installation.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::count::Count;
use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use query::{Explained, Query};

use super::{Case, DOORWAYS, Happens, QUARTER_MS, SPACES, add_up, boot_at, inside, went};
use crate::support::id;

/// Entered, exited, and the numbers seen.
type Sum = (i64, i64, BTreeMap<u64, BTreeSet<u64>>);

/// Checks what explains a count of `space`; `story` is all that happens to it.
pub(super) async fn check(case: &Case, query: &Query, space: &SpaceId, count: &Count, story: &[(UnixMs, Happens)]) {
    let told = query.explain(space, Some(count.at)).await.unwrap();
    assert_eq!(told.count, *count);
    check_remainder(case, &told, story);
    let parts = || told.doorways.iter().flat_map(|doorway| doorway.installations.iter().map(move |one| (doorway, one)));
    let (entered, exited) = parts().fold((0, 0), |(entered, exited), (_, one)| (entered + one.part.entered, exited + one.part.exited));
    assert_eq!((entered, exited, count.baseline.count + entered - exited), (count.entered, count.exited, count.raw));

    let since = count.baseline.at.unwrap_or(UnixMs::MIN);
    let mut sums = sums(case, space, count, story);
    for (doorway, one) in parts() {
        let (entered, exited, seen) = sums.remove(&(doorway.doorway.id.to_string(), one.dpu.to_string(), one.from)).unwrap_or_default();
        assert_eq!((one.part.entered, one.part.exited), (entered, exited), "{space} at {}: {one:?}", count.at);
        let gaps = |seen: &BTreeSet<u64>| seen.last().unwrap() - seen.first().unwrap() + 1 - seen.len() as u64;
        let missing = seen.iter().map(|(boot, seen)| (*boot, gaps(seen))).collect();
        assert_eq!(one.missing, Some(missing), "{one:?}");
        assert!(since <= one.from && one.from < one.to && one.to <= count.at.plus_ms(1));
    }
    assert!(sums.is_empty(), "{space} at {}: {sums:?} is left out", count.at);

    let boundary: Vec<&str> =
        DOORWAYS.iter().filter(|(_, a, b)| inside(space.as_str(), a) != inside(space.as_str(), b)).map(|(name, _, _)| *name).collect();
    let mut shown: Vec<&str> = told.doorways.iter().map(|doorway| doorway.doorway.id.as_str()).collect();
    assert!(shown.is_sorted());
    shown.sort_by_key(|name| DOORWAYS.iter().position(|(one, _, _)| one == name));
    assert_eq!(shown, boundary);

    let installations = case.installations();
    let from = count.baseline.at.or_else(|| parts().map(|(_, one)| one.from).min()).unwrap_or(count.at);
    for doorway in &told.doorways {
        let uncovered = |at: UnixMs| doorway.uncovered.iter().any(|(from, to)| (*from..*to).contains(&at));
        let hung = |at: UnixMs| installations.iter().any(|one| one.doorway == doorway.doorway.id && one.covers(at));
        let steps = (0..).map(|step| from.plus_ms(step * 5 * QUARTER_MS)).take_while(|at| *at <= count.at);
        let edges = doorway.uncovered.iter().flat_map(|(from, to)| [from.plus_ms(-1), *from, to.plus_ms(-1), *to]);
        for at in steps.chain(edges).chain([from, count.at]).filter(|at| (from..=count.at).contains(at)) {
            assert_eq!(uncovered(at), !hung(at), "{} at {at}: {:?}", doorway.doorway.id, doorway.uncovered);
        }
        assert_eq!(count.uncovered.contains(&doorway.doorway.id), !doorway.uncovered.is_empty());
    }
}

/// What the children leave for the rest is what a walk leaves, and it started from what the baselines left.
fn check_remainder(case: &Case, told: &Explained, story: &[(UnixMs, Happens)]) {
    let (space, at) = (told.count.space.as_str(), told.count.at);
    let children = SPACES.iter().filter(|(_, parent)| *parent == Some(space)).map(|(name, _)| *name);
    let mut children: Vec<_> = children.map(|name| (name, case.story(name))).collect();
    children.sort_unstable_by_key(|(name, _)| *name);
    let Some(remainder) = &told.remainder else { return assert!(children.is_empty(), "{space}") };
    assert!(remainder.has_doors, "one leads to each");
    let raw = |story: &[(UnixMs, Happens)]| add_up(story.iter().filter(|(when, _)| *when <= at)).0;
    let names = |(name, story): &(&str, Vec<_>)| (id::<SpaceId>(name), raw(story));
    let shown: Vec<_> = remainder.children.iter().map(|(child, raw, _)| (child.clone(), *raw)).collect();
    assert_eq!(shown, children.iter().map(names).collect::<Vec<_>>());

    let since = remainder.since.unwrap_or(UnixMs::MIN);
    let mut seen = BTreeSet::new();
    for (dpu, ms, seq, plus) in case.crossings.iter().filter(|one| (since..=at).contains(&case.at(one.1))) {
        let hung = |one: &&Installation| one.dpu.as_str() == dpu.to_string() && one.covers(case.at(*ms));
        let installations = case.installations();
        let (out_of, into) = installations.iter().find(hung).map_or(("", ""), |one| went(one, *plus));
        if into == space || out_of == space {
            seen.insert((into == space, dpu, ms, seq, plus));
        }
    }
    let entered = seen.iter().filter(|(entered, ..)| *entered).count() as i64;
    assert_eq!((remainder.entered, remainder.exited), (entered, seen.len() as i64 - entered), "{space} at {at}");

    assert_eq!(remainder.people().is_none(), !remainder.uncovered.is_empty());
    let Some((people, start)) = remainder.people().zip(remainder.start()) else { return };
    assert_eq!(people, raw(story) - children.iter().map(|(_, story)| raw(story)).sum::<i64>(), "{space} at {at}");
    let began = |story: &[(UnixMs, Happens)]| {
        let before = |(when, happens): &&(UnixMs, Happens)| *when < since || (*when == since && !matches!(happens, Happens::Crossing(_)));
        add_up(story.iter().filter(before)).0
    };
    assert_eq!(start, began(story) - children.iter().map(|(_, story)| began(story)).sum::<i64>(), "{space} at {at} since {since}");
}

/// What is told with a DPU of both sides of its doorway is what they count beyond their children, and what is explained of them.
pub(super) async fn check_residuals(case: &Case, query: &Query, dpu: usize) {
    let Ok(dpu) = query.dpu(&id(&dpu.to_string())).await else { return };
    let now = (query.clock())();
    let hangs = case.installations().into_iter().find(|one| one.dpu == dpu.id && one.from <= now && one.to.is_none_or(|to| now < to));
    let sides = hangs.iter().flat_map(|hangs| DOORWAYS.iter().find(|(name, ..)| *name == hangs.doorway.as_str()));
    let spaces: Vec<SpaceId> = sides.flat_map(|(_, a, b)| [a, b]).filter(|side| **side != "outside").map(|side| id(side)).collect();
    let told = query.residuals(&dpu).await.unwrap();
    assert_eq!(told.iter().map(|one| one.space.clone()).collect::<Vec<_>>(), spaces);
    for one in told {
        let explained = query.explain(&one.space, None).await.unwrap();
        assert_eq!((one.at, &one.remainder), (explained.count.at, &explained.remainder));
        let children: Vec<SpaceId> =
            SPACES.iter().filter(|(_, parent)| *parent == Some(one.space.as_str())).map(|(name, _)| id(name)).collect();
        assert_eq!(one.remainder.is_some(), !children.is_empty(), "{}", one.space);
        let Some(people) = one.remainder.and_then(|remainder| remainder.people()) else { continue };
        let counts = query.counts(&[vec![one.space.clone()], children].concat(), Some(one.at)).await.unwrap();
        assert_eq!(people, counts[0].raw - counts[1..].iter().map(|child| child.raw).sum::<i64>(), "{} at {}", one.space, one.at);
    }
}

/// What each installation saw since the baseline: by doorway, DPU, and from when on it counted.
fn sums(case: &Case, space: &SpaceId, count: &Count, story: &[(UnixMs, Happens)]) -> BTreeMap<(String, String, UnixMs), Sum> {
    let begun = story.iter().rposition(|(at, happens)| *at <= count.at && !matches!(happens, Happens::Crossing(_)));
    let since = begun.and_then(|place| story.get(place)).map_or(UnixMs::MIN, |(at, _)| *at);
    assert_eq!(count.baseline.at.unwrap_or(UnixMs::MIN), since, "{space} at {}", count.at);
    let installations = case.installations();
    let mut sums: BTreeMap<(String, String, UnixMs), Sum> = BTreeMap::new();
    for (at, happens) in story.iter().filter(|(at, _)| (since..=count.at).contains(at)) {
        let Happens::Crossing((dpu, seq, _, enters)) = happens else { continue };
        let hung = |one: &&Installation| one.dpu.as_str() == dpu && one.covers(*at);
        let one = installations.iter().find(hung).unwrap();
        let sum = sums.entry((one.doorway.to_string(), dpu.clone(), one.from.max(since))).or_default();
        if *enters {
            sum.0 += 1;
        } else {
            sum.1 += 1;
        }
        if *seq > 0 {
            sum.2.entry(boot_at(*at)).or_default().insert(*seq);
        }
    }
    sums
}

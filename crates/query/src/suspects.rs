//! DPUs that seem to hang the wrong way round: what the totals of the last whole days say of the doorways of a space.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::bucket::Interval;
use occupancy::count::{Plan, Term};
use occupancy::flip::{self, CROSSINGS_LEAST, Doubt, RestDay};
use occupancy::id::{DoorwayId, DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::ledger::{Counters, Totals};
use occupancy::time::UnixMs;
use occupancy::world::World;

use crate::count::Known;
use crate::error::QueryError;
use crate::groups::{Group, groups};
use crate::{Query, check_limit};

/// How many totals are looked up at most.
const LOOKUPS_MOST: usize = 50_000;
/// How often a day is looked at, in ms.
const STEP_MS: i64 = 3_600_000;
/// The longest a day can be whose resets are daily, in ms: clocks change, by an hour or more.
const LONGEST_DAY_MS: i64 = 26 * STEP_MS;

/// What the last days say of the DPUs that hang over the doorways of a space and of all below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Suspects {
    /// Those that seem to hang the wrong way round, by id.
    pub suspects: Vec<Suspect>,
    /// How many clearly hang as they are said to.
    pub beyond_doubt: usize,
    /// Those of which neither can be said, by id.
    pub unjudged: Vec<(DpuId, Unjudged)>,
    /// Ask for the groups after the one that begins with this; `None` at the end.
    pub next: Option<SpaceId>,
}

/// Why it cannot be said which way round a DPU hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unjudged {
    /// Of no day is it known what all DPUs around a space it leads to saw: one hung only later, or was not heard to its end.
    NoWholeDay,
    /// No space it leads to is ever known to be empty, by a daily reset: all DPUs around it the other way round fit as well.
    NeverEmpty,
    /// It saw fewer than [`CROSSINGS_LEAST`] people.
    FewCrossings,
    /// Its days fit both ways round.
    FitsBoth,
    /// Its group needs more look-ups than are made for an answer.
    TooMany,
}

impl Unjudged {
    /// The reason's name, on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoWholeDay => "no_whole_day",
            Self::NeverEmpty => "never_empty",
            Self::FewCrossings => "few_crossings",
            Self::FitsBoth => "fits_both",
            Self::TooMany => "too_many",
        }
    }
}

/// A DPU that seems to hang the wrong way round.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Where it hangs, as it is said to.
    pub installation: Installation,
    /// Its crossings in the days looked at.
    pub crossings: u64,
    /// How badly its days fit as it is said to hang, and the other way round.
    pub misfit: [f64; 2],
    /// How many days speak for it.
    pub days: usize,
    /// The days of the spaces it leads to.
    pub evidence: Vec<Evidence>,
    /// Where it would have hung, were it so: the whole list, as it is edited.
    pub mended: Vec<Installation>,
}

/// A day of the rest of a space, with a DPU as it is said to hang, and the other way round; in both, other suspects are
/// taken as mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// How many more came than left.
    pub net: i64,
    /// The fewest people there at any full hour since it began, where nobody was there then; 0 at most.
    pub lowest: i64,
}

/// What a day says of a DPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The space whose rest this is.
    pub space: SpaceId,
    /// The day's start.
    pub from: UnixMs,
    /// Its end, excluded.
    pub to: UnixMs,
    /// Whether a daily reset says that nobody is there as the day begins.
    pub begins_empty: bool,
    /// As it is said to hang, and the other way round.
    pub numbers: [Numbers; 2],
}

/// A whole day of the rest of a space, and what it needs.
struct Day {
    number: usize,
    begins_empty: bool,
    plan: Plan,
}

impl Day {
    fn start(&self) -> UnixMs {
        self.plan.baseline.start()
    }

    fn end(&self) -> UnixMs {
        self.plan.at.plus_ms(1)
    }

    /// The full hours after its start, and its end.
    fn steps(&self) -> impl Iterator<Item = UnixMs> {
        let (start, end) = (self.start(), self.end());
        let hours = (end.since(start) - 1) / STEP_MS;
        (1..=hours).map(move |hour| start.plus_ms(hour * STEP_MS)).chain([end])
    }

    /// Whether every DPU around it was there and heard to its end.
    fn is_whole(&self, counters: &BTreeMap<DpuId, Counters>) -> bool {
        let heard = |term: &Term| counters.get(&term.dpu).and_then(|counters| counters.heard).is_some_and(|heard| heard >= term.hi);
        self.plan.uncovered.is_empty() && self.plan.terms.iter().all(heard)
    }

    fn lookups(&self) -> impl Iterator<Item = (&DpuId, UnixMs)> {
        let of = |term| self.steps().chain([self.start()]).map(move |at| (term, at));
        self.plan.terms.iter().flat_map(of).map(|(term, at): (&Term, UnixMs)| (&term.dpu, at.clamp(term.lo, term.hi)))
    }

    /// Its numbers; `asked` are the present installations in question, by DPU.
    fn numbers(&self, asked: &BTreeMap<&DpuId, (usize, &Installation)>, totals: &Known) -> RestDay {
        let steps = self.steps().count();
        let (mut crossings, mut running, mut parts) = (vec![0; steps], vec![0; steps], BTreeMap::new());
        for term in &self.plan.terms {
            let sign = if term.plus_enters { 1 } else { -1 };
            let before = |at: UnixMs| totals.before(&term.dpu, at.clamp(term.lo, term.hi));
            let seen = |totals: Totals| totals.entered + totals.exited;
            let (start, end) = (before(self.start()), before(self.end()));
            // Over a store without snapshots a late crossing may come in between.
            let part: Vec<i64> = self.steps().map(|at| sign * (before(at).net() - start.net())).collect();
            crossings.iter_mut().zip(self.steps()).for_each(|(sum, at)| *sum += seen(before(at)).saturating_sub(seen(start)));
            running.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            if let Some((dpu, _)) = asked.get(&term.dpu).filter(|(_, present)| present.covers(term.lo)) {
                parts.insert(*dpu, (seen(end).saturating_sub(seen(start)), part));
            }
        }
        RestDay { day: self.number, begins_empty: self.begins_empty, crossings, running, parts }
    }
}

impl Query {
    /// The fewest and the most days that can be looked at.
    pub const SUSPECT_DAYS: [usize; 2] = [flip::DAYS_LEAST, 28];
    /// The most groups an answer holds.
    pub const SUSPECT_GROUPS_MOST: usize = 1000;

    /// Which DPUs over the doorways of a space and of all below it seem to hang the wrong way round, by the last whole days:
    /// one group of spaces that have such DPUs in common after the other, those after the group that begins with `after`, at
    /// most `limit`.
    ///
    /// Days end at the space's daily reset, else at midnight. Totals are looked up at every full hour, 50,000 for an answer at
    /// most: it ends before a group that would need more. One that needs more by itself is not judged.
    ///
    /// # Errors
    /// The space is unknown, the number of days or groups out of bounds, or the store fails.
    pub async fn suspects(&self, space: &SpaceId, days: usize, after: Option<&SpaceId>, limit: usize) -> Result<Suspects, QueryError> {
        let [least, most] = Self::SUSPECT_DAYS;
        if !(least..=most).contains(&days) {
            return Err(QueryError::Days { asked: days, least, most });
        }
        let limit = check_limit(limit, Self::SUSPECT_GROUPS_MOST)?;
        let world = self.world_of(std::slice::from_ref(space), None).await?;
        let now = (self.clock)();
        let longest = i64::try_from(days + 1).unwrap_or(i64::MAX).saturating_mul(LONGEST_DAY_MS);
        let groups = groups(&world, space.as_str(), now.plus_ms(-longest), now);
        let (mut told, mut last, mut lookups) = (Suspects::default(), None, 0);
        let open: Vec<&Group<'_>> = groups.iter().filter(|group| after.is_none_or(|after| group.first() > Some(after))).collect();
        for (number, group) in open.into_iter().enumerate() {
            if number == limit {
                told.next = last;
                break;
            }
            match self.look_at(&world, group, now, days, LOOKUPS_MOST - lookups).await? {
                Some((more, looked_up)) => {
                    told.add(more);
                    lookups += looked_up;
                }
                None if lookups > 0 => {
                    told.next = last;
                    break;
                }
                None => {
                    told.add(Suspects::too_many(group));
                    // Finding that out took its time too.
                    lookups = LOOKUPS_MOST;
                }
            }
            last = group.first().cloned();
        }
        told.suspects.sort_by(|a, b| a.installation.cmp(&b.installation));
        told.unjudged.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(told)
    }

    /// What is told of a group, and with how many look-ups; `None` where it would need more than `most`.
    async fn look_at(
        &self,
        world: &World,
        group: &Group<'_>,
        now: UnixMs,
        days: usize,
        most: usize,
    ) -> Result<Option<(Suspects, usize)>, QueryError> {
        let (mut all, mut lookups) = (Vec::new(), 0);
        for rest in &group.spaces {
            for day in whole_days(world, rest.as_str(), now, days) {
                lookups += day.lookups().count();
                all.push(day);
                // Two spaces share a doorway, and what is looked up for it.
                if lookups > 2 * most {
                    return Ok(None);
                }
            }
        }
        let dpus: BTreeSet<&DpuId> = all.iter().flat_map(|day| day.plan.terms.iter().map(|term| &term.dpu)).collect();
        let counters = self.counters_of(dpus).await?;
        let whole: Vec<&Day> = all.iter().filter(|day| day.is_whole(&counters)).collect();
        let wanted: BTreeSet<(&DpuId, UnixMs)> = whole.iter().flat_map(|day| day.lookups()).collect();
        let looked_up = wanted.len();
        if looked_up > most {
            return Ok(None);
        }
        let totals = self.look_up(wanted).await?;
        let present = &group.present;
        let asked = present.iter().enumerate().map(|(number, one)| (&one.dpu, (number, *one))).collect();
        let mut doorways: BTreeMap<&DoorwayId, Vec<usize>> = BTreeMap::new();
        for (number, one) in present.iter().enumerate() {
            doorways.entry(&one.doorway).or_default().push(number);
        }
        let doubt = Doubt::new(whole.iter().map(|day| day.numbers(&asked, &totals)).collect(), doorways.into_values());
        // Making plans takes its time too, where in the end no day is whole.
        Ok(Some((judge(world, present, &whole, doubt), looked_up.max(lookups / 2))))
    }
}

impl Suspects {
    /// What is told of a group that needs too many look-ups.
    fn too_many(group: &Group<'_>) -> Self {
        Self { unjudged: group.present.iter().map(|one| (one.dpu.clone(), Unjudged::TooMany)).collect(), ..Self::default() }
    }

    fn add(&mut self, more: Self) {
        self.suspects.extend(more.suspects);
        self.beyond_doubt += more.beyond_doubt;
        self.unjudged.extend(more.unjudged);
    }
}

/// The last whole days of the rest of a space, in order of time; none where no doorway leads there.
fn whole_days(world: &World, space: &str, now: UnixMs, days: usize) -> Vec<Day> {
    if world.doors(space).next().is_none() {
        return Vec::new();
    }
    let zone = world.zone(space);
    let daily = |at: UnixMs| world.last_reset(space, at).filter(|reset| at.since(*reset) <= LONGEST_DAY_MS);
    let begins_empty = daily(now).is_some();
    let before = |at: UnixMs| if begins_empty { daily(at) } else { Interval::Day.floor(zone, at) };
    let ends = std::iter::successors(before(now), |end| before(end.plus_ms(-1)));
    let mut edges: Vec<UnixMs> = ends.take(days + 1).collect();
    edges.reverse();
    let number = days + 1 - edges.len();
    let spans = edges.iter().zip(edges.iter().skip(1)).enumerate();
    spans
        .filter_map(|(i, (start, end))| {
            let plan = world.rest_plan(space, Some(*start), end.plus_ms(-1))?;
            Some(Day { number: number + i, begins_empty, plan })
        })
        .collect()
}

fn judge(world: &World, present: &[&Installation], days: &[&Day], mut doubt: Doubt) -> Suspects {
    let found = doubt.suspects();
    let suspect = |one: &flip::Suspect| {
        let installation = *present.get(one.dpu)?;
        let own: Vec<(&Day, &RestDay)> = doubt.days_of(one.dpu).filter_map(|(place, mended)| Some((*days.get(place)?, mended))).collect();
        let turned = one.from_day.and_then(|from| own.iter().filter(|(day, _)| day.number == from).map(|(day, _)| day.start()).max());
        let evidence = own.iter().map(|(day, mended)| evidence(day, mended, one.dpu));
        Some(Suspect {
            installation: installation.clone(),
            crossings: doubt.crossings(one.dpu),
            misfit: one.misfit,
            days: one.days,
            evidence: evidence.collect(),
            mended: mended(world, installation, turned)?,
        })
    };
    let suspects: Vec<Suspect> = found.iter().filter_map(suspect).collect();
    let why = |number: usize| {
        let reasons = [
            (doubt.days_of(number).next().is_none(), Unjudged::NoWholeDay),
            (!doubt.is_ever_empty(number), Unjudged::NeverEmpty),
            (doubt.crossings(number) < CROSSINGS_LEAST, Unjudged::FewCrossings),
            (!doubt.is_beyond_doubt(number), Unjudged::FitsBoth),
        ];
        let suspected = found.iter().any(|one| one.dpu == number);
        reasons.into_iter().find(|(so, _)| *so && !suspected).map(|(_, why)| why)
    };
    let unjudged: Vec<_> = present.iter().enumerate().filter_map(|(number, one)| Some((one.dpu.clone(), why(number)?))).collect();
    Suspects { beyond_doubt: present.len() - unjudged.len() - suspects.len(), suspects, unjudged, next: None }
}

fn evidence(day: &Day, mended: &RestDay, dpu: usize) -> Evidence {
    let numbers = [&mended.flipped(&[dpu]), mended].map(|day| {
        let (net, lowest) = day.net_and_lowest();
        Numbers { net, lowest }
    });
    Evidence { space: day.plan.space.clone(), from: day.start(), to: day.end(), begins_empty: day.begins_empty, numbers }
}

/// A DPU's installations with the present one the other way round: from its start, or only from when it was turned.
fn mended(world: &World, present: &Installation, turned: Option<UnixMs>) -> Option<Vec<Installation>> {
    let doorway = world.doorway(present.doorway.as_str())?;
    let enters = doorway.between.iter().find(|side| **side != present.enters)?.clone();
    let from = turned.unwrap_or(present.from).max(present.from);
    let mut list = Vec::new();
    for one in world.installations(present.dpu.as_str()) {
        if one != present {
            list.push(one.clone());
            continue;
        }
        if from > one.from {
            list.push(Installation { to: Some(from), ..one.clone() });
        }
        list.push(Installation { from, enters: enters.clone(), ..one.clone() });
    }
    Some(list)
}

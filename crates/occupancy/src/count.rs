//! How many people are in a space at an instant: what to look up, and what it adds up to.
//!
//! ```text
//! raw(S, T) = n0 + sum over installations i of S's boundary, sign_i * (N(d, min(to, e)) - N(d, max(from, t0)))
//! ```
//!
//! with e = T + 1 ms, (t0, n0) the baseline and N(d, x) the net of DPU d's crossings with `at < x`.

use std::collections::BTreeMap;

use crate::baseline::Baseline;
use crate::id::{DoorwayId, DpuId, SpaceId};
use crate::ledger::Totals;
use crate::time::UnixMs;
use crate::topology::{Side, Space};
use crate::world::World;

/// A DPU that said nothing for this long counts as silent, in ms.
pub const SILENT_AFTER_MS: i64 = 120_000;

/// One DPU's part in a count: its crossings with `lo <= at < hi`, seen from the space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The sensor.
    pub dpu: DpuId,
    /// Where it hung.
    pub doorway: DoorwayId,
    /// Whether +1 means a person enters the space.
    pub plus_enters: bool,
    /// From, included.
    pub lo: UnixMs,
    /// To, excluded.
    pub hi: UnixMs,
    /// Whether it still hung there at the instant asked for.
    pub current: bool,
}

/// What a count needs: one per space and instant, made from the world alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which space.
    pub space: SpaceId,
    /// At which instant, included.
    pub at: UnixMs,
    /// How many people it is made for, where somebody said.
    pub capacity: Option<u32>,
    /// Where it starts.
    pub baseline: Baseline,
    /// What adds up.
    pub terms: Vec<Term>,
    /// Doorways with no DPU during part of the time since the baseline, and during which: `[from, to)` in order of time.
    pub uncovered: BTreeMap<DoorwayId, Vec<(UnixMs, UnixMs)>>,
}

/// A space's count at an instant. `baseline.count + entered - exited = raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Which space.
    pub space: SpaceId,
    /// At which instant, included.
    pub at: UnixMs,
    /// As it adds up; negative where more people were seen to leave than to enter.
    pub raw: i64,
    /// Where it starts.
    pub baseline: Baseline,
    /// Entered since the baseline.
    pub entered: i64,
    /// Exited since the baseline.
    pub exited: i64,
    /// Up to when every DPU that counts here has been heard; `None` while one never was, or there is none.
    pub heard_to: Option<UnixMs>,
    /// DPUs that hung here at `at` and were last heard more than the silence limit before it.
    pub silent: Vec<DpuId>,
    /// Doorways with no DPU during part of the time since the baseline.
    pub uncovered: Vec<DoorwayId>,
    /// How many people it is made for, where somebody said.
    pub capacity: Option<u32>,
}

impl Count {
    /// How many people: never negative.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.raw.max(0)
    }

    /// Whether every DPU that counts here has been heard up to `at`.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.heard_to.is_some_and(|heard| heard >= self.at)
    }
}

impl World {
    /// What the count of `space` at `at` needs; `None` where there is no such space.
    #[must_use]
    pub fn plan(&self, space: &str, at: UnixMs) -> Option<Plan> {
        Some(self.plan_over(self.space(space)?, self.boundary(space), self.baseline(space, at), at))
    }

    /// What a count from 0 of the rest of `space` needs, of those parts of it that are in none of its children: since an
    /// instant, or the beginning. `None` where there is no such space.
    #[must_use]
    pub fn rest_plan(&self, space: &str, since: Option<UnixMs>, at: UnixMs) -> Option<Plan> {
        let space = self.space(space)?;
        let side = Side::Space(space.id.clone());
        let doorways = self.doors(space.id.as_str()).map(|doorway| (&doorway.id, &side));
        Some(self.plan_over(space, doorways, Baseline { at: since, ..Baseline::BEGINNING }, at))
    }

    /// When, in `[from, to)`, time alone next changes more of a space's plan than its end: a baseline begins, a DPU begins or
    /// ceases to hang there.
    #[must_use]
    pub fn next_turn(&self, space: &str, from: UnixMs, to: UnixMs) -> Option<UnixMs> {
        let begin = self.baselines(space, from, to).first().and_then(|first| first.at);
        let hung = self.boundary(space).flat_map(|(doorway, _)| self.over(doorway.as_str()));
        let turns = hung.flat_map(|one| [one.from, one.end()]).chain(begin);
        turns.filter(|turn| (from..to).contains(turn)).min()
    }

    /// A plan over doorways, each with its side within.
    fn plan_over<'a>(
        &self,
        space: &Space,
        doorways: impl Iterator<Item = (&'a DoorwayId, &'a Side)>,
        baseline: Baseline,
        at: UnixMs,
    ) -> Plan {
        let end = at.plus_ms(1);
        let mut terms: Vec<Term> = Vec::new();
        let mut spans: BTreeMap<&DoorwayId, Vec<(UnixMs, UnixMs)>> = BTreeMap::new();
        for (doorway, inside) in doorways {
            let spans = spans.entry(doorway).or_default();
            for one in self.over(doorway.as_str()) {
                let (lo, hi) = (one.from.max(baseline.start()), one.end().min(end));
                if lo < hi {
                    let plus_enters = one.enters == *inside;
                    terms.push(Term { dpu: one.dpu.clone(), doorway: doorway.clone(), plus_enters, lo, hi, current: one.covers(at) });
                    spans.push((lo, hi));
                }
            }
        }
        let since = baseline.at.or_else(|| terms.iter().map(|term| term.lo).min()).unwrap_or(at);
        let uncovered = spans.into_iter().map(|(doorway, spans)| (doorway.clone(), gaps(spans, since, end)));
        let uncovered = uncovered.filter(|(_, gaps)| !gaps.is_empty()).collect();
        Plan { space: space.id.clone(), at, capacity: space.capacity, baseline, terms, uncovered }
    }
}

/// What spans within `[from, to)` leave out of it.
fn gaps(mut spans: Vec<(UnixMs, UnixMs)>, from: UnixMs, to: UnixMs) -> Vec<(UnixMs, UnixMs)> {
    spans.sort_unstable();
    let (mut reached, mut gaps) = (from, Vec::new());
    for (lo, hi) in spans.into_iter().chain([(to, to)]) {
        if lo > reached {
            gaps.push((reached, lo));
        }
        reached = reached.max(hi);
    }
    gaps
}

impl Plan {
    /// The totals to look up: each DPU's before each instant.
    pub fn lookups(&self) -> impl Iterator<Item = (&DpuId, UnixMs)> {
        self.terms.iter().flat_map(|term| [(&term.dpu, term.lo), (&term.dpu, term.hi)])
    }

    /// The count, given what the store holds for each term.
    #[must_use]
    pub fn answer(&self, found: impl Fn(&Term) -> Found, silent_after_ms: i64) -> Count {
        self.answer_at(self.at, self.terms.iter().map(found), silent_after_ms)
    }

    /// The count at this or a later instant, given what the store holds for each term, in order: right while time has gone
    /// on and nothing else happened, no [turn](World::next_turn) and no crossing.
    #[must_use]
    pub fn answer_at(&self, at: UnixMs, found: impl IntoIterator<Item = Found>, silent_after_ms: i64) -> Count {
        let (mut entered, mut exited) = (0, 0);
        let mut heard_to = (!self.terms.is_empty()).then_some(UnixMs::MAX);
        let mut silent = Vec::new();
        for (term, found) in self.terms.iter().zip(found) {
            let part = term.part(&found, at, silent_after_ms);
            entered += part.entered;
            exited += part.exited;
            // A DPU taken down counts as heard to the end of its part once it was heard that far.
            let complete = !term.current && part.heard.is_some_and(|heard| heard >= term.hi);
            if !complete {
                heard_to = heard_to.zip(part.heard).map(|(a, b)| a.min(b));
            }
            if part.silent {
                silent.push(term.dpu.clone());
            }
        }
        silent.sort();
        silent.dedup();
        let heard_to = heard_to.map(|heard| if heard == UnixMs::MAX { at } else { heard });
        let raw = self.baseline.count + entered - exited;
        Count {
            space: self.space.clone(),
            at,
            raw,
            baseline: self.baseline,
            entered,
            exited,
            heard_to,
            silent,
            capacity: self.capacity,
            uncovered: self.uncovered.keys().cloned().collect(),
        }
    }
}

impl Term {
    /// Its part in a count at an instant, given what the store holds for it.
    #[must_use]
    pub fn part(&self, found: &Found, at: UnixMs, silent_after_ms: i64) -> Part {
        let plus = found.hi.entered.cast_signed() - found.lo.entered.cast_signed();
        let minus = found.hi.exited.cast_signed() - found.lo.exited.cast_signed();
        let (entered, exited) = if self.plus_enters { (plus, minus) } else { (minus, plus) };
        let silent = self.current && found.heard.is_none_or(|heard| at.since(heard) > silent_after_ms);
        Part { entered, exited, heard: found.heard, silent }
    }
}

/// What one term adds to a count, seen from the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Entered the space.
    pub entered: i64,
    /// Exited the space.
    pub exited: i64,
    /// When the DPU was last heard.
    pub heard: Option<UnixMs>,
    /// Whether it hung there at the instant asked for and was last heard more than the silence limit before it.
    pub silent: bool,
}

/// What the store holds for one term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The DPU's totals before the term's `lo`.
    pub lo: Totals,
    /// The DPU's totals before the term's `hi`.
    pub hi: Totals,
    /// When the DPU was last heard.
    pub heard: Option<UnixMs>,
}

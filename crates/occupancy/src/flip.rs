//! Which DPUs hang the wrong way round, as far as running counts can tell.
//!
//! People neither appear in a space nor vanish from it. So over a whole day as many leave the rest of a space (what of it is
//! in none of its children) as come to it; and where a day begins and ends with nobody there, it never holds fewer than
//! nobody in between. A DPU that hangs the wrong way round breaks the first on both sides of its doorway; or, where everybody
//! leaves by the doorway they came through, at least the second, on one of them.
//!
//! # Guarantees
//!
//! A DPU is suspected only where, with all other suspects mended, its days together fit much better the other way round, and
//! several of them do: see the constants, which a simulated fleet with flipped DPUs is measured against. One day, however
//! bad, says little: the misfit of a day is the logarithm of its surprise. Where it fits both ways, that is told too.

use std::collections::{BTreeMap, BTreeSet};

/// One of so many crossings may be missed without surprise: variances add up, and one seen the wrong way counts four times.
const MISSED_ONE_OF: f64 = 20.0;
/// The fewest crossings of a DPU that tell anything, all days together.
pub const CROSSINGS_LEAST: u64 = 60;
/// By how much a day must fit better one way round to speak for it.
pub const SPEAKS_FROM: f64 = 1.0;
/// The fewest days that must speak for a flip.
pub const DAYS_LEAST: usize = 3;
/// By how much the days together must fit better the other way round for a DPU to be suspected.
pub const GAIN_LEAST: f64 = 6.0;
/// By how much they must fit worse for it to be beyond doubt.
pub const LOSS_LEAST: f64 = 3.0;

/// A whole day of the rest of one space, all of its doorways covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestDay {
    /// Which day: the same number for the same day of other spaces.
    pub day: usize,
    /// Whether nobody is there as it begins.
    pub begins_empty: bool,
    /// Crossings through its doorways since it began, at some instants in order of time, the end the last of them.
    pub crossings: Vec<u64>,
    /// How many more are there than as it began, at these instants.
    pub running: Vec<i64>,
    /// Of each DPU, by number, whose way round is in question: its crossings, and its part in `running`.
    pub parts: BTreeMap<usize, (u64, Vec<i64>)>,
}

impl RestDay {
    /// The net over the day, and the lowest it came to, no more than 0.
    #[must_use]
    pub fn net_and_lowest(&self) -> (i64, i64) {
        (self.running.last().copied().unwrap_or(0), self.running.iter().copied().min().unwrap_or(0).min(0))
    }

    /// The same day with these DPUs the other way round.
    #[must_use]
    pub fn flipped(&self, dpus: &[usize]) -> Self {
        let mut day = self.clone();
        for dpu in dpus {
            let Some((_, part)) = day.parts.get_mut(dpu) else { continue };
            for (running, part) in day.running.iter_mut().zip(part) {
                *running -= 2 * *part;
                *part = -*part;
            }
        }
        day
    }

    /// How badly it fits: 0 where as many left as came and nobody was ever missing.
    fn misfit(&self) -> f64 {
        let (net, _) = self.net_and_lowest();
        let all = self.crossings.last().copied().unwrap_or(0);
        let [mut since, mut until] = [0.0_f64, 0.0_f64];
        if self.begins_empty {
            // Seen from the beginning, and looking back from the end: errors have added up less where fewer people passed.
            for (running, crossings) in self.running.iter().zip(&self.crossings) {
                since = since.max(surprise((*running).min(0), *crossings));
                until = until.max(surprise((running - net).min(0), all.saturating_sub(*crossings)));
            }
        }
        (1.0 + surprise(net, all) + since + until).ln()
    }
}

/// So many people too many or too few after so many crossings, against what is not surprising.
fn surprise(people: i64, crossings: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no space sees 2^53 people a day")]
    let [people, crossings] = [people as f64, crossings as f64];
    people * people / (1.0 + crossings / MISSED_ONE_OF)
}

/// A DPU that seems to hang the wrong way round.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Which, by number.
    pub dpu: usize,
    /// How badly its days fit as it is said to hang, and the other way round, the other suspects mended in both.
    pub misfit: [f64; 2],
    /// The first day from which on none speaks against it; `None` where none does at all.
    pub from_day: Option<usize>,
    /// How many days from then on speak for it.
    pub days: usize,
}

/// What is in question, and how it stands.
pub struct Doubt {
    days: Vec<RestDay>,
    /// Where each DPU takes part, by number.
    places: BTreeMap<usize, Vec<usize>>,
    /// Those side by side over one doorway, where there are several.
    together: Vec<Vec<usize>>,
    mended: BTreeSet<usize>,
}

impl Doubt {
    /// Days to look at; and the DPUs over each doorway, by number.
    #[must_use]
    pub fn new(days: Vec<RestDay>, doorways: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, day) in days.iter().enumerate() {
            for dpu in day.parts.keys() {
                places.entry(*dpu).or_default().push(place);
            }
        }
        let together = doorways.into_iter().filter(|dpus| dpus.len() > 1).collect();
        Self { days, places, together, mended: BTreeSet::new() }
    }

    /// Those that seem to hang the wrong way round, by number. Afterwards [`Doubt::days_of`] has them mended.
    ///
    /// What gains most is mended first, one DPU or all of one doorway, then the next, until none gains enough; then each must
    /// still gain enough among the others.
    pub fn suspects(&mut self) -> Vec<Suspect> {
        let tells = |dpu: &usize| self.is_ever_empty(*dpu) && self.crossings(*dpu) >= CROSSINGS_LEAST;
        let single = self.places.keys().map(|dpu| vec![*dpu]);
        let open = single.chain(self.together.iter().cloned()).filter(|dpus| dpus.iter().all(tells));
        let mut gains: Vec<(Vec<usize>, f64)> = open.map(|dpus| (dpus.clone(), self.gain(&dpus))).collect();
        while let Some((best, _)) = gains.iter().max_by(|a, b| a.1.total_cmp(&b.1)).cloned().filter(|(_, gain)| *gain >= GAIN_LEAST) {
            self.flip(&best);
            gains.retain(|(dpus, _)| dpus.iter().all(|dpu| !best.contains(dpu)));
            for (dpus, gain) in &mut gains {
                if self.meet(&best, dpus) {
                    *gain = self.gain(dpus);
                }
            }
        }
        while let Some(weak) = self.mended.iter().copied().find(|dpu| self.suspect(*dpu).is_none()) {
            self.flip(&[weak]);
        }
        self.mended.iter().filter_map(|dpu| self.suspect(*dpu)).collect()
    }

    /// The days in which a DPU takes part, each by its place among all, as they stand.
    pub fn days_of(&self, dpu: usize) -> impl Iterator<Item = (usize, &RestDay)> {
        self.places.get(&dpu).into_iter().flatten().filter_map(|place| Some((*place, self.days.get(*place)?)))
    }

    /// Its crossings, all days together: those seen from both sides once.
    #[must_use]
    pub fn crossings(&self, dpu: usize) -> u64 {
        let mut days: BTreeMap<usize, u64> = BTreeMap::new();
        for (_, day) in self.days_of(dpu) {
            let crossings = days.entry(day.day).or_default();
            *crossings = (*crossings).max(day.parts.get(&dpu).map_or(0, |(crossings, _)| *crossings));
        }
        days.values().sum()
    }

    /// Whether a space it leads to is ever known to be empty. Otherwise all DPUs around it the other way round fit as well.
    #[must_use]
    pub fn is_ever_empty(&self, dpu: usize) -> bool {
        self.days_of(dpu).any(|(_, day)| day.begins_empty)
    }

    /// Whether it clearly hangs as it is said to, and so do those beside it; where not, and it is not suspected either, its
    /// days fit both ways round.
    #[must_use]
    pub fn is_beyond_doubt(&self, dpu: usize) -> bool {
        let together = self.together.iter().find(|dpus| dpus.contains(&dpu));
        self.gain(&[dpu]) <= -LOSS_LEAST && together.is_none_or(|dpus| self.gain(dpus) <= -LOSS_LEAST)
    }

    /// The days in which any of these take part.
    fn places_of(&self, dpus: &[usize]) -> BTreeSet<usize> {
        dpus.iter().filter_map(|dpu| self.places.get(dpu)).flatten().copied().collect()
    }

    fn flip(&mut self, dpus: &[usize]) {
        for place in self.places_of(dpus) {
            if let Some(day) = self.days.get_mut(place) {
                *day = day.flipped(dpus);
            }
        }
        for dpu in dpus {
            if !self.mended.remove(dpu) {
                self.mended.insert(*dpu);
            }
        }
    }

    /// By how much days would fit better with one more flip of these.
    fn gain(&self, dpus: &[usize]) -> f64 {
        let days = self.places_of(dpus).into_iter().filter_map(|place| self.days.get(place));
        days.map(|day| day.misfit() - day.flipped(dpus).misfit()).sum()
    }

    /// Whether these take part in a day together with those.
    fn meet(&self, these: &[usize], those: &[usize]) -> bool {
        !self.places_of(these).is_disjoint(&self.places_of(those))
    }

    /// What speaks for a flip that was made; `None` where it is not enough.
    fn suspect(&self, dpu: usize) -> Option<Suspect> {
        let (mut misfit, mut gains) = ([0.0, 0.0], BTreeMap::new());
        for (_, day) in self.days_of(dpu) {
            let [installed, flipped] = [day.flipped(&[dpu]).misfit(), day.misfit()];
            misfit = [misfit[0] + installed, misfit[1] + flipped];
            *gains.entry(day.day).or_insert(0.0) += installed - flipped;
        }
        let against = gains.iter().rev().find(|(_, gain)| **gain <= -SPEAKS_FROM).map(|(day, _)| *day);
        let since = || gains.iter().filter(move |(day, _)| against.is_none_or(|against| **day > against));
        // Not every day is known: the next may be later than the one after.
        let from_day = against.and_then(|_| since().map(|(day, _)| *day).next());
        let days = since().filter(|(_, gain)| **gain >= SPEAKS_FROM).count();
        (misfit[0] - misfit[1] >= GAIN_LEAST && days >= DAYS_LEAST).then_some(Suspect { dpu, misfit, from_day, days })
    }
}

//! Corrections: somebody counted. Several are made at once, listed, and retracted; none is ever forgotten.
//!
//! # Guarantees
//!
//! - A request with a key is made once, whoever takes it and however often it comes: the ids of its corrections follow
//!   from the key, and an id is taken at most once, by compare-and-set on the edits. So whoever sends it again is told
//!   what was made the first time, after a restart, by another process, or when the first answer was lost.
//! - A request without a key is made each time it comes.

use std::collections::BTreeSet;

use occupancy::edit::{Change, Correction, EditError, Note};
use occupancy::id::{CorrectionId, SpaceId};
use occupancy::time::UnixMs;
use occupancy::world::{Made, World};

use crate::error::{CorrectionFailed, EditFailed, QueryError};
use crate::shift::Shift;
use crate::topology::ATTEMPTS;
use crate::{Page, Query, check_limit};

/// How many corrections can be made at once.
pub const CORRECTIONS_MOST: usize = 1000;
/// The longest reason, in characters.
pub const REASON_MOST_CHARS: usize = 1000;
/// The longest name of who says so, in characters.
pub const BY_MOST_CHARS: usize = 200;

/// Somebody counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Where.
    pub space: SpaceId,
    /// When it was so; `None` for now.
    pub at: Option<UnixMs>,
    /// How many people there were.
    pub count: u32,
}

/// What a request to correct or to retract did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corrected {
    /// The corrections, as they stand now.
    Made(Vec<Made>),
    /// What would change.
    DryRun(Vec<Shift>),
}

impl Query {
    /// The most corrections a page holds.
    pub const CORRECTIONS_PAGE_MOST: usize = 1000;

    /// Corrections of a space or of all, retracted ones too, the last made first; those made before the one of order `before`.
    ///
    /// # Errors
    /// There is no such space and never was one with a correction, the limit is out of bounds, or the store fails.
    pub async fn corrections(&self, space: Option<&SpaceId>, before: Option<u64>, limit: usize) -> Result<Page<Made, u64>, QueryError> {
        let limit = check_limit(limit, Self::CORRECTIONS_PAGE_MOST)?;
        let world = self.topology.current().await?.world;
        let wanted = |made: &&Made| space.is_none_or(|space| made.correction.space == *space);
        if let Some(unknown) =
            space.filter(|space| world.space(space.as_str()).is_none() && !world.corrections().iter().any(|made| wanted(&made)))
        {
            return Err(QueryError::UnknownSpace(unknown.to_string()));
        }
        let earlier = world.corrections().iter().rev().skip_while(|made| before.is_some_and(|before| made.order >= before));
        let mut items: Vec<Made> = earlier.filter(wanted).take(limit + 1).cloned().collect();
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { next: items.last().filter(|_| more).map(|made| made.order), items })
    }

    /// Makes corrections, all or none; a dry run only says what they would change.
    ///
    /// `key` is the hash of what the sender calls this request: sent again with it, the same request makes nothing twice.
    /// A dry run does not look at it.
    ///
    /// # Errors
    /// There are too many or none, two of one space and instant, one in the future, a text is too long, a space is
    /// unknown, the key was used for another request, or the edit fails.
    pub async fn correct(&self, counted: &[Counted], note: &Note, key: Option<u128>, dry_run: bool) -> Result<Corrected, CorrectionFailed> {
        check_note(note)?;
        let key = key.filter(|_| !dry_run);
        let now = (self.clock)();
        self.check(counted, now)?;
        for _ in 0..ATTEMPTS {
            let seen = self.topology.current().await.map_err(EditFailed::from)?;
            let id = |place| key.map_or_else(|| CorrectionId::numbered(seen.revision, place), |hash| CorrectionId::keyed(hash, place));
            if key.is_some()
                && let Some(made) = made_before(&seen.world, counted, note, id)?
            {
                return Ok(Corrected::Made(made));
            }
            let correction = |(place, one): (usize, &Counted)| {
                let Counted { space, at, count } = one;
                Correction { id: id(place + 1), space: space.clone(), at: at.unwrap_or(now), count: *count }
            };
            let corrections: Vec<Correction> = counted.iter().enumerate().map(correction).collect();
            let change = Change::Corrections { corrections, note: note.clone() };
            match self.topology.edit(change, now, dry_run, |_| true).await {
                Ok(edited) if dry_run => return Ok(Corrected::DryRun(self.shifts(&edited).await?)),
                Ok(edited) => {
                    let made = (1..=counted.len()).filter_map(|place| edited.after.world.correction(id(place).as_str()).cloned());
                    return Ok(Corrected::Made(made.collect()));
                }
                // Somebody else was first: with the same key, or at the same revision.
                Err(EditFailed::Refused(EditError::CorrectionExists(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EditFailed::Contended { attempts: ATTEMPTS }.into())
    }

    /// Retracts a correction: it no longer holds, and is kept. What was said before, said again, changes nothing.
    ///
    /// # Errors
    /// A text is too long, there is no such correction, it was retracted otherwise, or the edit fails.
    pub async fn retract(&self, id: &CorrectionId, note: &Note, dry_run: bool) -> Result<Corrected, CorrectionFailed> {
        check_note(note)?;
        let change = Change::Retraction { id: id.clone(), note: note.clone() };
        let made = |world: &World| Corrected::Made(world.correction(id.as_str()).cloned().into_iter().collect());
        match self.topology.edit(change, (self.clock)(), dry_run, |_| true).await {
            Ok(edited) if dry_run => Ok(Corrected::DryRun(self.shifts(&edited).await?)),
            Ok(edited) => Ok(made(&edited.after.world)),
            Err(EditFailed::Refused(EditError::AlreadyRetracted(id))) => {
                let world = self.topology.current().await.map_err(EditFailed::from)?.world;
                let retracted = world.correction(id.as_str()).and_then(|made| made.retracted.as_ref());
                if retracted.is_some_and(|(_, said)| said == note) && !dry_run {
                    return Ok(made(&world));
                }
                Err(EditFailed::Refused(EditError::AlreadyRetracted(id)).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, counted: &[Counted], now: UnixMs) -> Result<(), CorrectionFailed> {
        if counted.is_empty() || counted.len() > CORRECTIONS_MOST {
            return Err(CorrectionFailed::Number { asked: counted.len(), most: CORRECTIONS_MOST });
        }
        let latest = now.plus_ms(self.settings.max_clock_ahead_ms);
        let mut seen = BTreeSet::new();
        for one in counted {
            let at = one.at.unwrap_or(now);
            if at > latest {
                return Err(CorrectionFailed::Ahead { space: one.space.clone(), at, latest });
            }
            if !seen.insert((&one.space, at)) {
                return Err(CorrectionFailed::Twice { space: one.space.clone(), at });
            }
        }
        Ok(())
    }
}

fn check_note(note: &Note) -> Result<(), CorrectionFailed> {
    for (what, text, most) in
        [("reason", note.reason.as_str(), REASON_MOST_CHARS), ("by", note.by.as_deref().unwrap_or_default(), BY_MOST_CHARS)]
    {
        let chars = text.chars().count();
        if chars > most {
            return Err(CorrectionFailed::TooLong { what, chars, most });
        }
    }
    Ok(())
}

/// What a request with this key made, if one was made: it must have been the same request.
fn made_before(
    world: &World,
    counted: &[Counted],
    note: &Note,
    id: impl Fn(usize) -> CorrectionId,
) -> Result<Option<Vec<Made>>, CorrectionFailed> {
    let made: Vec<Made> = (1..).map_while(|place| world.correction(id(place).as_str()).cloned()).collect();
    // Now is another instant each time the request comes: what it named then is when it was made.
    let same = |(made, asked): (&Made, &Counted)| {
        let Correction { space, at, count, .. } = &made.correction;
        (space, *at, *count) == (&asked.space, asked.at.unwrap_or(made.made_at), asked.count) && made.note == *note
    };
    if made.is_empty() {
        return Ok(None);
    }
    if made.len() == counted.len() && made.iter().zip(counted).all(same) { Ok(Some(made)) } else { Err(CorrectionFailed::OtherRequest) }
}

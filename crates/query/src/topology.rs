//! The world as the edits leave it, kept at hand, and edits by compare-and-set.

use std::convert::Infallible;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use occupancy::edit::{Change, Edit};
use occupancy::time::UnixMs;
use occupancy::world::World;
use store::{AppendError, Edits, StoreError};
use tokio::sync::{Mutex, RwLock, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::effect::Effect;
use crate::error::EditFailed;
use crate::live::FRESH;
use crate::lock;

/// How often an edit is tried anew when somebody else's comes first.
pub(crate) const ATTEMPTS: usize = 16;
/// How often the edits of other processes are looked for: by no more than this do they lag here.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The world at one revision.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Spaces, doorways, installations, corrections.
    pub world: Arc<World>,
    /// How many edits made it.
    pub revision: u64,
}

/// What an edit did, or in a dry run would do.
#[derive(Debug, Clone)]
pub struct Edited {
    /// What differs.
    pub effect: Effect,
    /// The world without the edit.
    pub before: Snapshot,
    /// The world with the edit.
    pub after: Snapshot,
}

/// The world, brought up to date on each use, or in the background.
pub struct Topology {
    edits: Arc<dyn Edits>,
    seen: RwLock<Snapshot>,
    /// Every edit up to this instant is in `seen`, where it is followed.
    followed: StdMutex<Option<Instant>>,
    /// Edits of this process queue here instead of racing each other.
    editing: Mutex<()>,
    /// The newest revision seen.
    revision: watch::Sender<u64>,
}

impl Topology {
    /// The world of a store.
    #[must_use]
    pub fn new(edits: Arc<dyn Edits>) -> Self {
        Self {
            edits,
            seen: RwLock::default(),
            followed: StdMutex::default(),
            editing: Mutex::default(),
            revision: watch::Sender::default(),
        }
    }

    /// Tells of each new revision this process sees; only of its own edits, unless it [follows](Topology::follow) others.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Follows the edits that other processes make, for as long as it is polled.
    pub async fn follow(&self) -> Infallible {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let as_of = looks.tick().await;
            // Where it fails, whoever needs the world asks the store soon, and is told.
            if self.current().await.is_ok() {
                *lock(&self.followed) = Some(as_of);
            }
        }
    }

    /// The world as it was at most [`FRESH`] ago, without asking the store, while it is followed; else as it is now.
    ///
    /// # Errors
    /// As [`Topology::current`].
    pub async fn recent(&self) -> Result<Snapshot, StoreError> {
        let followed = *lock(&self.followed);
        match followed {
            Some(as_of) if as_of.elapsed() < FRESH => Ok(self.seen.read().await.clone()),
            _ => self.current().await,
        }
    }

    /// The world as it is now.
    ///
    /// # Errors
    /// The store fails, or holds an edit that cannot be made.
    pub async fn current(&self) -> Result<Snapshot, StoreError> {
        let seen = self.seen.read().await.clone();
        if self.edits.since(seen.revision).await?.is_empty() {
            return Ok(seen);
        }
        let mut seen = self.seen.write().await;
        let mut next = seen.clone();
        for edit in self.edits.since(seen.revision).await? {
            next.revision += 1;
            let made = Arc::make_mut(&mut next.world).apply(&edit);
            made.map_err(|error| StoreError::Corrupt(format!("edit {} cannot be made: {error}", next.revision)))?;
        }
        *seen = next.clone();
        self.revision.send_replace(next.revision);
        Ok(next)
    }

    /// Makes one edit, if `holds` is true of the world it changes; a dry run only says what it would do.
    ///
    /// `holds` is asked about the very revision the edit is appended to, so of two that race one is told. An edit that
    /// changes nothing is not written.
    ///
    /// # Errors
    /// `holds` is not true, the edit breaks a rule, or the store fails.
    pub async fn edit(
        &self,
        change: Change,
        now: UnixMs,
        dry_run: bool,
        holds: impl Fn(&World) -> bool + Send + Sync,
    ) -> Result<Edited, EditFailed> {
        let edit = Edit { made_at: now, change };
        let _queue = self.editing.lock().await;
        for _ in 0..ATTEMPTS {
            let before = self.current().await?;
            if !holds(&before.world) {
                return Err(EditFailed::Stale);
            }
            let mut world = World::clone(&before.world);
            world.apply(&edit)?;
            let effect = Effect::of(&before.world, &world, &edit);
            if dry_run || world == *before.world {
                let after = Snapshot { world: Arc::new(world), revision: before.revision };
                return Ok(Edited { effect, before, after });
            }
            match self.edits.append(before.revision, &edit).await {
                Ok(()) => return Ok(Edited { effect, after: self.advance(before.revision + 1, world).await, before }),
                Err(AppendError::Behind { .. }) => {}
                Err(AppendError::Store(error)) => return Err(error.into()),
            }
        }
        Err(EditFailed::Contended { attempts: ATTEMPTS })
    }

    /// Remembers the world an edit made, unless a later one is known already.
    async fn advance(&self, revision: u64, world: World) -> Snapshot {
        let made = Snapshot { world: Arc::new(world), revision };
        let mut seen = self.seen.write().await;
        if seen.revision < revision {
            *seen = made.clone();
            self.revision.send_replace(revision);
        }
        made
    }
}

//! How much is free on the volume of a store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::StoreError;

/// How long a look at the volume holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const MIB: u64 = 1 << 20;

/// Refuses writes while too little is free.
pub(crate) struct Space {
    path: PathBuf,
    reserve_bytes: u64,
    /// When the volume was last looked at, and what was free then, in bytes.
    seen: Option<(Instant, u64)>,
}

impl Space {
    /// Watches the volume of a path.
    pub(crate) fn new(path: PathBuf, reserve_bytes: u64) -> Self {
        Self { path, reserve_bytes, seen: None }
    }

    /// Whether more may be written.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        let free = self.free_bytes()?;
        if free >= self.reserve_bytes {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "only {} MiB free on the volume of {}; {} MiB are kept in reserve: free some space",
            free / MIB,
            self.path.display(),
            self.reserve_bytes / MIB
        )))
    }

    fn free_bytes(&mut self) -> Result<u64, StoreError> {
        if let Some((_, free)) = self.seen.filter(|(at, _)| at.elapsed() < LOOK_EVERY) {
            return Ok(free);
        }
        let volume = rustix::fs::statvfs(&self.path)
            .map_err(|error| StoreError::Unavailable(format!("the volume of {} cannot be asked: {error}", self.path.display())))?;
        let free = volume.f_bavail.saturating_mul(volume.f_frsize);
        self.seen = Some((Instant::now(), free));
        Ok(free)
    }
}

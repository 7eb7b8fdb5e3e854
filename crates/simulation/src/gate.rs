//! What a process's doings pass through: closed while it is stalled, and for good once it has died.

use std::future::pending;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// How a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// It notices nothing, and goes on later.
    Stalled,
    Dead,
}

#[derive(Debug)]
pub(crate) struct Gate {
    life: Mutex<Life>,
    changed: Notify,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { life: Mutex::new(Life::Running), changed: Notify::new() }
    }

    pub(crate) fn life(&self) -> Life {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Death is final.
    pub(crate) fn set(&self, new: Life) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if *life != Life::Dead {
            *life = new;
        }
        drop(life);
        // In the order in which they began to wait: nothing here is left to chance.
        self.changed.notify_waiters();
    }

    /// Waits until the process runs.
    pub(crate) async fn pass(&self) {
        loop {
            let changed = self.changed.notified();
            match self.life() {
                Life::Running => return,
                Life::Stalled => changed.await,
                Life::Dead => pending().await,
            }
        }
    }
}

//! A crossing: one person through one doorway, and what makes it the same crossing when it is sent again.

use crate::few::Few;
use crate::id::DpuId;
use crate::time::UnixMs;

/// Which way a person went, as the DPU sees it; an installation says what that means for a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// -1
    Minus,
    /// +1
    Plus,
}

/// A direction is +1 or -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a direction is 1 or -1, not {0}")]
pub struct DirectionError(pub i64);

impl TryFrom<i64> for Direction {
    type Error = DirectionError;
    fn try_from(sign: i64) -> Result<Self, DirectionError> {
        match sign {
            1 => Ok(Self::Plus),
            -1 => Ok(Self::Minus),
            other => Err(DirectionError(other)),
        }
    }
}

impl Direction {
    /// +1 or -1.
    #[must_use]
    pub fn sign(self) -> i64 {
        match self {
            Self::Plus => 1,
            Self::Minus => -1,
        }
    }
}

/// A crossing within the ledger of its DPU: all its fields are its identity, and their order is the ledger's order.
///
/// The DPU fixes them when it sees the person and resends them unchanged, so a retry is the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// When, by the DPU's clock.
    pub at: UnixMs,
    /// Which run of the DPU; 0 where it does not say. At most [`Key::MAX_COUNTER`].
    pub boot: u64,
    /// Which crossing of that run, from 1; 0 where the DPU does not number them. At most [`Key::MAX_COUNTER`].
    pub seq: u64,
    /// Which way.
    pub direction: Direction,
}

impl Key {
    /// The largest `boot` and `seq`: what a signed 64-bit column holds.
    pub const MAX_COUNTER: u64 = i64::MAX as u64;

    /// The first key a ledger could hold at `at`.
    #[must_use]
    pub fn first_at(at: UnixMs) -> Self {
        Self { at, boot: 0, seq: 0, direction: Direction::Minus }
    }
}

/// Crossings of one record.
pub type Crossings = Few<Key>;

/// One person through one doorway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Crossing {
    /// Who saw it.
    pub dpu: DpuId,
    /// What makes it this crossing and no other.
    pub key: Key,
}

/// A DPU's word that it is alive, and how far its numbering has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heartbeat {
    /// When, by the DPU's clock.
    pub at: UnixMs,
    /// Which run of the DPU; 0 where it does not say.
    pub boot: u64,
    /// The last crossing numbered in that run; 0 where the DPU does not number them.
    pub last_seq: u64,
}

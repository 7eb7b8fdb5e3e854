//! Where a DPU hung, when, and which way round.

use crate::id::{DoorwayId, DpuId};
use crate::time::UnixMs;
use crate::topology::Side;

/// DPU `dpu` hung over doorway `doorway` in `[from, to)`, and +1 means a person enters side `enters`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Installation {
    /// The sensor.
    pub dpu: DpuId,
    /// From when on, this instant included.
    pub from: UnixMs,
    /// Until when, this instant excluded; `None` while it still hangs there.
    pub to: Option<UnixMs>,
    /// The doorway.
    pub doorway: DoorwayId,
    /// The side a person enters when the DPU says +1.
    pub enters: Side,
}

impl Installation {
    /// The end, or the end of time.
    #[must_use]
    pub fn end(&self) -> UnixMs {
        self.to.unwrap_or(UnixMs::MAX)
    }

    /// Whether it hangs there at `at`.
    #[must_use]
    pub fn covers(&self, at: UnixMs) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// Why a DPU's installations cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// It would end before it began.
    #[error("installation of DPU {dpu} over {doorway} is empty: from {from} to {to}")]
    Empty {
        /// The sensor.
        dpu: DpuId,
        /// The doorway.
        doorway: DoorwayId,
        /// Its start.
        from: UnixMs,
        /// Its end, not after the start.
        to: UnixMs,
    },
    /// A DPU would hang in two places at once.
    #[error("DPU {dpu} would hang over {first} and over {second} at {at}: end the first installation before the second begins")]
    Overlap {
        /// The sensor.
        dpu: DpuId,
        /// The doorway of the earlier installation.
        first: DoorwayId,
        /// The doorway of the later one.
        second: DoorwayId,
        /// The first instant both claim.
        at: UnixMs,
    },
}

/// Puts one DPU's installations in order of time and checks that it is in one place at a time.
///
/// # Errors
/// An installation is empty, or two overlap.
pub fn in_order(mut list: Vec<Installation>) -> Result<Vec<Installation>, InstallationError> {
    list.sort();
    for one in &list {
        if let Some(to) = one.to.filter(|to| *to <= one.from) {
            return Err(InstallationError::Empty { dpu: one.dpu.clone(), doorway: one.doorway.clone(), from: one.from, to });
        }
    }
    for (first, second) in list.iter().zip(list.iter().skip(1)) {
        if second.from < first.end() {
            return Err(InstallationError::Overlap {
                dpu: second.dpu.clone(),
                first: first.doorway.clone(),
                second: second.doorway.clone(),
                at: second.from,
            });
        }
    }
    Ok(list)
}

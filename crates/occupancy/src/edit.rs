//! Edits: each one atomic change of topology, installations or corrections; together an append-only log.

use crate::id::{CorrectionId, DpuId, SpaceId};
use crate::installation::Installation;
use crate::time::UnixMs;
use crate::topology::{Document, TopologyError};

/// One atomic change, and when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// By the server's clock.
    pub made_at: UnixMs,
    /// What changes.
    pub change: Change,
}

/// What an edit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Everything under one root is replaced.
    Topology {
        /// The root.
        root: SpaceId,
        /// What stands under it from now on, and for all time.
        document: Document,
        /// Whether spaces, doorways and installations may vanish by this.
        allow_removal: bool,
    },
    /// Where one DPU hung is replaced.
    Installations {
        /// The sensor.
        dpu: DpuId,
        /// Where it hung, in any order.
        list: Vec<Installation>,
    },
    /// Somebody counted.
    Corrections {
        /// One per space.
        corrections: Vec<Correction>,
        /// Why, and who says so.
        note: Note,
    },
    /// A correction no longer holds; it is kept, marked.
    Retraction {
        /// Which.
        id: CorrectionId,
        /// Why, and who says so.
        note: Note,
    },
}

/// Why an edit was made, and who says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// In people's words; may be empty.
    pub reason: String,
    /// Whoever made it, in whatever form people are named there.
    pub by: Option<String>,
}

/// There were `count` people in `space` at `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Its id.
    pub id: CorrectionId,
    /// Where somebody counted.
    pub space: SpaceId,
    /// When it was so; it acts before the crossings of that ms.
    pub at: UnixMs,
    /// How many people there were.
    pub count: u32,
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The topology would not stand.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A list of installations names another DPU.
    #[error("the installations of DPU {dpu} name DPU {other}")]
    OtherDpu {
        /// Whose list it is.
        dpu: DpuId,
        /// Whom it names.
        other: DpuId,
    },
    /// No space of that id.
    #[error("there is no space {0}")]
    UnknownSpace(SpaceId),
    /// No correction of that id.
    #[error("there is no correction {0}")]
    UnknownCorrection(CorrectionId),
    /// The correction's id is taken.
    #[error("correction {0} exists already")]
    CorrectionExists(CorrectionId),
    /// It was retracted before.
    #[error("correction {0} was retracted before")]
    AlreadyRetracted(CorrectionId),
}

//! Edits as they are stored: JSON with a version.
//!
//! Version 1 is frozen: `tests/golden/edit` holds it. A change of form is a new version; old ones are read for good.

use occupancy::edit::{Change, Correction, Edit};
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::document::{InstallationEntry, TopologyDocument, installations, quoted, read};
use crate::to_json;

/// The version written.
const VERSION: u64 = 1;

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEdit {
    v: u64,
    made_at: String,
    change: StoredChange,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum StoredChange {
    Topology { root: String, allow_removal: bool, document: TopologyDocument },
    Installations { dpu: String, list: Vec<InstallationEntry> },
    Corrections { corrections: Vec<StoredCorrection>, reason: String },
    Retraction { id: String, reason: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCorrection {
    id: String,
    space: String,
    at: String,
    count: u32,
}

/// The stored form of an edit.
#[must_use]
pub fn encode(edit: &Edit) -> Vec<u8> {
    let change = match &edit.change {
        Change::Topology { root, document, allow_removal } => {
            StoredChange::Topology { root: root.to_string(), allow_removal: *allow_removal, document: TopologyDocument::of(document) }
        }
        Change::Installations { dpu, list } => {
            StoredChange::Installations { dpu: dpu.to_string(), list: list.iter().map(InstallationEntry::of).collect() }
        }
        Change::Corrections { corrections, reason } => {
            let corrections = corrections.iter().map(StoredCorrection::of).collect();
            StoredChange::Corrections { corrections, reason: reason.clone() }
        }
        Change::Retraction { id, reason } => StoredChange::Retraction { id: id.to_string(), reason: reason.clone() },
    };
    to_json(&StoredEdit { v: VERSION, made_at: edit.made_at.to_string(), change })
}

/// Reads a stored edit, of this or an older version.
///
/// # Errors
/// It is none, or of a newer version.
pub fn decode(stored: &[u8]) -> Result<Edit, WireError> {
    let Version { v } = serde_json::from_slice(stored).map_err(|error| unreadable(&error))?;
    if v != VERSION {
        return Err(WireError(format!("a stored edit has version {v}, this program reads version {VERSION}: use a newer program")));
    }
    let StoredEdit { made_at, change, .. } = serde_json::from_slice(stored).map_err(|error| unreadable(&error))?;
    let whose = "stored edit";
    let made_at = read(whose, "made_at", &made_at)?;
    let change = match change {
        StoredChange::Topology { root, allow_removal, document } => {
            Change::Topology { root: read(whose, "root", &root)?, document: document.into_domain(made_at)?, allow_removal }
        }
        StoredChange::Installations { dpu, list } => {
            let dpu = read(whose, "dpu", &dpu)?;
            let list = installations(list, &dpu, made_at)?;
            Change::Installations { dpu, list }
        }
        StoredChange::Corrections { corrections, reason } => {
            Change::Corrections { corrections: corrections.iter().map(StoredCorrection::read).collect::<Result<_, _>>()?, reason }
        }
        StoredChange::Retraction { id, reason } => Change::Retraction { id: read(whose, "id", &id)?, reason },
    };
    Ok(Edit { made_at, change })
}

impl StoredCorrection {
    fn of(correction: &Correction) -> Self {
        Self { id: correction.id.to_string(), space: correction.space.to_string(), at: correction.at.to_string(), count: correction.count }
    }

    fn read(&self) -> Result<Correction, WireError> {
        let whose = format!("correction {}", quoted(&self.id));
        Ok(Correction {
            id: read(&whose, "id", &self.id)?,
            space: read(&whose, "space", &self.space)?,
            at: read(&whose, "at", &self.at)?,
            count: self.count,
        })
    }
}

fn unreadable(error: &serde_json::Error) -> WireError {
    WireError(format!("a stored edit cannot be read: {error}"))
}

//! Edits as they are stored: JSON with a version.
//!
//! Both versions are frozen: `tests/golden/edit` holds them. A change of form is a new version; old ones are read for good.
//!
//! Version 2 says who made corrections or retracted one. Where nobody is named version 1 is written, which older programs
//! read too.

use occupancy::edit::{Change, Correction, Edit, Note};
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::document::{InstallationEntry, TopologyDocument, installations, quoted, read};
use crate::to_json;

/// The newest version.
const VERSION: u64 = 2;

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
    Topology {
        root: String,
        allow_removal: bool,
        document: TopologyDocument,
    },
    Installations {
        dpu: String,
        list: Vec<InstallationEntry>,
    },
    Corrections {
        corrections: Vec<StoredCorrection>,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    Retraction {
        id: String,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
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
    let told = |note: &Note| (note.reason.clone(), note.by.clone());
    let change = match &edit.change {
        Change::Topology { root, document, allow_removal } => {
            StoredChange::Topology { root: root.to_string(), allow_removal: *allow_removal, document: TopologyDocument::of(document) }
        }
        Change::Installations { dpu, list } => {
            StoredChange::Installations { dpu: dpu.to_string(), list: list.iter().map(InstallationEntry::of).collect() }
        }
        Change::Corrections { corrections, note } => {
            let (reason, by) = told(note);
            StoredChange::Corrections { corrections: corrections.iter().map(StoredCorrection::of).collect(), reason, by }
        }
        Change::Retraction { id, note } => {
            let (reason, by) = told(note);
            StoredChange::Retraction { id: id.to_string(), reason, by }
        }
    };
    to_json(&StoredEdit { v: version(&edit.change), made_at: edit.made_at.to_string(), change })
}

/// The oldest version that can say it.
fn version(change: &Change) -> u64 {
    match change {
        Change::Corrections { note, .. } | Change::Retraction { note, .. } if note.by.is_some() => VERSION,
        _ => 1,
    }
}

/// Reads a stored edit, of this or an older version.
///
/// # Errors
/// It is none, or of a newer version.
pub fn decode(stored: &[u8]) -> Result<Edit, WireError> {
    let Version { v } = serde_json::from_slice(stored).map_err(|error| unreadable(&error))?;
    if !(1..=VERSION).contains(&v) {
        return Err(WireError(format!("a stored edit has version {v}, this program reads versions 1 to {VERSION}: use a newer program")));
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
        StoredChange::Corrections { corrections, reason, by } => Change::Corrections {
            corrections: corrections.iter().map(StoredCorrection::read).collect::<Result<_, _>>()?,
            note: Note { reason, by },
        },
        StoredChange::Retraction { id, reason, by } => Change::Retraction { id: read(whose, "id", &id)?, note: Note { reason, by } },
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

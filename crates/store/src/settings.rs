//! The few facts a store remembers about what feeds it, and whether it is whole.

use crate::StoreError;

/// What a store remembers besides ledgers and edits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Kafka cluster whose offsets the positions mean.
    pub cluster_id: Option<String>,
    /// How many partitions the topic had.
    pub partitions: Option<u32>,
    /// The log epoch; 0 while there has been no log.
    pub epoch: u32,
    /// Whether the consumer group's first start is done: from then on a missing offset is an error.
    pub first_start_done: bool,
    /// The store this one is being copied from; `None` in one that is whole. See [`crate::Copying`].
    pub copying_from: Option<String>,
}

/// The version of the stored JSON this program writes.
const VERSION: u32 = 1;

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    cluster_id: Option<String>,
    partitions: Option<u32>,
    epoch: u32,
    first_start_done: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copying_from: Option<String>,
}

#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

impl Settings {
    /// The stored form: JSON with a version.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let Self { cluster_id, partitions, epoch, first_start_done, copying_from } = self.clone();
        let stored = Stored { version: VERSION, cluster_id, partitions, epoch, first_start_done, copying_from };
        serde_json::to_vec(&stored).map_err(|error| StoreError::Corrupt(format!("settings cannot be written: {error}")))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// It is no such form, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let unreadable = |error: serde_json::Error| StoreError::Corrupt(format!("the settings cannot be read: {error}"));
        let Versioned { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if version != VERSION {
            return Err(StoreError::Corrupt(format!(
                "the settings have version {version}, this program knows {VERSION}: use the newer one"
            )));
        }
        let Stored { version: _, cluster_id, partitions, epoch, first_start_done, copying_from } =
            serde_json::from_slice(bytes).map_err(unreadable)?;
        Ok(Self { cluster_id, partitions, epoch, first_start_done, copying_from })
    }
}

//! How a store fails.

/// Why an operation on a store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The outcome is unknown: it may have happened wholly, partly or not at all. Try again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store takes nothing more until the program starts anew; the outcome is unknown. Trying again does not help.
    #[error("the store has halted: {0}")]
    Halted(String),
    /// What is stored cannot be read. Trying again does not help.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// Why an edit was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else's edit came first.
    #[error("the edits stand at revision {found}, not at {expected}")]
    Behind {
        /// The revision the caller had seen.
        expected: u64,
        /// The revision there is.
        found: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

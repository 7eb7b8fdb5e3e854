//! Why a question cannot be answered or an edit cannot be made.

use occupancy::edit::EditError;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use store::{Source, StoreError};

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No space of that id.
    #[error("there is no space {0}")]
    UnknownSpace(String),
    /// No DPU of that id was ever heard or hung.
    #[error("there is no DPU {0}: it has neither been heard nor hung anywhere")]
    UnknownDpu(String),
    /// The instant is in the future.
    #[error("{at} is in the future: a count can be asked for up to {latest}")]
    Ahead {
        /// The instant asked for.
        at: UnixMs,
        /// The latest one that can be.
        latest: UnixMs,
    },
    /// A range holds no instant.
    #[error("the range from {from} to {to} is empty: `to` is excluded and must be later than `from`")]
    EmptyRange {
        /// Its start.
        from: UnixMs,
        /// Its end.
        to: UnixMs,
    },
    /// A page of no size, or too large.
    #[error("a page holds 1 to {most} entries, not {asked}")]
    Limit {
        /// Asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },
    /// Too many spaces, or none.
    #[error("1 to {most} spaces can be asked for at once, not {asked}")]
    Spaces {
        /// Asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },
    /// A range begins where no bucket can.
    #[error("no bucket that holds {from} begins within the years 1 to 9999: ask for a later `from`")]
    Calendar {
        /// Its start.
        from: UnixMs,
    },
    /// One bucket holds more than is walked for a page.
    #[error(
        "more than {most} crossings fall into the bucket from {start} to {end}, and no more are walked for a page: ask for a shorter \
         interval, or with stats=flow for what needs no walk"
    )]
    BucketTooLarge {
        /// The bucket's start.
        start: UnixMs,
        /// The bucket's end.
        end: UnixMs,
        /// The most there can be.
        most: usize,
    },
    /// No such row is in quarantine.
    #[error("there is nothing in quarantine from {0}")]
    NotQuarantined(Source),
    /// Rows of the quarantine that are too large together.
    #[error(
        "these rows hold more than {most_bytes} bytes together, and no more are replayed at once: name fewer; one alone is always taken"
    )]
    RowsTooLarge {
        /// The most that several can hold.
        most_bytes: usize,
    },
    /// Too few or too many days.
    #[error("{least} to {most} whole days can be looked at, not {asked}")]
    Days {
        /// Asked for.
        asked: usize,
        /// The fewest that say anything.
        least: usize,
        /// The most there can be.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an edit was not made. Nothing has changed, unless the store says the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditFailed {
    /// What the edit was made from has changed since.
    #[error("it has changed since it was read: read it again and make the edit anew")]
    Stale,
    /// The edit breaks a rule.
    #[error(transparent)]
    Refused(#[from] EditError),
    /// Other edits always came first.
    #[error("other edits came first {attempts} times: try again")]
    Contended {
        /// How often it was tried.
        attempts: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why corrections were not made, or one not retracted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionFailed {
    /// Too many at once, or none.
    #[error("1 to {most} corrections can be made at once, not {asked}: send several requests")]
    Number {
        /// Asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },
    /// A text is too long.
    #[error("`{what}` has at most {most} characters, this one has {chars}")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        chars: usize,
        /// The most there can be.
        most: usize,
    },
    /// Nobody has counted in the future.
    #[error("space {space}: {at} is in the future: a count can be corrected up to {latest}")]
    Ahead {
        /// Which space.
        space: SpaceId,
        /// The instant of its correction.
        at: UnixMs,
        /// The latest one that can be.
        latest: UnixMs,
    },
    /// Two counts at once: which one holds?
    #[error("space {space} is corrected twice at {at}: say one count")]
    Twice {
        /// Which space.
        space: SpaceId,
        /// When.
        at: UnixMs,
    },
    /// The key was used before.
    #[error("this key was used for another request: send that request again as it was, or choose a new key")]
    OtherRequest,
    /// The edit was not made.
    #[error(transparent)]
    Edit(#[from] EditFailed),
    /// What it would change cannot be told.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Why spaces cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchFailed {
    /// Too many watch already.
    #[error("{most} clients watch already, which is as many as there can be: try again later, or ask for counts now and then")]
    Full {
        /// The most there can be.
        most: u32,
    },
    /// The server is stopping.
    #[error("the server is stopping: try again")]
    Stopping,
    /// The spaces cannot be counted.
    #[error(transparent)]
    Query(#[from] QueryError),
}

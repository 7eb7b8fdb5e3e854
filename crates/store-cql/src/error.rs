//! What an error of the driver means to whoever uses the store, and why a keyspace cannot be used.

use std::path::PathBuf;

use scylla::deserialize::DeserializationError;
use scylla::errors::{
    DbError, ExecutionError, FirstRowError, IntoRowsResultError, NextPageError, NextRowError, PagerExecutionError, RequestAttemptError,
    RequestError, RowsError, TypeCheckError,
};
use store::StoreError;

/// Why a keyspace cannot be used or migrated. Nothing was written, where the text does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No node answers.
    #[error("no node of {url} answers: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the driver says.
        why: String,
    },
    /// The authorities to trust cannot be read.
    #[error("the authorities to trust, {}, cannot be used: {why}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Nobody says which datacenter is near.
    #[error("the cluster has the datacenters {}: say which one is local", .0.join(", "))]
    Datacenters(Vec<String>),
    /// A datacenter that is not there.
    #[error("the cluster has no datacenter {asked:?}, only {}", there.join(", "))]
    NoDatacenter {
        /// The one named as local.
        asked: String,
        /// Those there are.
        there: Vec<String>,
    },
    /// The keyspace lacks tables.
    #[error("the keyspace of {url} lacks migration {missing} of {known}: run `headcount migrate --store {url}`")]
    NotMigrated {
        /// Which keyspace.
        url: String,
        /// The first migration it lacks.
        missing: u32,
        /// How many this program knows.
        known: u32,
    },
    /// A newer program migrated it.
    #[error("the keyspace {keyspace} has migration {found} ({name}), this program knows {known}: use the newer program")]
    Newer {
        /// Which keyspace.
        keyspace: String,
        /// The latest migration it has.
        found: i64,
        /// Its name.
        name: String,
        /// How many this program knows.
        known: u32,
    },
    /// A migration was recorded with another text.
    #[error(
        "migration {number} of the keyspace {keyspace} is {name} with SHA-256 {found}, this program's is {known_name} with {known}: \
         another program made this keyspace; use that one, or another keyspace"
    )]
    Changed {
        /// Which keyspace.
        keyspace: String,
        /// The migration's number.
        number: u32,
        /// The name it was recorded with.
        name: String,
        /// The checksum it was recorded with.
        found: String,
        /// The name this program knows.
        known_name: String,
        /// The checksum this program knows.
        known: String,
    },
    /// Migrations are recorded with a gap.
    #[error("the keyspace {keyspace} has migration {found} but not {missing}: its table migrations was changed; restore it from a backup")]
    Gap {
        /// Which keyspace.
        keyspace: String,
        /// A migration it has.
        found: i64,
        /// An earlier one it lacks.
        missing: u32,
    },
    /// The keyspace holds something else.
    #[error("the keyspace {keyspace} is not Headcount's: it holds the table {table}. Name another keyspace")]
    Foreign {
        /// Which keyspace.
        keyspace: String,
        /// A table in it.
        table: String,
    },
    /// Another number of slots.
    #[error("the keyspace {keyspace} has {found} slots, not {asked}: the number is fixed for good; leave it out or name another keyspace")]
    Slots {
        /// Which keyspace.
        keyspace: String,
        /// The number asked for.
        asked: u32,
        /// The number there is.
        found: u32,
    },
    /// More copies than nodes.
    #[error(
        "datacenter {datacenter} has {nodes} nodes and cannot keep {copies} copies: add nodes, or ask for fewer copies \
         (--replication 1 is enough to try things out)"
    )]
    FewNodes {
        /// Which datacenter.
        datacenter: String,
        /// How many nodes it has.
        nodes: usize,
        /// How many copies it should keep.
        copies: u8,
    },
    /// The keyspace exists with another replication than asked for.
    #[error("the keyspace {keyspace} has the replication {found}, not {asked}: ALTER KEYSPACE and repair, then migrate again")]
    OtherReplication {
        /// Which keyspace.
        keyspace: String,
        /// The replication asked for.
        asked: String,
        /// The replication there is.
        found: String,
    },
    /// Somebody changed the replication.
    #[error(
        "the keyspace of {url} was recorded with the replication {recorded}, and now has {found}: until every node is repaired, reads \
         may miss what was written. Repair, then accept it: `headcount migrate --store {url} --replication COPIES`"
    )]
    ReplicationChanged {
        /// Which keyspace.
        url: String,
        /// The replication recorded.
        recorded: String,
        /// The replication there is.
        found: String,
    },
    /// Another process is migrating and does not come to an end.
    #[error("another process has been migrating the keyspace {keyspace} for {waited_s} s: see what it is doing, then try again")]
    Locked {
        /// Which keyspace.
        keyspace: String,
        /// How long this one waited, in seconds.
        waited_s: u64,
    },
    /// This process lost its turn amid its migration.
    #[error(
        "migration {number} took too long, and another process took over: run `headcount migrate` again, which goes on where it stopped"
    )]
    LostLock {
        /// The migration at hand.
        number: u32,
    },
    /// The cluster refused or did not answer.
    #[error("the keyspace {keyspace} cannot be used: {error}")]
    Store {
        /// Which keyspace.
        keyspace: String,
        /// Why.
        error: StoreError,
    },
}

/// What an error of the driver means: most often the outcome is unknown, and trying again helps.
pub(crate) trait Meaning {
    /// The store's error.
    fn meaning(self) -> StoreError;
}

fn unavailable(error: impl std::error::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn unreadable(error: impl std::error::Error) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// What the database answers to a request it will refuse each time.
fn refused(error: &RequestAttemptError) -> Option<StoreError> {
    let RequestAttemptError::DbError(kind, why) = error else {
        return None;
    };
    let lasting = matches!(
        kind,
        DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::FunctionFailure { .. }
            | DbError::AuthenticationError
            | DbError::Unauthorized
            | DbError::ConfigError
    );
    lasting.then(|| StoreError::Halted(format!("the database refuses: {why}; mend that, then restart the program")))
}

impl Meaning for ExecutionError {
    fn meaning(self) -> StoreError {
        match self {
            Self::BadQuery(error) => unreadable(error),
            Self::LastAttemptError(error) => refused(&error).unwrap_or_else(|| unavailable(error)),
            other => unavailable(other),
        }
    }
}

impl Meaning for NextPageError {
    fn meaning(self) -> StoreError {
        match self {
            Self::RequestFailure(RequestError::LastAttemptError(error)) => refused(&error).unwrap_or_else(|| unavailable(error)),
            Self::RequestFailure(error) => unavailable(error),
            other => unreadable(other),
        }
    }
}

impl Meaning for PagerExecutionError {
    fn meaning(self) -> StoreError {
        match self {
            Self::NextPageError(error) => error.meaning(),
            Self::SerializationError(error) => unreadable(error),
            other => unavailable(other),
        }
    }
}

impl Meaning for NextRowError {
    fn meaning(self) -> StoreError {
        match self {
            Self::NextPageError(error) => error.meaning(),
            other => unreadable(other),
        }
    }
}

macro_rules! unreadable {
    ($($error:ty)*) => { $(
        impl Meaning for $error {
            fn meaning(self) -> StoreError {
                unreadable(self)
            }
        }
    )* };
}

unreadable! { TypeCheckError DeserializationError IntoRowsResultError RowsError FirstRowError }

//! How far a provider was read, in a file that is whole at any moment.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use occupancy::time::UnixMs;
use serde::{Deserialize, Serialize};

use crate::config::Provider;
use crate::memory::{Known, Memory};

const VERSION: u32 = 1;

/// Why there is no state to go on from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("the state cannot be kept at {path}: {error}; --state names another place")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process uses it.
    #[error("another process pulls with the state {0}: stop that one, or give this one another with --state")]
    Locked(PathBuf),
    /// It is not what this program wrote.
    #[error("{path} is no state of this program: {why}; another --state begins anew, which is safe while the provider still has all")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It says how far another provider was read.
    #[error(
        "{path} says how far {name} was read at {url}, which is not what the configuration says: give this provider a state of its own \
         with --state, or put the old name and url back"
    )]
    Another {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        name: String,
        /// Where it was read.
        url: String,
    },
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    name: String,
    url: String,
    /// `None` before the first page is done with.
    cursor: Option<String>,
    /// DPU, start in Unix ms, length in ms, entered, exited.
    intervals: Vec<(String, i64, u32, u32, u32)>,
    forgotten_to_ms: Option<i64>,
    /// Names in hexadecimal: JSON readers round large numbers.
    rejected: Vec<String>,
}

/// How far a provider was read. One process at a time has it.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    /// Locked as long as it is open; the state itself is another file each time it is written.
    _lock: File,
    pub(crate) cursor: Option<String>,
    pub(crate) memory: Memory,
}

impl State {
    /// Opens the state of a provider, empty where there is none.
    ///
    /// # Errors
    /// It is in use, of another provider, or cannot be read.
    pub fn open(path: &Path, provider: &Provider) -> Result<Self, StateError> {
        let io = |error| StateError::Io { path: path.to_owned(), error };
        let lock = File::create(beside(path, "lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut state = Self { path: path.to_owned(), _lock: lock, cursor: None, memory: Memory::default() };
        match std::fs::read(path) {
            Ok(bytes) => state.load(&bytes, provider)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        Ok(state)
    }

    fn load(&mut self, bytes: &[u8], provider: &Provider) -> Result<(), StateError> {
        let unreadable = |why: String| StateError::Unreadable { path: self.path.clone(), why };
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if stored.version != VERSION {
            return Err(unreadable(format!("it has version {}, this program knows {VERSION}", stored.version)));
        }
        if (&stored.name, &stored.url) != (&provider.name, &provider.url) {
            return Err(StateError::Another { path: self.path.clone(), name: stored.name, url: stored.url });
        }
        let mut memory = Memory::default();
        for name in &stored.rejected {
            memory.rejected.push_back(u64::from_str_radix(name, 16).map_err(|error| unreadable(format!("{name:?}: {error}")))?);
        }
        for (dpu, start_ms, length_ms, entered, exited) in stored.intervals {
            let dpu = dpu.parse().map_err(|error| unreadable(format!("{dpu:?}: {error}")))?;
            let start = UnixMs::new(start_ms).map_err(|error| unreadable(error.to_string()))?;
            memory.intervals.entry(dpu).or_default().insert(start, Known { length_ms, entered, exited });
        }
        let forgotten_to = stored.forgotten_to_ms.map(UnixMs::new).transpose();
        memory.forgotten_to = forgotten_to.map_err(|error| unreadable(error.to_string()))?;
        (self.cursor, self.memory) = (stored.cursor, memory);
        Ok(())
    }

    /// Makes it durable: whoever reads the file sees all of this or all of what was there before.
    pub(crate) fn save(&self, provider: &Provider) -> Result<(), StateError> {
        let io = |error| StateError::Io { path: self.path.clone(), error };
        let intervals = self.memory.intervals.iter().flat_map(|(dpu, of_dpu)| {
            of_dpu.iter().map(move |(start, known)| (dpu.to_string(), start.ms(), known.length_ms, known.entered, known.exited))
        });
        let stored = Stored {
            version: VERSION,
            name: provider.name.clone(),
            url: provider.url.clone(),
            cursor: self.cursor.clone(),
            intervals: intervals.collect(),
            forgotten_to_ms: self.memory.forgotten_to.map(UnixMs::ms),
            rejected: self.memory.rejected.iter().map(|name| format!("{name:016x}")).collect(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(|error| io(error.into()))?;
        self.replace(&bytes).map_err(io)
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let new = beside(&self.path, "new");
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        // Only then is the new name durable too.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

/// The same path with one more ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

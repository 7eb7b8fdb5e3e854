//! The folder of the embedded store: what tells it from any other folder, who holds it, and how it is created.
//!
//! ```text
//! PATH/FORMAT   one line with the format number; written first and at once, so it is whole or absent
//! PATH/lock     locked while a process has the store open
//! PATH/db/      the database
//! ```
//!
//! A folder with FORMAT whose database has neither its version file nor a table is one whose creation was cut short:
//! nothing can have been stored in it yet, so it is created again.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::FORMAT;

const MARKER: &str = "FORMAT";
const MARKER_DRAFT: &str = "FORMAT.draft";
const LOCK: &str = "lock";
const DB: &str = "db";
/// Written last when the database is created, and before anything is stored in it.
const DB_WHOLE: &str = "version";
const DB_TABLES: &str = "keyspaces";
const TITLE: &str = "headcount store format ";

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store {} is open in another process: stop that process, or ask it over HTTP", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("the store {} has format {found}, this program knows {known}: use the newer program that wrote it", path.display())]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format this program writes.
        known: u32,
    },
    /// An older program wrote it.
    #[error("the store {} has format {found}, this program needs {known}: use the program that wrote it, or fill a new store from the log", path.display())]
    OlderFormat {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format this program reads.
        known: u32,
    },
    /// Something else is there.
    #[error("{} is not a store: it holds {holds:?}. Name an empty or a new folder", path.display())]
    NotAStore {
        /// The folder or file.
        path: PathBuf,
        /// What was found there.
        holds: String,
    },
    /// Nothing is there, and it may not be created.
    #[error("there is no store at {}: check the path; `serve` creates one", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The database within cannot be read.
    #[error("the store {} is damaged: {detail}. Restore it from a backup, or fill a new store from the log", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
    /// The file system refused.
    #[error("the store {} cannot be opened: {error}", path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A store's folder, held by this process until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Unlocked when closed.
    _lock: File,
}

/// What a path holds.
enum Holds {
    Nothing,
    Store { format: u32 },
}

impl Folder {
    /// Takes hold of the folder; creates it where there is nothing and `create` says so.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self, OpenError> {
        match inspect(path)? {
            Holds::Nothing if !create => return Err(OpenError::Missing { path: path.to_owned() }),
            Holds::Nothing => {}
            Holds::Store { format } => check_format(path, format)?,
        }
        let io = |error| OpenError::Io { path: path.to_owned(), error };
        fs::create_dir_all(path).map_err(io)?;
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked { path: path.to_owned() },
            TryLockError::Error(error) => io(error),
        })?;
        // Only now nobody else creates it.
        match inspect(path)? {
            Holds::Nothing => write_marker(path).map_err(io)?,
            Holds::Store { format } => check_format(path, format)?,
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.clear_half_created()?;
        Ok(folder)
    }

    /// Makes the folder and what it lists survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        [self.path.as_path(), parent].into_iter().try_for_each(|folder| File::open(folder)?.sync_all()).map_err(|error| self.io(error))
    }

    /// Where the database is.
    pub(crate) fn db(&self) -> PathBuf {
        self.path.join(DB)
    }

    /// What the folder takes on disk, in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        size_bytes(&self.path)
    }

    fn clear_half_created(&self) -> Result<(), OpenError> {
        let db = self.db();
        let there = |path: &Path| path.try_exists().map_err(|error| self.io(error));
        if !there(&db)? || there(&db.join(DB_WHOLE))? {
            return Ok(());
        }
        let tables = db.join(DB_TABLES);
        if there(&tables)? && fs::read_dir(&tables).map_err(|error| self.io(error))?.next().is_some() {
            let detail = format!("it has tables but no {}", db.join(DB_WHOLE).display());
            return Err(OpenError::Damaged { path: self.path.clone(), detail });
        }
        fs::remove_dir_all(&db).map_err(|error| self.io(error))
    }

    fn io(&self, error: io::Error) -> OpenError {
        OpenError::Io { path: self.path.clone(), error }
    }
}

fn inspect(path: &Path) -> Result<Holds, OpenError> {
    let io = |error| OpenError::Io { path: path.to_owned(), error };
    let not = |holds: String| OpenError::NotAStore { path: path.to_owned(), holds };
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holds::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(not("a file".to_owned())),
        Err(error) => return Err(io(error)),
    };
    match fs::read(path.join(MARKER)) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            let format = text.strip_prefix(TITLE).and_then(|rest| rest.trim_end().parse().ok());
            return format.map(|format| Holds::Store { format }).ok_or_else(|| not(format!("{MARKER} of something else")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    for entry in listing {
        let name = entry.map_err(io)?.file_name();
        // What creating a store leaves before the marker, and what a new volume holds.
        if ![MARKER_DRAFT, LOCK, "lost+found"].iter().any(|known| name == *known) {
            return Err(not(name.to_string_lossy().into_owned()));
        }
    }
    Ok(Holds::Nothing)
}

fn check_format(path: &Path, found: u32) -> Result<(), OpenError> {
    let (path, known) = (path.to_owned(), FORMAT);
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(OpenError::OlderFormat { path, found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(OpenError::NewerFormat { path, found, known }),
    }
}

fn write_marker(path: &Path) -> io::Result<()> {
    let draft = path.join(MARKER_DRAFT);
    let mut file = File::create(&draft)?;
    writeln!(file, "{TITLE}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(draft, path.join(MARKER))?;
    File::open(path)?.sync_all()
}

/// Files come and go while they are counted: what has gone counts as nothing.
fn size_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_bytes(&entry.path()),
        // Journals are sparse: count what is allocated, in blocks of 512 bytes.
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

//! A temporary `PostgreSQL`, reached by a socket in its folder and gone with this process.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use engines::{EngineError, Process};
use postgres::{Client, Config, NoTls};
use rustix::process::{Signal, geteuid};

/// How long it may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Who owns everything in it.
const USER: &str = "headcount";

/// A running server.
pub(crate) struct Cluster {
    process: Process,
    socket: PathBuf,
    settings: Vec<(&'static str, String)>,
}

/// The folder with the server's programs: the newest the system has, or those that are fetched, unpacked within `folder`.
///
/// # Errors
/// The system has none, and they cannot be fetched.
pub(crate) fn programs(folder: &Path) -> Result<PathBuf, EngineError> {
    installed().map_or_else(|| engines::postgres(folder), Ok)
}

fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> =
        versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))).collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = versions.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// As who it runs: it refuses to run as root.
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    /// `None`: as whoever runs this.
    fn find() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            let mut fields = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.split(':').skip(1);
            Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        };
        find("postgres")
            .or_else(|| find("nobody"))
            .context("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
            .map(Some)
    }
}

impl Cluster {
    /// Starts one in a new folder, which others may look into.
    pub(crate) fn start(programs: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let user = Unprivileged::find()?;
        if let Some(Unprivileged { uid, gid }) = &user {
            chown(folder, Some(*uid), Some(*gid))?;
            let above = folder.parent().context("the folder is in none")?;
            std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o711))?;
        }
        let prefix: Vec<OsString> = user.map_or_else(Vec::new, |Unprivileged { uid, gid }| {
            ["setpriv".into(), format!("--reuid={uid}").into(), format!("--regid={gid}").into(), "--clear-groups".into()].into()
        });
        let run = |program: &str, words: &[&str]| -> Vec<OsString> {
            let program = programs.join(program).into_os_string();
            prefix.iter().cloned().chain([program]).chain(words.iter().map(Into::into)).collect()
        };
        let data = folder.join("data").display().to_string();
        let made = run("initdb", &["--pgdata", &data, "--username", USER, "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        let (first, rest) = made.split_first().context("no command")?;
        let done = Command::new(first).args(rest).current_dir(folder).output()?;
        if !done.status.success() {
            bail!("initdb: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
        }
        let settings = settings()?;
        let lines = settings.iter().map(|(name, value)| format!("{name}={value}")).chain([
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", folder.display()),
            // What a killed server had there stays in its folder.
            "dynamic_shared_memory_type=mmap".to_owned(),
        ]);
        let words: Vec<String> = ["-D".to_owned(), data].into_iter().chain(lines.flat_map(|line| ["-c".to_owned(), line])).collect();
        let command = run("postgres", &words.iter().map(String::as_str).collect::<Vec<_>>());
        let log = folder.join("log");
        let mut process = Process::start(&command, &log)?;
        let (socket, begun) = (folder.to_owned(), Instant::now());
        while connect(&socket, "postgres").is_err() {
            if process.ended().is_some() || begun.elapsed() > PATIENCE {
                bail!("PostgreSQL did not start; it said:\n{}", std::fs::read_to_string(&log)?);
            }
            std::thread::sleep(LOOK);
        }
        Ok(Self { process, socket, settings })
    }

    /// A new database of this name.
    pub(crate) fn database(&self, name: &str) -> Result<Database> {
        connect(&self.socket, "postgres")?.batch_execute(&format!("CREATE DATABASE {name}"))?;
        Ok(Database { socket: self.socket.clone(), name: name.to_owned() })
    }

    /// What it says it is.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(connect(&self.socket, "postgres")?.query_one("SHOW server_version", &[])?.get(0))
    }

    /// The settings that are not its defaults.
    pub(crate) fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) {
        self.process.signal(Signal::INT);
        let begun = Instant::now();
        while self.process.ended().is_none() && begun.elapsed() < PATIENCE {
            std::thread::sleep(LOOK);
        }
    }
}

/// A database of the cluster.
#[derive(Clone)]
pub(crate) struct Database {
    socket: PathBuf,
    name: String,
}

impl Database {
    pub(crate) fn connect(&self) -> Result<Client> {
        connect(&self.socket, &self.name)
    }

    /// What it takes on disk, in bytes, once all is written there; without the write-ahead log.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let mut client = self.connect()?;
        client.batch_execute("CHECKPOINT")?;
        let bytes: i64 = client.query_one("SELECT pg_database_size(current_database())", &[])?.get(0);
        Ok(u64::try_from(bytes)?)
    }

    pub(crate) fn remove(self) -> Result<()> {
        connect(&self.socket, "postgres")?.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name))?;
        Ok(())
    }
}

fn connect(socket: &Path, database: &str) -> Result<Client> {
    Config::new().host_path(socket).user(USER).dbname(database).connect(NoTls).context("PostgreSQL cannot be reached")
}

/// As one would set it on a machine of its own: a quarter of the memory for its cache, no checkpoint while a run lasts,
/// and durable: `synchronous_commit`, `fsync` and `full_page_writes` are on, as by default.
fn settings() -> Result<Vec<(&'static str, String)>> {
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("the kernel does not tell the memory")?;
    let mib = total.trim().trim_end_matches(" kB").parse::<u64>()? / 1024;
    let cores = std::thread::available_parallelism()?;
    Ok(vec![
        ("synchronous_commit", "on".to_owned()),
        ("shared_buffers", format!("{}MB", (mib / 4).min(8192))),
        ("effective_cache_size", format!("{}MB", mib / 2)),
        ("work_mem", "64MB".to_owned()),
        ("maintenance_work_mem", "512MB".to_owned()),
        ("wal_buffers", "64MB".to_owned()),
        ("max_wal_size", "16GB".to_owned()),
        ("checkpoint_timeout", "1h".to_owned()),
        ("random_page_cost", "1.1".to_owned()),
        ("max_parallel_workers_per_gather", cores.to_string()),
        ("jit", "off".to_owned()),
    ])
}

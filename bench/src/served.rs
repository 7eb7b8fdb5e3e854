//! The program, as a server over a temporary store.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::args::Args;
use crate::client::{Connection, request};
use crate::fleet::Fleet;

/// The program under measurement, and where its stores go.
pub(crate) struct Program {
    path: PathBuf,
    folder: PathBuf,
    lanes: u16,
}

impl Program {
    pub(crate) fn find(args: &Args) -> Result<Self> {
        let own = std::env::current_exe()?;
        let beside = own.parent().context("this program is in no folder")?;
        let path = args.program.clone().unwrap_or_else(|| beside.join("headcount"));
        if !path.is_file() {
            bail!("there is no {}: build it first, `cargo build --release --package headcount`", path.display());
        }
        Ok(Self { path, folder: args.folder.clone().unwrap_or_else(|| beside.to_owned()), lanes: args.lanes })
    }

    /// This program, which can serve too.
    pub(crate) fn itself(&self) -> Result<Self> {
        Ok(Self { path: std::env::current_exe()?, folder: self.folder.clone(), lanes: self.lanes })
    }

    /// Where temporary stores go.
    pub(crate) fn stores(&self) -> &Path {
        &self.folder
    }

    /// A folder that is gone when dropped.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("bench-").tempdir_in(&self.folder).context("no temporary folder can be made")
    }

    /// Runs it to its end; returns what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        let done = Command::new(&self.path).args(words).output()?;
        let (out, err) = (String::from_utf8(done.stdout)?, String::from_utf8_lossy(&done.stderr).into_owned());
        if done.status.success() { Ok(out) } else { bail!("headcount {}: {}\n{out}{err}", words.join(" "), done.status) }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    metrics: SocketAddr,
}

impl Served {
    /// Starts it over the store in a folder.
    pub(crate) fn over(program: &Program, folder: &Path) -> Result<Self> {
        let store = format!("fjall:{}", folder.display());
        let lanes = program.lanes.to_string();
        Self::run(program, &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--lanes", &lanes, "--store", &store])
    }

    /// Starts it with these arguments; `address` is the first it says it answers at.
    pub(crate) fn run(program: &Program, words: &[&str]) -> Result<Self> {
        let mut command = Command::new(&program.path);
        // `engines run` names its engines to whatever it runs: here the arguments alone say what is measured.
        command.args(words).env("HEADCOUNT_LOG", "warn").env_remove("HEADCOUNT_KAFKA").env_remove("HEADCOUNT_STORE");
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("the server has no output")?).lines();
        let mut address = None;
        let metrics = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let said = line.split(' ').find_map(|word| word.strip_prefix("http://")?.split('/').next()?.parse().ok());
            address = address.or(said);
            said.filter(|_| line.ends_with("/metrics"))
        });
        let (address, metrics) = address.zip(metrics).context("the server did not say where it answers")?;
        // What it says later must not fill the pipe; the thread ends with the server.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, metrics })
    }

    /// Makes the spaces and doorways of a fleet.
    pub(crate) async fn hang(&self, fleet: &Fleet) -> Result<()> {
        self.put_topology(&fleet.topology()).await
    }

    /// Makes the spaces and doorways of a document whose root is `campus`.
    pub(crate) async fn put_topology(&self, document: &str) -> Result<()> {
        self.put_root("campus", document).await
    }

    /// Makes those of a document with another root.
    pub(crate) async fn put_root(&self, root: &str, document: &str) -> Result<()> {
        let put = request("PUT", &format!("/v1/topology/{root}"), "if-none-match: *\r\n", document);
        Connection::to(self.address).await?.succeed(&put).await.map(drop)
    }

    /// The value of a metric, its labels included in the name.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let mut connection = Connection::to(self.metrics).await?;
        let text = connection.succeed(&request("GET", "/metrics", "", "")).await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("there is no metric {name}"))
    }

    /// The time it has kept processors busy, in s.
    pub(crate) fn busy_s(&self) -> Result<f64> {
        busy_s(&self.child.id().to_string())
    }

    /// Its resident set, in MB.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel does not tell the resident set")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// Compares the campus at the end of every day with the truth, and the number of crossings with all that were sent.
    pub(crate) async fn check(&self, fleet: &Fleet) -> Result<()> {
        let mut connection = Connection::to(self.address).await?;
        let mut crossings = 0;
        for end_ms in fleet.day_ends() {
            let get = request("GET", &format!("/v1/spaces/campus/count?at={}", Fleet::instant(end_ms)?), "", "");
            let count: Value = serde_json::from_str(connection.succeed(&get).await?)?;
            let number = |key| count.get(key).and_then(Value::as_i64).with_context(|| format!("no {key} in {count}"));
            let (raw, right) = (number("raw")?, fleet.raw(None, end_ms));
            if raw != right {
                bail!("WRONG COUNT: campus at {}: {raw}, but {right} is right", Fleet::instant(end_ms)?);
            }
            crossings += number("entered")? + number("exited")?;
        }
        if usize::try_from(crossings)? != fleet.crossings() {
            bail!("WRONG COUNT: {crossings} crossings are counted, but {} were sent", fleet.crossings());
        }
        Ok(())
    }

    /// SIGTERM, which must succeed.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { bail!("the server ended with {status}") }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time a process has kept processors busy, in s.
pub(crate) fn busy_s(process: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit_once(") ").context("the kernel does not tell the time used")?.1;
    // Fields 14 and 15, in ticks of 10 ms; the name, field 2, ends in ") ".
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

/// What a folder takes on disk, in bytes.
pub(crate) fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}

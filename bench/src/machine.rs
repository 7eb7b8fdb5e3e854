//! Where the figures were measured, and against what.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use occupancy::time::UnixMs;
use rdkafka::util::get_rdkafka_version;
use serde_json::{Value, json};

use crate::cql;
use crate::fleet::now;
use crate::served::Program;

/// What this program was built with.
const LOCK: &str = include_str!("../../Cargo.lock");
/// The libraries that are limits, or stand between us and an engine.
const LIBRARIES: [&str; 4] = ["fjall", "hyper", "rdkafka", "scylla"];

/// What something is called, and its version or setting where that is known.
pub(crate) type Known = (&'static str, Option<String>);

/// A kind of machine, the version measured and what it was measured against, and the day.
pub(crate) struct Machine {
    cores: usize,
    processor: Option<String>,
    memory_gib: f64,
    kernel: String,
    file_system: Option<String>,
    version: String,
    commit: Option<String>,
    date: String,
    against: Vec<Known>,
}

pub(crate) fn describe(program: &Program) -> Result<Machine> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let memory = read("/proc/meminfo")?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("the kernel does not tell the memory")?;
    let memory_kib: f64 = memory.trim().trim_end_matches(" kB").parse()?;
    let libraries = LIBRARIES.into_iter().map(|name| (name, locked(name))).chain([("librdkafka", Some(get_rdkafka_version().1))]);
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        processor: processor(&read("/proc/cpuinfo")?),
        memory_gib: memory_kib / f64::from(1 << 20),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        file_system: file_system(program.stores(), &read("/proc/self/mounts")?),
        version: program.run(&["--version"])?.trim().to_owned(),
        commit: commit(),
        date: UnixMs::new(now(1, 0)?.at_ms)?.to_string().chars().take_while(|found| *found != 'T').collect(),
        against: libraries.collect(),
    })
}

/// What the engines say they are. A broker tells no client its version: whoever started it may.
pub(crate) async fn engines(store: &str) -> Result<[Known; 3]> {
    let session = cql::connect(cql::hosts(store)?.split(',')).await?;
    let cluster = cql::first(&session, "SELECT release_version FROM system.local").await?;
    // Of these some clusters have none.
    let sync = cql::first(&session, "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'").await.unwrap_or_default();
    Ok([("Kafka", std::env::var("HEADCOUNT_KAFKA_VERSION").ok()), ("Cassandra", cluster), ("Cassandra's commitlog_sync", sync)])
}

impl Machine {
    /// Measured against these too.
    pub(crate) fn against(mut self, more: impl IntoIterator<Item = Known>) -> Self {
        self.against.extend(more);
        self
    }

    pub(crate) fn text(&self) -> String {
        let Self { cores, processor, memory_gib, kernel, file_system, version, commit, date, against } = self;
        let known = |told: &Option<String>| told.clone().unwrap_or_else(|| "unknown".to_owned());
        let against: Vec<String> = against.iter().map(|(name, told)| format!("{name} {}", known(told))).collect();
        format!(
            "{date}; {version}, commit {}; {cores} cores for server and client together ({}), {memory_gib:.1} GiB, Linux {kernel}, stores \
             on {}\nagainst {}",
            known(commit),
            known(processor),
            known(file_system),
            against.join(", ")
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        let Self { cores, processor, memory_gib, kernel, file_system, version, commit, date, against } = self;
        let against: serde_json::Map<String, Value> = against.iter().map(|(name, told)| ((*name).to_owned(), json!(told))).collect();
        json!({
            "cores": cores, "processor": processor, "memory_gib": memory_gib, "kernel": kernel, "file_system": file_system,
            "version": version, "commit": commit, "date": date, "against": against,
        })
    }
}

/// The version of a library.
fn locked(name: &str) -> Option<String> {
    let version = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    Some(version.split_once('"')?.0.to_owned())
}

/// The first processor's model.
fn processor(cpuinfo: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1.to_owned()))
}

/// The kind of file system that a folder lies on: of the mounts above it the nearest, and of those on one place the last.
fn file_system(folder: &Path, mounts: &str) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    above.max_by_key(|(length, _)| *length).map(|(_, kind)| kind.to_owned())
}

/// The commit of the tree this was built in, if it is still there.
fn commit() -> Option<String> {
    let words = ["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=12"];
    let told = Command::new("git").args(words).output().ok().filter(|done| done.status.success())?;
    Some(String::from_utf8(told.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_has_a_version() {
        for name in LIBRARIES {
            let version = locked(name);
            assert!(
                version.as_ref().is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit())),
                "{name}: {version:?}"
            );
        }
    }

    #[test]
    fn a_folder_lies_on_the_nearest_mount_above_it() {
        let on = |mounts| file_system(Path::new("/proc/self"), mounts);
        assert_eq!(on("a / ext4 rw 0 0\nb /proc proc rw 0 0\nc /pro xfs rw 0 0\n").as_deref(), Some("proc"));
        assert_eq!(on("a / overlay rw 0 0\nb / ext4 rw 0 0\nc /elsewhere xfs rw 0 0\n").as_deref(), Some("ext4"));
        assert_eq!(on(""), None);
    }
}

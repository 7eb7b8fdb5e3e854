//! Where the figures were measured.

use anyhow::{Context, Result};
use occupancy::time::UnixMs;
use serde_json::{Value, json};

use crate::fleet::now;
use crate::served::Program;

/// A kind of machine, the version measured, and the day.
pub(crate) struct Machine {
    cores: usize,
    memory_gib: f64,
    kernel: String,
    version: String,
    date: String,
}

pub(crate) fn describe(program: &Program) -> Result<Machine> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let memory = read("/proc/meminfo")?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("the kernel does not tell the memory")?;
    let memory_kib: f64 = memory.trim().trim_end_matches(" kB").parse()?;
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        memory_gib: memory_kib / f64::from(1 << 20),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        version: program.run(&["--version"])?.trim().to_owned(),
        date: UnixMs::new(now(1, 0)?.at_ms)?.to_string().chars().take_while(|found| *found != 'T').collect(),
    })
}

impl Machine {
    pub(crate) fn text(&self) -> String {
        let Self { cores, memory_gib, kernel, version, date } = self;
        format!("{date}; {version}; {cores} cores for server and client together, {memory_gib:.1} GiB, Linux {kernel}")
    }

    pub(crate) fn to_json(&self) -> Value {
        let Self { cores, memory_gib, kernel, version, date } = self;
        json!({ "cores": cores, "memory_gib": memory_gib, "kernel": kernel, "version": version, "date": date })
    }
}

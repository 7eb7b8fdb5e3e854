//! A process of the program that consumes: killed, frozen, stopped, started again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use engines::Process;
use rustix::process::Signal;

use crate::program::http;

/// How long it may take to stop: longer than it gives itself.
const STOPPING: Duration = Duration::from_secs(60);

/// What it says once it consumes: `ingest`, and `serve` with or without spaces.
const BEGUN: [&str; 3] = [" consumes ", " DPUs placed", "and ask:"];

/// One process after the other, as a supervisor would have it.
pub(crate) struct Member {
    command: Vec<OsString>,
    log: PathBuf,
    /// Where the log of the process begins.
    since: usize,
    process: Process,
    begun: bool,
}

impl Member {
    /// Starts it; what it says goes to a file.
    pub(crate) fn start(words: &[&str], log: &Path) -> Self {
        let program = [env!("CARGO_BIN_EXE_headcount"), "--log", "info"];
        let command: Vec<OsString> = program.iter().chain(words).map(OsString::from).collect();
        let process = Process::start(&command, log).unwrap();
        Self { command, log: log.to_owned(), since: 0, process, begun: false }
    }

    /// kill -9, then a new start.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.wait();
        self.start_again();
    }

    fn start_again(&mut self) {
        self.since = std::fs::read(&self.log).unwrap().len();
        self.process = Process::start(&self.command, &self.log).unwrap();
        self.begun = false;
    }

    /// Looks after it: where it could not start, it is started again. Once it has begun, nothing may end it.
    pub(crate) fn tend(&mut self) {
        self.begun = self.begun || BEGUN.iter().any(|part| self.line(part).is_some());
        if let Some(status) = self.process.ended() {
            assert!(!self.begun, "it ended by itself with {status}: {}", self.tail());
            self.start_again();
        }
    }

    /// Whether it consumes.
    pub(crate) fn has_begun(&mut self) -> bool {
        self.tend();
        self.begun
    }

    /// What a metric without labels says; `None` while it shows none.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let line = self.line("metrics for Prometheus: ")?;
        let (_, page) = http(line.split_whitespace().last()?.trim_end_matches("/metrics"), "GET", "/metrics", "").ok()?;
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Takes its processor time away, or gives it back.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.process.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// SIGTERM.
    pub(crate) fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "stopped, it ended with {status}: {}", self.tail());
    }

    fn wait(&mut self) -> ExitStatus {
        let ended = self.process.ends_within(STOPPING);
        ended.unwrap_or_else(|| panic!("it does not stop: {}", self.tail()))
    }

    /// What the process has said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()[self.since..]).into_owned()
    }

    /// The last line it said that holds a text.
    pub(crate) fn line(&self, part: &str) -> Option<String> {
        self.said().lines().rfind(|line| line.contains(part)).map(str::to_owned)
    }

    fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        format!("{}\n{}", self.log.display(), lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

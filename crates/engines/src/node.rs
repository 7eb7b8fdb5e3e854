//! One broker of Kafka, or one node of Cassandra.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::{EngineError, tail};
use crate::process::Process;

/// How long a node may take to start: twenty times what it takes on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// One process of an engine.
#[derive(Debug)]
pub struct Node {
    name: String,
    address: SocketAddr,
    command: Vec<OsString>,
    log: PathBuf,
    /// What it says once it is ready.
    ready: &'static str,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    /// Where its part of the log begins, in bytes.
    since: usize,
}

impl Node {
    pub(crate) fn new(name: String, address: SocketAddr, command: Vec<OsString>, log: PathBuf, ready: &'static str) -> Self {
        Self { name, address, command, log, ready, running: Mutex::new(None) }
    }

    /// Where it answers clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id of its JVM, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.running().as_ref().map(|running| running.process.pid().as_raw_pid())
    }

    /// Whether it is well.
    ///
    /// # Errors
    /// It ended by itself.
    pub fn check(&self) -> Result<(), EngineError> {
        let ended = self.running().as_mut().and_then(|running| running.process.ended());
        match ended {
            Some(status) => Err(EngineError::Ended { node: self.name.clone(), status, tail: tail(&self.said()) }),
            None => Ok(()),
        }
    }

    /// kill -9; returns once it is gone. Its data stay.
    pub fn kill(&self) {
        self.running().take();
    }

    /// Takes its processor time away (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<(), EngineError> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<(), EngineError> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), EngineError> {
        let mut running = self.running();
        let running = running.as_mut().ok_or_else(|| EngineError::NotRunning { node: self.name.clone() })?;
        running.process.signal(signal);
        Ok(())
    }

    /// Starts it again over the data it has, on the same address, and waits until it is ready.
    ///
    /// # Errors
    /// It runs already, or does not get ready.
    pub fn start_again(&self) -> Result<(), EngineError> {
        self.launch()?;
        self.await_ready()
    }

    /// Starts it, without waiting.
    pub(crate) fn launch(&self) -> Result<(), EngineError> {
        let mut running = self.running();
        if running.as_mut().is_some_and(|running| running.process.ended().is_none()) {
            return Err(EngineError::Running { node: self.name.clone() });
        }
        let since = self.said().len();
        *running = Some(Running { process: Process::start(&self.command, &self.log)?, since });
        Ok(())
    }

    /// Waits until it says that it is ready and takes connections.
    pub(crate) fn await_ready(&self) -> Result<(), EngineError> {
        self.await_line(self.ready)?;
        let connects = || TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
        self.wait_until(&format!("no connection to {}", self.address), connects)
    }

    /// Waits until it has said something since it was started.
    pub(crate) fn await_line(&self, part: &str) -> Result<(), EngineError> {
        let since = self.running().as_ref().map_or(0, |running| running.since);
        let said = || String::from_utf8_lossy(self.said().get(since..).unwrap_or_default()).contains(part);
        self.wait_until(&format!("it never said {part:?}"), said)
    }

    fn wait_until(&self, lacking: &str, condition: impl Fn() -> bool) -> Result<(), EngineError> {
        let begun = Instant::now();
        while !condition() {
            self.check()?;
            if begun.elapsed() > PATIENCE {
                let (node, waited_s, lacking) = (self.name.clone(), PATIENCE.as_secs(), lacking.to_owned());
                return Err(EngineError::NotReady { node, waited_s, lacking, tail: tail(&self.said()) });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The word that follows the first place where it said something.
    pub(crate) fn word_after(&self, part: &str) -> Option<String> {
        let said = String::from_utf8_lossy(&self.said()).into_owned();
        Some(said.split_once(part)?.1.split_whitespace().next()?.to_owned())
    }

    /// Its whole log.
    fn said(&self) -> Vec<u8> {
        std::fs::read(&self.log).unwrap_or_default()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

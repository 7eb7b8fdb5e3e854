//! What can keep an engine from running.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};

/// Why an engine does not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A program is not installed.
    #[error("{program} is missing: apt-get install openjdk-17-jdk-headless maven (or your system's like), then try again")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// Another Java than the engines run on.
    #[error("Java 17 is needed, this is {found}: apt-get install openjdk-17-jdk-headless, or set JAVA_HOME to a Java 17")]
    Java {
        /// The version found.
        found: String,
    },
    /// Something else than 1 or 3 was asked for.
    #[error("{what} can be 1 or 3, not {asked}")]
    Size {
        /// What there would be so many of.
        what: &'static str,
        /// How many were asked for.
        asked: usize,
    },
    /// No port is free.
    #[error("no port from {from} to {to} is free on 127.0.0.1{}", if *.addresses > 1 { " to 127.0.0.3" } else { "" })]
    Port {
        /// The first that was tried.
        from: u16,
        /// The end of those that were tried.
        to: u16,
        /// On how many addresses it had to be free.
        addresses: u8,
    },
    /// A program that prepares something failed.
    #[error("{what} failed with {status}; it said:\n{tail}")]
    Failed {
        /// What was to be done.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        tail: String,
    },
    /// An engine ended by itself.
    #[error("{node} ended with {status}; the end of its log:\n{tail}")]
    Ended {
        /// Which one.
        node: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        tail: String,
    },
    /// An engine did not get ready in time.
    #[error("{node} was not ready after {waited_s} s ({lacking}); the end of its log:\n{tail}")]
    NotReady {
        /// Which one.
        node: String,
        /// How long it was waited for, in s.
        waited_s: u64,
        /// What did not happen.
        lacking: String,
        /// The end of its log.
        tail: String,
    },
    /// A script that is not known here.
    #[error("there is no script {script:?} here")]
    NoScript {
        /// Its name.
        script: String,
    },
    /// It does not run, so it cannot be told anything.
    #[error("{node} does not run")]
    NotRunning {
        /// Which one.
        node: String,
    },
    /// It runs already.
    #[error("{node} runs already: kill it first")]
    Running {
        /// Which one.
        node: String,
    },
    /// The operating system refused something.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or program.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl EngineError {
    /// Turns an operating system's refusal into this error.
    pub(crate) fn doing(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Why a program could not be started.
    pub(crate) fn starting(program: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { program },
            _ => Self::doing("starting", path)(error),
        }
    }

    /// What a program that ran to its end has said; an error where it failed at `what`.
    pub(crate) fn unless_done(Output { status, stdout, stderr }: Output, what: impl FnOnce() -> String) -> Result<Vec<u8>, Self> {
        let said = [stdout, stderr].concat();
        if status.success() { Ok(said) } else { Err(Self::Failed { what: what(), status, tail: tail(&said) }) }
    }

    /// Whether something must be installed first.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Java { .. })
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &[u8]) -> String {
    const LINES: usize = 30;
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<&str> = text.lines().rev().take(LINES).collect();
    lines.reverse();
    lines.join("\n")
}

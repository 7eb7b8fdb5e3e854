//! A process that dies with this one.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::error::EngineError;

/// Says the pid of what it starts, then ends with it. Meanwhile a second shell waits for the end of standard input,
/// which this process holds open: then it kills what was started.
const WATCHER: &str = r#"
exec 3<&0
"$@" </dev/null >&2 3<&- &
started=$!
{ read -r _ <&3; kill -9 $started; } &
watch=$!
echo $started
wait $started
status=$?
kill $watch 2>/dev/null
exit $status
"#;

/// A running process; killed when dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Process {
    watcher: Child,
    /// What the watcher says; its end is the watcher's.
    said: BufReader<ChildStdout>,
    pid: Pid,
}

impl Process {
    /// Starts a command line; what it says goes to the end of the log.
    ///
    /// # Errors
    /// The log cannot be written, or no shell started.
    pub fn start(command: &[OsString], log: &Path) -> Result<Self, EngineError> {
        let to = std::fs::File::options().create(true).append(true).open(log).map_err(EngineError::doing("opening", log))?;
        let mut watcher = Command::new("sh");
        // Ctrl-C in a terminal goes to a whole process group: the watcher must outlive it.
        watcher.args(["-c", WATCHER, "sh"]).args(command).process_group(0);
        watcher.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(to);
        let mut watcher = watcher.spawn().map_err(EngineError::doing("starting", Path::new("sh")))?;
        let (mut said, mut line) = (watcher.stdout.take().map(BufReader::new), String::new());
        if let Some(said) = &mut said {
            said.read_line(&mut line).map_err(EngineError::doing("reading from", Path::new("sh")))?;
        }
        match line.trim().parse().ok().and_then(Pid::from_raw).zip(said) {
            Some((pid, said)) => Ok(Self { watcher, said, pid }),
            None => {
                drop(watcher.stdin.take());
                let status = watcher.wait().map_err(EngineError::doing("waiting for", Path::new("sh")))?;
                Err(EngineError::Failed { what: "the watcher of a process".to_owned(), status, tail: line })
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.watcher.try_wait().ok().flatten()
    }

    /// How it ended, waiting for that; `None` if it takes longer than patience.
    #[must_use]
    pub fn ends_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let timeout = Timespec::try_from(patience).ok();
        // The watcher says nothing more: what comes is the end.
        let ends = poll(&mut [PollFd::new(self.said.get_ref(), PollFlags::IN)], timeout.as_ref());
        if ends.is_ok_and(|ready| ready > 0) { self.watcher.wait().ok() } else { self.ended() }
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It may end in this very moment, which is no failure.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

//! The engines go away with the process that started them, however it ends.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::frames::there;

/// `engines up`, with the JVM's pid and the data folder it told.
fn up(words: &[&str]) -> (Child, Pid, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_engines")).arg("up").args(words).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| !line.contains("Running until")).collect();
    let word = |line: &str| said.iter().find(|said| said.contains(line)).unwrap().split(' ').next_back().unwrap().to_owned();
    let pid = Pid::from_raw(word("answers on").parse().unwrap()).unwrap();
    (child, pid, word("keeps data"))
}

/// Whether the process does anything: neither gone nor waiting only to be buried.
fn lives(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// Whether what can be read here comes soon.
fn happens(event: &OwnedFd) -> bool {
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    poll(&mut [PollFd::new(event, PollFlags::IN)], Some(&patience)).unwrap() > 0
}

#[test]
fn an_engine_dies_with_its_parent() {
    if there(engines::prepare()).is_none() {
        return;
    }
    for signal in [Signal::KILL, Signal::TERM] {
        let (mut parent, jvm, data) = up(&["--nodes", "0"]);
        assert!(lives(jvm) && Path::new(&data).exists());
        let removed = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&removed, &data, inotify::WatchFlags::DELETE_SELF).unwrap();
        let ended = pidfd_open(jvm, PidfdFlags::empty()).unwrap();
        kill_process(Pid::from_child(&parent), signal).unwrap();
        parent.wait().unwrap();
        assert!(happens(&ended) && !lives(jvm), "{jvm:?} outlived its parent by far");
        assert!(happens(&removed) && !Path::new(&data).exists(), "{data} outlived its parent by far");
    }
}

#[test]
fn a_command_finds_the_engines_and_its_status_is_passed_on() {
    if there(engines::prepare()).is_none() {
        return;
    }
    let script = ["run", "--nodes", "0", "--", "sh", "-c", "echo kafka $HEADCOUNT_KAFKA_VERSION is at $HEADCOUNT_KAFKA; exit 3"];
    let output = Command::new(env!("CARGO_BIN_EXE_engines")).args(script).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let address = said.split("answers on ").nth(1).unwrap().split(',').next().unwrap();
    assert!(said.contains(&format!("kafka 4.1.0 is at {address}\n")), "{said}");
    assert!(!Path::new(said.split("logs in ").nth(1).unwrap().lines().next().unwrap()).exists());
}

#[test]
fn words_that_make_no_sense_are_answered_with_the_usage() {
    for words in [&["up", "--brokers", "many"][..], &["up", "--", "true"], &["run", "--"], &["down"], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_engines")).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: engines up"));
    }
}

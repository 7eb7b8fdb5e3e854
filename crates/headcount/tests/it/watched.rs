//! Counts pushed by the program: live equals history, and thousands of clients at once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant, UNIX_EPOCH};

use occupancy::time::UnixMs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::program::{Served, headcount, run};

pub(crate) use self::site::live_equals_history_after;

#[cfg(test)]
mod site;

const PATIENCE: Duration = Duration::from_secs(60);
const SPACES: [&str; 3] = ["campus", "hall", "cafe"];

/// A client that watches spaces.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    pub(crate) fn of(url: &str, spaces: &[&str]) -> Self {
        Self::on(TcpStream::connect(url.trim_start_matches("http://")).unwrap(), spaces)
    }

    /// Over a connection to a server.
    pub(crate) fn on(mut stream: TcpStream, spaces: &[&str]) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, query) = (stream.peer_addr().unwrap(), spaces.iter().map(|space| format!("space={space}&")).collect::<String>());
        stream.write_all(format!("GET /v1/live?{query} HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
        Self(BufReader::with_capacity(512, stream))
    }

    /// The next event and its data; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        let (mut event, mut line, begun) = (String::new(), String::new(), Instant::now());
        loop {
            // A sign of life is none.
            assert!(begun.elapsed() < PATIENCE, "no event came");
            line.clear();
            if self.0.read_line(&mut line).expect("an event comes") == 0 {
                return None;
            }
            if let Some(name) = line.strip_prefix("event: ") {
                name.trim().clone_into(&mut event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((event, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

/// Takes events until of each space the one told last is its count, at its instant and now.
pub(crate) fn live_equals_history(served: &Served, events: &mut Events, spaces: &[&str]) {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    let begun = Instant::now();
    let holds = |last: &BTreeMap<String, Value>| {
        spaces.iter().all(|space| {
            let Some(told) = last.get(*space) else { return false };
            let at = told["at"].as_str().unwrap();
            let numbers = |count: &Value| ["raw", "entered", "exited", "baseline", "silent"].map(|key| count[key].clone());
            *told == served.get(&format!("/v1/spaces/{space}/count?at={at}"))
                && numbers(told) == numbers(&served.get(&format!("/v1/spaces/{space}/count")))
        })
    };
    while !holds(&last) {
        assert!(begun.elapsed() < PATIENCE, "told last: {last:?}");
        let (event, told) = events.next().expect("the server goes on");
        match event.as_str() {
            "count" => drop(last.insert(told["space"].as_str().unwrap().to_owned(), told)),
            "revised" => {}
            other => panic!("{other}: {told}"),
        }
    }
}

/// The instant so long ago.
pub(crate) fn ago(ms: u64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the server goes by the same clock")]
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    UnixMs::new(i64::try_from(now).unwrap() - i64::try_from(ms).unwrap()).unwrap().to_string()
}

/// A server with the topology of the README.
pub(crate) fn served(folder: &std::path::Path) -> Served {
    let served = Served::saying(folder, &[], "/metrics").0;
    let file = crate::program::repository("examples/topology.toml");
    assert_eq!(run(&["topology", "apply", file.to_str().unwrap(), "--server", &served.url]).0, Some(0));
    served
}

#[test]
fn live_equals_history_on_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path());
    let mut events = Events::of(&served.url, &SPACES);
    live_equals_history_after(&served, std::process::id().into(), 300);
    // The connection does not hold the server up, and ends with it.
    assert_eq!(served.stop(), Some(0));
    while events.next().is_some() {}
}

#[test]
fn watch_prints_counts_as_they_change_and_quarantine_what_was_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path());
    let mut watch = headcount(&["watch", "hall", "--server", &served.url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains(" 0 in hall, 0 entered, 0 exited"));
    let report = |at: &str| json!({"dpu_id": "283", "crossings": [{"at": at, "direction": 1}]}).to_string();
    assert_eq!(served.http("POST", "/v1/crossings", &report(&ago(0))).0, 200);
    assert!(lines.next().unwrap().contains(" 1 in hall, 1 entered, 0 exited"));
    watch.kill().unwrap();
    watch.wait().unwrap();

    let server = ["--server", served.url.as_str()];
    let ask = |words: &[&str]| run(&[words, &server].concat());
    assert_eq!(ask(&["quarantine", "list"]), (Some(0), "nothing is in quarantine\n".to_owned(), String::new()));
    assert_eq!(served.http("POST", "/v1/crossings", &report("1970-01-01T00:00:07Z")).0, 200);
    let (status, listed, _) = ask(&["quarantine", "list"]);
    assert!(status == Some(0) && listed.contains("clock_unset, DPU 283: 1970-01-01T00:00:07.000Z is before"), "{listed}");
    let row = listed.split_whitespace().next().unwrap();
    let (status, _, refused) = ask(&["quarantine", "replay", row]);
    assert!(status == Some(1) && refused.contains("accept_clock"), "{refused}");
    let replayed = "1 rows replayed: 1 crossings new, 0 known already, 0 kept out again\n".to_owned();
    assert_eq!(ask(&["quarantine", "replay", "--reason", "clock_unset", "--accept-clock"]), (Some(0), replayed, String::new()));
    assert_eq!(ask(&["quarantine", "list"]).1, "nothing is in quarantine\n");
    assert!(ask(&["quarantine", "list", "--all"]).1.contains(", replayed at "));
    assert_eq!(served.stop(), Some(0));
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap() * 1024
}

#[test]
fn two_thousand_clients_hear_the_latest_count_beside_one_that_does_not_listen() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    // What else this machine does only adds to it, as more waits to be told.
    assert!((0..3).any(|_| two_thousand_clients_bytes() <= 8 * 1024), "more than 8 KiB each, three times");
}

/// What each client takes in the server's memory, once all have heard the latest count.
fn two_thousand_clients_bytes() -> u64 {
    const CLIENTS: u64 = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path());
    let post = |dpu: &str| {
        for n in 1..=200 {
            let body = json!({"dpu_id": dpu, "crossings": [{"at": ago(0), "direction": 1, "seq": n}], "boot": 7});
            assert_eq!(served.http("POST", "/v1/crossings", &body.to_string()).0, 200);
        }
    };
    // So that what first requests make is not counted as a client's. That DPU hangs so that nobody enters.
    post("284");
    live_equals_history(&served, &mut Events::of(&served.url, &SPACES), &SPACES);
    let before = resident(served.pid());
    let stalled = Events::of(&served.url, &SPACES);
    let mut clients: Vec<Events> = (0..CLIENTS).map(|_| Events::of(&served.url, &["hall"])).collect();
    for client in &mut clients {
        assert_eq!(client.next().unwrap().0, "count");
    }
    let begun = Instant::now();
    post("283");
    let (posted, mut most) = (begun.elapsed(), 0);
    for client in &mut clients {
        let mut told = 1;
        while client.next().is_some_and(|(_, count)| count["entered"] != 200) {
            told += 1;
        }
        most = most.max(told);
    }
    let heard = begun.elapsed();
    let memory = resident(served.pid()).saturating_sub(before) / CLIENTS;
    println!("{CLIENTS} clients, {memory} bytes each in the server");
    println!("200 crossings posted in {posted:?}, all heard the last after {heard:?}, in at most {most} events");
    drop(stalled);
    assert_eq!(served.stop(), Some(0));
    memory
}

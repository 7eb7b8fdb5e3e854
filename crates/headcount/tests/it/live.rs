//! Two processes at one keyspace, and counts that are answered from the memory of the one that serves.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::cql::store;
use crate::program::{Served, headcount, run};
use crate::watched::{Events, live_equals_history, live_equals_history_after};
use engines::Kafka;

const DPUS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(90);

/// `ingest`; killed when dropped.
struct Consumer(Child);

impl Consumer {
    /// Starts it, and waits until it says that it consumes.
    fn start(words: &[&str]) -> Self {
        let mut child = headcount(&["ingest", "--metrics-listen", "127.0.0.1:0"]).args(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().contains(" consumes live.crossings from "));
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A hall that so many people enter, each DPU over a doorway of its own.
fn topology() -> String {
    let mut text = "[[space]]\nid = \"hall\"\n".to_owned();
    for dpu in 0..DPUS {
        writeln!(text, "[[doorway]]\nid = \"door-{dpu}\"\nbetween = [\"outside\", \"hall\"]").unwrap();
        writeln!(text, "[[installation]]\ndpu = \"{dpu}\"\ndoorway = \"door-{dpu}\"\nenters = \"hall\"\nfrom = 2018-01-01T00:00:00Z")
            .unwrap();
    }
    text
}

/// A server, and how many people went in.
struct Scene {
    served: Served,
    entered: i64,
}

impl Scene {
    /// One more person through each of some doors.
    fn enter(&mut self, dpus: impl Iterator<Item = u32>) {
        for dpu in dpus {
            let (minute, ms) = (self.entered / 1_000, self.entered % 1_000);
            let report = format!(r#"{{"dpu_id":"{dpu}","crossings":[{{"at":"2024-05-01T12:{minute:02}:00.{ms:03}Z","direction":1}}]}}"#);
            assert_eq!(self.served.http("POST", "/v1/crossings", &report).0, 202);
            self.entered += 1;
        }
    }

    /// How many are in the hall now.
    fn count(&self) -> i64 {
        self.served.get("/v1/spaces/hall/count")["count"].as_i64().unwrap()
    }

    fn all_are_counted(&self) {
        let begun = Instant::now();
        while self.count() != self.entered {
            assert!(begun.elapsed() < PATIENCE, "{} of {} in the hall", self.count(), self.entered);
        }
    }

    /// Reads so far: answered from memory, and from the store.
    fn reads(&self) -> (u64, u64) {
        let found = |place| self.served.metric(&format!("headcount_live_reads_total{{found=\"{place}\"}}"));
        (found("memory"), found("store"))
    }
}

#[test]
fn what_another_process_commits_is_counted_from_memory() {
    let Some(store) = store("live") else { return };
    let Some(kafka) = engines::or_skip(Kafka::shared()).unwrap() else { return };
    assert_eq!(run(&["migrate", "--store", &store, "--replication", "1", "--slots", "16"]).0, Some(0));
    let brokers = kafka.bootstrap();
    let log = ["--kafka", &brokers, "--topic", "live.crossings", "--partitions", "4", "--group", "live"];
    let served = Served::of(&store, &log, "/metrics").0;
    let _consumer = Consumer::start(&[&log[..], &["--store", &store]].concat());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topology.toml");
    std::fs::write(&file, topology()).unwrap();
    assert_eq!(run(&["topology", "apply", file.to_str().unwrap(), "--server", &served.url]).0, Some(0));

    let mut scene = Scene { served, entered: 0 };
    for _ in 0..5 {
        scene.enter(0..DPUS);
        scene.all_are_counted();
    }
    let begun = Instant::now();
    while scene.served.metric("headcount_live") == 0 {
        assert!(begun.elapsed() < PATIENCE, "the view is not live");
    }
    // The first count after a change that may reach back reads where counting starts; then nothing is read any more.
    let begun = Instant::now();
    let (before, after) = loop {
        scene.all_are_counted();
        let before = scene.reads();
        scene.all_are_counted();
        let after = scene.reads();
        if before.1 == after.1 {
            break (before, after);
        }
        assert!(begun.elapsed() < PATIENCE, "the store is still read: {before:?}, then {after:?}");
    };
    assert_eq!(after.0 - before.0, u64::from(DPUS) * 3, "counters, and totals now and where counting starts");

    let mut events = Events::of(&scene.served.url, &["hall"]);
    let mut waits: Vec<Duration> = Vec::new();
    for i in 0..40 {
        let begun = Instant::now();
        scene.enter(std::iter::once(i % DPUS));
        scene.all_are_counted();
        waits.push(begun.elapsed());
    }
    waits.sort_unstable();
    println!("from a post to its count: {:?} at the median, {:?} at most", waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(scene.served.metric("headcount_live_changes_total") >= 40);
    live_equals_history(&scene.served, &mut events, &["hall"]);
    // Before all crossings.
    let url = scene.served.url.as_str();
    assert_eq!(run(&["correct", "hall", "1000", "--at", "2024-05-01T12:00:00Z", "--server", url]).0, Some(0));
    scene.enter(0..DPUS);
    let begun = Instant::now();
    while scene.count() != scene.entered + 1_000 {
        assert!(begun.elapsed() < PATIENCE, "{} in the hall", scene.count());
    }
    live_equals_history(&scene.served, &mut events, &["hall"]);
    live_equals_history_after(&scene.served, std::process::id().into(), 300);
    let counted = format!("{} in hall at ", scene.entered + 1_000);
    assert_eq!(scene.served.stop(), Some(0));
    let (status, out, err) = run(&["count", "hall", "--store", &store]);
    assert!(status == Some(0) && out.starts_with(&counted), "{out}{err}");
}

//! Clients that watch counts and do not read what they are told, on sockets that are full.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpSocket;

use crate::program::Served;
use crate::watched::{Events, ago, resident};

/// As deep as spaces may lie within each other, nearly.
const SPACES: usize = 30;
/// How many doorways without a DPU each count names, so that it is long: 40 KB.
const UNCOVERED: usize = 600;
/// How many changes a socket that nobody reads may hold, 1.2 MB each.
const MOST: u64 = 50;
/// How often all spaces change once the sockets are full.
const CHANGES: u64 = 12;
/// How late a client that reads may hear of a change, on a busy machine.
const IN_TIME: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

fn spaces() -> Vec<String> {
    (0..SPACES).map(|level| format!("level-{level}")).collect()
}

/// Spaces one within the other: whoever goes in through the front is in all of them.
fn topology() -> String {
    let within =
        |level: usize| json!({"id": format!("level-{level}"), "parent": level.checked_sub(1).map(|outer| format!("level-{outer}"))});
    let spaces: Vec<_> = (0..SPACES).map(within).collect();
    let between = json!(["outside", format!("level-{}", SPACES - 1)]);
    let uncovered = (0..UNCOVERED).map(|n| format!("{n:064}"));
    let doorways: Vec<_> = uncovered.chain(["front".to_owned()]).map(|id| json!({"id": id, "between": between})).collect();
    let installation = json!({"dpu": "283", "doorway": "front", "enters": between[1], "from": "2020-01-01T00:00:00Z"});
    json!({"space": spaces, "doorway": doorways, "installation": [installation]}).to_string()
}

/// A client whose socket holds hardly anything that it has not read.
fn narrow(url: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let connected = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(url.trim_start_matches("http://").parse().unwrap()).await
    };
    let stream = runtime.block_on(connected).unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Takes events until so many have entered every space; how many counts these were.
fn hears(events: &mut Events, entered: u64) -> u64 {
    let (mut counts, mut done) = (0, BTreeSet::new());
    while done.len() < SPACES {
        let (event, told) = events.next().unwrap();
        counts += u64::from(event == "count");
        if told["entered"] == entered {
            done.insert(told["space"].as_str().unwrap().to_owned());
        }
    }
    counts
}

/// A server that tells much, and one client that reads it.
struct Scene {
    served: Served,
    reader: Events,
    entered: u64,
    /// How many counts it was told.
    heard: u64,
}

impl Scene {
    /// One more person enters all spaces, and the reader hears of it in time.
    fn enter(&mut self) {
        self.entered += 1;
        let body = json!({"dpu_id": "283", "boot": 7, "crossings": [{"at": ago(0), "direction": 1, "seq": self.entered}]});
        let begun = Instant::now();
        assert_eq!(self.served.http("POST", "/v1/crossings", &body.to_string()).0, 200);
        self.heard += hears(&mut self.reader, self.entered);
        assert!(begun.elapsed() < IN_TIME, "heard after {:?}", begun.elapsed());
    }

    /// How many counts the others were told, as far as anything was made for them.
    fn told_to_others(&self) -> u64 {
        self.served.metric("headcount_watch_events_total{event=\"count\"}") - self.heard
    }

    fn are_watching(&self, clients: u64) {
        let begun = Instant::now();
        while self.served.metric("headcount_watchers") != clients {
            assert!(begun.elapsed() < PATIENCE, "{} watch, not {clients}", self.served.metric("headcount_watchers"));
        }
    }
}

#[test]
fn who_does_not_read_holds_nothing_up_and_hears_the_latest_once_it_reads_again() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::saying(folder.path(), &[], "/metrics").0;
    assert_eq!(served.http("PUT", "/v1/topology/level-0", &topology()).0 / 100, 2);
    let (spaces, url) = (spaces(), served.url.clone());
    let spaces: Vec<&str> = spaces.iter().map(String::as_str).collect();
    let mut scene = Scene { reader: Events::of(&url, &spaces), served, entered: 0, heard: 0 };
    scene.heard += hears(&mut scene.reader, 0);
    let stalled = || Events::on(narrow(&url), &spaces);
    let (leaves, mut late) = (stalled(), stalled());
    scene.are_watching(3);

    // Full: three times in a row nothing more was made for them.
    let (mut told, mut calm) = (0, 0);
    while calm < 3 {
        assert!(scene.entered < MOST, "{told} counts were made for who does not read, and there is no end");
        scene.enter();
        calm = if scene.told_to_others() > told { 0 } else { calm + 1 };
        told = told.max(scene.told_to_others());
    }
    let (changes, before, heard) = (scene.entered, resident(scene.served.pid()), scene.heard);
    (0..CHANGES).for_each(|_| scene.enter());
    let grown = resident(scene.served.pid()).saturating_sub(before) >> 20;
    println!("full after {changes} changes; {CHANGES} more and {} counts later the server is {grown} MiB larger", scene.heard - heard);
    assert!(scene.told_to_others() <= told, "{} and {told} counts told to who does not read", scene.told_to_others());
    assert!(grown <= 12, "{grown} MiB more: what nobody reads, 28 MiB, piles up");

    drop(leaves);
    scene.are_watching(2);
    let counts = hears(&mut late, scene.entered);
    let all = (1 + scene.entered) * SPACES as u64;
    println!("of {all} counts, one who did not read heard {counts}");
    // What filled the socket, and the latest.
    assert!(counts <= (1 + changes + 1) * SPACES as u64, "{counts}");
    scene.enter();
    hears(&mut late, scene.entered);
    drop(late);
    scene.are_watching(1);
    assert_eq!(scene.served.stop(), Some(0));
}

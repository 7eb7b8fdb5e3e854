//! Killed at any moment under load, the server keeps every crossing it acknowledged and counts none twice.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::program::{Seeded, Served, http, run};

const CLIENTS: u64 = 4;
const TOPOLOGY: &str = r#"{"space":[{"id":"hall"}],"doorway":[{"id":"front","between":["outside","hall"]}],
    "installation":[{"dpu":"d0","doorway":"front","enters":"hall","from":"2020-01-01T00:00:00Z"},
                    {"dpu":"d1","doorway":"front","enters":"hall","from":"2020-01-01T00:00:00Z"},
                    {"dpu":"d2","doorway":"front","enters":"hall","from":"2020-01-01T00:00:00Z"}]}"#;

/// A crossing as it stands in a request, and in the event log.
type Sent = (String, String, i64);

/// What the clients know: all they sent, and what of it got no 2xx yet.
#[derive(Default)]
struct Known {
    sent: BTreeSet<Sent>,
    unsure: Vec<String>,
}

/// One client: resends what it is unsure of, then goes on with new reports, until the server is gone.
fn client(url: &str, seed: u64, serial: &AtomicU64, acknowledged: &SyncSender<()>, gone: &AtomicBool, known: &Mutex<Known>) {
    let mut random = Seeded(seed);
    while !gone.load(Ordering::Relaxed) {
        let unsure = known.lock().unwrap().unsure.pop();
        let body = unsure.unwrap_or_else(|| report(&mut random, serial, known));
        match http(url, "POST", "/v1/crossings", &body) {
            Ok((200, _)) => drop(acknowledged.send(())),
            Ok((503, _)) | Err(_) => known.lock().unwrap().unsure.push(body),
            Ok((status, text)) => panic!("{status}: {text}"),
        }
    }
}

/// A report of a few crossings that nobody sent before, at instants scattered over four days, so that most are late.
fn report(random: &mut Seeded, serial: &AtomicU64, known: &Mutex<Known>) -> String {
    let dpu = format!("d{}", random.below(3));
    let mut crossings = Vec::new();
    for _ in 0..=random.below(4) {
        // The serial number makes each crossing's instant its own, and moves on so that no day grows without end.
        let serial = serial.fetch_add(1, Ordering::Relaxed);
        let day = serial / 4_000 * 4 + random.below(4);
        let at = 1_590_000_000_000 + day * 86_400_000 + serial;
        let at = occupancy::time::UnixMs::new(i64::try_from(at).unwrap()).unwrap().to_string();
        let direction = if random.below(2) == 0 { -1 } else { 1 };
        crossings.push(format!(r#"{{"at":"{at}","direction":{direction}}}"#));
        known.lock().unwrap().sent.insert((dpu.clone(), at, direction));
    }
    format!(r#"{{"dpu_id":"{dpu}","crossings":[{}]}}"#, crossings.join(","))
}

/// Everything in the event log, page by page.
fn stored(served: &Served) -> Vec<Sent> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/v1/spaces/hall/crossings?from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z{cursor}"));
        for row in page["crossings"].as_array().unwrap() {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            found.push((text("dpu_id"), text("at"), row["direction"].as_i64().unwrap()));
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_counts_twice() {
    let kills: u64 = std::env::var("HEADCOUNT_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let seed: u64 = std::env::var("HEADCOUNT_SEED").map_or(42, |seed| seed.parse().unwrap());
    println!("{kills} kills, HEADCOUNT_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let (mut random, known, serial) = (Seeded(seed), Mutex::new(Known::default()), AtomicU64::new(0));
    let served = Served::over(folder.path(), &[]);
    let (status, text) = served.http("PUT", "/v1/topology/hall", TOPOLOGY);
    assert!(status < 300, "{status} {text}");
    served.kill();
    for kill in 0..kills {
        let served = Served::over(folder.path(), &[]);
        let (url, gone) = (served.url.clone(), AtomicBool::new(false));
        let (acknowledged, acknowledgements) = sync_channel(1_000);
        let patience = 1 + usize::try_from(random.below(60)).unwrap();
        std::thread::scope(|scope| {
            for i in 0..CLIENTS {
                let seed = seed ^ (kill * CLIENTS + i + 1).wrapping_mul(0x1234_5678_9abc_def1);
                let (url, serial, acknowledged, gone, known) = (&url, &serial, acknowledged.clone(), &gone, &known);
                scope.spawn(move || client(url, seed, serial, &acknowledged, gone, known));
            }
            assert_eq!(acknowledgements.iter().take(patience).count(), patience);
            served.kill();
            gone.store(true, Ordering::Relaxed);
            drop(acknowledgements);
        });
    }
    let served = Served::over(folder.path(), &[]);
    let known = known.into_inner().unwrap();
    for body in &known.unsure {
        assert_eq!(served.http("POST", "/v1/crossings", body).0, 200);
    }
    let stored = stored(&served);
    let set: BTreeSet<Sent> = stored.iter().cloned().collect();
    assert_eq!(set.len(), stored.len(), "a crossing stands twice in the event log");
    assert_eq!(set, known.sent);
    let net: i64 = known.sent.iter().map(|(_, _, direction)| direction).sum();
    assert_eq!(served.get("/v1/spaces/hall/count?at=2021-01-01T00:00:00Z")["raw"], net);
    assert_eq!(served.stop(), Some(0));
    let (status, out, err) = run(&["verify", "--store", &format!("fjall:{}", folder.path().display())]);
    assert_eq!(status, Some(0), "{out}{err}");
    println!("{} crossings, {} reports resent at the end", known.sent.len(), known.unsure.len());
}

//! The program pulls from a provider, into a server or into Kafka, is killed again and again, and in the end each crossing
//! counts once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use engines::Kafka;
use serde_json::Value;

use crate::program::{Seeded, Served, headcount, run};
use crate::watched::Events;

const ITEMS: u64 = 3_000;
const PAGE: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);
const TOPOLOGY: &str = r#"{"space":[{"id":"hall"}],"doorway":[{"id":"front","between":["outside","hall"]}],
    "installation":[{"dpu":"d0","doorway":"front","enters":"hall","from":"2020-01-01T00:00:00Z"},
                    {"dpu":"d1","doorway":"front","enters":"hall","from":"2020-01-01T00:00:00Z"}]}"#;

/// The item `i`: two of three people come in; every hundredth cannot be read.
fn item(i: u64) -> String {
    let (dpu, way) = (i % 2, if i.is_multiple_of(3) { "out" } else { "in" });
    let way = if i % 100 == 50 { "sideways" } else { way };
    format!(r#"{{"id":{i},"sensor":"north {dpu}","time":{},"way":"{way}"}}"#, 1_700_000_000 + i / 7)
}

/// Answers one request: the items after `after`.
fn answer(stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let after = first.split("after=").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|after| after.parse().ok());
    let from: u64 = after.ok_or(std::io::ErrorKind::InvalidData)?;
    let items: Vec<String> = (from..ITEMS.min(from + PAGE)).map(item).collect();
    let body = format!(r#"{{"data":[{}],"next":{}}}"#, items.join(","), from + items.len() as u64);
    let mut out = stream;
    write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// A provider for as long as the test runs; it tells of each request.
fn provider() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events?after={{cursor}}", listener.local_addr().unwrap());
    let (tell, told): (SyncSender<()>, _) = sync_channel(1_000);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A puller that was killed takes no answer, and after the last one nobody counts the requests.
            let _ = answer(&stream);
            let _ = tell.try_send(());
        }
    });
    (url, told)
}

/// The program, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn config(folder: &Path, url: &str) -> String {
    let path = folder.join("provider.toml");
    let text = format!(
        "name = \"acme\"\nurl = \"{url}\"\nstart_cursor = \"0\"\npoll_s = 1\n[page]\nitems = \"/data\"\nnext = \"/next\"\n\
         [crossings]\ndpu_id = \"/sensor\"\nat = \"/time\"\ntime = \"unix_s\"\ndirection = \"/way\"\ndirections = {{ in = 1, out = -1 }}\n\
         seq = \"/id\"\n[dpus]\n\"north 0\" = \"d0\"\n\"north 1\" = \"d1\"\n[limits]\nmax_requests_per_minute = 100000\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn seeded() -> Seeded {
    let seed: u64 = std::env::var("HEADCOUNT_SEED").map_or(42, |seed| seed.parse().unwrap());
    println!("HEADCOUNT_SEED={seed}");
    Seeded(seed)
}

/// How many people came in and how many went out, of what can be read.
fn passed() -> (u64, u64) {
    let good = (0..ITEMS).filter(|i| i % 100 != 50);
    let (out, entered): (Vec<u64>, Vec<u64>) = good.partition(|i| i.is_multiple_of(3));
    (entered.len() as u64, out.len() as u64)
}

/// Starts it and kills it, so many times, each after a few pages.
fn killed(words: &[&str], kills: usize, asked: &Receiver<()>, random: &mut Seeded) {
    for _ in 0..kills {
        let running = Running(headcount(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        // Whoever asks a second time has published what came the first time.
        let patience = 2 + usize::try_from(random.below(19)).unwrap();
        assert_eq!(asked.iter().take(patience).count(), patience);
        drop(running);
    }
}

/// Pulls all that is left; pulled once more, there is nothing new.
fn pulled(words: &[&str]) {
    let once = [words, &["--once"]].concat();
    let (status, out, err) = run(&once);
    assert_eq!(status, Some(1), "some items cannot be read: {out}{err}");
    let (status, out, err) = run(&once);
    assert_eq!((status, out.contains("1 pages, 0 items, 0 of them to quarantine")), (Some(0), true), "{out}{err}");
}

/// The numbers of the items in quarantine.
fn kept_out(served: &Served) -> BTreeSet<u64> {
    let page = served.get("/v1/quarantine?limit=1000");
    let number = |row: &Value| {
        let payload: Value = serde_json::from_str(row["payload"].as_str().unwrap()).unwrap();
        let rejected = &payload["rejected"];
        assert!(rejected["why"].as_str().unwrap().contains("and not one of in, out"), "{row}");
        let item: Value = serde_json::from_str(rejected["item"].as_str().unwrap()).unwrap();
        item["id"].as_u64().unwrap()
    };
    page["quarantined"].as_array().unwrap().iter().map(number).collect()
}

/// What cannot be read is in quarantine, though perhaps twice, and it is told why.
fn the_rest_is_kept_out(served: &Served) {
    let (begun, rest) = (Instant::now(), (50..ITEMS).step_by(100).collect());
    while kept_out(served) != rest {
        assert!(begun.elapsed() < PATIENCE, "in quarantine: {:?}", kept_out(served));
    }
}

/// Stops, and recomputes everything.
fn verified(served: Served, store: &Path) {
    assert_eq!(served.stop(), Some(0));
    let (status, out, err) = run(&["verify", "--store", &format!("fjall:{}", store.display())]);
    let (entered, exited) = passed();
    assert_eq!((status, out, err), (Some(0), format!("2 DPUs, {} crossings: 0 differences\n", entered + exited), String::new()));
}

#[test]
fn what_a_provider_has_counts_once_though_the_puller_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let served = Served::over(&store, &[]);
    assert_eq!(served.http("PUT", "/v1/topology/hall", TOPOLOGY).0 / 100, 2);
    let ((url, asked), mut random) = (provider(), seeded());
    let config = config(folder.path(), &url);
    let words = ["pull", "--config", &config, "--to", &served.url];
    killed(&words, 6, &asked, &mut random);
    pulled(&words);
    let (count, (entered, exited)) = (served.get("/v1/spaces/hall/count?at=2024-01-01T00:00:00Z"), passed());
    assert!(count["entered"] == entered && count["exited"] == exited, "{count}");
    the_rest_is_kept_out(&served);
    verified(served, &store);
}

#[test]
fn what_a_provider_has_counts_once_through_kafka_though_puller_and_consumer_are_killed() {
    let Some(kafka) = engines::or_skip(Kafka::shared()).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (store, brokers) = (folder.path().join("store"), kafka.bootstrap());
    // A static member has its partitions back at once, however it ended.
    let log = ["--topic", "pulled.crossings", "--group", "pulled", "--partitions", "4", "--kafka-setting", "group.instance.id=one"];
    let serve = || Served::over(&store, &[&["--kafka", &brokers], &log[..]].concat());
    let served = serve();
    assert_eq!(served.http("PUT", "/v1/topology/hall", TOPOLOGY).0 / 100, 2);
    let ((url, asked), mut random) = (provider(), seeded());
    let (config, to) = (config(folder.path(), &url), format!("kafka://{brokers}"));
    let words = [&["pull", "--config", &config, "--to", &to], &log[..]].concat();
    killed(&words, 1, &asked, &mut random);
    let mut events = Events::of(&served.url, &["hall"]);
    while events.next().is_some_and(|(_, count)| count["entered"] == 0) {}
    // It had begun, and may have more in its hands.
    served.kill();
    killed(&words, 1, &asked, &mut random);
    let served = serve();
    pulled(&words);
    let (mut events, (entered, exited)) = (Events::of(&served.url, &["hall"]), passed());
    while events.next().is_some_and(|(_, count)| count["entered"] != entered || count["exited"] != exited) {}
    the_rest_is_kept_out(&served);
    verified(served, &store);
}

#[test]
fn a_wrong_provider_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provider.toml");
    std::fs::write(&path, "name = \"a\"\n").unwrap();
    let (status, _, err) = run(&["pull", "--config", path.to_str().unwrap(), "--once"]);
    assert!(status == Some(1) && err.contains("describes no provider") && err.contains("missing field `url`"), "{status:?} {err}");
    let (status, _, err) = run(&["pull", "--once"]);
    assert!(status == Some(2) && err.contains("--config <FILE>"), "{status:?} {err}");
}

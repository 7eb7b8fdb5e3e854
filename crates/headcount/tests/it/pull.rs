//! The program pulls from a provider into a server, is killed again and again, and in the end each crossing counts once.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::program::{Seeded, Served, headcount, run};

const ITEMS: u64 = 3_000;
const PAGE: u64 = 20;
const KILLS: u64 = 6;
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

#[test]
fn what_a_provider_has_counts_once_though_the_puller_is_killed() {
    let seed: u64 = std::env::var("HEADCOUNT_SEED").map_or(42, |seed| seed.parse().unwrap());
    println!("HEADCOUNT_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let served = Served::over(&folder.path().join("store"), &[]);
    assert_eq!(served.http("PUT", "/v1/topology/hall", TOPOLOGY).0 / 100, 2);
    let ((url, asked), mut random) = (provider(), Seeded(seed));
    let config = config(folder.path(), &url);
    let words = ["pull", "--config", &config, "--to", &served.url];
    for _ in 0..KILLS {
        let running = Running(headcount(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let patience = 1 + usize::try_from(random.below(20)).unwrap();
        assert_eq!(asked.iter().take(patience).count(), patience);
        drop(running);
    }
    let once = [words.as_slice(), &["--once"]].concat();
    let (status, out, err) = run(&once);
    assert_eq!(status, Some(1), "some items cannot be read: {out}{err}");
    let (status, out, err) = run(&once);
    assert_eq!((status, out.contains("1 pages, 0 items, 0 of them to quarantine")), (Some(0), true), "{out}{err}");
    let good = (0..ITEMS).filter(|i| i % 100 != 50);
    let net: i64 = good.map(|i| if i.is_multiple_of(3) { -1 } else { 1 }).sum();
    assert_eq!(served.get("/v1/spaces/hall/count?at=2024-01-01T00:00:00Z")["raw"], net);
    let row = served.get("/v1/quarantine?limit=1");
    let text = row.to_string();
    assert!(text.contains("sideways") && text.contains("and not one of in, out"), "{text}");
    assert_eq!(served.stop(), Some(0));
    let (status, out, err) = run(&["verify", "--store", &format!("fjall:{}", folder.path().join("store").display())]);
    assert_eq!(status, Some(0), "{out}{err}");
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

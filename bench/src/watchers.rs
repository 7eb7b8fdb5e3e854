//! Clients that watch a count: what each takes in memory, and how soon all hear of a crossing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use occupancy::time::UnixMs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Post, post_all, request};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{Fleet, Seen, now};
use crate::served::{Program, Served};

/// How many watch.
pub(crate) const CLIENTS: usize = 2_000;
/// How many crossings they are told of, one after the other.
const CROSSINGS: usize = 20;

/// The pause before each: a space is told every 100 ms at most.
const PACE: Duration = Duration::from_millis(200);

/// A client that watches, and what it has not looked at.
struct Watcher {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Watcher {
    async fn of(served: &Served) -> Result<Self> {
        let mut stream = TcpStream::connect(served.address).await?;
        stream.write_all(&request("GET", "/v1/live?space=room-0", "", "")).await?;
        Ok(Self { stream, heard: Vec::with_capacity(1024) })
    }

    /// Hears until something is told.
    async fn hear(&mut self, what: &str) -> Result<()> {
        while !self.heard.windows(what.len()).any(|some| some == what.as_bytes()) {
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                bail!("the server told no more before {what}");
            }
        }
        self.heard.clear();
        Ok(())
    }
}

pub(crate) async fn told(program: &Program) -> Result<Vec<Figure>> {
    println!("{CLIENTS} clients watch a count");
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let (fleet, folder) = (Fleet::new(1, CROSSINGS), program.folder()?);
    let served = Served::over(program, folder.path())?;
    served.hang(&fleet).await?;
    // So that what a first client makes is not counted as another's.
    Watcher::of(&served).await?.hear("event: count").await?;
    let (resident_mb, sockets) = (served.resident_mb()?, sockets_bytes());
    let mut watchers = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let mut watcher = Watcher::of(&served).await?;
        watcher.hear("event: count").await?;
        watchers.push(watcher);
    }
    let mut each = Latencies::default();
    for k in 0..CROSSINGS {
        tokio::time::sleep(PACE).await;
        let Seen { at_ms, seq, .. } = now(1, k + 1)?;
        let at = UnixMs::new(at_ms)?;
        let body = format!(r#"{{"dpu_id":"d0","boot":1,"crossings":[{{"at":"{at}","direction":1,"seq":{seq}}}]}}"#);
        let posted = Instant::now();
        post_all(served.address, vec![vec![Post::new(&body, 1)]]).await?;
        for watcher in &mut watchers {
            watcher.hear(&format!(r#""entered":{seq},"#)).await?;
            each.push(posted.elapsed());
        }
    }
    let own = (served.resident_mb()? - resident_mb) * 1e6 / CLIENTS as f64;
    // Both ends are on this machine, and alike.
    let socket = sockets_bytes().zip(sockets).map_or(0.0, |(after, before)| after.saturating_sub(before) as f64 / 2.0 / CLIENTS as f64);
    served.stop()?;
    let memory = Figure::new("a client that watches, its socket included", (own + socket) / 1024.0, "KiB")
        .id("watcher_memory")
        .aim(Aim::AtMost(24.0));
    let socket = Figure::new("its socket, 0 where the kernel does not tell", socket / 1024.0, "KiB");
    let p50 = Figure::new("from a post to its event at all clients, p50", each.percentile_ms(50), "ms");
    Ok(vec![memory, socket, p50, Figure::new("the same, p99", each.percentile_ms(99), "ms")])
}

/// What the kernel keeps for all sockets; it tells root only.
fn sockets_bytes() -> Option<u64> {
    let slabs = std::fs::read_to_string("/proc/slabinfo").ok()?;
    let bytes = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let (objects, size) = (words.nth(1)?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?);
        ["TCP", "sock_inode_cache", "filp"].contains(&name).then_some(objects * size)
    };
    Some(slabs.lines().filter_map(bytes).sum())
}

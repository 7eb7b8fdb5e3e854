//! Clients that watch a count: what each takes in memory, how soon all hear of a crossing, and what telling them costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use occupancy::time::UnixMs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::args::Plan;
use crate::client::{Connection, request};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{Fleet, Seen, now};
use crate::served::{Program, Served, busy_s};

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
        while !std::str::from_utf8(&self.heard)?.contains(what) {
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                bail!("the server told no more before {what}: {}", String::from_utf8_lossy(&self.heard));
            }
        }
        self.heard.clear();
        Ok(())
    }
}

pub(crate) async fn told(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    let clients = plan.watchers;
    println!("{clients} clients watch a count");
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    if limit.maximum.is_some_and(|most| most < clients as u64 + 500) {
        bail!("{clients} clients need as many open files and some: raise the limit (ulimit -Hn), or choose fewer (--watchers)");
    }
    let (fleet, folder) = (Fleet::new(1, CROSSINGS), program.folder()?);
    let served = Served::over(program, folder.path())?;
    served.hang(&fleet).await?;
    // So that what a first client makes is not counted as another's.
    Watcher::of(&served).await?.hear("event: count").await?;
    let (resident_mb, sockets) = (served.resident_mb()?, sockets_bytes());
    let mut watchers = Vec::with_capacity(clients);
    for _ in 0..clients {
        let mut watcher = Watcher::of(&served).await?;
        watcher.hear("event: count").await?;
        watchers.push(watcher);
    }
    let (busy, own_busy) = (served.busy_s()?, busy_s("self")?);
    let mut each = Latencies::default();
    for k in 0..CROSSINGS {
        each.extend(tell(&served, &mut watchers, k).await?);
    }
    let us = |s: f64| s * 1e6 / clients as f64 / CROSSINGS as f64;
    let (busy, own_busy) = (us(served.busy_s()? - busy), us(busy_s("self")? - own_busy));
    let own = (served.resident_mb()? - resident_mb) * 1e6 / clients as f64;
    // Both ends are on this machine, and alike.
    let socket = sockets_bytes().zip(sockets).map_or(0.0, |(after, before)| after.saturating_sub(before) as f64 / 2.0 / clients as f64);
    served.stop()?;
    let name = format!("one of {clients} clients that watch, its socket included");
    Ok(vec![
        Figure::new(name, (own + socket) / 1024.0, "KiB").id("watcher_memory").aim(Aim::AtMost(16.0)),
        Figure::new("its socket, 0 where the kernel does not tell", socket / 1024.0, "KiB"),
        Figure::new("from a post to its event at all clients, p50", each.percentile_ms(50), "ms"),
        Figure::new("the same, p99", each.percentile_ms(99), "ms").aim(Aim::AtMost(100.0)),
        Figure::new("processor time to tell a client, its socket included", busy, "µs").beside("to hear it, on the same cores", own_busy),
    ])
}

/// How long it takes each client to hear of one crossing more, in whatever order they do.
async fn tell(served: &Served, watchers: &mut Vec<Watcher>, k: usize) -> Result<Latencies> {
    let mut connection = Connection::to(served.address).await?;
    let seq = k + 1;
    let what: Arc<str> = format!(r#""entered":{seq},"#).into();
    let mut hearing: JoinSet<Result<(Watcher, Instant)>> = JoinSet::new();
    for mut watcher in watchers.drain(..) {
        let what = Arc::clone(&what);
        hearing.spawn(async move {
            watcher.hear(&what).await?;
            Ok((watcher, Instant::now()))
        });
    }
    tokio::time::sleep(PACE).await;
    let Seen { at_ms, .. } = now(1, seq)?;
    let at = UnixMs::new(at_ms)?;
    let body = format!(r#"{{"dpu_id":"d0","boot":1,"crossings":[{{"at":"{at}","direction":1,"seq":{seq}}}]}}"#);
    let post = request("POST", "/v1/crossings", "", &body);
    let posted = Instant::now();
    connection.succeed(&post).await?;
    let mut each = Latencies::default();
    while let Some(heard) = hearing.join_next().await {
        let (watcher, heard) = heard??;
        each.push(heard.duration_since(posted));
        watchers.push(watcher);
    }
    Ok(each)
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

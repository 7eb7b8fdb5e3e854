//! Clients that watch one room, each over a connection of its own.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::request;
use crate::figure::{Aim, Figure, Latencies};
use crate::rate::Rate;
use crate::served::Served;

/// When all must have heard of the last crossing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that watches, what it has not looked at, and how many people it knows to have entered.
struct Watcher {
    stream: TcpStream,
    heard: Vec<u8>,
    entered: Option<usize>,
}

/// Everyone who watches `room-0`, and what the memory was without them.
pub(crate) struct Crowd {
    watchers: Vec<Watcher>,
    /// People of whom they have heard.
    entered: usize,
    resident_mb: f64,
    sockets_bytes: Option<u64>,
}

impl Watcher {
    async fn of(served: &Served) -> Result<Self> {
        let mut stream = TcpStream::connect(served.address).await?;
        stream.write_all(&request("GET", "/v1/live?space=room-0", "", "")).await?;
        let mut watcher = Self { stream, heard: Vec::with_capacity(1024), entered: None };
        watcher.hear(0).await?;
        Ok(watcher)
    }

    /// Hears until so many people have entered.
    async fn hear(&mut self, people: usize) -> Result<()> {
        while self.entered.is_none_or(|entered| entered < people) {
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                bail!("the server told no more before {people} people: {}", String::from_utf8_lossy(&self.heard));
            }
            if let Some(entered) = latest(std::str::from_utf8(&self.heard)?) {
                self.entered = Some(entered);
                self.heard.clear();
            }
        }
        Ok(())
    }
}

impl Crowd {
    /// So many clients that have all been told the count once, of a room that nobody has entered.
    pub(crate) async fn gather(served: &Served, clients: usize) -> Result<Self> {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
        if limit.maximum.is_some_and(|most| most < clients as u64 + 500) {
            bail!("{clients} clients need as many open files and some: raise the limit (ulimit -Hn), or choose fewer (--watchers)");
        }
        // So that what a first client makes is not counted as another's.
        Watcher::of(served).await?;
        let mut crowd =
            Self { watchers: Vec::with_capacity(clients), entered: 0, resident_mb: served.resident_mb()?, sockets_bytes: sockets_bytes() };
        for _ in 0..clients {
            crowd.watchers.push(Watcher::of(served).await?);
        }
        Ok(crowd)
    }

    /// Hears of so many people more, each entering when it is due: how long after that each client heard, of each.
    pub(crate) async fn hear(&mut self, rate: Rate, people: usize) -> Result<Latencies> {
        let mut hearing: JoinSet<Result<(Watcher, Vec<Duration>)>> = JoinSet::new();
        let before = self.entered;
        for mut watcher in self.watchers.drain(..) {
            hearing.spawn(async move {
                let mut each = Vec::with_capacity(people);
                for i in 0..people {
                    watcher.hear(before + i + 1).await?;
                    each.push(rate.due(i).elapsed());
                }
                Ok((watcher, each))
            });
        }
        self.entered += people;
        let mut each = Latencies::default();
        let all = async {
            while let Some(heard) = hearing.join_next().await {
                let (watcher, more) = heard??;
                if watcher.entered != Some(self.entered) {
                    bail!("WRONG COUNT: a client heard that {:?} entered, but {} did", watcher.entered, self.entered);
                }
                more.into_iter().for_each(|took| each.push(took));
                self.watchers.push(watcher);
            }
            Ok(())
        };
        let until = rate.due(people) + PATIENCE;
        timeout(until.duration_since(tokio::time::Instant::now()), all).await.context("not every client heard of the last crossing")??;
        Ok(each)
    }

    /// What one of them takes.
    pub(crate) fn weigh(&self, served: &Served) -> Result<[Figure; 2]> {
        let clients = self.watchers.len();
        let own = (served.resident_mb()? - self.resident_mb) * 1e6 / clients as f64;
        // Both ends are on this machine, and alike.
        let more = |(after, before): (u64, u64)| after.saturating_sub(before) as f64 / 2.0 / clients as f64;
        let socket = sockets_bytes().zip(self.sockets_bytes).map_or(0.0, more);
        let name = format!("one of {clients} clients that watch, its socket included");
        let one = Figure::new(name, (own + socket) / 1024.0, "KiB").aim(Aim::AtMost(16.0));
        Ok([one, Figure::new("its socket, 0 where the kernel does not tell", socket / 1024.0, "KiB")])
    }
}

/// How many entered by the latest count that is told, if it can be made out yet: those between may be left out.
fn latest(told: &str) -> Option<usize> {
    told.rsplit_once(r#""entered":"#)?.1.split_once(',')?.0.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_heard_once_its_number_is_whole() {
        let told = "event: count\ndata: {\"entered\":12,\"exited\":3}\n\nevent: count\ndata: {\"entered\":345,\"exited\":3}\n\n";
        let heard: Vec<Option<usize>> = (0..=told.len()).map(|end| latest(&told[..end])).collect();
        let mut known: Vec<usize> = heard.iter().flatten().copied().collect();
        known.dedup();
        assert_eq!((heard[0], known), (None, vec![12, 345]));
    }
}

//! Counts of now, yesterday and any instant, asked for while people come, and what is right.
//!
//! Past counts are those of a history that nothing adds to, so each is known. People only enter the halls that are counted
//! now: a count must lie between what was told or answered before it was asked for, and those who had come when it came.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use occupancy::time::DAY_MS;
use tokio::time::Instant;

use crate::client::{Connection, raw_of, request};
use crate::figure::Latencies;
use crate::fleet::{Fleet, Seen, half_a_day_before, mix, now};
use crate::rate::Rate;
use crate::served::Served;

/// DPUs with a history, and as many that report now, each over a hall of its own.
pub(crate) const DPUS: usize = 100;
/// The kinds of counts.
pub(crate) const KINDS: [&str; 3] = ["counts of now", "counts of yesterday", "counts of any instant"];
/// Connections of each kind: as many as never wait for each other, unless an answer is late.
const OPEN: usize = 50;
/// When whoever came must be counted, and how often that is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// People who entered a hall.
#[derive(Default)]
pub(crate) struct Hall {
    came: AtomicI64,
    answered: AtomicI64,
    told: AtomicI64,
}

/// Whom to ask, and what is right.
pub(crate) struct Asked {
    address: SocketAddr,
    fleet: Fleet,
    halls: Vec<Hall>,
}

/// What a count is asked for.
#[derive(Debug, Clone, Copy)]
enum When {
    Now,
    /// Within the last day of the history.
    Yesterday,
    Random,
}

impl Hall {
    /// One more is counted: whoever asks from now on must be told.
    pub(crate) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

impl Asked {
    /// Makes the rooms of a fleet, whose history is the caller's to send, and the halls.
    pub(crate) async fn of(served: &Served, fleet: Fleet) -> Result<Self> {
        served.put_topology(&fleet.topology()).await?;
        served.put_root("now", &halls()?).await?;
        Ok(Self { address: served.address, fleet, halls: (0..DPUS).map(|_| Hall::default()).collect() })
    }

    /// The i-th person enters now: the hall, its DPU and what that sees.
    pub(crate) fn enter(&self, i: usize) -> Result<(&Hall, String, Seen)> {
        let n = i % DPUS;
        let hall = self.halls.get(n).context("there is no such hall")?;
        hall.came.fetch_add(1, Ordering::SeqCst);
        Ok((hall, format!("n{n}"), now(1, i / DPUS + 1)?))
    }

    /// So many counts a second of each kind for so long, in the order of [`KINDS`].
    pub(crate) async fn counts(&self, start: Instant, each_per_s: usize, for_s: usize) -> Result<[Latencies; 3]> {
        let kind = async |place: usize, when: When| {
            // The kinds take turns.
            let start = start + Duration::from_secs_f64(place as f64 / (KINDS.len() * each_per_s) as f64);
            let rate = Rate { start, per_s: each_per_s as f64 };
            let ask = async |connection: &mut Connection, i| self.ask(connection, when, mix((KINDS.len() * i + place) as u64)).await;
            rate.ask(each_per_s * for_s, OPEN, || Connection::to(self.address), ask).await
        };
        let (now, yesterday, random) = tokio::try_join!(kind(0, When::Now), kind(1, When::Yesterday), kind(2, When::Random))?;
        Ok([now, yesterday, random])
    }

    /// Compares every day of the history and every hall with the truth, once all who came are counted.
    pub(crate) async fn check(&self, served: &Served) -> Result<()> {
        served.check(&self.fleet).await?;
        let (mut connection, begun) = (Connection::to(self.address).await?, Instant::now());
        for (n, hall) in self.halls.iter().enumerate() {
            let came = hall.came.load(Ordering::SeqCst);
            loop {
                let raw = self.ask_now(&mut connection, n).await?;
                if raw == came {
                    break;
                }
                if begun.elapsed() > PATIENCE {
                    bail!("WRONG COUNT: now-{n}: {raw} after {PATIENCE:?}, but {came} is right");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// One count, which must be right.
    async fn ask(&self, connection: &mut Connection, when: When, random: u64) -> Result<()> {
        let n = random as usize % DPUS;
        let within = |span_ms: i64| ((random >> 8) % span_ms.max(1).unsigned_abs()).cast_signed();
        let span_ms = self.fleet.span_ms();
        let after_ms = match when {
            When::Now => return self.ask_now(connection, n).await.map(drop),
            When::Yesterday => span_ms - 1 - within(DAY_MS.min(span_ms)),
            When::Random => within(span_ms),
        };
        let room = n / 2;
        let raw = raw(connection, &format!("/v1/spaces/room-{room}/count?at={}", Fleet::instant(after_ms)?)).await?;
        let right = self.fleet.raw(Some(room), after_ms);
        if raw == right { Ok(()) } else { bail!("WRONG COUNT: room-{room} after {after_ms} ms: {raw}, but {right} is right") }
    }

    /// How many are in a hall, which must be possible.
    async fn ask_now(&self, connection: &mut Connection, n: usize) -> Result<i64> {
        let hall = self.halls.get(n).context("there is no such hall")?;
        let least = hall.answered.load(Ordering::SeqCst).max(hall.told.load(Ordering::SeqCst));
        let raw = raw(connection, &format!("/v1/spaces/now-{n}/count")).await?;
        let most = hall.came.load(Ordering::SeqCst);
        if !(least..=most).contains(&raw) {
            bail!("WRONG COUNT: now-{n}: {raw}, but {least} to {most} are right");
        }
        hall.told.fetch_max(raw, Ordering::SeqCst);
        Ok(raw)
    }
}

/// Halls under a root of their own; their day began half a day ago.
fn halls() -> Result<String> {
    let reset = half_a_day_before(now(1, 1)?.at_ms);
    let all = |one: fn(usize) -> String| (0..DPUS).map(one).collect::<Vec<_>>().join(",");
    let spaces = all(|n| format!(r#"{{"id":"now-{n}","parent":"now"}}"#));
    let doorways = all(|n| format!(r#"{{"id":"now-door-{n}","between":["outside","now-{n}"]}}"#));
    let hung = all(|n| format!(r#"{{"dpu":"n{n}","doorway":"now-door-{n}","enters":"now-{n}","from":"2024-01-01T00:00:00Z"}}"#));
    Ok(format!(
        r#"{{"space":[{{"id":"now","time_zone":"UTC"}},{spaces}],"reset":[{{"space":"now","at":"{reset}","from":"2024-01-01T00:00:00Z"}}],"doorway":[{doorways}],"installation":[{hung}]}}"#
    ))
}

async fn raw(connection: &mut Connection, path: &str) -> Result<i64> {
    raw_of(connection.succeed(&request("GET", path, "", "")).await?)
}

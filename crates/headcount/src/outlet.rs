//! Where reports are sent: a server over HTTP, or a Kafka cluster. Sending again is always safe, so it is tried again.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use serde_json::Value;
use wire::Report;

use crate::args::{Target, To};
use crate::ask::{Server, succeeded};

/// The most that goes into one request, in bytes and crossings: what a server takes, and some room.
const BODY_BYTES: usize = 900 * 1024;
const BODY_CROSSINGS: usize = 10_000;
/// How long a server that does not take anything is asked again, in all.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What became of what was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Crossings new to the server.
    pub accepted: u64,
    /// Crossings it had already.
    pub duplicate: u64,
    /// Crossings or reports it put into quarantine.
    pub quarantined: u64,
    /// Reports it, or Kafka, queued: what becomes of them shows later.
    pub queued: u64,
}

impl Sent {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            duplicate: self.duplicate + other.duplicate,
            quarantined: self.quarantined + other.quarantined,
            queued: self.queued + other.queued,
        }
    }
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.queued > 0 {
            return write!(f, "{} reports queued in Kafka", self.queued);
        }
        write!(f, "{} crossings accepted, {} duplicates, {} quarantined", self.accepted, self.duplicate, self.quarantined)
    }
}

/// Where reports go.
pub(crate) enum Outlet {
    Http(Server),
    Kafka(ingest_kafka::Producer),
}

impl Outlet {
    /// Connects.
    pub(crate) async fn open(to: &To) -> Result<Self> {
        match &to.to {
            Target::Http(url) => {
                let server = Server::at(url)?;
                succeeded(server.send(server.get("/healthz")).await?).await?;
                Ok(Self::Http(server))
            }
            Target::Kafka(brokers) => Ok(Self::Kafka(crate::consume::first_producer(brokers, &to.topic).await?)),
        }
    }

    /// Sends reports; durable when `Ok`.
    pub(crate) async fn send(&self, reports: &[Report]) -> Result<Sent> {
        self.send_all(reports, &[]).await
    }

    /// Sends reports, and JSON objects that are none and belong into quarantine; durable when `Ok`.
    pub(crate) async fn send_all(&self, reports: &[Report], rejected: &[Vec<u8>]) -> Result<Sent> {
        match self {
            Self::Http(server) => {
                let mut sent = Sent::default();
                for body in bodies(reports, rejected) {
                    sent = sent.plus(post(server, &body).await?);
                }
                Ok(sent)
            }
            Self::Kafka(producer) => {
                crate::consume::produce(producer, reports).await?;
                let mut deliveries = Vec::with_capacity(rejected.len());
                for payload in rejected {
                    deliveries.push(producer.send_raw(payload).await?);
                }
                for delivery in deliveries {
                    delivery.durable().await?;
                }
                Ok(Sent { queued: (reports.len() + rejected.len()) as u64, ..Sent::default() })
            }
        }
    }
}

/// Reports and what is rejected as JSON arrays, each small enough for one request.
fn bodies(reports: &[Report], rejected: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut body: Vec<u8> = Vec::new();
    let mut crossings = 0;
    // A request has a limit for crossings and the same one for reports: so a report counts as one crossing at least.
    let reports = reports.iter().map(|report| (Cow::Owned(wire::report::encode_json(report)), report.crossings.len().max(1)));
    for (json, weight) in reports.chain(rejected.iter().map(|payload| (Cow::Borrowed(payload), 1))) {
        if !body.is_empty() && (body.len() + json.len() > BODY_BYTES || crossings + weight > BODY_CROSSINGS) {
            body.push(b']');
            bodies.push(std::mem::take(&mut body));
            crossings = 0;
        }
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&json);
        crossings += weight;
    }
    if !body.is_empty() {
        body.push(b']');
        bodies.push(body);
    }
    bodies
}

/// Posts a body until the server has taken it.
async fn post(server: &Server, body: &[u8]) -> Result<Sent> {
    let (mut wait, mut waited) = (FIRST_WAIT, Duration::ZERO);
    loop {
        let request = server.post("/v1/crossings").header(reqwest::header::CONTENT_TYPE, "application/json").body(body.to_vec());
        let problem = match server.send(request).await {
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => anyhow::anyhow!("the server takes nothing now (503)"),
            Ok(answer) => return receipt(&succeeded(answer).await?.json().await?),
            Err(error) => error,
        };
        if waited >= PATIENCE {
            return Err(problem.context(format!("gave up after {} s", waited.as_secs())));
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn receipt(answer: &Value) -> Result<Sent> {
    let number = |key: &str| answer.get(key).and_then(Value::as_u64);
    if let Some(queued) = number("queued") {
        return Ok(Sent { queued, ..Sent::default() });
    }
    let Some((accepted, duplicate)) = number("accepted").zip(number("duplicate")) else {
        bail!("the server's receipt is not understood: {answer}");
    };
    let quarantined = answer.get("quarantined").and_then(Value::as_array).context("the receipt lists no quarantined")?.len() as u64;
    Ok(Sent { accepted, duplicate, quarantined, queued: 0 })
}

#[cfg(test)]
mod tests {
    use occupancy::crossing::Key;
    use occupancy::time::UnixMs;

    use super::*;

    #[test]
    fn bodies_stay_within_what_a_server_takes_and_lose_nothing() {
        let key = Key::first_at(UnixMs::CLOCK_SET);
        let report =
            |crossings| Report { dpu: "d".parse().unwrap(), crossings: vec![Ok(key); crossings], heartbeat: None, accept_clock: false };
        let reports: Vec<Report> = (0..25_000).map(|i| report(if i < 5_000 { i % 7 } else { 0 })).chain([report(10_000)]).collect();
        let rejected = vec![br#"{"rejected":{}}"#.to_vec(); 11_000];
        let bodies = bodies(&reports, &rejected);
        let (mut crossings, mut unreadable) = (0, 0);
        for body in &bodies {
            let parsed = wire::report::decode_body(body).unwrap();
            let held: usize = parsed.iter().flatten().map(|report| report.crossings.len()).sum();
            unreadable += parsed.iter().filter(|report| report.is_err()).count();
            assert!(parsed.len() <= BODY_CROSSINGS, "{} reports", parsed.len());
            assert!(held <= BODY_CROSSINGS && body.len() <= BODY_BYTES + 100, "{held} crossings, {} bytes", body.len());
            crossings += held;
        }
        assert_eq!(unreadable, rejected.len());
        assert_eq!(crossings, reports.iter().map(|report| report.crossings.len()).sum::<usize>());
    }
}

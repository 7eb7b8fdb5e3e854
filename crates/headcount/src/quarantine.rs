//! `quarantine`: what was kept out of the ledgers, and taking it in after all.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ask::{Server, succeeded};
use crate::say::say;

/// How many rows are asked for, and replayed, at once.
const PAGE: usize = 1000;
/// How long a server that is busy is asked again, in s.
const PATIENCE_S: u64 = 60;

/// What can be done with what was kept out.
#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// List what was kept out of the ledgers, and why
    List(List),
    /// Take in what was kept out after all; rows are marked, and what is replayed twice counts once. What cannot be taken in
    /// stays and is named; exit status 1 then
    Replay(Replay),
}

/// Flags of `quarantine list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only what was kept out for this reason: undecodable, clock_ahead, clock_unset or too_late
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// What was replayed too
    #[arg(long)]
    pub all: bool,
    /// Print each row as JSON, a line each, with its payload
    #[arg(long)]
    pub json: bool,
    /// The server
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// Flags of `quarantine replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The rows, as `quarantine list` names them
    #[arg(value_name = "ROW", required_unless_present = "reason", conflicts_with = "reason")]
    pub rows: Vec<String>,
    /// Instead of naming rows: all that were kept out for this reason and not replayed yet
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// The DPUs' clocks were right after all; needed for what was kept out because of its time
    #[arg(long)]
    pub accept_clock: bool,
    /// The server
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// Runs what was asked for.
pub(crate) async fn quarantine(args: Quarantine) -> Result<ExitCode> {
    match args {
        Quarantine::List(args) => list(args).await,
        Quarantine::Replay(args) => replay(args).await,
    }
}

/// As much of a row as is told.
#[derive(Deserialize)]
struct Row {
    id: String,
    reason: String,
    detail: String,
    dpu_id: Option<String>,
    received_at: String,
    replayed_at: Option<String>,
}

impl Row {
    fn line(&self) -> String {
        let Self { id, reason, detail, dpu_id, received_at, replayed_at } = self;
        let dpu = dpu_id.as_ref().map_or_else(|| "no DPU".to_owned(), |dpu| format!("DPU {dpu}"));
        let replayed = replayed_at.as_ref().map(|at| format!(", replayed at {at}")).unwrap_or_default();
        format!("{id}  {received_at}  {reason}, {dpu}: {detail}{replayed}")
    }
}

async fn list(args: List) -> Result<ExitCode> {
    let mut listed = 0_u64;
    let show = |raw: &Value, row: Row| {
        if args.all || row.replayed_at.is_none() {
            say!("{}", if args.json { raw.to_string() } else { row.line() });
            listed += 1;
        }
    };
    each(&Server::at(&args.server)?, args.reason.as_deref(), show).await?;
    if listed == 0 && !args.json {
        say!("nothing is in quarantine");
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(args: Replay) -> Result<ExitCode> {
    let server = Server::at(&args.server)?;
    let rows = match &args.reason {
        None => args.rows,
        Some(reason) => waiting(&server, reason).await?,
    };
    if rows.is_empty() {
        say!("nothing to replay");
        return Ok(ExitCode::SUCCESS);
    }
    if !args.accept_clock && args.reason.is_some_and(|reason| reason != "undecodable") {
        bail!("these were kept out because of their time: where the DPUs' clocks were right after all, say so with --accept-clock");
    }
    let mut replayed = Replayed::default();
    let ended = replayed.take_in(&server, &rows, args.accept_clock).await;
    // What went in is told even if something else went wrong then.
    say!("{replayed}");
    replayed.stay.iter().for_each(|why| eprintln!("{why}"));
    ended?;
    Ok(if replayed.stay.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Replayed {
    rows: u64,
    queued: u64,
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
    /// Of each row that stays, which and why.
    stay: Vec<String>,
}

impl Replayed {
    /// Replays rows. A request is taken in whole or not at all, so one that is refused is halved until it is known which
    /// rows stay.
    async fn take_in(&mut self, server: &Server, rows: &[String], accept_clock: bool) -> Result<()> {
        let mut left: Vec<&[String]> = rows.chunks(PAGE).rev().collect();
        while let Some(some) = left.pop() {
            match attempt(server, some, accept_clock).await? {
                Ok(answer) => self.add(&answer).context("the answer tells of no replay: is this a Headcount server?")?,
                Err(why) if some.len() == 1 => self.stay.push(why),
                Err(_) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    /// Adds what the server says of some.
    fn add(&mut self, answer: &Value) -> Option<()> {
        let number = |key| answer.get(key).and_then(Value::as_u64);
        let rows = number("replayed")?;
        match number("queued") {
            Some(queued) => self.queued += queued,
            None => {
                let (accepted, duplicate, quarantined) = (number("accepted")?, number("duplicate")?, number("quarantined")?);
                self.accepted += accepted;
                self.duplicate += duplicate;
                self.quarantined += quarantined;
            }
        }
        self.rows += rows;
        Some(())
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, queued, accepted, duplicate, quarantined, stay } = self;
        match queued {
            0 => write!(f, "{rows} rows replayed: {accepted} crossings new, {duplicate} known already, {quarantined} kept out again")?,
            _ => write!(f, "{rows} rows replayed: {queued} reports are in the log")?,
        }
        if stay.is_empty() { Ok(()) } else { write!(f, "; {} stay in quarantine", stay.len()) }
    }
}

/// Replays rows, all or none; if none, and that is because of what they are, why.
async fn attempt(server: &Server, rows: &[String], accept_clock: bool) -> Result<Result<Value, String>> {
    let mut waited_s = 0;
    loop {
        let request = server.post("/v1/quarantine/replay").json(&json!({"rows": rows, "accept_clock": accept_clock}));
        let answer = server.send(request).await?;
        match answer.status() {
            // Halving may ask more often than the server lets one address ask.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if waited_s < PATIENCE_S => {
                let asked_s = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
                let pause_s: u64 = asked_s.unwrap_or(1).clamp(1, PATIENCE_S);
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
                waited_s += pause_s;
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let problem: Value = answer.json().await.unwrap_or_default();
                let part = |key| problem.get(key).and_then(Value::as_str).unwrap_or_default();
                match part("type") {
                    "/problems/not-replayable" | "/problems/rows-too-large" => return Ok(Err(part("detail").to_owned())),
                    _ => bail!("the server says: {}", part("detail")),
                }
            }
            _ => return Ok(Ok(succeeded(answer).await?.json().await.context("the answer is no JSON: is this a Headcount server?")?)),
        }
    }
}

/// The rows of a reason that were not replayed yet.
async fn waiting(server: &Server, reason: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    each(server, Some(reason), |_, row| found.extend(Some(row.id).filter(|_| row.replayed_at.is_none()))).await?;
    Ok(found)
}

/// Shows every row, or every one of a reason, as it came and as it is told.
async fn each(server: &Server, reason: Option<&str>, mut show: impl FnMut(&Value, Row)) -> Result<()> {
    let mut cursor = None;
    loop {
        let (rows, next) = page(server, reason, cursor).await?;
        for raw in rows {
            let row = Row::deserialize(&raw).context("the answer holds no quarantine: is this a Headcount server?")?;
            show(&raw, row);
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn page(server: &Server, reason: Option<&str>, cursor: Option<String>) -> Result<(Vec<Value>, Option<String>)> {
    let limit = Some(("limit", PAGE.to_string()));
    let asked = [limit, reason.map(|reason| ("reason", reason.to_owned())), cursor.map(|cursor| ("cursor", cursor))];
    let request = server.get("/v1/quarantine").query(&asked.iter().flatten().collect::<Vec<_>>());
    let mut answer = server.json(request).await?;
    let Some(Value::Array(rows)) = answer.get_mut("quarantined").map(Value::take) else {
        bail!("the answer holds no quarantine: is this a Headcount server?");
    };
    Ok((rows, answer.get("next").and_then(Value::as_str).map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_a_replay_are_told_in_a_line() {
        let row = json!({
            "id": "http/0/17/3", "reason": "clock_ahead", "detail": "too far", "dpu_id": "283", "received_at": "T1", "replayed_at": "T2"
        });
        let row: Row = serde_json::from_value(row).unwrap();
        assert_eq!(row.line(), "http/0/17/3  T1  clock_ahead, DPU 283: too far, replayed at T2");
        let added = |answers: &[Value]| {
            let mut replayed = Replayed { stay: vec!["http/0/18: no".to_owned()], ..Replayed::default() };
            answers.iter().try_for_each(|answer| replayed.add(answer)).map(|()| replayed.to_string())
        };
        let queued = json!({"replayed": 2, "queued": 3});
        assert_eq!(added(&[queued]).as_deref(), Some("2 rows replayed: 3 reports are in the log; 1 stay in quarantine"));
        let stored = json!({"replayed": 2, "accepted": 1, "duplicate": 1, "quarantined": 0});
        let told = "4 rows replayed: 2 crossings new, 2 known already, 0 kept out again; 1 stay in quarantine";
        assert_eq!(added(&[stored.clone(), stored]).as_deref(), Some(told));
        assert_eq!(added(&[json!({})]), None);
    }
}

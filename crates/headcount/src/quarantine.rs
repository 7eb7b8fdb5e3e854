//! `quarantine`: what was kept out of the ledgers, and taking it in after all.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ask::Server;

/// How many rows are asked for, and replayed, at once.
const PAGE: usize = 1000;

/// What can be done with what was kept out.
#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// List what was kept out of the ledgers, and why
    List(List),
    /// Take in what was kept out after all; rows are marked, and what is replayed twice counts once
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
            println!("{}", if args.json { raw.to_string() } else { row.line() });
            listed += 1;
        }
    };
    each(&Server::at(&args.server)?, args.reason.as_deref(), show).await?;
    if listed == 0 && !args.json {
        println!("nothing is in quarantine");
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
        println!("nothing to replay");
    }
    for some in rows.chunks(PAGE) {
        let request = server.post("/v1/quarantine/replay").json(&json!({"rows": some, "accept_clock": args.accept_clock}));
        println!("{}", told(&server.json(request).await?).context("the answer tells of no replay: is this a Headcount server?")?);
    }
    Ok(ExitCode::SUCCESS)
}

/// What the server says of a replay.
fn told(answer: &Value) -> Option<String> {
    let number = |key| answer.get(key).and_then(Value::as_u64);
    let rows = number("replayed")?;
    Some(match number("queued") {
        Some(queued) => format!("{rows} rows replayed: {queued} reports are in the log"),
        None => {
            let (new, known, out) = (number("accepted")?, number("duplicate")?, number("quarantined")?);
            format!("{rows} rows replayed: {new} crossings new, {known} known already, {out} kept out again")
        }
    })
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
        assert_eq!(told(&json!({"replayed": 2, "queued": 2})).as_deref(), Some("2 rows replayed: 2 reports are in the log"));
        let stored = json!({"replayed": 2, "accepted": 1, "duplicate": 1, "quarantined": 0});
        assert_eq!(told(&stored).as_deref(), Some("2 rows replayed: 1 crossings new, 1 known already, 0 kept out again"));
        assert_eq!(told(&json!({})), None);
    }
}

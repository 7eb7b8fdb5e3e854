//! `correct`: say how many people there were.

use std::process::ExitCode;

use anyhow::{Context, Result};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use serde_json::{Value, json};

use crate::ask::Server;
use crate::say::say;

/// Flags of `correct`.
#[derive(Debug, clap::Args)]
pub(crate) struct Correct {
    /// The space; those in it or around it keep their counts
    pub space: SpaceId,
    /// How many people there were
    pub count: u32,
    /// At which instant (2018-02-26T16:06:02Z); without it, now
    #[arg(long, value_name = "TIME")]
    pub at: Option<UnixMs>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who says so
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The server
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// Tells the server.
pub(crate) async fn correct(args: Correct) -> Result<ExitCode> {
    let server = Server::at(&args.server)?;
    let mut correction = json!({"space": args.space.as_str(), "count": args.count});
    if let (Some(at), Some(fields)) = (args.at, correction.as_object_mut()) {
        fields.insert("at".to_owned(), at.to_string().into());
    }
    let body = json!({"corrections": [correction], "reason": args.reason, "by": args.by});
    let request = server.post("/v1/corrections").query(&[("dry_run", args.dry_run)]).json(&body);
    let answer = server.json(request).await?;
    let line = if args.dry_run { would_change(&answer) } else { made(&answer) };
    say!("{}", line.context("the answer is about no correction: is this a Headcount server?")?);
    Ok(ExitCode::SUCCESS)
}

/// What was made, and what to name it by.
fn made(answer: &Value) -> Option<String> {
    let made = answer.pointer("/corrections/0")?;
    let text = |key| made.get(key).and_then(Value::as_str);
    let (count, space, at, id) = (made.get("count")?, text("space")?, text("at")?, text("id")?);
    Some(format!("corrected: {count} in {space} at {at}, as correction {id}"))
}

/// What a dry run tells.
fn would_change(answer: &Value) -> Option<String> {
    let Some(shift) = answer.get("counts")?.as_array()?.first() else { return Some("would change: nothing".to_owned()) };
    let count = |when: &str| shift.pointer(&format!("/{when}/count"));
    let (space, from) = (shift.get("space")?.as_str()?, shift.get("from")?.as_str()?);
    Some(format!("would change: {space} from {from} on; now {} instead of {}", count("after")?, count("before")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_what_would_change_is_told_in_a_line() {
        let answer = json!({"corrections": [{"id": "c17-1", "space": "hall", "at": "2024-05-01T12:00:00.000Z", "count": 12}]});
        assert_eq!(made(&answer).as_deref(), Some("corrected: 12 in hall at 2024-05-01T12:00:00.000Z, as correction c17-1"));
        let shift = json!({"space": "hall", "from": "2024-05-01T12:00:00.000Z", "before": {"count": 0, "raw": -3}, "after": {"count": 12, "raw": 12}});
        assert_eq!(
            would_change(&json!({"counts": [shift]})).as_deref(),
            Some("would change: hall from 2024-05-01T12:00:00.000Z on; now 12 instead of 0")
        );
        assert_eq!(would_change(&json!({"counts": []})).as_deref(), Some("would change: nothing"));
        assert_eq!(made(&json!({"hello": 1})), None);
    }
}

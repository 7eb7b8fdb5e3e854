//! `explain`: how a count comes about.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use serde::Deserialize;

use crate::ask::Server;
use crate::say::say;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The space
    pub space: SpaceId,
    /// At which instant (2018-02-26T16:06:02Z); without it, now
    #[arg(long, value_name = "TIME")]
    pub at: Option<UnixMs>,
    /// Print the server's answer as it is
    #[arg(long)]
    pub json: bool,
    /// The server to ask
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// Asks the server.
pub(crate) async fn explain(args: Explain) -> Result<ExitCode> {
    let server = Server::at(&args.server)?;
    let at = args.at.map(|at| ("at", at.to_string()));
    let answer = server.json(server.get(&format!("/v1/spaces/{}/explain", args.space)).query(&at.as_slice())).await?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(ExitCode::SUCCESS);
    }
    let answer: Answer = serde_json::from_value(answer).context("the answer explains no count: is this a Headcount server?")?;
    lines(&answer).iter().for_each(|line| say!("{line}"));
    Ok(ExitCode::SUCCESS)
}

/// As much of the server's answer as is told.
#[derive(Deserialize)]
struct Answer {
    count: Count,
    correction: Option<Correction>,
    doorways: Vec<Doorway>,
}

#[derive(Deserialize)]
struct Count {
    space: String,
    at: String,
    count: i64,
    raw: i64,
    baseline: Baseline,
    entered: i64,
    exited: i64,
}

#[derive(Deserialize)]
struct Baseline {
    kind: String,
    at: Option<String>,
    count: i64,
}

#[derive(Deserialize)]
struct Correction {
    id: String,
    by: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
struct Doorway {
    id: String,
    installations: Vec<Installation>,
    uncovered: Vec<Span>,
}

#[derive(Deserialize)]
struct Installation {
    dpu: String,
    sign: i8,
    from: String,
    to: String,
    entered: i64,
    exited: i64,
    missing: Option<Vec<Missing>>,
    heard: Option<String>,
    silent: bool,
}

#[derive(Deserialize)]
struct Missing {
    missing: u64,
}

#[derive(Deserialize)]
struct Span {
    from: String,
    to: String,
}

/// The count, where it starts, a table of its parts, and their sum.
fn lines(answer: &Answer) -> Vec<String> {
    let Count { space, at, count, raw, baseline, entered, exited } = &answer.count;
    let since = baseline.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let told = answer.correction.as_ref().map(described).unwrap_or_default();
    let mut lines = vec![format!("{count} in {space} at {at}"), format!("{} from the {}{since}{told}", baseline.count, baseline.kind)];
    lines.extend(table(&answer.doorways));
    lines.push(format!("{} + {entered} entered - {exited} exited = {raw}", baseline.count));
    lines
}

fn described(correction: &Correction) -> String {
    let by = correction.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let reason = if correction.reason.is_empty() { String::new() } else { format!(": {}", correction.reason) };
    format!(" ({}{by}{reason})", correction.id)
}

fn table(doorways: &[Doorway]) -> Vec<String> {
    const HEAD: [&str; 9] = ["doorway", "DPU", "+1", "from", "to", "entered", "exited", "missing", "last heard"];
    let mut rows = vec![HEAD.map(str::to_owned)];
    for doorway in doorways {
        rows.extend(doorway.installations.iter().map(|one| row(&doorway.id, one)));
        for Span { from, to } in &doorway.uncovered {
            let none = String::new;
            rows.push([
                doorway.id.clone(),
                "none".to_owned(),
                none(),
                from.clone(),
                to.clone(),
                none(),
                none(),
                none(),
                "not covered".to_owned(),
            ]);
        }
    }
    let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
    for (column, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        let width = widths.entry(column).or_default();
        *width = cell.chars().count().max(*width);
    }
    let padded = |row: &[String; 9]| {
        let cells = row.iter().zip(widths.values()).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(padded).collect()
}

fn row(doorway: &str, one: &Installation) -> [String; 9] {
    let missing = match &one.missing {
        None => "not looked".to_owned(),
        Some(boots) if boots.is_empty() => "-".to_owned(),
        Some(boots) => boots.iter().map(|boot| boot.missing).sum::<u64>().to_string(),
    };
    let heard = one.heard.as_deref().unwrap_or("never");
    let heard = format!("{heard}{}", if one.silent { ", silent" } else { "" });
    let sense = if one.sign > 0 { "enters" } else { "exits" };
    [doorway, &one.dpu, sense, &one.from, &one.to, &one.entered.to_string(), &one.exited.to_string(), &missing, &heard].map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_told_from_its_baseline_to_its_sum() {
        let answer = serde_json::json!({
            "count": {
                "space": "hall", "at": "T2", "count": 0, "raw": -1, "entered": 4, "exited": 6,
                "baseline": {"kind": "correction", "at": "T0", "count": 1}
            },
            "correction": {"id": "c17-1", "by": "ann", "reason": "round"},
            "doorways": [{
                "id": "front",
                "installations": [
                    {"dpu": "283", "sign": 1, "from": "T0", "to": "T1", "entered": 4, "exited": 5, "heard": "T1", "silent": false,
                     "missing": [{"boot": 6, "missing": 1}, {"boot": 7, "missing": 2}]},
                    {"dpu": "9", "sign": -1, "from": "T0", "to": "T2", "entered": 0, "exited": 1, "heard": null, "silent": true, "missing": []}
                ],
                "uncovered": [{"from": "T0", "to": "T1"}]
            }]
        });
        let told = lines(&serde_json::from_value(answer).unwrap());
        let words: Vec<String> = told.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            words,
            [
                "0 in hall at T2",
                "1 from the correction at T0 (c17-1 by ann: round)",
                "doorway DPU +1 from to entered exited missing last heard",
                "front 283 enters T0 T1 4 5 3 T1",
                "front 9 exits T0 T2 0 1 - never, silent",
                "front none T0 T1 not covered",
                "1 + 4 entered - 6 exited = -1",
            ]
        );
    }
}

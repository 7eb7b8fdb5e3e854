//! `history`: what happened in a space in each of a row of intervals.

use std::process::ExitCode;

use anyhow::{Context, Result};
use occupancy::id::SpaceId;
use occupancy::time::{UnixMs, local_time};
use serde::Deserialize;

use crate::ask::Server;
use crate::say::say;

/// Flags of `history`.
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// The space
    pub space: SpaceId,
    /// From the start of the bucket that holds this instant (2018-02-26T16:06:02Z); without it, 24 hours before --to
    #[arg(long, value_name = "TIME")]
    pub from: Option<UnixMs>,
    /// To the end of the bucket that holds the ms before this instant; without it, to now
    #[arg(long, value_name = "TIME")]
    pub to: Option<UnixMs>,
    /// How long a bucket is: 1m, 5m, 15m, 30m, 1h, 1d, 1w or 1mo
    #[arg(long, value_name = "INTERVAL", default_value = "1h")]
    pub interval: String,
    /// The time zone in which days begin; without it, the space's own
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// full, or flow: entered, exited, adjusted and close alone, fast however many crossings there were
    #[arg(long, value_name = "STATS", default_value = "full")]
    pub stats: String,
    /// Print the server's answer, a page a line
    #[arg(long)]
    pub json: bool,
    /// The server to ask
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// Prints page after page.
pub(crate) async fn history(args: History) -> Result<ExitCode> {
    let server = Server::at(&args.server)?;
    let path = format!("/v1/spaces/{}/history", args.space);
    let time = |name, at: Option<UnixMs>| at.map(|at| (name, at.to_string()));
    let asked = [
        time("from", args.from),
        time("to", args.to),
        Some(("interval", args.interval)),
        args.tz.map(|zone| ("tz", zone)),
        Some(("stats", args.stats)),
    ];
    let asked: Vec<(&str, String)> = asked.into_iter().flatten().collect();
    let mut next: Option<String> = None;
    let mut first = true;
    while first || next.is_some() {
        let cursor = next.take().map(|next| ("cursor", next));
        let answer = server.json(server.get(&path).query(&asked).query(&cursor.as_slice())).await?;
        let page: Page = Page::deserialize(&answer).context("the answer is no history: is this a Headcount server?")?;
        if args.json {
            say!("{answer}");
        } else {
            lines(&page, first).iter().for_each(|line| say!("{line}"));
        }
        (next, first) = (page.next, false);
    }
    Ok(ExitCode::SUCCESS)
}

/// As much of the server's answer as is told.
#[derive(Deserialize)]
struct Page {
    time_zone: String,
    buckets: Vec<Bucket>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Bucket {
    start: String,
    entered: u64,
    exited: u64,
    adjusted: i64,
    close: Close,
    min: Option<Extreme>,
    max: Option<Extreme>,
    mean: Option<f64>,
    missing: Option<u64>,
    partial: bool,
}

#[derive(Deserialize)]
struct Close {
    count: i64,
    raw: i64,
}

#[derive(Deserialize)]
struct Extreme {
    count: i64,
}

/// A line for each bucket, the first page's below a heading.
fn lines(page: &Page, heading: bool) -> Vec<String> {
    let heading = heading.then(|| {
        let columns = ["entered", "exited", "adjusted", "count", "raw", "min", "max", "mean", "missing"];
        line(&page.time_zone, columns.map(str::to_owned), "")
    });
    let told = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let row = |one: &Bucket| {
        let extreme = |one: &Option<Extreme>| told(one.as_ref().map(|one| one.count.to_string()));
        let cells = [
            one.entered.to_string(),
            one.exited.to_string(),
            one.adjusted.to_string(),
            one.close.count.to_string(),
            one.close.raw.to_string(),
            extreme(&one.min),
            extreme(&one.max),
            told(one.mean.map(|mean| format!("{mean:.2}"))),
            told(one.missing.map(|missing| missing.to_string())),
        ];
        line(&local(&page.time_zone, &one.start), cells, if one.partial { "  partial" } else { "" })
    };
    heading.into_iter().chain(page.buckets.iter().map(row)).collect()
}

fn line(start: &str, cells: [String; 9], end: &str) -> String {
    format!("{start:<24}{}{end}", cells.map(|cell| format!("{cell:>9}")).join(""))
}

/// What the clocks of a zone show at an instant, or the instant as it came.
fn local(zone: &str, at: &str) -> String {
    let known = zone.parse().ok().zip(at.parse().ok());
    known.map_or_else(|| at.to_owned(), |(zone, at)| local_time(zone, at).format("%Y-%m-%d %H:%M %:z").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_stand_in_a_table_by_the_clocks_of_the_space() {
        let close = |raw: i64| serde_json::json!({"count": raw.max(0), "raw": raw});
        let page = serde_json::json!({"time_zone": "America/Los_Angeles", "next": null, "buckets": [
            {"start": "2005-10-30T08:00:00.000Z", "entered": 3, "exited": 1, "adjusted": 0, "close": close(2), "min": {"count": 0},
             "max": {"count": 3}, "mean": 1.256, "missing": 0, "partial": false},
            {"start": "2005-10-30T09:00:00.000Z", "entered": 0, "exited": 4, "adjusted": 1, "close": close(-1), "partial": true}
        ]});
        let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = lines(&Page::deserialize(&page).unwrap(), true).iter().map(words).collect();
        assert_eq!(
            lines,
            [
                "America/Los_Angeles entered exited adjusted count raw min max mean missing",
                "2005-10-30 01:00 -07:00 3 1 0 2 2 0 3 1.26 0",
                "2005-10-30 01:00 -08:00 0 4 1 0 -1 - - - - partial",
            ]
        );
    }
}

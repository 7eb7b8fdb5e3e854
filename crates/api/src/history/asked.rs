//! What is asked of history: the parameters of both routes, read by hand, as the usual reader takes no repeated ones.

use std::fmt::{Display, Write};

use occupancy::bucket::Interval;
use occupancy::id::SpaceId;
use occupancy::time::{DAY_MS, UnixMs};
use query::{HistoryCaps, HistoryKey, Span, Stats};
use utoipa::IntoParams;

use crate::cursor;
use crate::extract::{AnyId, parse};
use crate::problem::{Kind, Problem};

/// Which buckets.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what Asked::read reads")]
pub(super) struct Buckets {
    /// From the start of the bucket that holds this instant; absent: 24 hours before `to` or now.
    #[param(format = DateTime, example = "2005-08-01T00:00:00Z")]
    from: Option<String>,
    /// To the end of the bucket that holds the ms before this instant; absent, or in the future: to that in progress now.
    #[param(format = DateTime, example = "2005-08-02T00:00:00Z")]
    to: Option<String>,
    /// How long a bucket is: `1m`, `5m`, `15m`, `30m`, `1h`, `1d`, `1w` (from Monday) or `1mo`. Days begin at the first
    /// instant of the local date; shorter steps are elapsed time from there.
    #[param(default = "1h", pattern = "^(1m|5m|15m|30m|1h|1d|1w|1mo)$", example = "1h")]
    interval: Option<String>,
    /// The IANA time zone in which days begin; absent: the space's own.
    #[param(example = "America/Los_Angeles")]
    tz: Option<String>,
    /// `full`, or `flow` for entered, exited, adjusted and close alone, which is fast however many crossings there were.
    #[param(default = "full", pattern = "^(full|flow)$", example = "flow")]
    stats: Option<String>,
    /// How many buckets a page holds at most: 1 to 10,000.
    #[param(default = 10_000, minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// The spaces.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what Asked::read reads")]
pub(super) struct Several {
    /// A space; repeat it for more, up to 1,000.
    #[param(value_type = Vec<AnyId>, min_items = 1, max_items = 1000, example = json!(["hall"]))]
    space: Vec<String>,
}

/// What is asked for, read.
pub(super) struct Asked {
    pub(super) spaces: Vec<SpaceId>,
    /// The interval's name.
    pub(super) interval: &'static str,
    pub(super) span: Span,
    pub(super) caps: HistoryCaps,
    pub(super) after: Option<HistoryKey>,
}

impl Asked {
    /// Reads the parameters; `space` is one where none is named in the path.
    pub(super) fn read(path: Option<SpaceId>, pairs: &[(String, String)], now: UnixMs) -> Result<Self, Problem> {
        let expected = if path.is_some() { "" } else { "`space`, " };
        let one = |name: &str| -> Result<Option<&str>, Problem> {
            let mut found = pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
            let first = found.next();
            if found.next().is_some() { Err(bad(format!("`{name}` stands twice"))) } else { Ok(first) }
        };
        let known = ["from", "to", "interval", "tz", "stats", "limit", "cursor"];
        let unknown = |name: &str| !known.contains(&name) && (path.is_some() || name != "space");
        if let Some((other, _)) = pairs.iter().find(|(name, _)| unknown(name)) {
            return Err(bad(format!("there is no parameter {other:?}: expected {expected}`{}`", known.join("`, `"))));
        }
        let [from, to] = [instant("from", one("from")?)?, instant("to", one("to")?)?];
        let over = now.plus_ms(1);
        let (interval, step) = interval(one("interval")?.unwrap_or("1h"))?;
        let zone =
            |zone: &str| zone.parse().map_err(|_| bad(format!("tz: {zone:?} is no IANA time zone: write one like America/Los_Angeles")));
        let stats = match one("stats")?.unwrap_or("full") {
            "full" => Stats::Full,
            "flow" => Stats::Flow,
            other => return Err(bad(format!("stats: {other:?} is neither full nor flow"))),
        };
        let limit = |limit: &str| limit.parse().map_err(|error| bad(format!("limit: {limit:?} is no number of buckets: {error}")));
        let usual = HistoryCaps::default();
        let caps = HistoryCaps { buckets: one("limit")?.map_or(Ok(usual.buckets), limit)?, ..usual };
        let span = Span {
            from: from.unwrap_or_else(|| to.unwrap_or(over).min(over).plus_ms(-DAY_MS)),
            to: to.unwrap_or(over),
            interval: step,
            zone: one("tz")?.map(zone).transpose()?,
            stats,
        };
        let after: Option<HistoryKey> = cursor::decode(one("cursor")?)?;
        let named = pairs.iter().filter(|(name, _)| name == "space").map(|(_, id)| parse(id));
        let spaces: Vec<SpaceId> = path.map(Ok).into_iter().chain(named).collect::<Result<_, _>>()?;
        if after.is_some_and(|after| after.place >= spaces.len()) {
            return Err(cursor::unreadable());
        }
        Ok(Self { spaces, interval, span, caps, after })
    }

    /// The query of the page that begins at a cursor.
    pub(super) fn query(&self, next: &str) -> String {
        let mut text = format!("from={}&to={}&interval={}", self.span.from, self.span.to, self.interval);
        // Writing to a text does not fail.
        let mut add = |name: &str, value: &dyn Display| _ = write!(text, "&{name}={value}");
        if let Some(zone) = self.span.zone {
            add("tz", &zone.name().replace('+', "%2B"));
        }
        if self.span.stats == Stats::Flow {
            add("stats", &"flow");
        }
        add("limit", &self.caps.buckets);
        add("cursor", &next);
        text
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(Kind::BadQuery, detail)
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<UnixMs>, Problem> {
    let Some(text) = text else { return Ok(None) };
    // A bare + reads as a space, which no instant may hold.
    let hint = if text.contains(' ') { "; a + in a time is written %2B" } else { "" };
    text.parse().map(Some).map_err(|error| bad(format!("{name}: {error}{hint}")))
}

fn interval(name: &str) -> Result<(&'static str, Interval), Problem> {
    let known = Interval::ALL.iter().find(|(known, _)| *known == name).copied();
    known.ok_or_else(|| bad(format!("interval: there is no {name:?}: expected {}", Interval::ALL.map(|(known, _)| known).join(", "))))
}

//! A provider's file: read, checked, and refused with what to do about it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use occupancy::crossing::Direction;
use occupancy::id::{DpuId, IdError};
use reqwest::Url;
use serde::Deserialize;

use crate::headers::Value;
use crate::item::{Item, Length, Pointer, TimeForm, Way, What, Who};
use crate::limits::Limits;
use crate::page::{Next, Paging};

/// What stands for the cursor in a URL.
const CURSOR: &str = "{cursor}";

/// Why a provider's file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or not of this form.
    #[error("{0}")]
    Toml(String),
    /// A setting cannot be what it is.
    #[error("{setting}: {why}")]
    Setting {
        /// Its name.
        setting: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

fn wrong(setting: impl Into<String>, why: impl Into<String>) -> ConfigError {
    ConfigError::Setting { setting: setting.into(), why: why.into() }
}

/// Where to fetch what, how, and how often.
#[derive(Debug, Clone)]
pub struct Provider {
    pub(crate) name: String,
    /// As it stands in the file.
    pub(crate) url: String,
    pub(crate) start_cursor: String,
    poll_s: u64,
    pub(crate) headers: BTreeMap<String, Value>,
    pub(crate) ca_file: Option<String>,
    pub(crate) proxy: Option<String>,
    pub(crate) paging: Paging,
    pub(crate) item: Item,
    pub(crate) limits: Limits,
}

impl Provider {
    /// Reads a provider's file.
    ///
    /// # Errors
    /// It says something that cannot be.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Toml(error.to_string()))?;
        file.checked()
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long to wait after a round, in s.
    #[must_use]
    pub fn poll_s(&self) -> u64 {
        self.poll_s
    }

    /// Where the page is that a cursor stands for.
    pub(crate) fn page_url(&self, cursor: Option<&str>) -> Result<Url, ConfigError> {
        if let (Next::Link, Some(link)) = (&self.paging.next, cursor) {
            return url(link);
        }
        let cursor = cursor.unwrap_or(&self.start_cursor);
        // Everything but what no URL gives a meaning.
        let bytes = cursor.bytes().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        });
        url(&self.url.replace(CURSOR, &bytes.collect::<String>()))
    }
}

fn url(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|error| wrong("url", format!("{text:?} is no URL: {error}")))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(wrong("url", "it begins with neither https:// nor http://")) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    url: String,
    #[serde(default)]
    start_cursor: String,
    #[serde(default = "a_minute_s")]
    poll_s: u64,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    ca_file: Option<String>,
    proxy: Option<String>,
    page: PageTable,
    crossings: Option<CrossingsTable>,
    intervals: Option<IntervalsTable>,
    #[serde(default)]
    dpus: BTreeMap<String, String>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageTable {
    items: Pointer,
    next: Option<Pointer>,
    next_of_last_item: Option<Pointer>,
    #[serde(default)]
    next_link: bool,
    more: Option<Pointer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CrossingsTable {
    dpu_id: Option<Pointer>,
    dpu: Option<String>,
    at: Pointer,
    #[serde(default)]
    time: TimeForm,
    direction: Option<Pointer>,
    directions: Option<BTreeMap<String, i64>>,
    plus: Option<Pointer>,
    minus: Option<Pointer>,
    boot: Option<Pointer>,
    seq: Option<Pointer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntervalsTable {
    dpu_id: Option<Pointer>,
    dpu: Option<String>,
    start: Pointer,
    end: Option<Pointer>,
    length_s: Option<u32>,
    longest_interval_s: Option<u32>,
    #[serde(default)]
    time: TimeForm,
    entered: Pointer,
    exited: Pointer,
    #[serde(default = "a_minute_s")]
    settle_s: u64,
    #[serde(default = "an_hour_s")]
    max_ahead_s: u64,
}

fn a_minute_s() -> u64 {
    60
}

fn an_hour_s() -> u64 {
    3_600
}

/// A day of 25 hours: the cursor waits for an interval to be over, so one with a wrong end must not hold it for weeks.
const LONGEST_INTERVAL_S: u32 = 25 * 3_600;

impl File {
    fn checked(self) -> Result<Provider, ConfigError> {
        if self.name.parse::<DpuId>().is_err() {
            return Err(wrong("name", "it is made of up to 64 of A-Z a-z 0-9 . _ : - and begins with a letter or digit"));
        }
        if self.poll_s == 0 {
            return Err(wrong("poll_s", "it must be at least 1"));
        }
        if self.url.replace(CURSOR, "").contains(['{', '}']) {
            return Err(wrong("url", format!("{:?} has braces: the only ones it may have are {CURSOR}", self.url)));
        }
        if let Some(zero) = self.limits.zero() {
            return Err(wrong(format!("limits.{zero}"), "it must be at least 1"));
        }
        let paging = self.page.checked()?;
        let needs = matches!(paging.next, Next::Pointer(_) | Next::LastItem(_));
        if needs != self.url.contains(CURSOR) && !matches!(paging.next, Next::Link) {
            let why = format!("{CURSOR} in the URL and page.next or page.next_of_last_item go together: give both or neither");
            return Err(wrong("url", why));
        }
        let what = match (self.crossings, self.intervals) {
            (Some(crossings), None) => crossings.checked()?,
            (None, Some(intervals)) => intervals.checked()?,
            _ => return Err(wrong("crossings, intervals", "give one of the tables [crossings] and [intervals]")),
        };
        let dpus = dpus(self.dpus)?;
        let provider = Provider {
            name: self.name,
            url: self.url,
            start_cursor: self.start_cursor,
            poll_s: self.poll_s,
            headers: self.headers,
            ca_file: self.ca_file,
            proxy: self.proxy,
            paging,
            item: Item { what, dpus },
            limits: self.limits,
        };
        provider.page_url(None)?;
        Ok(provider)
    }
}

impl PageTable {
    fn checked(self) -> Result<Paging, ConfigError> {
        let next = match (self.next, self.next_of_last_item, self.next_link) {
            (Some(pointer), None, false) => Next::Pointer(pointer),
            (None, Some(pointer), false) => Next::LastItem(pointer),
            (None, None, true) => Next::Link,
            (None, None, false) => Next::None,
            _ => return Err(wrong("page", "give one of next, next_of_last_item and next_link, or none where there is one page")),
        };
        Ok(Paging { items: self.items, next, more: self.more })
    }
}

/// Each of ours stands for one of theirs: the counts of two over the same time could not be told apart.
fn dpus(table: BTreeMap<String, String>) -> Result<BTreeMap<String, DpuId>, ConfigError> {
    let mut found: BTreeMap<String, DpuId> = BTreeMap::new();
    for (theirs, ours) in table {
        let ours: DpuId = ours.parse().map_err(|error: IdError| wrong(format!("dpus.{theirs}"), error.to_string()))?;
        if let Some((other, _)) = found.iter().find(|(_, taken)| **taken == ours) {
            return Err(wrong(format!("dpus.{theirs}"), format!("{other} is {ours} already: give each a DPU of its own")));
        }
        found.insert(theirs, ours);
    }
    Ok(found)
}

fn who(table: &str, pointer: Option<Pointer>, constant: Option<String>) -> Result<Who, ConfigError> {
    match (pointer, constant) {
        (Some(pointer), None) => Ok(Who::Field(pointer)),
        (None, Some(dpu)) => dpu.parse().map(Who::Always).map_err(|error| wrong(format!("{table}.dpu"), error.to_string())),
        _ => Err(wrong(table, "give either dpu_id, where each item names its DPU, or dpu, the id of the only one")),
    }
}

impl CrossingsTable {
    fn checked(self) -> Result<What, ConfigError> {
        let way = match (self.direction, self.plus, self.minus) {
            (Some(field), None, None) => {
                let signs = self.directions.unwrap_or_else(|| BTreeMap::from([("1".to_owned(), 1), ("-1".to_owned(), -1)]));
                let sign = |(text, sign)| Direction::try_from(sign).map(|sign| (text, sign));
                let signs = signs.into_iter().map(sign).collect::<Result<_, _>>();
                Way::Field { field, signs: signs.map_err(|error| wrong("crossings.directions", error.to_string()))? }
            }
            (None, Some(plus), Some(minus)) if self.directions.is_none() => Way::Flags { plus, minus },
            _ => return Err(wrong("crossings", "give either direction, with directions = { in = 1, out = -1 }, or both plus and minus")),
        };
        let who = who("crossings", self.dpu_id, self.dpu)?;
        Ok(What::Crossings { who, at: self.at, form: self.time, way, boot: self.boot, seq: self.seq })
    }
}

impl IntervalsTable {
    fn checked(self) -> Result<What, ConfigError> {
        let length_ms = |name: &str, length_s: u32| {
            let length_ms = length_s.checked_mul(1_000).and_then(NonZeroU32::new);
            length_ms.ok_or_else(|| wrong(format!("intervals.{name}"), "it must be from 1 to 4294967"))
        };
        let length = match (self.end, self.length_s, self.longest_interval_s) {
            (Some(end), None, longest_s) => Length::To(end, length_ms("longest_interval_s", longest_s.unwrap_or(LONGEST_INTERVAL_S))?),
            (None, Some(length_s), None) => Length::Fixed(length_ms("length_s", length_s)?),
            _ => return Err(wrong("intervals", "give either end, where each item says it, and longest_interval_s, or length_s alone")),
        };
        let who = who("intervals", self.dpu_id, self.dpu)?;
        let ms = |s: u64| i64::try_from(s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Ok(What::Intervals {
            who,
            start: self.start,
            length,
            form: self.time,
            entered: self.entered,
            exited: self.exited,
            settle_ms: ms(self.settle_s),
            max_ahead_ms: ms(self.max_ahead_s),
        })
    }
}

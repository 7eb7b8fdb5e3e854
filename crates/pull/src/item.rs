//! One item of a page, as what it says. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use occupancy::crossing::{Direction, Key};
use occupancy::id::{DpuId, IdError};
use occupancy::time::{TimeError, UnixMs};
use serde::Deserialize;
use serde_json::{Number, Value};
use wire::Interval;

/// A JSON pointer: empty, or `/name/0/name`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.starts_with('/') {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is no JSON pointer: write \"/{text}\""))
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pointer {
    /// What it points to; null counts as nothing.
    pub(crate) fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.pointer(&self.0).filter(|found| !found.is_null())
    }

    fn text(&self, item: &Value) -> Result<String, ItemError> {
        let found = self.of(item).ok_or_else(|| ItemError::Missing(self.0.clone()))?;
        scalar(found).ok_or_else(|| ItemError::NotScalar(self.0.clone()))
    }

    /// A whole number up to `most`, as reports have it too: `41.0` is one.
    fn number(&self, item: &Value, most: u64) -> Result<u64, ItemError> {
        let text = self.text(item)?;
        let json = || wire::whole::counter(text.parse::<Number>().ok()?).ok();
        let number = text.parse().ok().or_else(json).filter(|number| *number <= most);
        number.ok_or_else(|| ItemError::Number { field: self.0.clone(), found: cut(&text), most })
    }
}

/// A text, number or truth value as text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Not more of a text than an error can show.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// How times are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimeForm {
    /// Like 2018-02-26T16:06:02.903Z
    #[default]
    Rfc3339,
    /// Seconds since 1970, decimals allowed.
    UnixS,
    /// Milliseconds since 1970.
    UnixMs,
}

/// Whose an item is.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Field(Pointer),
    Always(DpuId),
}

/// Which way a crossing goes.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    Field {
        field: Pointer,
        signs: BTreeMap<String, Direction>,
    },
    /// Two fields, each true or 1 where somebody went that way.
    Flags {
        plus: Pointer,
        minus: Pointer,
    },
}

/// How long an interval is.
#[derive(Debug, Clone)]
pub(crate) enum Length {
    /// To an end of its own, up to so many ms after the start.
    To(Pointer, NonZeroU32),
    Fixed(NonZeroU32),
}

/// What the items of a provider are, and where their fields stand.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Crossings {
        who: Who,
        at: Pointer,
        form: TimeForm,
        way: Way,
        boot: Option<Pointer>,
        seq: Option<Pointer>,
    },
    Intervals {
        who: Who,
        start: Pointer,
        length: Length,
        form: TimeForm,
        entered: Pointer,
        exited: Pointer,
        /// How long after its end an interval is final, in ms.
        settle_ms: i64,
        /// An interval that begins further ahead than this is wrong, in ms.
        max_ahead_ms: i64,
    },
}

/// How items are read.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) what: What,
    /// Their ids and ours; an id that is not in it is ours already.
    pub(crate) dpus: BTreeMap<String, DpuId>,
}

/// What an item says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Crossings(DpuId, Vec<Key>),
    /// An interval that is over.
    Interval(DpuId, Interval),
    /// An interval that is not, until then.
    NotYet(UnixMs),
}

/// Why an item cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ItemError {
    #[error("there is nothing at {0:?}")]
    Missing(String),
    #[error("{0:?} is neither a text nor a number")]
    NotScalar(String),
    #[error("{field:?} is {found:?}, and not a whole number from 0 to {most}")]
    Number { field: String, found: String, most: u64 },
    #[error("{field:?}: {error}")]
    Dpu { field: String, error: IdError },
    #[error("{field:?}: {error}")]
    Time { field: String, error: TimeError },
    #[error("{field:?} is {found:?}, and no number of {unit} since 1970")]
    Unix { field: String, found: String, unit: &'static str },
    #[error("{field:?} is {found:?}, and not one of {known}")]
    Direction { field: String, found: String, known: String },
    #[error("{field:?} is {found:?}, and not true, false, 1 or 0: several at one instant are interval counts")]
    Flag { field: String, found: String },
    #[error("neither {0:?} nor {1:?} is true")]
    NoWay(String, String),
    #[error("it lasts {length_ms} ms, and not 1 to {most_ms} ms (longest_interval_s)")]
    Length { length_ms: i64, most_ms: NonZeroU32 },
    #[error("it begins at {start}, more than {most_ms} ms from now (max_ahead_s)")]
    Ahead { start: UnixMs, most_ms: i64 },
    #[error("it begins at {start}, before {}: no DPU counted then", UnixMs::CLOCK_SET)]
    TooEarly { start: UnixMs },
    #[error("{field:?} is {theirs:?}, which is our id of {other:?} in [dpus]: give {theirs:?} an id there too")]
    Taken { field: String, theirs: String, other: String },
}

impl Item {
    /// Reads an item as of `now`.
    pub(crate) fn read(&self, item: &Value, now: UnixMs) -> Result<Said, ItemError> {
        match &self.what {
            What::Crossings { who, at, form, way, boot, seq } => {
                let at = form.read(at, item)?;
                let counter = |field: &Option<Pointer>| field.as_ref().map_or(Ok(0), |field| field.number(item, Key::MAX_COUNTER));
                let (boot, seq) = (counter(boot)?, counter(seq)?);
                let keys = way.read(item)?.into_iter().map(|direction| Key { at, boot, seq, direction });
                Ok(Said::Crossings(self.dpu(who, item)?, keys.collect()))
            }
            What::Intervals { who, start, length, form, entered, exited, settle_ms, max_ahead_ms } => {
                let start = form.read(start, item)?;
                let length_ms = length.read(*form, start, item)?;
                if start.since(now) > *max_ahead_ms {
                    return Err(ItemError::Ahead { start, most_ms: *max_ahead_ms });
                }
                if start < UnixMs::CLOCK_SET {
                    return Err(ItemError::TooEarly { start });
                }
                let dpu = self.dpu(who, item)?;
                let final_at = start.plus_ms(length_ms.get().into()).plus_ms(*settle_ms);
                if now < final_at {
                    return Ok(Said::NotYet(final_at));
                }
                let most = u64::from(Interval::most(length_ms));
                let count = |field: &Pointer| field.number(item, most).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
                Ok(Said::Interval(dpu, Interval { start, length_ms, entered: count(entered)?, exited: count(exited)? }))
            }
        }
    }

    fn dpu(&self, who: &Who, item: &Value) -> Result<DpuId, ItemError> {
        match who {
            Who::Always(dpu) => Ok(dpu.clone()),
            Who::Field(field) => {
                let theirs = field.text(item)?;
                if let Some(ours) = self.dpus.get(&theirs) {
                    return Ok(ours.clone());
                }
                let ours: DpuId = theirs.parse().map_err(|error| ItemError::Dpu { field: field.to_string(), error })?;
                match self.dpus.iter().find(|(_, taken)| **taken == ours) {
                    Some((other, _)) => Err(ItemError::Taken { field: field.to_string(), theirs, other: other.clone() }),
                    None => Ok(ours),
                }
            }
        }
    }
}

impl Way {
    fn read(&self, item: &Value) -> Result<Vec<Direction>, ItemError> {
        match self {
            Self::Field { field, signs } => {
                let found = field.text(item)?;
                let known = || signs.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let sign = signs.get(&found);
                let sign = sign.ok_or_else(|| ItemError::Direction { field: field.to_string(), found: cut(&found), known: known() })?;
                Ok(vec![*sign])
            }
            Self::Flags { plus, minus } => {
                let ways = [(flag(plus, item)?, Direction::Plus), (flag(minus, item)?, Direction::Minus)];
                let ways: Vec<Direction> = ways.into_iter().filter(|(went, _)| *went).map(|(_, way)| way).collect();
                if ways.is_empty() { Err(ItemError::NoWay(plus.to_string(), minus.to_string())) } else { Ok(ways) }
            }
        }
    }
}

/// Whether a field is true; where it is not there it is not.
fn flag(field: &Pointer, item: &Value) -> Result<bool, ItemError> {
    if field.of(item).is_none() {
        return Ok(false);
    }
    match field.text(item)?.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(ItemError::Flag { field: field.to_string(), found: cut(other) }),
    }
}

impl Length {
    fn read(&self, form: TimeForm, start: UnixMs, item: &Value) -> Result<NonZeroU32, ItemError> {
        match self {
            Self::Fixed(length_ms) => Ok(*length_ms),
            Self::To(end, most_ms) => {
                let length_ms = form.read(end, item)?.since(start);
                let length = u32::try_from(length_ms).ok().and_then(NonZeroU32::new).filter(|length| length <= most_ms);
                length.ok_or(ItemError::Length { length_ms, most_ms: *most_ms })
            }
        }
    }
}

impl TimeForm {
    fn read(self, field: &Pointer, item: &Value) -> Result<UnixMs, ItemError> {
        let text = field.text(item)?;
        let (ms, unit) = match self {
            Self::Rfc3339 => return text.parse().map_err(|error| ItemError::Time { field: field.to_string(), error }),
            Self::UnixS => (decimal_ms(&text, 1_000), "seconds"),
            Self::UnixMs => (decimal_ms(&text, 1), "milliseconds"),
        };
        let ms = ms.ok_or_else(|| ItemError::Unix { field: field.to_string(), found: cut(&text), unit })?;
        UnixMs::new(ms).map_err(|error| ItemError::Time { field: field.to_string(), error })
    }
}

/// A decimal number of units of `unit_ms`, 1 or 1,000, cut to whole ms.
fn decimal_ms(text: &str, unit_ms: i64) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let part_ms: i64 = if unit_ms == 1 { 0 } else { format!("{part:0<3}").get(..3)?.parse().ok()? };
    whole.parse::<i64>().ok()?.checked_mul(unit_ms)?.checked_add(part_ms)
}

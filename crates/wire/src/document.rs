//! Topology documents as TOML and JSON: the same keys in both, ids and times as text.

use std::fmt::{self, Display};
use std::str::FromStr;

use chrono::{NaiveTime, Timelike};
use chrono_tz::Tz;
use occupancy::id::DpuId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Reset, Space};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::WireError;
use crate::named::list;
use crate::whole::optional_people;

/// 1 to 64 characters of `A-Z a-z 0-9 . _ : -`, the first a letter or digit; nothing is named `outside`.
#[derive(ToSchema)]
#[schema(as = Id, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]*$", min_length = 1, max_length = 64)]
#[expect(dead_code, reason = "it describes what is read as an id of its own kind")]
pub struct AnyId(String);

/// Everything under one root: its spaces, their daily resets, doorways, and which DPU hung over which doorway, when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopologyDocument {
    /// The root, which has no parent, and every space below it.
    #[serde(default, rename = "space", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<SpaceEntry>,
    /// Daily resets. A space without any follows its nearest ancestor that has some.
    #[serde(default, rename = "reset", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resets: Vec<ResetEntry>,
    /// Openings between two of these spaces, or between one of them and outside.
    #[serde(default, rename = "doorway", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub doorways: Vec<DoorwayEntry>,
    /// Which DPU hung over which doorway, when, and which way round.
    #[serde(default, rename = "installation", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub installations: Vec<InstallationEntry>,
}

/// A room, floor, building or campus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpaceEntry {
    /// Its id.
    #[schema(value_type = AnyId, example = "hall")]
    pub id: String,
    /// The space it is part of; absent for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AnyId>, example = "campus")]
    pub parent: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IANA time zone; its parent's when absent, UTC at a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", max_length = 64, example = "America/Los_Angeles")]
    pub time_zone: Option<String>,
    /// How many people it is meant for.
    #[serde(default, deserialize_with = "optional_people", skip_serializing_if = "Option::is_none")]
    #[schema(format = Int64, maximum = 4_294_967_295u32)]
    pub capacity: Option<u32>,
}

/// From `from` on, the count of the space starts each day anew, until its next entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetEntry {
    /// The space.
    #[schema(value_type = AnyId, example = "hall")]
    pub space: String,
    /// Local time of day, `04:00` or `04:00:00`, in the zone of the space; `none` for one that never closes.
    #[serde(deserialize_with = "text_or_time")]
    #[schema(pattern = "^(none|([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)$", example = "04:00")]
    pub at: String,
    /// In force from this instant on (RFC 3339); from now on when absent.
    #[serde(default, deserialize_with = "optional_text_or_time", skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub from: Option<String>,
}

/// An opening between two different sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoorwayEntry {
    /// Its id, like a space's.
    #[schema(value_type = AnyId, example = "front")]
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its two sides: ids of spaces, or `outside`. They never change: a rebuilt doorway is a new one.
    #[schema(value_type = Vec<AnyId>, min_items = 2, max_items = 2, example = json!(["outside", "hall"]))]
    pub between: [String; 2],
}

/// A DPU hung over a doorway from `from` until `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallationEntry {
    /// The DPU. It may be left out in the list of a single DPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AnyId>, example = "283")]
    pub dpu: Option<String>,
    /// The doorway.
    #[schema(value_type = AnyId, example = "front")]
    pub doorway: String,
    /// The side a person enters when the DPU reports +1: a space, or `outside`.
    #[schema(value_type = AnyId, example = "hall")]
    pub enters: String,
    /// From this instant on (RFC 3339); from now on when absent.
    #[serde(default, deserialize_with = "optional_text_or_time", skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// Until this instant (RFC 3339), which is excluded; absent while it hangs there.
    #[serde(default, deserialize_with = "optional_text_or_time", skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub to: Option<String>,
}

/// Reads a document from TOML.
///
/// # Errors
/// It is no TOML, or has keys or types a document does not have; the error shows the line.
pub fn from_toml(text: &str) -> Result<TopologyDocument, WireError> {
    toml::from_str(text).map_err(|error| WireError(error.to_string().trim_end().to_owned()))
}

/// Writes a document as TOML.
///
/// # Errors
/// A text of the document cannot be written as TOML.
pub fn to_toml(document: &TopologyDocument) -> Result<String, WireError> {
    toml::to_string(document).map_err(|error| WireError(error.to_string()))
}

/// Reads the list of one DPU; its entries may leave the DPU out, and a missing `from` is `default_from`.
///
/// # Errors
/// An id or time that is none.
pub fn installations(list: Vec<InstallationEntry>, dpu: &DpuId, default_from: UnixMs) -> Result<Vec<Installation>, WireError> {
    list.into_iter().map(|entry| entry.into_domain(Some(dpu), default_from)).collect()
}

impl TopologyDocument {
    /// The document's ids, times and zones as such; an absent `from` is `default_from`.
    ///
    /// # Errors
    /// An id, time or zone that is none. Whether the document stands as a whole is checked by the edit that holds it.
    pub fn into_domain(self, default_from: UnixMs) -> Result<Document, WireError> {
        Ok(Document {
            spaces: self.spaces.into_iter().map(SpaceEntry::into_domain).collect::<Result<_, _>>()?,
            resets: self.resets.iter().map(|entry| entry.to_domain(default_from)).collect::<Result<_, _>>()?,
            doorways: self.doorways.into_iter().map(DoorwayEntry::into_domain).collect::<Result<_, _>>()?,
            installations: self.installations.into_iter().map(|entry| entry.into_domain(None, default_from)).collect::<Result<_, _>>()?,
        })
    }

    /// A document in the form it is written in.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        Self {
            spaces: document.spaces.iter().map(SpaceEntry::of).collect(),
            resets: document.resets.iter().map(ResetEntry::of).collect(),
            doorways: document.doorways.iter().map(DoorwayEntry::of).collect(),
            installations: document.installations.iter().map(InstallationEntry::of).collect(),
        }
    }
}

impl SpaceEntry {
    fn into_domain(self) -> Result<Space, WireError> {
        let whose = format!("space {}", quoted(&self.id));
        let zone = |text: &str| {
            let problem = || format!("{whose}: time_zone {} is no IANA time zone: write one like \"America/Los_Angeles\"", quoted(text));
            text.parse::<Tz>().map_err(|_| WireError(problem()))
        };
        Ok(Space {
            id: read(&whose, "id", &self.id)?,
            parent: self.parent.as_deref().map(|parent| read(&whose, "parent", parent)).transpose()?,
            time_zone: self.time_zone.as_deref().map(zone).transpose()?,
            name: self.name,
            capacity: self.capacity,
        })
    }

    fn of(space: &Space) -> Self {
        Self {
            id: space.id.to_string(),
            parent: space.parent.as_ref().map(ToString::to_string),
            name: space.name.clone(),
            time_zone: space.time_zone.map(|zone| zone.name().to_owned()),
            capacity: space.capacity,
        }
    }
}

impl ResetEntry {
    fn to_domain(&self, default_from: UnixMs) -> Result<Reset, WireError> {
        let whose = format!("reset of space {}", quoted(&self.space));
        let at = match self.at.as_str() {
            "none" => None,
            text => Some(local_time(text).ok_or_else(|| {
                WireError(format!("{whose}: at {} is no time of day: write \"04:00\", \"04:00:00\" or \"none\"", quoted(text)))
            })?),
        };
        Ok(Reset {
            space: read(&whose, "space", &self.space)?,
            from: instant(&whose, "from", self.from.as_deref())?.unwrap_or(default_from),
            at,
        })
    }

    fn of(reset: &Reset) -> Self {
        let at =
            reset.at.map_or_else(|| "none".to_owned(), |at| at.format(if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string());
        Self { space: reset.space.to_string(), at, from: Some(reset.from.to_string()) }
    }
}

impl DoorwayEntry {
    fn into_domain(self) -> Result<Doorway, WireError> {
        let whose = format!("doorway {}", quoted(&self.id));
        let [a, b] = &self.between;
        let between = [read(&whose, "between", a)?, read(&whose, "between", b)?];
        Ok(Doorway { id: read(&whose, "id", &self.id)?, name: self.name, between })
    }

    fn of(doorway: &Doorway) -> Self {
        let [a, b] = &doorway.between;
        Self { id: doorway.id.to_string(), name: doorway.name.clone(), between: [a.to_string(), b.to_string()] }
    }
}

impl InstallationEntry {
    /// The installation; `dpu` where the entry names none.
    fn into_domain(self, dpu: Option<&DpuId>, default_from: UnixMs) -> Result<Installation, WireError> {
        let whose = match &self.dpu {
            Some(named) => format!("installation of DPU {}", quoted(named)),
            None => format!("installation over doorway {}", quoted(&self.doorway)),
        };
        let dpu = match (&self.dpu, dpu) {
            (Some(named), _) => read(&whose, "dpu", named)?,
            (None, Some(dpu)) => dpu.clone(),
            (None, None) => return Err(WireError(format!("{whose}: dpu is missing: say which DPU hung there"))),
        };
        Ok(Installation {
            dpu,
            from: instant(&whose, "from", self.from.as_deref())?.unwrap_or(default_from),
            to: instant(&whose, "to", self.to.as_deref())?,
            doorway: read(&whose, "doorway", &self.doorway)?,
            enters: read(&whose, "enters", &self.enters)?,
        })
    }

    /// An installation in the form it is written in, its DPU named.
    #[must_use]
    pub fn of(installation: &Installation) -> Self {
        Self {
            dpu: Some(installation.dpu.to_string()),
            doorway: installation.doorway.to_string(),
            enters: installation.enters.to_string(),
            from: Some(installation.from.to_string()),
            to: installation.to.map(|to| to.to_string()),
        }
    }
}

/// A field's text as what it stands for; the error says whose field it is.
pub(crate) fn read<T: FromStr<Err: Display>>(whose: &str, field: &str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|error| WireError(format!("{whose}: {field}: {error}")))
}

fn instant(whose: &str, field: &str, text: Option<&str>) -> Result<Option<UnixMs>, WireError> {
    text.map(|text| read(whose, field, text)).transpose()
}

/// A time of day in whole seconds.
fn local_time(text: &str) -> Option<NaiveTime> {
    let time = NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()?;
    // 23:59:60 is read as a leap second, which no clock on a wall shows.
    (time.nanosecond() == 0).then_some(time)
}

/// A text for an error: in quotes, cut where it is too long to be meant.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

/// A text, or a TOML date or time as its text.
fn text_or_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct TextOrTime;
    impl<'de> Visitor<'de> for TextOrTime {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a time")
        }
        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        // TOML's reader offers its times as maps of a kind only it can read.
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
            let time = toml::value::Datetime::deserialize(MapAccessDeserializer::new(map));
            time.map(|time| time.to_string()).map_err(|_| A::Error::custom("expected a text or a time"))
        }
    }
    deserializer.deserialize_any(TextOrTime)
}

fn optional_text_or_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "text_or_time")] String);
    Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
}

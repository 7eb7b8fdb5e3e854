//! An example of each error that is described, made of the error itself: what the description shows is what is answered.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use ingest::IntakeError;
use occupancy::edit::EditError;
use occupancy::id::{CorrectionId, SpaceId};
use occupancy::installation::InstallationError;
use occupancy::topology::TopologyError;
use query::{
    CORRECTIONS_MOST, CorrectionFailed, Query, QueryError, REASON_MOST_CHARS, SPACES_MOST, Source, StoreError, WATCH_SPACES_MOST,
    WatchFailed,
};

use crate::conditional::Precondition;
use crate::extract::{DOCUMENT_MOST_BYTES, REPORTS_MOST_BYTES};
use crate::problem::Problem;
use crate::{crossings, extract, installations, manners, quarantine, topology};

/// Of the problems with this status, one that the operations of this path do answer; `has_body` where it takes one.
pub(crate) fn problem(path: &str, status: &str, has_body: bool) -> Option<Problem> {
    match status {
        "400" if has_body => bad_body(path),
        "400" if path.contains('{') => extract::parse::<SpaceId>("a b").err(),
        "400" => Some(bad_query(path).into()),
        "404" => not_found(path),
        "409" => conflict(path),
        "412" if path == "/v1/topology/{root}" => Some(topology::stale(&"campus".parse().ok()?)),
        "412" => Some(installations::stale(&"283".parse().ok()?)),
        "413" => Some(extract::says_too_large(if path == "/v1/crossings" { REPORTS_MOST_BYTES } else { DOCUMENT_MOST_BYTES }, 64 << 20)),
        "415" => Some(extract::not_json("text/plain")),
        "422" => against_rules(path),
        "428" => Precondition::of(&HeaderMap::new()).err(),
        "429" => Some(manners::too_often(IpAddr::V4(Ipv4Addr::LOCALHOST), NonZeroU32::new(100)?, 1)),
        "503" => unavailable(path),
        _ => None,
    }
}

fn bad_body(path: &str) -> Option<Problem> {
    match path {
        "/v1/crossings" => crossings::reports(b"{").err(),
        _ => extract::document::<serde::de::IgnoredAny>(b"{").err(),
    }
}

fn bad_query(path: &str) -> QueryError {
    match path {
        "/v1/counts" | "/v1/history" => QueryError::Spaces { asked: 0, most: SPACES_MOST },
        "/v1/live" => QueryError::Spaces { asked: 0, most: WATCH_SPACES_MOST },
        _ => QueryError::Limit { asked: 0, most: Query::DPUS_MOST },
    }
}

fn not_found(path: &str) -> Option<Problem> {
    Some(match path {
        "/v1/corrections/{id}" => EditError::UnknownCorrection(correction()?).into(),
        "/v1/dpus/{id}" => QueryError::UnknownDpu("283".to_owned()).into(),
        "/v1/quarantine/replay" => QueryError::NotQuarantined(row()?).into(),
        _ => QueryError::UnknownSpace("hal".to_owned()).into(),
    })
}

fn conflict(path: &str) -> Option<Problem> {
    Some(match path {
        "/v1/corrections/{id}" => EditError::AlreadyRetracted(correction()?).into(),
        "/v1/topology/{root}" => EditError::from(TopologyError::Removal(vec!["doorway front".to_owned()])).into(),
        _ => {
            let (dpu, first, second) = ("283".parse().ok()?, "front".parse().ok()?, "side".parse().ok()?);
            let overlap = InstallationError::Overlap { dpu, first, second, at: "2018-02-26T16:00:00Z".parse().ok()? };
            EditError::from(TopologyError::from(overlap)).into()
        }
    })
}

fn against_rules(path: &str) -> Option<Problem> {
    Some(match path {
        "/v1/corrections" => CorrectionFailed::Number { asked: 1200, most: CORRECTIONS_MOST }.into(),
        "/v1/corrections/{id}" => CorrectionFailed::TooLong { what: "reason", most: REASON_MOST_CHARS, chars: 1200 }.into(),
        "/v1/topology/{root}" => {
            let twice = TopologyError::SameSides { doorway: "front".parse().ok()?, side: "hall".parse().ok()? };
            EditError::from(twice).into()
        }
        "/v1/dpus/{id}/installations" => EditError::OtherDpu { dpu: "283".parse().ok()?, other: "284".parse().ok()? }.into(),
        "/v1/quarantine/replay" => {
            let unreadable = wire::report::decode(br#"{"dpu_id":"283","crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":5}]}"#);
            let bad = unreadable.ok()?.crossings.into_iter().find_map(Result::err)?;
            quarantine::unreadable(&row()?, &bad.detail)
        }
        _ => QueryError::Ahead { at: "9999-12-31T23:59:59.999Z".parse().ok()?, latest: "2018-02-26T16:11:02.903Z".parse().ok()? }.into(),
    })
}

fn unavailable(path: &str) -> Option<Problem> {
    Some(match path {
        "/v1/live" => WatchFailed::Full { most: 1000 }.into(),
        "/v1/crossings" | "/v1/quarantine/replay" => IntakeError::Busy { waiting: 1000, retry_after_s: 1 }.into(),
        _ => StoreError::Unavailable("no node answers".to_owned()).into(),
    })
}

fn row() -> Option<Source> {
    "http/0/1732227600000000/3".parse().ok()
}

fn correction() -> Option<CorrectionId> {
    "c17-1".parse().ok()
}

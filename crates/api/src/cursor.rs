//! Opaque cursors: where the next page of a list begins, as base64 of what it comes after.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use occupancy::crossing::{Direction, Key};
use occupancy::id::{DpuId, SpaceId};
use occupancy::time::UnixMs;
use query::{EventKey, HistoryKey, Source};

use crate::problem::{Kind, Problem};

/// A place in a list. Ids hold no `/`.
pub(crate) trait Place: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

/// A place as a cursor.
pub(crate) fn encode(place: &impl Place) -> String {
    URL_SAFE_NO_PAD.encode(place.write())
}

/// The place a cursor stands for.
pub(crate) fn decode<P: Place>(cursor: Option<&str>) -> Result<Option<P>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| P::read(std::str::from_utf8(&bytes).ok()?));
    place.map(Some).ok_or_else(unreadable)
}

/// How many items a page holds where nobody says.
pub(crate) fn page_items() -> usize {
    100
}

/// What is said of a cursor that is none, or of another list.
pub(crate) fn unreadable() -> Problem {
    Problem::new(Kind::BadQuery, "the cursor is none: take the `next` of the page before, and the same other parameters")
}

impl Place for DpuId {
    fn write(&self) -> String {
        format!("dpu/{self}")
    }
    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("dpu/")?.parse().ok()
    }
}

impl Place for SpaceId {
    fn write(&self) -> String {
        format!("space/{self}")
    }
    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("space/")?.parse().ok()
    }
}

impl Place for Source {
    fn write(&self) -> String {
        format!("source/{self}")
    }
    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("source/")?.parse().ok()
    }
}

impl Place for EventKey {
    fn write(&self) -> String {
        let Key { at, boot, seq, direction } = self.key;
        format!("event/{}/{boot}/{seq}/{}/{}", at.ms(), direction.sign(), self.dpu)
    }
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("event/")?.splitn(5, '/');
        let at = UnixMs::new(part(&mut parts)?).ok()?;
        let (boot, seq) = (part(&mut parts)?, part(&mut parts)?);
        let direction = Direction::try_from(part::<i64>(&mut parts)?).ok()?;
        Some(Self { at, dpu: part(&mut parts)?, key: Key { at, boot, seq, direction } })
    }
}

impl Place for HistoryKey {
    fn write(&self) -> String {
        format!("history/{}/{}", self.place, self.start.ms())
    }
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("history/")?.splitn(2, '/');
        Some(Self { place: part(&mut parts)?, start: UnixMs::new(part(&mut parts)?).ok()? })
    }
}

fn part<'a, T: FromStr>(parts: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_the_place_it_was_made_of_and_as_no_other() {
        let key = Key { at: UnixMs::MAX, boot: Key::MAX_COUNTER, seq: 7, direction: Direction::Minus };
        let event = EventKey { at: key.at, dpu: "a.b:c".parse().unwrap(), key };
        let source = Source { topic: "a.b@2".to_owned(), partition: -1, offset: i64::MAX, index: Source::WHOLE };
        assert_eq!(decode(Some(&encode(&event))), Ok(Some(event.clone())));
        assert_eq!(decode(Some(&encode(&source))), Ok(Some(source)));
        let bucket = HistoryKey { place: 3, start: UnixMs::MIN };
        assert_eq!(decode(Some(&encode(&bucket))), Ok(Some(bucket)));
        assert_eq!(decode::<DpuId>(None), Ok(None));
        assert!(decode::<Source>(Some(&encode(&event))).is_err());
        assert!(decode::<DpuId>(Some("%%%")).is_err());
        assert!(decode::<EventKey>(Some(&URL_SAFE_NO_PAD.encode("event/1/2"))).is_err());
    }
}

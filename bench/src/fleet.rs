//! DPUs, what they see, and what the right counts are.
//!
//! DPU d hangs alone over a doorway between outside and room d / 2. It sees one person every half minute or so, one way or
//! the other, from `BEGINNING_MS` on. Counts start anew every day at 04:00.

use std::fmt::Write;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use occupancy::time::{DAY_MS, UnixMs};

/// 2024-01-01T04:00:00Z, a reset.
const BEGINNING_MS: i64 = 1_704_081_600_000;
/// One crossing of each DPU falls in each step.
const STEP_MS: i64 = 30_000;

/// A crossing as a DPU saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) at_ms: i64,
    pub(crate) direction: i8,
    /// From 1.
    pub(crate) seq: usize,
}

/// DPUs of equal diligence.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) dpus: usize,
    pub(crate) per_dpu: usize,
    /// Per DPU, the net of its first n crossings at n.
    net: Vec<Vec<i32>>,
}

impl Fleet {
    pub(crate) fn new(dpus: usize, per_dpu: usize) -> Self {
        let sums = |dpu| {
            let steps = (0..per_dpu).scan(0, |net, k| {
                *net += i32::from(seen(dpu, k).direction);
                Some(*net)
            });
            std::iter::once(0).chain(steps).collect()
        };
        Self { dpus, per_dpu, net: (0..dpus).map(sums).collect() }
    }

    /// How many crossings there are in all.
    pub(crate) fn crossings(&self) -> usize {
        self.dpus * self.per_dpu
    }

    /// How many rooms there are.
    pub(crate) fn rooms(&self) -> usize {
        self.dpus.div_ceil(2)
    }

    /// How much history there is, in ms.
    pub(crate) fn span_ms(&self) -> i64 {
        i64::try_from(self.per_dpu).unwrap_or(i64::MAX) * STEP_MS
    }

    /// The spaces, doorways and installations, as the document of the root `campus`.
    pub(crate) fn topology(&self) -> String {
        self.topology_from("04:00")
    }

    /// The same, with days that begin at a time of the clock.
    pub(crate) fn topology_from(&self, reset: &str) -> String {
        self.document(reset, "", |dpu| format!("room-{}", dpu / 2))
    }

    /// The same, with a hall in the room behind each doorway.
    pub(crate) fn with_halls(&self) -> String {
        let halls = (0..self.dpus).map(|dpu| format!(r#",{{"id":"hall-{dpu}","parent":"room-{}"}}"#, dpu / 2));
        self.document("04:00", &halls.collect::<String>(), |dpu| format!("hall-{dpu}"))
    }

    /// With more spaces than the rooms, and what is behind the doorway of each DPU.
    fn document(&self, reset: &str, more: &str, behind: impl Fn(usize) -> String) -> String {
        let rooms = (0..self.rooms()).map(|room| format!(r#",{{"id":"room-{room}","parent":"campus"}}"#));
        let doorways = (0..self.dpus).map(|dpu| format!(r#"{{"id":"door-{dpu}","between":["outside","{}"]}}"#, behind(dpu)));
        let hung = (0..self.dpus)
            .map(|dpu| format!(r#"{{"dpu":"d{dpu}","doorway":"door-{dpu}","enters":"{}","from":"2024-01-01T00:00:00Z"}}"#, behind(dpu)));
        format!(
            r#"{{"space":[{{"id":"campus","time_zone":"UTC"}}{}{more}],"reset":[{{"space":"campus","at":"{reset}","from":"2024-01-01T00:00:00Z"}}],"doorway":[{}],"installation":[{}]}}"#,
            rooms.collect::<String>(),
            doorways.collect::<Vec<_>>().join(","),
            hung.collect::<Vec<_>>().join(","),
        )
    }

    /// The instant this long after the beginning.
    pub(crate) fn instant(after_ms: i64) -> Result<UnixMs> {
        Ok(UnixMs::new(BEGINNING_MS + after_ms)?)
    }

    /// The ends of the days there are, each the last ms before a reset.
    pub(crate) fn day_ends(&self) -> impl Iterator<Item = i64> {
        (1..=self.span_ms() / DAY_MS + 1).map(|days| days * DAY_MS - 1)
    }

    /// The right raw count of a room (of the campus if none) this long after the beginning.
    pub(crate) fn raw(&self, room: Option<usize>, after_ms: i64) -> i64 {
        self.net_of(room.map_or(0..self.dpus, |room| self.of_room(room)), after_ms)
    }

    /// The DPUs of a room.
    pub(crate) fn of_room(&self, room: usize) -> Range<usize> {
        room * 2..(room * 2 + 2).min(self.dpus)
    }

    /// The net of what some DPUs saw since the last reset, this long after the beginning.
    pub(crate) fn net_of(&self, dpus: Range<usize>, after_ms: i64) -> i64 {
        let reset_ms = after_ms.div_euclid(DAY_MS) * DAY_MS;
        dpus.map(|dpu| self.net_before(dpu, after_ms + 1) - self.net_before(dpu, reset_ms)).sum()
    }

    /// The net of what a DPU saw earlier than this long after the beginning.
    pub(crate) fn net_before(&self, dpu: usize, before_ms: i64) -> i64 {
        let whole = usize::try_from(before_ms / STEP_MS).unwrap_or(0).min(self.per_dpu);
        let partly = whole < self.per_dpu && seen(dpu, whole).at_ms < BEGINNING_MS + before_ms;
        let sums = self.net.get(dpu).and_then(|sums| sums.get(whole + usize::from(partly)));
        sums.copied().map_or(0, i64::from)
    }
}

/// The crossing number k, from 0, of a DPU.
pub(crate) fn seen(dpu: usize, k: usize) -> Seen {
    let random = mix((dpu as u64) << 32 | k as u64);
    let late_ms = (random >> 8) % STEP_MS.unsigned_abs();
    let at_ms = BEGINNING_MS + (k as i64) * STEP_MS + late_ms.cast_signed();
    Seen { at_ms, direction: if random & 1 == 0 { 1 } else { -1 }, seq: k + 1 }
}

/// A crossing at this moment.
#[allow(clippy::disallowed_methods, reason = "a load tool is a device with a clock")]
pub(crate) fn now(direction: i8, seq: usize) -> Result<Seen> {
    let at_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    Ok(Seen { at_ms, direction, seq })
}

/// A report of a fleet's DPU, its crossings of these numbers, as JSON.
pub(crate) fn report_of(dpu: usize, numbers: Range<usize>) -> Result<String> {
    report(&format!("d{dpu}"), numbers.map(|k| seen(dpu, k)))
}

/// A report of what a DPU saw, as JSON.
pub(crate) fn report(dpu: &str, seen: impl IntoIterator<Item = Seen>) -> Result<String> {
    let mut body = format!(r#"{{"dpu_id":"{dpu}","boot":1,"crossings":["#);
    for (n, Seen { at_ms, direction, seq }) in seen.into_iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        write!(body, r#"{comma}{{"at":"{}","direction":{direction},"seq":{seq}}}"#, UnixMs::new(at_ms)?)?;
    }
    body.push_str("]}");
    Ok(body)
}

/// The hour that began half a day before an instant, as a time of the clock: a day that begins then is that old.
pub(crate) fn half_a_day_before(at_ms: i64) -> String {
    format!("{:02}:00", (at_ms.rem_euclid(DAY_MS) / 3_600_000 + 12) % 24)
}

/// A number that looks random: splitmix64.
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A room for each of so many DPUs, each over its only doorway; `resets` are those of the document.
pub(crate) fn rooms(count: usize, dpu: &str, resets: &str) -> String {
    let each = |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"space":[{{"id":"campus","time_zone":"UTC"}},{}],"reset":[{resets}],"doorway":[{}],"installation":[{}]}}"#,
        each(&|room| format!(r#"{{"id":"room-{room}","parent":"campus"}}"#)),
        each(&|room| format!(r#"{{"id":"door-{room}","between":["outside","room-{room}"]}}"#)),
        each(&|room| format!(r#"{{"dpu":"{dpu}{room}","doorway":"door-{room}","enters":"room-{room}","from":"2024-01-01T00:00:00Z"}}"#)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_what_adding_up_says() {
        let fleet = Fleet::new(4, 6_000);
        for i in 0..500_u64 {
            let after_ms = (mix(i) % fleet.span_ms().unsigned_abs()).cast_signed();
            let reset_ms = after_ms / DAY_MS * DAY_MS;
            let since = BEGINNING_MS + reset_ms..=BEGINNING_MS + after_ms;
            let added = |dpu| (0..fleet.per_dpu).map(move |k| seen(dpu, k)).filter(|seen| since.contains(&seen.at_ms));
            let net = |dpu| added(dpu).map(|seen| i64::from(seen.direction)).sum::<i64>();
            assert_eq!(fleet.raw(Some(1), after_ms), net(2) + net(3));
            assert_eq!(fleet.raw(None, after_ms), (0..4).map(net).sum::<i64>());
        }
    }
}

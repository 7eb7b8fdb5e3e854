//! What hangs over each lane of a doorway, from when on, and what the installers believe.

use occupancy::id::DpuId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::Side;

use crate::campus::{Campus, CampusError, Door};

/// A DPU over a lane, until the lane's next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hang {
    pub(crate) from: UnixMs,
    pub(crate) dpu: usize,
    /// Whether +1 means a person enters the inner side.
    pub(crate) plus_enters: bool,
}

/// One DPU's width of a doorway.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) door: usize,
    planned: Hang,
    hangs: Vec<Hang>,
}

impl Lane {
    pub(crate) fn new(door: usize, planned: Hang) -> Self {
        Self { door, planned, hangs: vec![planned] }
    }

    /// What hangs there at `at`.
    pub(crate) fn at(&self, at: UnixMs) -> Option<Hang> {
        self.hangs.iter().rev().find(|hang| hang.from <= at).copied()
    }

    fn last(&self) -> Hang {
        self.hangs.last().copied().unwrap_or(self.planned)
    }

    fn hang(&mut self, next: Hang) {
        if self.last().from == next.from {
            self.hangs.pop();
        }
        self.hangs.push(next);
    }
}

impl Campus {
    /// From `from` on the DPU hangs the wrong way round: [`Campus::document`] says so, [`Campus::planned`] does not.
    ///
    /// # Errors
    /// There is no such DPU, or what is known about it later than `from` would be overwritten.
    pub fn flip(&mut self, dpu: &DpuId, from: UnixMs) -> Result<(), CampusError> {
        let (lane, last) = self.hanging(dpu, from)?;
        self.rehang(lane, Hang { from, plus_enters: !last.plus_enters, ..last });
        Ok(())
    }

    /// At `at` two DPUs change places: [`Campus::document`] says so, [`Campus::planned`] does not.
    ///
    /// # Errors
    /// There is no such DPU, or what is known about one of them later than `at` would be overwritten.
    pub fn swap(&mut self, one: &DpuId, other: &DpuId, at: UnixMs) -> Result<(), CampusError> {
        let (lane, last) = self.hanging(one, at)?;
        let (other_lane, other_last) = self.hanging(other, at)?;
        self.rehang(lane, Hang { from: at, dpu: other_last.dpu, plus_enters: last.plus_enters });
        self.rehang(other_lane, Hang { from: at, dpu: last.dpu, plus_enters: other_last.plus_enters });
        Ok(())
    }

    /// Where a DPU hangs last, if nothing is known about it later than `from`.
    fn hanging(&self, dpu: &DpuId, from: UnixMs) -> Result<(usize, Hang), CampusError> {
        let unknown = || CampusError::UnknownDpu(dpu.clone());
        let index = self.dpus.iter().position(|one| one == dpu).ok_or_else(unknown)?;
        let mut hangs = self.lanes.iter().map(Lane::last).enumerate();
        let (lane, last) = hangs.find(|(_, hang)| hang.dpu == index).ok_or_else(unknown)?;
        if from < last.from {
            return Err(CampusError::TooEarly { dpu: dpu.clone(), from, last: last.from });
        }
        Ok((lane, last))
    }

    fn rehang(&mut self, lane: usize, next: Hang) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.hang(next);
        }
    }

    /// The installations, as they truly are or as they were planned.
    pub(crate) fn installations(&self, planned: bool) -> Vec<Installation> {
        let mut found = Vec::new();
        for lane in &self.lanes {
            let Some(door) = self.doors.get(lane.door) else { continue };
            let hangs = if planned { std::slice::from_ref(&lane.planned) } else { &lane.hangs };
            let ends = hangs.iter().skip(1).map(|next| Some(next.from)).chain([None]);
            found.extend(hangs.iter().zip(ends).filter_map(|(hang, to)| {
                let enters = self.side(if hang.plus_enters { Some(door.inner) } else { door.outer });
                Some(Installation { dpu: self.dpus.get(hang.dpu)?.clone(), from: hang.from, to, doorway: door.id.clone(), enters })
            }));
        }
        found
    }

    /// A place, or outside.
    pub(crate) fn side(&self, place: Option<usize>) -> Side {
        place.and_then(|place| self.places.get(place)).map_or(Side::Outside, |place| Side::Space(place.space.id.clone()))
    }
}

impl Door {
    /// What is on the other side from `here`; `None` is outside.
    pub(crate) fn other(&self, here: Option<usize>) -> Option<usize> {
        if here == Some(self.inner) { self.outer } else { Some(self.inner) }
    }
}

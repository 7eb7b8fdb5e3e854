//! A campus grown from a seed: buildings with floors and rooms, doorways between them, and a DPU over every lane.
//!
//! In each building one can reach every place from its hub (the lobby, or the building itself where it has none): floors
//! lie behind the hub, rooms behind their floor. Hubs have entrances from outside, and some a passage to their neighbour.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::NaiveTime;
use chrono_tz::Tz;
use occupancy::id::{DoorwayId, DpuId, IdError, SpaceId};
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Reset, Space};

use crate::hang::{Hang, Lane};
use crate::rng::Rng;

/// The fewest DPUs a campus has: an entrance, a floor, a room.
pub const MIN_DPUS: u32 = 3;
/// The most DPUs a campus has.
pub const MAX_DPUS: u32 = 100_000;

/// What to build.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// The root space; every other id begins with it.
    pub root: SpaceId,
    /// How many DPUs there are: buildings are added until they are used up.
    pub dpus: u32,
    /// Floors per building.
    pub floors: u32,
    /// Rooms per floor.
    pub rooms: u32,
    /// The zone of the root.
    pub time_zone: Tz,
    /// When counts start anew each day, local; `None` for never.
    pub reset: Option<NaiveTime>,
    /// From when on all of it is there.
    pub since: UnixMs,
    /// Another seed, another campus.
    pub seed: u64,
}

impl Blueprint {
    /// Buildings of three floors with eight rooms each, in UTC, without resets.
    #[must_use]
    pub fn new(root: SpaceId, dpus: u32, since: UnixMs, seed: u64) -> Self {
        Self { root, dpus, floors: 3, rooms: 8, time_zone: Tz::UTC, reset: None, since, seed }
    }
}

/// Why there is no such campus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CampusError {
    /// Too few or too many DPUs.
    #[error("a campus has {MIN_DPUS} to {MAX_DPUS} DPUs, not {0}")]
    Dpus(u32),
    /// A building without floors, or a floor without rooms.
    #[error("a building has at least one floor and a floor at least one room, not {floors} and {rooms}")]
    Empty {
        /// Floors asked for.
        floors: u32,
        /// Rooms asked for.
        rooms: u32,
    },
    /// The root's id leaves no room for the ids below it.
    #[error("{id} is no id: {error}; choose a shorter name for the campus")]
    Id {
        /// The id that came out.
        id: String,
        /// What is wrong with it.
        error: IdError,
    },
    /// No DPU of that id.
    #[error("this campus has no DPU {0}")]
    UnknownDpu(DpuId),
    /// The DPU was hung later than that.
    #[error("DPU {dpu} was last hung at {last}: it cannot be hung anew at {from}")]
    TooEarly {
        /// The sensor.
        dpu: DpuId,
        /// The instant asked for.
        from: UnixMs,
        /// When it was last hung.
        last: UnixMs,
    },
}

/// A space, and how one gets there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) space: Space,
    pub(crate) parent: Option<usize>,
    /// The doorway on the way in from outside; `None` where nobody stands.
    pub(crate) way: Option<usize>,
    pub(crate) building: usize,
}

/// The places of a building where people stand.
#[derive(Debug, Clone)]
pub(crate) struct Building {
    /// The hub first.
    pub(crate) places: Range<usize>,
    /// Doorways of the hub that lead out of the building.
    pub(crate) exits: Vec<usize>,
}

/// A doorway and its lanes.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) id: DoorwayId,
    /// `None` is outside.
    pub(crate) outer: Option<usize>,
    pub(crate) inner: usize,
    pub(crate) lanes: Range<usize>,
}

/// A campus.
#[derive(Debug, Clone)]
pub struct Campus {
    pub(crate) blueprint: Blueprint,
    /// A parent before its children.
    pub(crate) places: Vec<Place>,
    pub(crate) index: BTreeMap<SpaceId, usize>,
    pub(crate) buildings: Vec<Building>,
    pub(crate) doors: Vec<Door>,
    /// Doorways from outside.
    pub(crate) entrances: Vec<usize>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) dpus: Vec<DpuId>,
}

impl Campus {
    /// Builds it.
    ///
    /// # Errors
    /// The blueprint asks for something that cannot be.
    pub fn new(blueprint: Blueprint) -> Result<Self, CampusError> {
        let Blueprint { dpus, floors, rooms, .. } = blueprint;
        if !(MIN_DPUS..=MAX_DPUS).contains(&dpus) {
            return Err(CampusError::Dpus(dpus));
        }
        if floors == 0 || rooms == 0 {
            return Err(CampusError::Empty { floors, rooms });
        }
        let mut rng = Rng::new(blueprint.seed);
        let mut campus = Self {
            places: Vec::new(),
            index: BTreeMap::new(),
            buildings: Vec::new(),
            doors: Vec::new(),
            entrances: Vec::new(),
            lanes: Vec::new(),
            dpus: Vec::new(),
            blueprint,
        };
        let root = campus.blueprint.root.to_string();
        campus.add_space(&root, None, "Campus".to_owned(), None)?;
        while !campus.is_full() {
            campus.add_building(&mut rng)?;
        }
        Ok(campus)
    }

    /// Its spaces, doorways and installations as they truly are.
    #[must_use]
    pub fn document(&self) -> Document {
        self.describe(false)
    }

    /// The same as the installers believe it to be, who know of no flipped and no moved DPU.
    #[must_use]
    pub fn planned(&self) -> Document {
        self.describe(true)
    }

    /// The root space.
    #[must_use]
    pub fn root(&self) -> &SpaceId {
        &self.blueprint.root
    }

    /// Every DPU.
    #[must_use]
    pub fn dpus(&self) -> &[DpuId] {
        &self.dpus
    }

    fn describe(&self, planned: bool) -> Document {
        let Blueprint { root, reset, since, .. } = &self.blueprint;
        let doorway =
            |door: &Door| Doorway { id: door.id.clone(), name: None, between: [self.side(door.outer), self.side(Some(door.inner))] };
        Document {
            spaces: self.places.iter().map(|place| place.space.clone()).collect(),
            resets: reset.iter().map(|at| Reset { space: root.clone(), from: *since, at: Some(*at) }).collect(),
            doorways: self.doors.iter().map(doorway).collect(),
            installations: self.installations(planned),
        }
    }

    fn is_full(&self) -> bool {
        self.dpus.len() as u64 >= u64::from(self.blueprint.dpus)
    }

    fn add_building(&mut self, rng: &mut Rng) -> Result<(), CampusError> {
        let number = self.buildings.len() + 1;
        let id = format!("{}-b{number}", self.blueprint.root);
        let whole = self.add_space(&id, Some(0), format!("Building {number}"), None)?;
        let has_lobby = number == 1 || !rng.chance(250);
        let hub = if has_lobby { self.add_space(&format!("{id}-lobby"), Some(whole), "Lobby".to_owned(), None)? } else { whole };
        let entrance = self.add_doorway(&format!("{id}-entrance-1"), None, hub, rng.chance(500), rng)?;
        self.set_way(hub, entrance);
        let mut exits = vec![entrance];
        for floor in 1..=self.blueprint.floors {
            let at = format!("{id}-f{floor}");
            let Some(corridor) = self.add_place(&at, whole, hub, format!("Floor {floor}"), None, rng)? else { break };
            for room in 1..=self.blueprint.rooms {
                let capacity = 10 + 5 * u32::try_from(rng.below(10)).unwrap_or(0);
                self.add_place(&format!("{at}-r{room}"), corridor, corridor, format!("Room {floor}.{room}"), Some(capacity), rng)?;
            }
        }
        if !self.is_full() {
            exits.push(self.add_doorway(&format!("{id}-entrance-2"), None, hub, false, rng)?);
        }
        self.entrances.extend(&exits);
        if let Some(neighbour) = self.buildings.last().map(|last| last.places.start)
            && !self.is_full()
            && rng.chance(333)
        {
            let passage = self.add_doorway(&format!("{id}-passage"), Some(neighbour), hub, false, rng)?;
            exits.push(passage);
            if let Some(last) = self.buildings.last_mut() {
                last.exits.push(passage);
            }
        }
        self.buildings.push(Building { places: hub..self.places.len(), exits });
        Ok(())
    }

    /// A space behind another, with the doorway between; `None` when no DPU is left for it.
    fn add_place(
        &mut self,
        id: &str,
        parent: usize,
        behind: usize,
        name: String,
        capacity: Option<u32>,
        rng: &mut Rng,
    ) -> Result<Option<usize>, CampusError> {
        if self.is_full() {
            return Ok(None);
        }
        let place = self.add_space(id, Some(parent), name, capacity)?;
        let door = self.add_doorway(&format!("{id}-door"), Some(behind), place, rng.chance(100), rng)?;
        self.set_way(place, door);
        Ok(Some(place))
    }

    fn add_space(&mut self, id: &str, parent: Option<usize>, name: String, capacity: Option<u32>) -> Result<usize, CampusError> {
        let place = self.places.len();
        let id: SpaceId = named(id)?;
        self.index.insert(id.clone(), place);
        let space = Space {
            id,
            parent: parent.and_then(|parent| self.places.get(parent)).map(|parent| parent.space.id.clone()),
            name: Some(name),
            time_zone: parent.is_none().then_some(self.blueprint.time_zone),
            capacity,
        };
        self.places.push(Place { space, parent, way: None, building: self.buildings.len() });
        Ok(place)
    }

    fn set_way(&mut self, place: usize, door: usize) {
        if let Some(place) = self.places.get_mut(place) {
            place.way = Some(door);
        }
    }

    /// A doorway with a DPU, or two side by side where it is wide; every fourth DPU hangs with its +1 towards the outer side.
    fn add_doorway(&mut self, id: &str, outer: Option<usize>, inner: usize, wide: bool, rng: &mut Rng) -> Result<usize, CampusError> {
        let door = self.doors.len();
        let first = self.lanes.len();
        for _ in 0..=usize::from(wide) {
            if self.is_full() {
                break;
            }
            let dpu = self.dpus.len();
            self.dpus.push(named(&format!("{}-dpu-{}", self.blueprint.root, dpu + 1))?);
            self.lanes.push(Lane::new(door, Hang { from: self.blueprint.since, dpu, plus_enters: !rng.chance(250) }));
        }
        self.doors.push(Door { id: named(id)?, outer, inner, lanes: first..self.lanes.len() });
        Ok(door)
    }
}

fn named<T: for<'a> TryFrom<&'a str, Error = IdError>>(id: &str) -> Result<T, CampusError> {
    T::try_from(id).map_err(|error| CampusError::Id { id: id.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint(dpus: u32) -> Blueprint {
        Blueprint::new("campus".parse().unwrap(), dpus, UnixMs::CLOCK_SET, 5)
    }

    #[test]
    fn every_size_is_a_sound_topology_with_exactly_its_dpus() {
        for dpus in [3, 4, 5, 10, 33, 100, 1000] {
            let document = Campus::new(blueprint(dpus)).unwrap().document();
            document.check(&"campus".parse().unwrap()).unwrap();
            assert_eq!(document.installations.len(), dpus as usize);
        }
    }

    #[test]
    fn the_largest_campus_is_built() {
        let campus = Campus::new(blueprint(MAX_DPUS)).unwrap();
        assert_eq!(campus.dpus().len(), 100_000);
        assert!(campus.places.len() > 80_000);
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        assert_eq!(Campus::new(blueprint(2)).unwrap_err(), CampusError::Dpus(2));
        assert_eq!(Campus::new(blueprint(100_001)).unwrap_err(), CampusError::Dpus(100_001));
        let no_rooms = Campus::new(Blueprint { rooms: 0, ..blueprint(3) });
        assert_eq!(no_rooms.unwrap_err(), CampusError::Empty { floors: 3, rooms: 0 });
        let long = Blueprint::new("c".repeat(60).parse().unwrap(), 3, UnixMs::CLOCK_SET, 5);
        assert!(matches!(Campus::new(long).unwrap_err(), CampusError::Id { error: IdError::TooLong(_), .. }));
    }

    #[test]
    fn flips_and_swaps_are_dated_installations_the_plan_does_not_know() {
        let mut campus = Campus::new(blueprint(10)).unwrap();
        let (root, planned) = (campus.root().clone(), campus.planned());
        let [a, b, c] = [0, 4, 7].map(|i| campus.dpus()[i].clone());
        let later = UnixMs::CLOCK_SET.plus_ms(1000);
        campus.flip(&c, UnixMs::CLOCK_SET).unwrap();
        campus.swap(&a, &b, later).unwrap();
        campus.flip(&b, later.plus_ms(1000)).unwrap();
        let truth = campus.document();
        truth.check(&root).unwrap();
        assert_eq!(campus.planned(), planned);
        assert_eq!(truth.installations.len(), 10 + 2 + 1);
        let of_b: Vec<_> = truth.installations.iter().filter(|one| one.dpu == b).map(|one| (one.from, one.to)).collect();
        assert_eq!(of_b, [(later, Some(later.plus_ms(1000))), (later.plus_ms(1000), None), (UnixMs::CLOCK_SET, Some(later))]);
        assert_eq!(campus.flip(&a, UnixMs::CLOCK_SET), Err(CampusError::TooEarly { dpu: a, from: UnixMs::CLOCK_SET, last: later }));
        assert!(matches!(campus.flip(&"nobody".parse().unwrap(), later), Err(CampusError::UnknownDpu(_))));
    }
}

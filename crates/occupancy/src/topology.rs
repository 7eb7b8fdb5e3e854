//! Spaces, doorways and resets under one root, as one document, and the rules such a document keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use chrono::NaiveTime;
use chrono_tz::Tz;

use crate::id::{DoorwayId, DpuId, IdError, OUTSIDE, SpaceId};
use crate::installation::{Installation, InstallationError, in_order};
use crate::time::UnixMs;

/// How many levels a space may lie below its root: what is asked of a space walks up and down the tree.
pub const MAX_DEPTH: usize = 32;

/// One side of a doorway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What lies beyond every space.
    Outside,
    /// A space.
    Space(SpaceId),
}

impl Side {
    /// The space, if it is one.
    #[must_use]
    pub fn space(&self) -> Option<&SpaceId> {
        match self {
            Self::Outside => None,
            Self::Space(id) => Some(id),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.space().map_or(OUTSIDE, SpaceId::as_str))
    }
}

impl FromStr for Side {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == OUTSIDE { Ok(Self::Outside) } else { text.parse().map(Self::Space) }
    }
}

/// A room, floor, building or campus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Its id.
    pub id: SpaceId,
    /// What it is part of; `None` for a root.
    pub parent: Option<SpaceId>,
    /// For people.
    pub name: Option<String>,
    /// Its zone; inherited from the parent when `None`, UTC at a root.
    pub time_zone: Option<Tz>,
    /// How many people it is meant for.
    pub capacity: Option<u32>,
}

/// From `from` on, the space starts each day anew at local time `at`, or (`None`) never, until its next entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reset {
    /// Whose.
    pub space: SpaceId,
    /// In force from this instant on.
    pub from: UnixMs,
    /// Local wall-clock time; `None` for a space that never closes.
    pub at: Option<NaiveTime>,
}

/// An opening between two different sides, at least one of them a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doorway {
    /// Its id.
    pub id: DoorwayId,
    /// For people.
    pub name: Option<String>,
    /// Its sides, which never change: a rebuilt doorway is a new one.
    pub between: [Side; 2],
}

impl Doorway {
    /// Whether both have the same sides, in either order.
    #[must_use]
    pub fn same_sides(a: &[Side; 2], b: &[Side; 2]) -> bool {
        let ([a0, a1], [b0, b1]) = (a, b);
        (a0 == b0 && a1 == b1) || (a0 == b1 && a1 == b0)
    }
}

/// Everything under one root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The root and all below it.
    pub spaces: Vec<Space>,
    /// Daily resets, dated.
    pub resets: Vec<Reset>,
    /// Doorways between these spaces and outside.
    pub doorways: Vec<Doorway>,
    /// What hung over these doorways, when.
    pub installations: Vec<Installation>,
}

/// Why a topology cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// No root.
    #[error("space {root} is not in the document, or has a parent: the document of {root} holds {root} itself, without a parent")]
    NoRoot {
        /// The root asked for.
        root: SpaceId,
    },
    /// Two spaces without a parent.
    #[error("space {second} has no parent either: one document holds one root, here {root}")]
    SecondRoot {
        /// The root.
        root: SpaceId,
        /// The other.
        second: SpaceId,
    },
    /// An id stands twice in the document.
    #[error("{kind} {id} stands twice in the document")]
    Twice {
        /// "space" or "doorway" or "reset of".
        kind: &'static str,
        /// The id.
        id: String,
    },
    /// A parent is missing.
    #[error("space {space} has parent {parent}, which is not in the document")]
    UnknownParent {
        /// The child.
        space: SpaceId,
        /// The missing parent.
        parent: SpaceId,
    },
    /// Parents lead in a circle.
    #[error("space {space} is its own ancestor")]
    Cycle {
        /// A space on the circle.
        space: SpaceId,
    },
    /// A space stands too far below the root.
    #[error("space {space} lies more than {MAX_DEPTH} levels below the root")]
    TooDeep {
        /// The space.
        space: SpaceId,
    },
    /// A reset, doorway or correction names no space of the document.
    #[error("{what} names space {space}, which is not in the document")]
    UnknownSpace {
        /// What names it.
        what: String,
        /// The missing space.
        space: SpaceId,
    },
    /// Both sides of a doorway are the same.
    #[error("doorway {doorway} has {side} on both sides")]
    SameSides {
        /// The doorway.
        doorway: DoorwayId,
        /// Its only side.
        side: Side,
    },
    /// An installation names no doorway of the document.
    #[error("an installation of DPU {dpu} names doorway {doorway}, which does not exist")]
    UnknownDoorway {
        /// The sensor.
        dpu: DpuId,
        /// The missing doorway.
        doorway: DoorwayId,
    },
    /// An installation enters a side its doorway does not have.
    #[error("DPU {dpu} over doorway {doorway} enters {enters}, but that doorway is between {} and {}", between[0], between[1])]
    NotASide {
        /// The sensor.
        dpu: DpuId,
        /// The doorway.
        doorway: DoorwayId,
        /// The side named.
        enters: Side,
        /// The sides there are.
        between: [Side; 2],
    },
    /// The installations of a DPU contradict each other.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// An id belongs to another root.
    #[error(
        "{kind} {id} already stands under root {root}: ids are unique in the deployment, so take it away there before it can stand under {wanted}"
    )]
    Taken {
        /// "space" or "doorway".
        kind: &'static str,
        /// The id.
        id: String,
        /// The root that has it.
        root: SpaceId,
        /// The root that wants it.
        wanted: SpaceId,
    },
    /// A doorway would get other sides.
    #[error("doorway {doorway} is between {} and {}: a rebuilt doorway needs a new id", was[0], was[1])]
    SidesChanged {
        /// The doorway.
        doorway: DoorwayId,
        /// The sides it has always had.
        was: [Side; 2],
    },
    /// Something would vanish, and with it part of the past.
    #[error("this would remove {}: say so (allow_removal) if that is meant", listed(.0))]
    Removal(Vec<String>),
}

/// The first of a list, and how many more there are.
fn listed(things: &[String]) -> String {
    let shown: Vec<&str> = things.iter().take(20).map(String::as_str).collect();
    let more = things.len() - shown.len();
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

impl Document {
    /// Checks the document by itself; `root` must be its one root.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check(&self, root: &SpaceId) -> Result<(), TopologyError> {
        let parents = self.check_tree(root)?;
        let known = |what: &dyn Fn() -> String, space: &SpaceId| {
            if parents.contains_key(space) { Ok(()) } else { Err(TopologyError::UnknownSpace { what: what(), space: space.clone() }) }
        };
        let mut entries = BTreeSet::new();
        for reset in &self.resets {
            known(&|| "a reset".to_owned(), &reset.space)?;
            if !entries.insert((&reset.space, reset.from)) {
                return Err(TopologyError::Twice { kind: "a reset of", id: format!("{} from {}", reset.space, reset.from) });
            }
        }
        let mut doorways = BTreeMap::new();
        for doorway in &self.doorways {
            let [a, b] = &doorway.between;
            if a == b {
                return Err(TopologyError::SameSides { doorway: doorway.id.clone(), side: a.clone() });
            }
            for space in doorway.between.iter().filter_map(Side::space) {
                known(&|| format!("doorway {}", doorway.id), space)?;
            }
            if doorways.insert(&doorway.id, doorway).is_some() {
                return Err(TopologyError::Twice { kind: "doorway", id: doorway.id.to_string() });
            }
        }
        for installation in &self.installations {
            check_side(installation, doorways.get(&installation.doorway).copied())?;
        }
        for list in by_dpu(&self.installations).into_values() {
            in_order(list)?;
        }
        Ok(())
    }

    /// Every space with its parent, once they are known to form one tree under `root`.
    fn check_tree(&self, root: &SpaceId) -> Result<BTreeMap<&SpaceId, Option<&SpaceId>>, TopologyError> {
        let mut parents = BTreeMap::new();
        for space in &self.spaces {
            if parents.insert(&space.id, space.parent.as_ref()).is_some() {
                return Err(TopologyError::Twice { kind: "space", id: space.id.to_string() });
            }
        }
        if parents.get(root) != Some(&None) {
            return Err(TopologyError::NoRoot { root: root.clone() });
        }
        for space in parents.keys() {
            let mut path = Vec::new();
            let mut here = *space;
            while here != root {
                if path.contains(&here) {
                    return Err(TopologyError::Cycle { space: here.clone() });
                }
                if path.len() == MAX_DEPTH {
                    return Err(TopologyError::TooDeep { space: (*space).clone() });
                }
                path.push(here);
                let Some(parent) = parents.get(here).copied().flatten() else {
                    return Err(TopologyError::SecondRoot { root: root.clone(), second: here.clone() });
                };
                if !parents.contains_key(parent) {
                    return Err(TopologyError::UnknownParent { space: here.clone(), parent: parent.clone() });
                }
                here = parent;
            }
        }
        Ok(parents)
    }
}

/// Checks that an installation's doorway exists and has the side it enters.
pub(crate) fn check_side(installation: &Installation, doorway: Option<&Doorway>) -> Result<(), TopologyError> {
    let Some(doorway) = doorway else {
        return Err(TopologyError::UnknownDoorway { dpu: installation.dpu.clone(), doorway: installation.doorway.clone() });
    };
    if doorway.between.contains(&installation.enters) {
        return Ok(());
    }
    Err(TopologyError::NotASide {
        dpu: installation.dpu.clone(),
        doorway: doorway.id.clone(),
        enters: installation.enters.clone(),
        between: doorway.between.clone(),
    })
}

/// Installations grouped by their DPU.
pub(crate) fn by_dpu(installations: &[Installation]) -> BTreeMap<DpuId, Vec<Installation>> {
    let mut lists: BTreeMap<DpuId, Vec<Installation>> = BTreeMap::new();
    for one in installations {
        lists.entry(one.dpu.clone()).or_default().push(one.clone());
    }
    lists
}

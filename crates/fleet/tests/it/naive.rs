//! Counting people the plain way: for each crossing, one more in every space entered and one less in every space left.

use std::collections::{BTreeMap, BTreeSet};

use fleet::Sent;
use occupancy::crossing::Crossing;
use occupancy::id::SpaceId;
use occupancy::topology::{Document, Side};

/// The crossings delivered, each once.
pub(crate) fn distinct(sent: &[Sent]) -> BTreeSet<Crossing> {
    let keys = sent.iter().flat_map(|sent| sent.report.crossings.iter().map(|key| (&sent.report.dpu, key.as_ref().unwrap())));
    keys.map(|(dpu, key)| Crossing { dpu: dpu.clone(), key: *key }).collect()
}

/// People in each space, by every crossing of the set, in the spaces and installations of a document.
pub(crate) fn count<'a>(document: &Document, crossings: impl IntoIterator<Item = &'a Crossing>) -> Vec<(SpaceId, i64)> {
    let parents: BTreeMap<&SpaceId, Option<&SpaceId>> = document.spaces.iter().map(|space| (&space.id, space.parent.as_ref())).collect();
    let mut counts: BTreeMap<&SpaceId, i64> = parents.keys().map(|space| (*space, 0)).collect();
    for crossing in crossings {
        let hung = |one: &&occupancy::installation::Installation| one.dpu == crossing.dpu && one.covers(crossing.key.at);
        let one = document.installations.iter().find(hung).unwrap();
        let [a, b] = &document.doorways.iter().find(|doorway| doorway.id == one.doorway).unwrap().between;
        let other = if *a == one.enters { b } else { a };
        for (side, change) in [(&one.enters, crossing.key.direction.sign()), (other, -crossing.key.direction.sign())] {
            let mut here = Side::space(side);
            while let Some(space) = here {
                *counts.get_mut(space).unwrap() += change;
                here = parents[space];
            }
        }
    }
    document.spaces.iter().map(|space| (space.id.clone(), counts[&space.id])).collect()
}

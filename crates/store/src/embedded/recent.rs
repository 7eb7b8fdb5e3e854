//! Records kept as they are stored, so that a commit need not look for those of its DPUs in the tree.
//!
//! # Guarantees
//!
//! What is kept is what is stored: one write at a time takes it all, changes it with what it writes, and gives it back once
//! that is durable. A write that fails gives nothing back.

use std::collections::HashMap;

use fjall::Slice;
use occupancy::id::DpuId;

/// How many records are kept, in some 3 MB: those of the DPUs that report first, as one DPU reports about as often as
/// another. A larger fleet would only push its own out again and again.
const MOST: usize = 28_000;

/// Records by DPU.
#[derive(Default)]
pub(super) struct Recent(HashMap<DpuId, Slice>);

impl Recent {
    /// Where the record of a DPU is kept, if there is room; empty while it is not known.
    pub(super) fn place(&mut self, dpu: &DpuId) -> Option<&mut Slice> {
        if self.0.len() < MOST {
            return Some(self.0.entry(dpu.clone()).or_insert_with(|| Slice::from([])));
        }
        self.0.get_mut(dpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_come_are_kept() {
        let mut recent = Recent::default();
        for n in 0..MOST + 2 {
            let dpu: DpuId = format!("d{n}").parse().unwrap();
            let place = recent.place(&dpu);
            assert_eq!(place.as_ref().map(|kept| kept.is_empty()), (n < MOST).then_some(true), "{n}");
            place.into_iter().for_each(|kept| *kept = Slice::from(n.to_le_bytes()));
        }
        let first = recent.place(&"d7".parse().unwrap()).cloned();
        assert_eq!(first.as_deref(), Some(&7_usize.to_le_bytes()[..]));
    }
}

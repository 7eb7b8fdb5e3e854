//! The counters a lane knows: those of the DPUs it has seen, as they are stored.

use std::collections::HashMap;

use occupancy::id::DpuId;
use occupancy::ledger::Counters;

/// Where the counters of a DPU are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat(usize);

/// Each DPU is looked up once a record; from there on its seat is known.
///
/// By the standard library's hash, which nobody outside can steer: ids are what firmware says.
#[derive(Debug, Default)]
pub(crate) struct Known {
    seats: HashMap<DpuId, Seat>,
    /// By seat, the last batch with records of it, and its share there: apart from the counters, as each record asks.
    shares: Vec<(u64, usize)>,
    /// By seat; `None` until they are read.
    counters: Vec<Option<Counters>>,
    batches: u64,
}

impl Known {
    /// Begins a batch.
    pub(crate) fn begin(&mut self) {
        self.batches += 1;
    }

    /// The seat of a DPU, and its share of this batch: `next` where it had none.
    pub(crate) fn share(&mut self, dpu: &DpuId, next: usize) -> (Seat, usize) {
        let seat = self.seats.get(dpu).copied().unwrap_or_else(|| self.seat(dpu));
        let batch = self.batches;
        let Some(share) = self.shares.get_mut(seat.0) else { return (seat, next) };
        if share.0 != batch {
            *share = (batch, next);
        }
        (seat, share.1)
    }

    /// A seat for a DPU that has none.
    fn seat(&mut self, dpu: &DpuId) -> Seat {
        let seat = Seat(self.counters.len());
        self.seats.insert(dpu.clone(), seat);
        self.shares.push((0, 0));
        self.counters.push(None);
        seat
    }

    /// What is known of a DPU.
    pub(crate) fn counters(&self, seat: Seat) -> Option<&Counters> {
        self.counters.get(seat.0)?.as_ref()
    }

    /// What is stored by now.
    pub(crate) fn learn(&mut self, seat: Seat, counters: Counters) {
        if let Some(known) = self.counters.get_mut(seat.0) {
            *known = Some(counters);
        }
    }
}

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
    seated: Vec<Seated>,
    batches: u64,
}

#[derive(Debug, Default)]
struct Seated {
    /// `None` until they are read.
    counters: Option<Counters>,
    /// The last batch with records of it, and its share there.
    share: (u64, usize),
}

impl Known {
    /// Begins a batch.
    pub(crate) fn begin(&mut self) {
        self.batches += 1;
    }

    /// The seat of a DPU, and its share of this batch: `next` where it had none.
    pub(crate) fn share(&mut self, dpu: &DpuId, next: usize) -> (Seat, usize) {
        let seat = if let Some(seat) = self.seats.get(dpu) {
            *seat
        } else {
            let seat = Seat(self.seated.len());
            self.seats.insert(dpu.clone(), seat);
            self.seated.push(Seated::default());
            seat
        };
        let batch = self.batches;
        let Some(seated) = self.seated.get_mut(seat.0) else { return (seat, next) };
        if seated.share.0 != batch {
            seated.share = (batch, next);
        }
        (seat, seated.share.1)
    }

    /// What is known of a DPU.
    pub(crate) fn counters(&self, seat: Seat) -> Option<&Counters> {
        self.seated.get(seat.0)?.counters.as_ref()
    }

    /// What is stored by now.
    pub(crate) fn learn(&mut self, seat: Seat, counters: Counters) {
        if let Some(seated) = self.seated.get_mut(seat.0) {
            seated.counters = Some(counters);
        }
    }
}

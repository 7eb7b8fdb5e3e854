//! Totals while a ledger is written.

use std::cell::Cell;
use std::time::Instant;

use futures_util::future::join;
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Record, Totals};
use occupancy::time::UnixMs;
use tokio::task::yield_now;

use super::model::Model;
use super::order::since;
use super::{Lane, Subject, at, dpu, key};
use crate::COMMIT_PATIENCE;
use crate::faults::Rng;

const COMMITS: usize = 60;
const SEED: u64 = 7;

/// A ledger that grows, commit by commit, by late crossings in any of a few days; and how many were begun and are done.
struct Growing {
    id: DpuId,
    states: Vec<Model>,
    begun: Cell<usize>,
    done: Cell<usize>,
    /// How many reads were told in time to be right.
    right: Cell<usize>,
}

impl Growing {
    fn new(commits: &[Vec<Key>]) -> Self {
        let states = (0..=commits.len()).map(|done| commits.iter().take(done).flatten().copied().collect()).collect();
        Self { id: dpu("d1"), states, begun: Cell::new(0), done: Cell::new(0), right: Cell::new(0) }
    }

    async fn write(&self, subject: &impl Subject, commits: &[Vec<Key>]) {
        let mut lane = Lane::default();
        for (n, crossings) in commits.iter().enumerate() {
            self.begun.set(n + 1);
            let record = Record { crossings: crossings.clone().into(), heartbeat: None, appended_at: at(20, 0), position: None };
            lane.take(subject.store(), &[(self.id.clone(), record)]).await.unwrap();
            self.done.set(n + 1);
            // A store that answers in place leaves the other no turn.
            yield_now().await;
        }
    }

    /// Reads until all is written: the totals are those of some state there was meanwhile.
    async fn read(&self, subject: &impl Subject, instants: &[UnixMs]) {
        let asked: Vec<(DpuId, UnixMs)> = instants.iter().map(|at| (self.id.clone(), *at)).collect();
        let since_first = |totals: &[Totals]| totals.iter().map(|one| since(*one, totals[0])).collect::<Vec<_>>();
        let told = |n: usize| instants.iter().map(|at| self.states[n].before(*at)).collect::<Vec<_>>();
        while self.done.get() < self.states.len() - 1 {
            yield_now().await;
            for relative in [false, true] {
                let (least, start) = (self.done.get(), Instant::now());
                let read = if relative { subject.store().relative_totals(&asked) } else { subject.store().totals(&asked) };
                let found = read.await.unwrap();
                let like = |n: usize| if relative { since_first(&told(n)) == since_first(&found) } else { told(n) == found };
                let right = (least..=self.begun.get()).any(like);
                self.right.update(|reads| reads + usize::from(right));
                assert!(right || start.elapsed() >= COMMIT_PATIENCE, "seed {SEED}: since state {least}: {found:?} before {instants:?}");
            }
        }
    }
}

/// What is told of one DPU in one call is of one moment, however late what is written meanwhile.
pub async fn totals_are_of_one_moment_while_others_write(subject: &mut impl Subject) {
    let mut rng = Rng::new(SEED);
    let mut any = |_| key(3 + i32::try_from(rng.below(3)).unwrap(), rng.below(1000).cast_signed(), true);
    let commits: Vec<Vec<Key>> = (0..COMMITS).map(|n| (0..1 + n % 3).map(&mut any).collect()).collect();
    let growing = Growing::new(&commits);
    let days = [at(3, 500), at(4, 500), at(5, 500), at(5, 900), at(20, 0)];
    let readers = join(growing.read(subject, &days), growing.read(subject, &days[2..4]));
    join(growing.write(subject, &commits), readers).await;
    assert!(growing.done.get() == COMMITS && growing.right.get() > 0);
}

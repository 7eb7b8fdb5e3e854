//! Open loop: each of many has its moment, whatever became of those before it, and counts from there.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep_until};

use crate::figure::Latencies;

/// So many a second from a moment on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) start: Instant,
    pub(crate) per_s: f64,
}

impl Rate {
    /// When number i, from 0, is due.
    pub(crate) fn due(self, i: usize) -> Instant {
        self.start + Duration::from_secs_f64(i as f64 / self.per_s)
    }

    /// Does something so many times, which takes no time to speak of.
    pub(crate) async fn each(self, times: usize, mut what: impl FnMut(usize) -> Result<()>) -> Result<()> {
        for i in 0..times {
            sleep_until(self.due(i)).await;
            what(i)?;
        }
        Ok(())
    }

    /// Asks something so many times, over so many connections: as many as never wait for each other unless an answer is
    /// late. Each takes from the moment it was due, so that what one late answer holds up is counted too. The timer may be
    /// late by 1 ms, which counts as the server's.
    pub(crate) async fn ask<C>(
        self,
        times: usize,
        connections: usize,
        open: impl AsyncFn() -> Result<C>,
        ask: impl AsyncFn(&mut C, usize) -> Result<()>,
    ) -> Result<Latencies> {
        let (open, ask) = (&open, &ask);
        let one = async |first: usize| {
            let mut connection = open().await?;
            let mut each = Latencies::default();
            for i in (first..times).step_by(connections) {
                let due = self.due(i);
                sleep_until(due).await;
                ask(&mut connection, i).await?;
                each.push(due.elapsed());
            }
            anyhow::Ok(each)
        };
        let mut each = Latencies::default();
        for more in try_join_all((0..connections).map(one)).await? {
            each.extend(more);
        }
        Ok(each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_one_late_answer_holds_up_is_counted() {
        let rate = Rate { start: Instant::now(), per_s: 10.0 };
        // The first answer takes a second, every other none.
        let answer = async |(): &mut (), i| {
            tokio::time::sleep(Duration::from_secs(u64::from(i == 0))).await;
            Ok(())
        };
        let each = rate.ask(20, 1, async || Ok(()), answer).await.unwrap();
        let took: Vec<f64> = (1..=20).map(|n| (each.percentile_ms(5 * n) / 100.0).round()).collect();
        let held_up: Vec<f64> = [0; 10].into_iter().chain(1..=10).map(f64::from).collect();
        assert_eq!(took, held_up);
    }
}

//! Trying again while the store is unavailable.

use std::future::Future;
use std::time::Duration;

use prometheus::IntCounter;
use store::StoreError;

/// The first pause between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Repeats an attempt until its outcome is known, without end: whoever owns the caller's task may abort it.
pub(crate) async fn until_known<T, F>(retries: &IntCounter, attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(StoreError::Unavailable(why)) => {
                retries.inc();
                tracing::warn!(why, pause_ms = pause.as_millis(), "the store is unavailable, trying again");
            }
            known => return known,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

//! Following: keeps the tables that searches read up to the log, behind the sequencer and never in its way.

use std::time::{Duration, Instant};

use chopmark_store::{Applied, Follower};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::sequencer::Depth;

/// How often to look for what other replicas appended.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Pause after a failure: a database that restarts, or a damaged entry, which only the operator can mend.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Pause after a piece, so that the next one is worth a transaction.
const GATHER: Duration = Duration::from_millis(20);

/// While statements wait for the sequencer, the pause is so many times as long as the piece took: following has at most a
/// quarter of one core then.
const PAUSE_PER_PIECE: u32 = 3;

/// Longest pause; a search waits longer than that for what it was promised.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Starts to follow; ends when the sequencer has: what is left is for the next start. The value is how many entries
/// searches take into account.
pub fn start(
    mut follower: Follower,
    mut committed: watch::Receiver<u64>,
    waiting: Depth,
) -> (watch::Receiver<u64>, tokio::task::JoinHandle<()>) {
    let (applied, receiver) = watch::channel(0);
    let task = tokio::spawn(async move {
        while committed.has_changed().is_ok() {
            let begun = Instant::now();
            match follower.advance().await {
                Ok(Applied { applied_size, size }) => {
                    applied.send_if_modified(|known| core::mem::replace(known, applied_size) != applied_size);
                    let is_behind = applied_size < size;
                    sleep(match (waiting.statements(), is_behind) {
                        (0, false) => GATHER,
                        (0, true) => Duration::ZERO,
                        _ => (begun.elapsed() * PAUSE_PER_PIECE).min(PAUSE_MAX),
                    })
                    .await;
                    if is_behind {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::error!(error = %error, "searches fall behind the log");
                    sleep(RETRY_PAUSE).await;
                }
            }
            tokio::select! {
                changed = committed.changed() => if changed.is_err() { return },
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    });
    (receiver, task)
}

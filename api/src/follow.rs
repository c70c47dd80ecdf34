//! Following: keeps the tables that searches read up to the log, behind the sequencer and never in its way.

use std::time::Duration;

use chopmark_store::{Applied, Follower};
use tokio::sync::watch;

/// How often to look for what other replicas appended.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Pause after a failure: a database that restarts, or a damaged entry, which only the operator can mend.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Starts to follow; ends when the sequencer has. The value is how many entries searches take into account.
pub fn start(
    mut follower: Follower,
    mut committed: watch::Receiver<u64>,
) -> (watch::Receiver<u64>, tokio::task::JoinHandle<()>) {
    let (applied, receiver) = watch::channel(0);
    let task = tokio::spawn(async move {
        loop {
            match follower.advance().await {
                Ok(Applied { applied_size, size }) => {
                    applied.send_if_modified(|known| core::mem::replace(known, applied_size) != applied_size);
                    if applied_size < size {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::error!(error = %error, "searches fall behind the log");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
            tokio::select! {
                changed = committed.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    });
    (receiver, task)
}

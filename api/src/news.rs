//! Telling the other replicas, and hearing them: so that nobody waits for the next look around.
//!
//! A process that signs tells only while somebody else is heard, so that one alone pays nothing for it.

use std::time::Duration;

use chopmark_store::{News, NewsLine, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::publisher::Status;

/// How often a process that does not sign lets itself be heard.
const HELLO: Duration = Duration::from_secs(1);

/// How long after they were last heard others are told.
const OTHERS_GONE: Duration = Duration::from_secs(5);

/// Pause before a broken line is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Starts to tell what is committed and published here, until the sequencer ends. The value is what was heard last.
pub fn start(
    store: Store,
    mut committed: watch::Receiver<u64>,
    mut status: watch::Receiver<Status>,
) -> (watch::Receiver<News>, JoinHandle<()>) {
    let (heard, receiver) = watch::channel(News::default());
    let task = tokio::spawn(async move {
        loop {
            // Silence costs time and nothing else: everybody looks around all the same.
            match store.news_line().await {
                Ok(line) => {
                    if talk(line, &mut committed, &mut status, &heard).await {
                        return;
                    }
                }
                Err(error) => tracing::debug!(error = %error, "no news from other replicas"),
            }
            tokio::select! {
                () = is_over(&mut committed) => return,
                () = sleep(RECONNECT_PAUSE) => {}
            }
        }
    });
    (receiver, task)
}

async fn is_over(committed: &mut watch::Receiver<u64>) {
    while committed.changed().await.is_ok() {}
}

/// Talks until the sequencer ends (true) or the line breaks (false).
async fn talk(
    mut line: NewsLine,
    committed: &mut watch::Receiver<u64>,
    status: &mut watch::Receiver<Status>,
    heard: &watch::Sender<News>,
) -> bool {
    let mut others_until = Instant::now();
    let mut hello_at = Instant::now();
    loop {
        let signs = status.borrow().signs;
        let tells = tokio::select! {
            changed = committed.changed() => {
                if changed.is_err() {
                    return true;
                }
                // Whoever signs tells once it has signed.
                !signs
            }
            // The publisher ends after the sequencer.
            Ok(()) = status.changed() => status.borrow_and_update().signs && Instant::now() < others_until,
            news = line.hear() => {
                let Some(news) = news else { return false };
                others_until = Instant::now() + OTHERS_GONE;
                heard.send_replace(news);
                false
            }
            () = sleep_until(hello_at), if !signs => true,
        };
        if !tells {
            continue;
        }
        let published = status.borrow().published.as_ref().map_or(0, |published| published.size);
        let news = News { committed: (*committed.borrow_and_update()).max(published), published };
        if line.tell(news).await.is_err() {
            return false;
        }
        hello_at = Instant::now() + HELLO;
    }
}

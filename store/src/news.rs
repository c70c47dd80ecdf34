//! News between replicas: one tells the others how far the log is committed and published, over `LISTEN` and `NOTIFY`.
//!
//! They are hints, for speed alone: whoever hears something looks into the tables, and whoever hears nothing looks all
//! the same after a while. They go out on a connection of their own, after the commit. Inside it they would cost dear:
//! PostgreSQL lets one notifying transaction at a time commit, so batches and checkpoints would wait for each other's
//! disk.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client};

use crate::connect;
use crate::error::StoreError;

/// The name of the channel; it is one per database.
const CHANNEL: &str = "chopmark_log";

/// How far the log is, as somebody else knows it. Nobody vouches for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// Entries committed.
    pub committed: u64,
    /// Entries that the newest checkpoint covers.
    pub published: u64,
}

impl News {
    fn parse(payload: &str) -> Option<Self> {
        let (committed, published) = payload.split_once(' ')?;
        Some(Self { committed: committed.parse().ok()?, published: published.parse().ok()? })
    }
}

/// A connection that hears what other replicas tell, and tells them.
pub struct NewsLine {
    client: Client,
    heard: watch::Receiver<News>,
}

impl NewsLine {
    pub(crate) async fn open(url: &str, runtime: &Handle) -> Result<Self, StoreError> {
        let (client, connection) = connect::raw(url).await.map_err(|error| failed(&error))?;
        let (sender, heard) = watch::channel(News::default());
        // Whoever listens also hears itself; that is left out.
        let own = Arc::new(AtomicI32::new(0));
        let speaker = Arc::clone(&own);
        runtime.spawn(async move {
            let mut connection = pin!(connection);
            // The end of the connection is the end of the sender, which is how the other side learns of it.
            while let Some(Ok(message)) = poll_fn(|context| connection.as_mut().poll_message(context)).await {
                if let AsyncMessage::Notification(told) = message
                    && told.process_id() != speaker.load(Ordering::Relaxed)
                    && let Some(news) = News::parse(told.payload())
                {
                    sender.send_replace(news);
                }
            }
        });
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(|error| failed(&error))?;
        own.store(row.try_get(0).map_err(|error| failed(&error))?, Ordering::Relaxed);
        let listen = format!("SET ROLE chopmark_app; LISTEN {CHANNEL}");
        client.batch_execute(&listen).await.map_err(|error| failed(&error))?;
        Ok(Self { client, heard })
    }

    /// Tells the other replicas.
    ///
    /// # Errors
    /// When the connection is broken; a new line has to be opened.
    pub async fn tell(&self, news: News) -> Result<(), StoreError> {
        let News { committed, published } = news;
        let notify = format!("NOTIFY {CHANNEL}, '{committed} {published}'");
        self.client.batch_execute(&notify).await.map_err(|error| failed(&error))
    }

    /// Waits for what another replica tells, the newest of it; `None` once the connection has ended. Safe to cancel.
    pub async fn hear(&mut self) -> Option<News> {
        self.heard.changed().await.ok()?;
        Some(*self.heard.borrow_and_update())
    }
}

fn failed(error: &tokio_postgres::Error) -> StoreError {
    StoreError::Connect(connect::describe(error))
}

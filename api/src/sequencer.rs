//! The sequencer: turns a queue of verified statements into batches, one transaction each.
//!
//! No timer and no linger: whatever queued up during the previous commit is the next batch. The queue is bounded; a full
//! one refuses at once rather than letting everybody wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chopmark_store::{Appender, BATCH_MAX, Batch, Outcome, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::limits::Allowance;
use crate::metrics::Metrics;
use crate::problem::{ApiError, internal};
use crate::publisher::Status;

/// Statements that may wait unless told otherwise: two full batches, some tens of milliseconds of work.
pub const QUEUE_STATEMENTS_MAX: usize = 2 * BATCH_MAX;

/// How often a batch is tried again after the database failed. A statement that was committed after all is then found.
const ATTEMPTS: usize = 3;

/// Pause between attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Pause between attempts to write, once the database did not take a batch and nobody sends another.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// Why the database takes no entries, while it does not; ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its disk is full. Statements are refused before they are judged.
    DiskFull,
    /// Anything else. Every statement is an attempt.
    Database,
}

impl Trouble {
    /// The stable code of its problem.
    pub fn code(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Database => "database_unavailable",
        }
    }

    /// The error for whoever wants to write.
    pub fn error(self) -> ApiError {
        match self {
            Self::DiskFull => {
                let detail = "the disk of the database is full: nothing is entered until there is room; \
                              reading goes on, and the same statement may be sent again";
                ApiError::unavailable(self.code(), detail)
            }
            Self::Database => {
                let detail = "the database does not answer; try again, the same statement is never entered twice";
                ApiError::unavailable(self.code(), detail)
            }
        }
    }
}

/// What a waiting request is told.
type Answer = Result<Outcome, Refusal>;

/// Why a statement was not judged.
#[derive(Debug, Clone)]
enum Refusal {
    /// The database failed on every attempt.
    Database(Trouble),
    /// The database refused what admission let pass: a mistake of ours.
    Statement,
    /// The stored ledger fails its own checks.
    Damaged,
}

/// What a statement holds until it is judged, whether or not anybody still waits for the answer.
pub struct Held {
    /// Its body's share of the memory for bodies.
    pub share: Option<OwnedSemaphorePermit>,
    /// What it took from the allowances of its keys: spent by an entry, given back otherwise.
    pub allowance: Option<Allowance>,
}

struct Job {
    submission: Box<Submission>,
    held: Held,
    answer: oneshot::Sender<Answer>,
}

/// The way in.
#[derive(Clone)]
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    trouble: watch::Receiver<Option<Trouble>>,
}

/// How full the queue is; does not keep it open.
pub struct Depth(mpsc::WeakSender<Job>);

impl Depth {
    /// Statements that wait.
    pub fn statements(&self) -> usize {
        self.0.upgrade().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity())
    }
}

impl Queue {
    /// To measure it by.
    pub fn depth(&self) -> Depth {
        Depth(self.jobs.downgrade())
    }

    /// To be told of trouble by.
    pub fn troubles(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }

    /// Why nothing can be entered just now, as far as is known.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.trouble.borrow()
    }

    /// Waits for the verdict on a statement whose signatures are verified and whose documents are at hand.
    ///
    /// # Errors
    /// 503 when the queue is full, the service is stopping or the database fails.
    pub async fn submit(&self, submission: Submission, held: Held) -> Result<Outcome, ApiError> {
        if self.trouble() == Some(Trouble::DiskFull) {
            return Err(Trouble::DiskFull.error());
        }
        let (answer, verdict) = oneshot::channel();
        let job = Job { submission: Box::new(submission), held, answer };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                let waiting = self.jobs.max_capacity();
                ApiError::unavailable("overloaded", format!("{waiting} statements are waiting; try again"))
            }
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        match verdict.await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(Refusal::Database(trouble))) => Err(trouble.error()),
            Ok(Err(Refusal::Statement)) => Err(internal(&"the database refused an admitted statement")),
            Ok(Err(Refusal::Damaged)) => {
                let detail = "the ledger fails its own checks; the operator has to look";
                Err(ApiError::unavailable("ledger_damaged", detail))
            }
            Err(_) => Err(stopping()),
        }
    }
}

fn stopping() -> ApiError {
    ApiError::unavailable("stopping", "the service is stopping; try again")
}

/// Starts the sequencer; it ends when every [`Queue`] is gone. The second value tells the publisher what is committed.
pub fn start(
    appender: Appender,
    status: watch::Receiver<Status>,
    statements_max: usize,
    metrics: Arc<Metrics>,
) -> (Queue, watch::Receiver<u64>, tokio::task::JoinHandle<()>) {
    let (jobs, receiver) = mpsc::channel(statements_max);
    let (committed, committed_receiver) = watch::channel(0);
    let (trouble, trouble_receiver) = watch::channel(None);
    let sequencer = Sequencer { appender, committed, trouble, metrics };
    let task = tokio::spawn(sequencer.run(receiver, status));
    (Queue { jobs, trouble: trouble_receiver }, committed_receiver, task)
}

struct Sequencer {
    appender: Appender,
    committed: watch::Sender<u64>,
    trouble: watch::Sender<Option<Trouble>>,
    metrics: Arc<Metrics>,
}

impl Sequencer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Job>, status: watch::Receiver<Status>) {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        while self.receive(&mut receiver, &mut jobs).await {
            if status.borrow().halted.is_some() {
                // Nothing more would be signed, so nothing more is entered; dropping the senders says so.
                jobs.clear();
                continue;
            }
            let submissions: Vec<&Submission> = jobs.iter().map(|job| &*job.submission).collect();
            self.metrics.batch(submissions.len());
            let answers = self.answer(&submissions).await;
            for (job, answer) in jobs.drain(..).zip(answers) {
                if let Ok(outcome) = &answer {
                    self.metrics.judged(outcome);
                }
                if let (Ok(Outcome::Appended { .. }), Some(allowance)) = (&answer, job.held.allowance) {
                    allowance.spend();
                }
                // A client that went away has lost nothing: its statement is in the log, or was refused.
                let _ = job.answer.send(answer);
            }
        }
    }

    /// The next batch; false when there will be none. While the database takes no entries, it is tried meanwhile.
    async fn receive(&mut self, receiver: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>) -> bool {
        while self.trouble.borrow().is_some() {
            match timeout(PROBE_PAUSE, receiver.recv_many(jobs, BATCH_MAX)).await {
                Ok(number) => return number > 0,
                Err(_) => match self.appender.probe().await {
                    Ok(()) => self.takes_entries(),
                    Err(error) => tracing::debug!(error = %error, "the database still takes no entries"),
                },
            }
        }
        receiver.recv_many(jobs, BATCH_MAX).await > 0
    }

    fn takes_entries(&self) {
        if self.trouble.send_if_modified(|trouble| trouble.take().is_some()) {
            tracing::info!("the database takes entries again");
        }
    }

    /// One answer per statement. What the database refuses, although admission let it pass, and what can't be read that one of
    /// them asks for, must not take the rest of the batch along: then each is tried alone.
    async fn answer(&mut self, batch: &[&Submission]) -> Vec<Answer> {
        match self.append(batch).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(Refusal::Statement | Refusal::Damaged) if batch.len() > 1 => {
                let mut answers = Vec::with_capacity(batch.len());
                for submission in batch {
                    let outcomes = self.append(&[*submission]).await;
                    let none = Refusal::Database(Trouble::Database);
                    answers.push(outcomes.and_then(|outcomes| outcomes.into_iter().next().ok_or(none)));
                }
                answers
            }
            Err(refusal) => batch.iter().map(|_| Err(refusal.clone())).collect(),
        }
    }

    async fn append(&mut self, batch: &[&Submission]) -> Result<Vec<Outcome>, Refusal> {
        let mut trouble = Trouble::Database;
        for attempt in 1..=ATTEMPTS {
            let begun = Instant::now();
            match self.appender.append(batch, Timestamp::from(chrono::Utc::now())).await {
                Ok(Batch { outcomes, size }) => {
                    self.metrics.committed(begun.elapsed());
                    self.committed.send_replace(size);
                    self.takes_entries();
                    return Ok(outcomes);
                }
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(error = %error, "the ledger is damaged");
                    return Err(Refusal::Damaged);
                }
                Err(error) if error.is_refusal() => {
                    tracing::error!(error = %error, statements = batch.len(), "the database refused what was admitted");
                    return Err(Refusal::Statement);
                }
                Err(error) => {
                    tracing::warn!(error = %error, attempt, "a batch failed");
                    trouble = if error.is_disk_full() { Trouble::DiskFull } else { Trouble::Database };
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
        if self.trouble.send_replace(Some(trouble)) != Some(trouble) {
            tracing::error!(cause = trouble.code(), "the database takes no entries");
        }
        Err(Refusal::Database(trouble))
    }
}

//! The sequencer: turns a queue of verified statements into batches, one transaction each.
//!
//! No timer and no linger: whatever queued up during the previous commit is the next batch. The queue is bounded; a full
//! one refuses at once rather than letting everybody wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chopmark_store::{Appender, BATCH_MAX, Batch, Outcome, StoreError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::metrics::Metrics;
use crate::problem::{ApiError, internal};
use crate::publisher::Status;

/// Statements that may wait unless told otherwise: two full batches, some tens of milliseconds of work.
pub const QUEUE_STATEMENTS_MAX: usize = 2 * BATCH_MAX;

/// How often a batch is tried again after the database failed. A statement that was committed after all is then found.
const ATTEMPTS: usize = 3;

/// Pause between attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What a waiting request is told.
type Answer = Result<Outcome, Refusal>;

/// Why a statement was not judged.
#[derive(Debug, Clone)]
enum Refusal {
    /// The database failed on every attempt.
    Database,
    /// The database refused what admission let pass: a mistake of ours.
    Statement,
    /// The stored ledger fails its own checks.
    Damaged,
}

struct Job {
    submission: Box<Submission>,
    answer: oneshot::Sender<Answer>,
}

/// The way in.
#[derive(Clone)]
pub struct Queue {
    jobs: mpsc::Sender<Job>,
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

    /// Waits for the verdict on a statement whose signatures are verified and whose documents are at hand.
    ///
    /// # Errors
    /// 503 when the queue is full, the service is stopping or the database fails.
    pub async fn submit(&self, submission: Submission) -> Result<Outcome, ApiError> {
        let (answer, verdict) = oneshot::channel();
        let job = Job { submission: Box::new(submission), answer };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                let waiting = self.jobs.max_capacity();
                ApiError::unavailable("overloaded", format!("{waiting} statements are waiting; try again"))
            }
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        match verdict.await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(Refusal::Database)) => {
                let detail = "the database does not answer; try again, the same statement is never entered twice";
                Err(ApiError::unavailable("database_unavailable", detail))
            }
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
    let task = tokio::spawn(run(appender, receiver, committed, status, metrics));
    (Queue { jobs }, committed_receiver, task)
}

async fn run(
    mut appender: Appender,
    mut receiver: mpsc::Receiver<Job>,
    committed: watch::Sender<u64>,
    status: watch::Receiver<Status>,
    metrics: Arc<Metrics>,
) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    while receiver.recv_many(&mut jobs, BATCH_MAX).await > 0 {
        if status.borrow().halted.is_some() {
            // Nothing more would be signed, so nothing more is entered; dropping the senders says so.
            jobs.clear();
            continue;
        }
        let submissions: Vec<&Submission> = jobs.iter().map(|job| &*job.submission).collect();
        metrics.batch(submissions.len());
        let answers = answer(&mut appender, &submissions, &committed, &metrics).await;
        for (job, answer) in jobs.drain(..).zip(answers) {
            if let Ok(outcome) = &answer {
                metrics.judged(outcome);
            }
            // A client that went away has lost nothing: its statement is in the log, or was refused.
            let _ = job.answer.send(answer);
        }
    }
}

/// One answer per statement. What the database refuses, although admission let it pass, must not take the rest of its
/// batch along: then each is tried alone.
async fn answer(
    appender: &mut Appender,
    batch: &[&Submission],
    committed: &watch::Sender<u64>,
    metrics: &Metrics,
) -> Vec<Answer> {
    match append(appender, batch, committed, metrics).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(Refusal::Statement) if batch.len() > 1 => {
            let mut answers = Vec::with_capacity(batch.len());
            for submission in batch {
                let outcomes = append(appender, &[*submission], committed, metrics).await;
                answers.push(outcomes.and_then(|outcomes| outcomes.into_iter().next().ok_or(Refusal::Database)));
            }
            answers
        }
        Err(refusal) => batch.iter().map(|_| Err(refusal.clone())).collect(),
    }
}

async fn append(
    appender: &mut Appender,
    batch: &[&Submission],
    committed: &watch::Sender<u64>,
    metrics: &Metrics,
) -> Result<Vec<Outcome>, Refusal> {
    for attempt in 1..=ATTEMPTS {
        let begun = Instant::now();
        match appender.append(batch, Timestamp::from(chrono::Utc::now())).await {
            Ok(Batch { outcomes, size }) => {
                metrics.committed(begun.elapsed());
                committed.send_replace(size);
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
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
    Err(Refusal::Database)
}

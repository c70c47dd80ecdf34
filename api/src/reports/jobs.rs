//! Reports in the making: one job for each who asks the same, found again by whoever asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web;
use chopmark_core::digest::Sha256Digest;
use tokio::sync::watch;

use super::{Asked, Made, Progress, ProgressCell, make};
use crate::problem::ApiError;
use crate::service::Service;

/// Jobs kept in memory: those that run, and those that nobody has asked about since they ended.
const JOBS_MAX: usize = 256;

/// How long a job that ended is kept for whoever comes back for it.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Who asks what: the id of a token and the digest of a request.
pub type Name = (String, Sha256Digest);

type Outcome = Option<Arc<Result<Made, ApiError>>>;

#[derive(Clone)]
struct Job {
    size: u64,
    begun: Instant,
    progress: Arc<ProgressCell>,
    outcome: watch::Receiver<Outcome>,
}

/// All jobs of this process.
#[derive(Default)]
pub struct Jobs(Mutex<HashMap<Name, Job>>);

/// How a job stands.
pub enum Standing {
    /// It ended.
    Ended(Arc<Result<Made, ApiError>>),
    /// It goes on.
    Running {
        /// Entries of the log that it looks at.
        size: u64,
        /// How far it is.
        progress: Progress,
    },
}

impl Jobs {
    /// A job of this name, begun where there is none, and how it stands after a while. One that ended is let go.
    ///
    /// # Errors
    /// 503 `overloaded` when too many run.
    pub async fn run(
        &self,
        service: &web::Data<Service>,
        name: Name,
        asked: impl FnOnce() -> Asked,
        wait: Duration,
    ) -> Result<Standing, ApiError> {
        let mut job = self.find_or_begin(service, &name, asked)?;
        let ended = tokio::time::timeout(wait, job.outcome.wait_for(Option::is_some)).await;
        let outcome = match ended {
            Ok(Ok(outcome)) => outcome.clone(),
            // The task was lost.
            Ok(Err(_)) => None,
            Err(_) => return Ok(Standing::Running { size: job.size, progress: job.progress.now() }),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        match outcome {
            Some(outcome) => Ok(Standing::Ended(outcome)),
            None => Err(crate::problem::internal(&"a report was lost while it was made")),
        }
    }

    fn find_or_begin(
        &self,
        service: &web::Data<Service>,
        name: &Name,
        asked: impl FnOnce() -> Asked,
    ) -> Result<Job, ApiError> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = jobs.get(name) {
            return Ok(job.clone());
        }
        jobs.retain(|_, job| job.outcome.borrow().is_none() || job.begun.elapsed() < KEPT_FOR);
        if jobs.len() >= JOBS_MAX {
            return Err(ApiError::unavailable("overloaded", "too many reports are being made; try again"));
        }
        let (asked, (done, outcome)) = (asked(), watch::channel(None));
        let job = Job { size: asked.size, begun: Instant::now(), progress: Arc::default(), outcome };
        let (service, progress) = (service.clone(), Arc::clone(&job.progress));
        service.clone().store.runtime().spawn(async move {
            let made = make(&service, &asked, &progress).await;
            let _ = done.send(Some(Arc::new(made)));
        });
        jobs.insert(name.clone(), job.clone());
        Ok(job)
    }
}

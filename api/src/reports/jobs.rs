//! Reports in the making: one job for each who asks the same, found again by whoever asks again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web;
use chopmark_core::access::{Principal, Who};
use chopmark_core::digest::Sha256Digest;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{Asked, Made, Progress, ProgressCell, make};
use crate::problem::ApiError;
use crate::service::Service;

/// Jobs kept in memory: those that run, and those that nobody has asked about since they ended.
const JOBS_MAX: usize = 256;

/// Of these, jobs of one party, or of one token that is no party's: nobody takes all of them.
const JOBS_OF_ONE_MAX: usize = 16;

/// How long a job that ended is kept for whoever comes back for it.
const KEPT_FOR: Duration = Duration::from_mins(10);

/// Who asks what: the id of a token and the digest of a request.
pub type Name = (String, Sha256Digest);

type Outcome = Option<Arc<Result<Made, ApiError>>>;

#[derive(Clone)]
struct Job {
    size: u64,
    begun: Instant,
    /// Whose it is.
    owner: String,
    progress: Arc<ProgressCell>,
    outcome: watch::Receiver<Outcome>,
    /// Whether somebody was shown what came of it.
    is_shown: Arc<AtomicBool>,
}

/// All jobs of this process.
pub struct Jobs {
    running: Mutex<HashMap<Name, Job>>,
    /// One turn to compute for each core.
    turns: Semaphore,
}

impl Default for Jobs {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { running: Mutex::default(), turns: Semaphore::new(cores) }
    }
}

/// Whom a job counts against: a party, however often it logs in.
fn owner(principal: &Principal) -> String {
    match &principal.who {
        Who::Party(party) => party.to_hex(),
        _ => principal.token.to_string(),
    }
}

/// How a job stands.
pub enum Standing {
    /// It ended.
    Ended {
        /// What came of it.
        outcome: Arc<Result<Made, ApiError>>,
        /// Whether nobody was shown that before.
        is_first: bool,
    },
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
    /// 503 `overloaded` when too many run, or too many of whoever asks.
    pub async fn run(
        &self,
        service: &web::Data<Service>,
        name: Name,
        asked: Asked,
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
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            // Another may have been begun under this name since.
            if running.get(&name).is_some_and(|known| Arc::ptr_eq(&known.is_shown, &job.is_shown)) {
                running.remove(&name);
            }
        }
        match outcome {
            Some(outcome) => {
                let is_first = !job.is_shown.swap(true, Ordering::Relaxed);
                Ok(Standing::Ended { outcome, is_first })
            }
            None => Err(crate::problem::internal(&"a report was lost while it was made")),
        }
    }

    /// Waits for a turn to compute.
    ///
    /// # Errors
    /// Never: turns are not taken away.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.turns.acquire().await.map_err(|error| crate::problem::internal(&error))
    }

    fn find_or_begin(&self, service: &web::Data<Service>, name: &Name, asked: Asked) -> Result<Job, ApiError> {
        let mut jobs = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = jobs.get(name) {
            return Ok(job.clone());
        }
        jobs.retain(|_, job| job.outcome.borrow().is_none() || job.begun.elapsed() < KEPT_FOR);
        if jobs.len() >= JOBS_MAX {
            return Err(ApiError::unavailable("overloaded", "too many reports are being made; try again"));
        }
        let owner = owner(&asked.principal);
        if !has_room(&mut jobs, &owner) {
            let detail = format!("{JOBS_OF_ONE_MAX} reports are being made for you; ask for those, or try again");
            return Err(ApiError::unavailable("overloaded", detail));
        }
        let (done, outcome) = watch::channel(None);
        let (progress, is_shown) = (Arc::default(), Arc::default());
        let job = Job { size: asked.size, begun: Instant::now(), owner, progress, outcome, is_shown };
        let (service, progress) = (service.clone(), Arc::clone(&job.progress));
        service.clone().store.runtime().spawn(async move {
            let made = make(&service, &asked, &progress).await;
            let _ = done.send(Some(Arc::new(made)));
        });
        jobs.insert(name.clone(), job.clone());
        Ok(job)
    }
}

/// Whether whoever owns so many jobs may have another: the oldest one that ended, and that nobody came back for, makes room.
fn has_room(jobs: &mut HashMap<Name, Job>, owner: &str) -> bool {
    let own: Vec<(&Name, &Job)> = jobs.iter().filter(|(_, job)| job.owner == owner).collect();
    if own.len() < JOBS_OF_ONE_MAX {
        return true;
    }
    let ended = own.into_iter().filter(|(_, job)| job.outcome.borrow().is_some());
    let oldest = ended.min_by_key(|(_, job)| job.begun).map(|(name, _)| name.clone());
    oldest.is_some_and(|name| jobs.remove(&name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(owner: &str, ended: bool) -> Job {
        let gone = || Arc::new(Err(ApiError::not_found("nothing")));
        let (_, outcome) = watch::channel(ended.then(gone));
        let (progress, is_shown) = (Arc::default(), Arc::default());
        Job { size: 1, begun: Instant::now(), owner: owner.to_owned(), progress, outcome, is_shown }
    }

    #[test]
    fn nobody_takes_more_than_their_share() {
        let name = |owner: &str, number: usize| (owner.to_owned(), Sha256Digest::of(&number.to_be_bytes()));
        let mut jobs = HashMap::new();
        for number in 0..JOBS_OF_ONE_MAX {
            assert!(has_room(&mut jobs, "a"), "{number}");
            jobs.insert(name("a", number), job("a", false));
        }
        assert!(!has_room(&mut jobs, "a") && has_room(&mut jobs, "b"));
        jobs.insert(name("a", 3), job("a", true));
        assert!(has_room(&mut jobs, "a") && !jobs.contains_key(&name("a", 3)));
        assert_eq!(jobs.len(), JOBS_OF_ONE_MAX - 1);
    }
}

//! Summaries of jurisdictions, kept in memory by size and rules: whoever asks again before anything new is published, or comes to
//! what is, gets the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_store::SummedUp;

use super::rules;
use crate::problem::ApiError;
use crate::service::Service;

/// Summaries of one jurisdiction each.
#[derive(Default)]
pub struct Summaries(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    summaries: HashMap<String, Kept>,
    /// How often all were forgotten.
    forgotten: u64,
}

impl Summaries {
    /// Forgets all, and those that are being made: openings came of statements that they count without.
    pub fn forget(&self) {
        let mut remembered = self.remembered();
        remembered.summaries.clear();
        remembered.forgotten += 1;
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Kept {
    size: u64,
    rules: Sha256Digest,
    summed: Arc<SummedUp>,
}

/// The summary of a jurisdiction at a size.
///
/// # Errors
/// When the vault can't be read.
pub async fn summary(service: &Service, place: &Jurisdiction, size: u64) -> Result<Arc<SummedUp>, ApiError> {
    let rules = rules()?;
    let find = || {
        let remembered = service.summaries.remembered();
        let kept = remembered.summaries.get(place.as_str());
        let kept = kept.filter(|kept| (kept.size, kept.rules) == (size, rules.digest()));
        (kept.map(|kept| Arc::clone(&kept.summed)), remembered.forgotten)
    };
    let (found, forgotten) = find();
    if let Some(summed) = found {
        return Ok(summed);
    }
    let summed = Arc::new(service.store.summary(place, &service.registry.operator, size, rules).await?);
    let kept = Kept { size, rules: rules.digest(), summed: Arc::clone(&summed) };
    let mut remembered = service.summaries.remembered();
    if remembered.forgotten == forgotten {
        remembered.summaries.insert(place.as_str().to_owned(), kept);
    }
    Ok(summed)
}

//! Summaries of jurisdictions, kept in memory by size and rules: whoever asks again before anything new is published gets the
//! same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_store::SummedUp;

use super::rules;
use crate::problem::ApiError;
use crate::service::Service;

/// Summaries of one jurisdiction each.
#[derive(Default)]
pub struct Summaries(Mutex<HashMap<String, Kept>>);

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
        let kept = service.summaries.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(place.as_str()).filter(|kept| (kept.size, kept.rules) == (size, rules.digest()));
        kept.map(|kept| Arc::clone(&kept.summed))
    };
    if let Some(summed) = find() {
        return Ok(summed);
    }
    let summed = Arc::new(service.store.summary(place, &service.registry.operator, size, rules).await?);
    let kept = Kept { size, rules: rules.digest(), summed: Arc::clone(&summed) };
    service.summaries.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.as_str().to_owned(), kept);
    Ok(summed)
}

//! Whom a verifier trusts: registries by origin, log key and genesis. Always the verifier's own choice.
//!
//! A bundle never supplies its own trust; this policy comes from a file the verifier wrote or pinned.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::ledger::note::VerifierKey;
use crate::terms::period::Duration;

/// The registries a verifier relies on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustPolicy {
    /// One table per registry.
    #[serde(default, rename = "registry")]
    pub registries: Vec<TrustedRegistry>,
}

/// One registry a verifier relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedRegistry {
    /// Origin of its checkpoints.
    pub origin: String,
    /// Verifier key of its log (C2SP signed-note).
    pub log_key: String,
    /// Leaf hash of its entry 0.
    pub genesis: Sha256Digest,
    /// Whether the registry's word suffices that nothing later contradicts a bundle (`closure = registry_asserted`).
    /// Without it, only a bundle that proves completeness is accepted.
    #[serde(default = "allowed")]
    pub allow_registry_asserted: bool,
    /// How old the status list of a licence may be; 90 days when absent. What is older says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_status_age: Option<Duration>,
}

/// How old a status list may be where a policy says nothing, in days.
pub const STATUS_AGE_DAYS: u32 = 90;

fn allowed() -> bool {
    true
}

impl TrustedRegistry {
    /// How many days old a status list may be.
    pub fn status_age_days(&self) -> u32 {
        self.max_status_age.map_or(STATUS_AGE_DAYS, |age| u32::try_from(age.days_max()).unwrap_or(u32::MAX))
    }

    /// The log key, parsed.
    ///
    /// # Errors
    /// A sentence naming the origin when the key is not a verifier key for it.
    pub fn verifier_key(&self) -> Result<VerifierKey, String> {
        let key: VerifierKey =
            self.log_key.parse().map_err(|error| format!("log_key of {} in the trust policy: {error}", self.origin))?;
        if key.name() == self.origin {
            Ok(key)
        } else {
            Err(format!("log_key of {} in the trust policy is for {}", self.origin, key.name()))
        }
    }
}

impl TrustPolicy {
    /// What is said about an origin.
    pub fn registry(&self, origin: &str) -> Option<&TrustedRegistry> {
        self.registries.iter().find(|registry| registry.origin == origin)
    }

    /// Checks that every key parses and no origin stands twice.
    ///
    /// # Errors
    /// A sentence naming the origin.
    pub fn validate(&self) -> Result<(), String> {
        for (position, registry) in self.registries.iter().enumerate() {
            registry.verifier_key()?;
            if self.registries.iter().take(position).any(|other| other.origin == registry.origin) {
                return Err(format!("{} stands twice in the trust policy", registry.origin));
            }
        }
        Ok(())
    }
}

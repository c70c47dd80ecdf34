//! Whom a verifier trusts: registries by origin, log key and genesis. Always the verifier's own choice.
//!
//! A bundle never supplies its own trust; this policy comes from a file the verifier wrote or pinned.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::ledger::note::VerifierKey;

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
}

fn allowed() -> bool {
    true
}

impl TrustedRegistry {
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

//! What others say about a registration and its owner, when the service is asked anyway: its word, and no proof.

use chopmark_core::bundle::Proven;
use serde_json::{Value, json};

use crate::client::{AboutDescription, Client};
use crate::config::Settings;
use crate::exit::Failure;
use crate::printer::Report;
use crate::units;

/// What the service says.
pub(super) struct Said {
    about: AboutDescription,
    owner_verified_from: Option<u64>,
}

impl Said {
    /// Asks the service about a registration and its owner.
    ///
    /// # Errors
    /// A network or service failure.
    pub(super) fn ask(settings: &Settings, proven: &Proven) -> Result<Self, Failure> {
        let client = Client::of(settings)?;
        let about = client.about(&proven.statement.id)?;
        let owner = client.party(&proven.owner.id.to_string())?;
        Ok(Self { about, owner_verified_from: owner.verified_from })
    }

    /// The same for programs.
    pub(super) fn members(&self) -> Value {
        let AboutDescription { attestations, more_attestations, endorsements, more_endorsements } = &self.about;
        json!({
            "attestations": attestations,
            "more_attestations": more_attestations,
            "endorsements": endorsements,
            "more_endorsements": more_endorsements,
            "owner_verified_from": self.owner_verified_from,
            "said_by": "registry",
        })
    }

    /// The same for people.
    pub(super) fn rows(&self, report: Report) -> Report {
        let AboutDescription { attestations, more_attestations, endorsements, more_endorsements } = &self.about;
        let number = |items: &[Value], more: bool, thing: &str| {
            let at_least = if more { "at least " } else { "" };
            format!("{at_least}{}", units::count(units::length(items.len()), thing))
        };
        let identity = match self.owner_verified_from {
            Some(index) => format!("verified by the operator at entry {index}, as the service says"),
            None => "verified by nobody, as the service says".to_owned(),
        };
        let attestations = number(attestations, *more_attestations, "attestation");
        let endorsements = number(endorsements, *more_endorsements, "endorsement");
        report
            .row("identity", identity)
            .row("others", format!("{attestations} and {endorsements}, as the service says"))
    }
}

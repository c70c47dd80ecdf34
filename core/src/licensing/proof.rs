//! The part of an offline bundle that proves a licence in its artefact: how it came about, and that nothing ended it.
//!
//! Its history holds, in the order of the log, everything the grant rests on: parties and their keys, artefacts, terms,
//! offers, licences above. Replaying it is admission over again, so nothing is accepted offline that a registry would
//! have refused. The status list says what happened to any of these licences since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::standing::{Standing, standing};
use super::status_list::StatusList;
use crate::admission::{LicenceRecord, PartyRecord, View};
use crate::bundle::{BundleError, ProvenEntry, Verifier, invalid, rejected};
use crate::kind::Claim;
use crate::statement::StatementId;
use crate::submission::Submission;
use crate::terms::period::Date;

/// Most entries of a history.
pub const HISTORY_MAX: usize = 4_000;

/// Proof of a licence, beside the proof of an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceProof {
    /// The licence: the statement that granted it.
    pub licence: StatementId,
    /// Everything it rests on and the grant itself, in the order of the log.
    pub history: Vec<ProvenEntry>,
    /// What happened to licences since: a [`StatusList`] of the very checkpoint of the proofs.
    pub status_list: String,
}

/// A licence that is proved.
#[derive(Debug, Clone)]
pub struct ProvenLicence {
    /// The licence.
    pub id: StatementId,
    /// The licence and all that it rests on.
    licences: BTreeMap<StatementId, LicenceRecord>,
    /// Who granted it.
    pub licensor: PartyRecord,
    /// Who holds it.
    pub licensee: PartyRecord,
    /// What happened since, as of when.
    pub status: StatusList,
}

impl ProvenLicence {
    /// What was granted, and on which terms.
    ///
    /// # Errors
    /// None in practice: a proven licence is there.
    pub fn record(&self) -> Option<&LicenceRecord> {
        self.licences.get(&self.id)
    }

    /// Takes a newer list in the place of the one that came with the proof; an older one changes nothing.
    pub fn update(&mut self, newer: StatusList) {
        if newer.origin == self.status.origin && newer.size >= self.status.size {
            self.status = newer;
        }
    }

    /// How the licence stands on a day, as far as the status list knows.
    pub fn standing(&self, on: Date) -> Standing {
        let with_status = |(id, record): (&StatementId, &LicenceRecord)| {
            let events = self.status.listed.get(id).cloned().unwrap_or_default();
            (*id, LicenceRecord { events, ..record.clone() })
        };
        let licences: BTreeMap<StatementId, LicenceRecord> = self.licences.iter().map(with_status).collect();
        standing(|id| licences.get(id), &self.id, on)
    }
}

/// What an offline verifier says of a licence on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// How it stands, as far as the status list knows.
    pub standing: Standing,
    /// Days between the signing of the list and that day; 0 when it was signed later.
    pub age_days: u32,
    /// Whether the list is too old to say anything of that day.
    pub is_stale: bool,
}

impl ProvenLicence {
    /// Judges it for a day, by a list that may be at most so many days old.
    pub fn judge(&self, on: Date, age_days_max: u32) -> Judgement {
        let signed_on = Date::in_hong_kong(self.status.signed_at);
        let age_days = signed_on.days_until(on);
        let is_over = on > Date::in_hong_kong(self.status.not_after);
        Judgement { standing: self.standing(on), age_days, is_stale: is_over || age_days > age_days_max }
    }
}

impl LicenceProof {
    /// Checks the history and the list; `view` is the registry as its founding entry left it.
    pub(crate) fn verify(
        &self,
        verifier: &Verifier<'_>,
        mut view: View,
        artefact: &StatementId,
    ) -> Result<ProvenLicence, BundleError> {
        if self.history.len() > HISTORY_MAX {
            return Err(invalid("licence/history", format!("more than {HISTORY_MAX} entries")));
        }
        let mut last = 0;
        for (position, entry) in self.history.iter().enumerate() {
            let place = format!("licence/history/{position}");
            let submission = Submission::assemble(entry.envelope(&place)?, Vec::new()).map_err(rejected(&place))?;
            let at = verifier.prove(&place, &submission.entry, &entry.proof)?;
            if at <= last {
                return Err(invalid(place, "entries stand in the order of the log, none twice"));
            }
            last = at;
            let statement = &submission.statement;
            submission.verify(|id| view.key(id).map(|record| &record.public_key)).map_err(rejected(&place))?;
            match &statement.claim {
                // What an artefact was made from is no part of this proof.
                Claim::Artefact(_) => view.accept(at, statement, &submission.envelope).map_err(rejected(&place))?,
                Claim::Party(_) | Claim::Key(_) | Claim::Terms(_) | Claim::Offer(_) | Claim::Grant(_) => {
                    view.replay(at, statement, &submission.envelope).map_err(rejected(&place))?;
                }
                other => {
                    return Err(invalid(place, format!("no licence rests on a statement of kind {}", other.name())));
                }
            }
        }
        let place = "licence/licence";
        let Some(record) = view.licensing().licence(&self.licence) else {
            return Err(invalid(place, "is not granted by the history"));
        };
        if !record.claim.artefacts.contains(artefact) {
            return Err(invalid(place, "is not a licence in the artefact of this bundle"));
        }
        let party = |id: &StatementId| {
            view.party(id).cloned().ok_or_else(|| invalid("licence/history", format!("party {id} is missing")))
        };
        let (licensor, licensee) = (party(&record.claim.licensor)?, party(&record.claim.licensee)?);
        let status = self.status(verifier)?;
        Ok(ProvenLicence { id: self.licence, licences: view.licensing().licences(), licensor, licensee, status })
    }

    fn status(&self, verifier: &Verifier<'_>) -> Result<StatusList, BundleError> {
        let place = "licence/status_list";
        let status = StatusList::open(&self.status_list, &verifier.key).map_err(|error| invalid(place, error))?;
        if (status.size, status.root) == (verifier.checkpoint.size(), verifier.checkpoint.root()) {
            Ok(status)
        } else {
            Err(invalid(place, "is of another size or root than the checkpoint of the proofs"))
        }
    }
}

//! Who may license what: its owner, and whoever holds a licence that permits sublicences, within that licence.

use super::standing::{Standing, standing};
use crate::admission::{Code, LicenceRecord, Reads, Rejection, View};
use crate::compatibility::Scope;
use crate::statement::StatementId;
use crate::strict::StrictError;
use crate::terms::period::Date;
use crate::terms::vocabulary::Permission;
use crate::terms::{Terms, TermsId};

/// What offers and grants have in common.
pub(super) struct Deal<'a> {
    pub(super) licensor: StatementId,
    pub(super) artefacts: &'a [StatementId],
    pub(super) terms: TermsId,
    pub(super) under: &'a [StatementId],
    /// The day for which licences that it rests on have to be in force.
    pub(super) on: Date,
}

fn refuse(code: Code, pointer: &str, reason: String) -> Rejection {
    Rejection::in_payload(code, StrictError::new(format!("/predicate/claim{pointer}"), reason))
}

impl Deal<'_> {
    /// Adds what judging it needs.
    pub(super) fn reads(&self, reads: &mut Reads) {
        reads.artefacts.extend(self.artefacts);
        reads.licensing.terms.push((self.licensor, self.terms));
        reads.licensing.licences.extend(self.under);
    }

    /// Whether the licensor may license these artefacts on these terms; the terms.
    ///
    /// # Errors
    /// A [`Rejection`] naming the member of the claim.
    pub(super) fn admit<'v>(&self, view: &'v View) -> Result<&'v Terms, Rejection> {
        let licensing = view.licensing();
        let Some(published) = licensing.publication(&self.licensor, &self.terms) else {
            let reason = format!("the licensor has not published terms {}; do that first", self.terms.shown());
            return Err(refuse(Code::UnknownTerms, "/terms", reason));
        };
        let terms = &*published.terms;
        let mut heads = Vec::with_capacity(self.under.len());
        for (position, id) in self.under.iter().enumerate() {
            heads.push(
                self.head(view, id).map_err(|(code, reason)| refuse(code, &format!("/under/{position}"), reason))?,
            );
        }
        for (position, id) in self.artefacts.iter().enumerate() {
            let at = format!("/artefacts/{position}");
            let Some(artefact) = view.artefact(id) else {
                return Err(refuse(Code::UnknownArtefact, &at, format!("no artefact {id} is registered here")));
            };
            if artefact.owner == self.licensor {
                continue;
            }
            let Some(head) = heads.iter().find(|head| head.claim.artefacts.contains(id)) else {
                let reason = "the licensor does not own this artefact, and names no licence in it (/under)".to_owned();
                return Err(refuse(Code::NotAuthorised, &at, reason));
            };
            within(view, head, terms).map_err(|reason| refuse(Code::BeyondHeadLicence, &at, reason))?;
        }
        Ok(terms)
    }

    /// A licence the licensor holds itself and that is in force.
    fn head<'v>(&self, view: &'v View, id: &StatementId) -> Result<&'v LicenceRecord, (Code, String)> {
        let Some(head) = view.licensing().licence(id) else {
            return Err((Code::UnknownLicence, format!("no licence {id} is granted here")));
        };
        if head.claim.licensee != self.licensor {
            return Err((Code::NotAuthorised, "the licensor does not hold this licence".to_owned()));
        }
        match standing(|id| view.licensing().licence(id), id, self.on) {
            Standing::InForce { .. } => Ok(head),
            other => Err((Code::LicenceNotInForce, format!("this licence is {other} on {}", self.on))),
        }
    }
}

/// Whether a sublicence stays within the licence it rests on.
fn within(view: &View, head: &LicenceRecord, terms: &Terms) -> Result<(), String> {
    let sublicensing = &head.terms.sublicensing;
    match sublicensing.permission {
        Permission::None => return Err("its licence permits no sublicences".to_owned()),
        // Who is an affiliate, and who consented, the registry does not know: that is between the parties.
        Permission::Affiliates | Permission::WithConsent | Permission::Free => {}
    }
    let granted = Scope::granted(terms, None, None);
    if let Some(beyond) = granted.beyond(&Scope::granted(&head.terms, None, None)) {
        return Err(format!("its licence does not reach so far: {beyond}"));
    }
    // How far the licensor is from each licence above, counted in hands.
    let mut hands = 1;
    let mut above = Some(head);
    while let Some(licence) = above {
        if licence.terms.sublicensing.max_depth.is_some_and(|depth| hands > u32::from(depth)) {
            return Err(format!("licence {} permits fewer hands", licence.id.shown("lic")));
        }
        hands += 1;
        let parents = licence.claim.under.iter().filter_map(|id| view.licensing().licence(id));
        above = parents
            .into_iter()
            .find(|parent| parent.claim.artefacts.iter().any(|artefact| licence.claim.artefacts.contains(artefact)));
    }
    Ok(())
}

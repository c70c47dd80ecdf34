//! Who may license what: its owner, and whoever holds a licence that permits sublicences, within that licence.

use super::grant::ends_on;
use super::standing::standing;
use crate::admission::{Code, LicenceRecord, Reads, Rejection, View};
use crate::compatibility::{Scope, beyond_head};
use crate::statement::StatementId;
use crate::strict::StrictError;
use crate::terms::period::Date;
use crate::terms::vocabulary::{ExclusivityKind, GrantType, Language, Permission};
use crate::terms::words::Words;
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
            let (mut code, mut reason) = (
                Code::NotAuthorised,
                "the licensor does not own this artefact, and names no licence in it (/under)".to_owned(),
            );
            let is_within = heads.iter().filter(|head| head.claim.artefacts.contains(id)).any(|head| {
                let within = self.within(head, terms);
                if let Err(beyond) = &within {
                    (code, reason) = (Code::BeyondHeadLicence, beyond.clone());
                }
                within.is_ok()
            });
            if !is_within {
                return Err(refuse(code, &at, reason));
            }
        }
        Ok(terms)
    }

    /// A licence the licensor holds itself and that is in force: on the day of the deal, and ever since. Whoever deals says
    /// what day that is, so what happened to the licence, and to those it rests on, counts once it is entered.
    fn head<'v>(&self, view: &'v View, id: &StatementId) -> Result<&'v LicenceRecord, (Code, String)> {
        let licensing = view.licensing();
        let Some(head) = licensing.licence(id) else {
            return Err((Code::UnknownLicence, format!("no licence {id} is granted here")));
        };
        if head.claim.licensee != self.licensor {
            return Err((Code::NotAuthorised, "the licensor does not hold this licence".to_owned()));
        }
        let above = licensing.all_under(&[*id]);
        let known = above.iter().filter_map(|id| licensing.licence(id)?.latest()).map(|event| event.since).max();
        let today = view.now().map(Date::in_hong_kong);
        for day in [Some(self.on), known, today].into_iter().flatten().map(|day| day.max(self.on)) {
            let standing = standing(|id| licensing.licence(id), id, day);
            if !standing.is_in_force() {
                return Err((Code::LicenceNotInForce, format!("this licence is {standing} on {day}")));
            }
        }
        Ok(head)
    }

    /// Whether a sublicence on these terms stays within the licence it rests on. Each is a hand further than the one above
    /// it and within that, so all of them are within the first, and no more hands than it permits.
    fn within(&self, head: &LicenceRecord, terms: &Terms) -> Result<(), String> {
        let held = &head.terms;
        match held.sublicensing.permission {
            Permission::None => return Err("its licence permits no sublicences".to_owned()),
            // Who is an affiliate, and who consented, the registry does not know: that is between the parties.
            Permission::Affiliates | Permission::WithConsent | Permission::Free => {}
        }
        match (held.grant.grant_type, terms.grant.grant_type) {
            (GrantType::Option, _) => return Err("its licence is an option, so it has no right yet".to_owned()),
            (GrantType::Licence | GrantType::Sublicence, GrantType::Assignment | GrantType::Option) => {
                return Err("the right itself is not the licensor's, which holds a licence".to_owned());
            }
            _ => {}
        }
        if let Some(beyond) = beyond_head(held, terms, &head.id.shown("lic").to_string()) {
            let words = beyond.words(&Words::of(Language::English));
            return Err(format!("its licence does not reach so far: {words}"));
        }
        self.keeps_out_no_more(head, terms)
    }

    /// Whether a sublicence keeps out nobody but those whom the licence it rests on keeps out.
    fn keeps_out_no_more(&self, head: &LicenceRecord, terms: &Terms) -> Result<(), String> {
        let from = terms.term.start.unwrap_or(self.on);
        let Some(kept) = Scope::exclusive(terms, Some(from), ends_on(terms, from)) else { return Ok(()) };
        // What becomes of a sublicence when the whole licence ends, its terms say; its exclusive part ends by itself.
        let Some(held) = Scope::exclusive(&head.terms, Some(head.claim.starts_on), None) else {
            return Err("its licence keeps nobody out, so terms under it are not exclusive or sole".to_owned());
        };
        let kinds = (head.terms.exclusivity.kind, terms.exclusivity.kind);
        if kinds == (ExclusivityKind::Sole, ExclusivityKind::Exclusive) {
            return Err("its licence is sole: the owner may use it, so terms under it are not exclusive".to_owned());
        }
        match kept.beyond(&held) {
            Some(beyond) => Err(format!("the exclusive part of its licence does not reach so far: {beyond}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

//! What admission knows of licensing: terms published, offers, licences with their latest event.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::compatibility::Scope;
use crate::licensing::{GrantClaim, LicenceEvent, OfferClaim, StatusReason, last_day};
use crate::statement::StatementId;
use crate::terms::period::Date;
use crate::terms::vocabulary::ExclusivityKind;
use crate::terms::{Terms, TermsId};
use crate::time::Timestamp;

/// Terms that a party published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsRecord {
    /// The document's id.
    pub id: TermsId,
    /// Entry of the statement.
    pub index: u64,
    /// The statement.
    pub statement: StatementId,
    /// Who published them.
    pub issuer: StatementId,
    /// The document.
    pub terms: Arc<Terms>,
}

/// An offer as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRecord {
    /// The statement.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// When its licensor says it was made.
    pub issued_at: Timestamp,
    /// Who offers.
    pub licensor: StatementId,
    /// What is offered.
    pub claim: OfferClaim,
}

/// A grant that was entered: what the fold says of it, without its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceChange {
    /// The statement.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// What was granted.
    pub claim: GrantClaim,
}

/// A licence with its terms, and what happened to it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceRecord {
    /// The statement that granted it.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// What was granted.
    pub claim: GrantClaim,
    /// On which terms.
    pub terms: Arc<Terms>,
    /// Its last day; none when it has no end or renews itself.
    pub ends_on: Option<Date>,
    /// What happened to it, in order; of one day, the last.
    pub events: Vec<DatedEvent>,
    /// How many events it has.
    pub event_seq: u64,
    /// The latest of them, or the grant.
    pub event_head: StatementId,
}

impl LicenceRecord {
    /// What happened to it last, if anything did.
    pub fn latest(&self) -> Option<DatedEvent> {
        self.events.last().copied()
    }

    /// What was said of it until the end of a day.
    pub fn event_on(&self, day: Date) -> Option<DatedEvent> {
        self.events.iter().rev().find(|event| event.since <= day).copied()
    }

    /// Takes in what happened next.
    pub fn happened(&mut self, event: DatedEvent) {
        self.events.retain(|earlier| earlier.since != event.since);
        self.events.push(event);
    }
}

/// What happened to a licence, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatedEvent {
    /// What happened.
    pub status: LicenceEvent,
    /// The day on which it was said, in Hong Kong.
    pub since: Date,
}

/// An event of a licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceEventRecord {
    /// The statement.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// Who says it.
    pub issuer: StatementId,
    /// The licence.
    pub licence: StatementId,
    /// Position in the licence's chain of events, from 1.
    pub seq: u64,
    /// What happened.
    pub status: LicenceEvent,
    /// Why.
    pub reason: Option<StatusReason>,
    /// The day on which it was said, in Hong Kong.
    pub since: Date,
}

/// What must be looked up about licensing before a batch can be judged.
#[derive(Debug, Clone, Default)]
pub struct LicensingReads {
    /// Terms by who published them.
    pub terms: Vec<(StatementId, TermsId)>,
    /// Acceptances: an offer, which is looked up as well, and the party that accepts it.
    pub acceptances: Vec<(StatementId, StatementId)>,
    /// Licences, with all those they rest on.
    pub licences: Vec<StatementId>,
    /// Licences in an artefact that grants under these terms of this licensor may collide with.
    pub licences_of: Vec<(StatementId, StatementId, TermsId)>,
}

impl LicensingReads {
    /// Whether nothing has to be looked up.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.acceptances.is_empty() && self.licences.is_empty() && self.licences_of.is_empty()
    }
}

/// The part of the state that is about licensing.
#[derive(Debug, Clone, Default)]
pub struct Licensing {
    terms: HashMap<(StatementId, TermsId), TermsRecord>,
    offers: HashMap<StatementId, OfferRecord>,
    acceptances: HashMap<(StatementId, StatementId), StatementId>,
    licences: HashMap<StatementId, LicenceRecord>,
    /// Licences by artefact, in the order of their ids.
    by_artefact: HashMap<StatementId, BTreeSet<StatementId>>,
}

impl Licensing {
    /// Terms as a party published them.
    pub fn publication(&self, issuer: &StatementId, id: &TermsId) -> Option<&TermsRecord> {
        self.terms.get(&(*issuer, *id))
    }

    /// An offer.
    pub fn offer(&self, id: &StatementId) -> Option<&OfferRecord> {
        self.offers.get(id)
    }

    /// The licence by which a party accepted an offer.
    pub fn acceptance(&self, offer: &StatementId, licensee: &StatementId) -> Option<StatementId> {
        self.acceptances.get(&(*offer, *licensee)).copied()
    }

    /// A licence.
    pub fn licence(&self, id: &StatementId) -> Option<&LicenceRecord> {
        self.licences.get(id)
    }

    /// Every licence that is known, in the order of ids.
    pub fn licences(&self) -> BTreeMap<StatementId, LicenceRecord> {
        self.licences.iter().map(|(id, record)| (*id, record.clone())).collect()
    }

    /// The earliest licence that can't stand beside this grant, with the position of the artefact: one of the two keeps
    /// others out, and they share a right, a place, an activity and a day. What a grant rests on is not in its way, nor what
    /// was terminated, nor any licence after it ended with one that it rests on.
    pub fn collision(&self, grant: &GrantClaim, terms: &Terms) -> Option<(usize, StatementId)> {
        let (from, until) = (Some(grant.starts_on), grant.ends_on(terms));
        let granted = Scope::granted(terms, from, until);
        let kept = Scope::exclusive(terms, from, until);
        let above = self.all_under(&grant.under);
        let mut found: Option<(u64, usize, StatementId)> = None;
        for (position, artefact) in grant.artefacts.iter().enumerate() {
            for other in self.by_artefact.get(artefact).into_iter().flatten().filter_map(|id| self.licences.get(id)) {
                let is_over = other.latest().is_some_and(|event| event.status == LicenceEvent::Terminated);
                let is_earlier = found.is_none_or(|(index, ..)| other.index < index);
                if is_over || !is_earlier || above.contains(&other.id) {
                    continue;
                }
                let until = last_day(|id| self.licences.get(id), &other.id);
                if until.is_some_and(|until| until < other.claim.starts_on) {
                    continue;
                }
                let from = Some(other.claim.starts_on);
                let keeps_out = Scope::exclusive(&other.terms, from, until).is_some_and(|kept| kept.overlaps(&granted));
                let is_kept_out =
                    kept.as_ref().is_some_and(|kept| kept.overlaps(&Scope::granted(&other.terms, from, until)));
                if keeps_out || is_kept_out {
                    found = Some((other.index, position, other.id));
                }
            }
        }
        found.map(|(_, position, id)| (position, id))
    }

    /// These licences and all that they rest on.
    pub(crate) fn all_under(&self, under: &[StatementId]) -> BTreeSet<StatementId> {
        let mut all = BTreeSet::new();
        let mut waiting = under.to_vec();
        while let Some(id) = waiting.pop() {
            if all.insert(id) {
                waiting.extend(self.licences.get(&id).into_iter().flat_map(|licence| &licence.claim.under));
            }
        }
        all
    }

    /// Takes in published terms.
    pub fn load_terms(&mut self, record: TermsRecord) {
        self.terms.insert((record.issuer, record.id), record);
    }

    /// Takes in an offer.
    pub fn load_offer(&mut self, record: OfferRecord) {
        self.offers.insert(record.id, record);
    }

    /// Takes in a licence.
    pub fn load_licence(&mut self, record: LicenceRecord) {
        if let Some(offer) = record.claim.offer {
            self.acceptances.insert((offer, record.claim.licensee), record.id);
        }
        for artefact in &record.claim.artefacts {
            self.by_artefact.entry(*artefact).or_default().insert(record.id);
        }
        self.licences.insert(record.id, record);
    }

    /// Takes in a grant whose terms are known.
    pub(super) fn absorb_licence(&mut self, change: &LicenceChange) {
        if let Some(published) = self.publication(&change.claim.licensor, &change.claim.terms) {
            let terms = Arc::clone(&published.terms);
            self.load_licence(LicenceRecord::new(change, terms));
        }
    }

    /// Takes in an event.
    pub(super) fn absorb_event(&mut self, event: &LicenceEventRecord) {
        if let Some(licence) = self.licences.get_mut(&event.licence) {
            licence.happened(DatedEvent { status: event.status, since: event.since });
            licence.event_seq = event.seq;
            licence.event_head = event.id;
        }
    }
}

/// Whether terms keep anybody out, so that every other licence is in their way.
pub fn keeps_others_out(terms: &Terms) -> bool {
    terms.exclusivity.kind != ExclusivityKind::NonExclusive
}

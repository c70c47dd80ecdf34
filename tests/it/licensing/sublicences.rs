//! What a licensee may not give: more than it has, and what it has no longer.

use chopmark_core::kind::Claim;
use chopmark_core::licensing::{GrantClaim, LicenceEvent, LicenceStatusClaim, OfferClaim, TermsClaim};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::{EndEffect, ExclusivityKind, Ground, Permission};
use chopmark_core::terms::{Preset, Terms, TermsId};

use super::{Licensor, refused, say, say_with, signed_by_both};
use crate::harness::Service;
use crate::make::Author;
use crate::shared::{self, author, enter};

/// Terms that permit sublicences, and let them survive.
fn distributors() -> Terms {
    let mut terms = Preset::CommercialRevenueShare.terms().unwrap();
    (terms.sublicensing.permission, terms.sublicensing.max_depth) = (Permission::Free, None);
    (terms.term.duration, terms.term.renewal, terms.term.perpetual) = (None, None, true);
    (terms.termination.sublicences.effect, terms.termination.sublicences.period) = (EndEffect::Survive, None);
    terms.validate().unwrap();
    terms
}

fn publish(service: &Service, author: &Author, terms: &Terms) -> TermsId {
    let id = terms.id().unwrap();
    let claim = Claim::Terms(TermsClaim(Box::new(terms.clone())));
    enter(service, &say(author, &format!("{id} of {}", author.party), &claim), &shared::registry(service).1);
    id
}

#[test]
fn a_licensee_does_not_lock_the_owner_out() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let licensor = Licensor::new(service, "lock out", &distributors());
    let (bob, carol) = (author(service, "lock out bob"), author(service, "lock out carol"));
    let under = vec![licensor.grant("lock out", &bob)];
    let mut exclusive = distributors();
    exclusive.exclusivity.kind = ExclusivityKind::Exclusive;
    let terms = publish(service, &bob, &exclusive);
    let offer = OfferClaim { terms, under: under.clone(), ..licensor.offer_claim() };
    let offer = say(&bob, "lock out offer", &Claim::Offer(offer));
    refused(service, &offer, "beyond_head_licence", "/predicate/claim/artefacts/0");
    let accepted = licensor.acceptance(bob.party, &carol);
    let grant = GrantClaim { offer: None, licensor: bob.party, terms, under: under.clone(), ..accepted.clone() };
    let grant = signed_by_both(&bob, &carol, "lock out both", &Claim::Grant(grant));
    refused(service, &grant, "beyond_head_licence", "/predicate/claim/artefacts/0");
    // What it has, it may give; and the owner still may, too.
    let terms = publish(service, &bob, &distributors());
    let grant = GrantClaim { offer: None, licensor: bob.party, terms, under, ..accepted };
    enter(service, &signed_by_both(&bob, &carol, "lock out shared", &Claim::Grant(grant)), &log_key);
    licensor.grant("lock out owner", &carol);
}

#[test]
fn nothing_is_sublicensed_for_a_day_before_the_end() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let for_good = distributors();
    let mut for_a_year = for_good.clone();
    (for_a_year.term.duration, for_a_year.term.perpetual) = (Some("P1Y".parse().unwrap()), false);
    let licensor = Licensor::new(service, "too late", &for_a_year);
    let (bob, carol) = (author(service, "too late bob"), author(service, "too late carol"));
    for (author, terms) in [(&licensor.author, &for_good), (&bob, &for_good), (&bob, &for_a_year)] {
        publish(service, author, terms);
    }
    let (first, earlier): (Date, Date) = ("2020-01-01".parse().unwrap(), "2020-06-01".parse().unwrap());
    let agreed = |label: &str, terms: TermsId| {
        let accepted = licensor.acceptance(bob.party, &bob);
        let claim = GrantClaim { offer: None, terms, starts_on: first, ..accepted };
        let grant = signed_by_both(&licensor.author, &bob, label, &Claim::Grant(claim));
        enter(service, &grant, &log_key);
        grant.statement.id
    };
    let sublicence = |label: &str, terms: TermsId, under: StatementId| {
        let accepted = licensor.acceptance(bob.party, &carol);
        let (licensor, under, starts_on) = (bob.party, vec![under], earlier);
        let claim = GrantClaim { offer: None, licensor, terms, under, starts_on, ..accepted };
        signed_by_both(&bob, &carol, label, &Claim::Grant(claim))
    };
    // It expired, as the registry's clock says.
    let terms = for_a_year.id().unwrap();
    let late = sublicence("too late 1", terms, agreed("too late expired", terms));
    let problem = refused(service, &late, "licence_not_in_force", "/predicate/claim/under/0");
    assert!(problem["detail"].as_str().unwrap().contains("expired on 2020-12-31"), "{problem}");

    // It was terminated, as the log says.
    let terms = for_good.id().unwrap();
    let licence = agreed("too late terminated", terms);
    enter(service, &sublicence("too late 2", terms, licence), &log_key);
    let status = LicenceEvent::Terminated;
    let end = LicenceStatusClaim { licence, seq: 1, prev: licence, status, reason: Some(Ground::Breach) };
    enter(service, &say(&licensor.author, "too late end", &Claim::LicenceStatus(end)), &log_key);
    let late = sublicence("too late 3", terms, licence);
    refused(service, &late, "licence_not_in_force", "/predicate/claim/under/0");
    let offer = Claim::Offer(OfferClaim { terms, under: vec![licence], ..licensor.offer_claim() });
    let back_dated = say_with(&bob, "too late offer", &offer, |header| {
        header.issued_at = "2020-06-02T00:00:00.000Z".parse().unwrap();
    });
    refused(service, &back_dated, "licence_not_in_force", "/predicate/claim/under/0");
}

//! How licences end, and who sees it: the days of events, what rests on a licence, and lists of what was in force when.

use chopmark_core::bundle::Bundle;
use chopmark_core::kind::Claim;
use chopmark_core::licensing::{GrantClaim, LicenceEvent, LicenceStatusClaim, OfferClaim, TermsClaim};
use chopmark_core::statement::StatementId;
use chopmark_core::submission::Submission;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::{EndEffect, Ground, Permission};
use chopmark_core::terms::{Preset, Terms};
use chopmark_core::time::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Service, place};
use crate::licensing::{Licensor, listed, refused, say, say_with, signed_by_both, today, trust};
use crate::make::{Author, now};
use crate::repeat::at_once;
use crate::shared::{self, author, enter};

fn days_ago(days: i64) -> Timestamp {
    Timestamp::from_unix_ms(now().unix_ms() - days * 24 * 3_600_000).unwrap()
}

fn day_ago(days: i64) -> Date {
    Date::in_hong_kong(days_ago(days))
}

/// An event of a licence, after another one or the grant, made and valid from one moment to another.
fn event(
    author: &Author,
    label: &str,
    (licence, seq, prev): (StatementId, u64, StatementId),
    status: LicenceEvent,
    (made, until): (Timestamp, Timestamp),
) -> Submission {
    let reason = (status != LicenceEvent::Reinstated).then_some(Ground::Breach);
    let claim = LicenceStatusClaim { licence, seq, prev, status, reason };
    say_with(author, label, &Claim::LicenceStatus(claim), |header| (header.issued_at, header.not_after) = (made, until))
}

/// An event that is made so many days ago.
fn event_of(
    author: &Author,
    label: &str,
    place: (StatementId, u64, StatementId),
    status: LicenceEvent,
    days: i64,
) -> Submission {
    event(author, label, place, status, (days_ago(days), days_ago(days).plus_days(7)))
}

/// How a licence stands on a day.
fn standing(service: &Service, licence: StatementId, on: Date) -> Value {
    service.get(&format!("/v1/licences/{licence}?on={on}")).json()["standing"]["standing"].clone()
}

/// A licence of thirty days ago, which both sides sign.
fn old_licence(licensor: &Licensor<'_>, licensee: &Author, label: &str) -> StatementId {
    let claim = GrantClaim { offer: None, starts_on: day_ago(30), ..licensor.acceptance(licensee.party, licensee) };
    let grant = signed_by_both(&licensor.author, licensee, label, &Claim::Grant(claim));
    enter(licensor.service, &grant, &shared::registry(licensor.service).1);
    grant.statement.id
}

#[test]
fn an_event_is_not_of_a_day_to_come_nor_of_one_long_ago() {
    let service = shared::service();
    let licensor = Licensor::new(service, "days", &Preset::CommercialPerSeat.terms().unwrap());
    let bob = author(service, "days bob");
    let licence = licensor.grant("days", &bob);
    let (_, log_key) = shared::registry(service);
    let moment = |text: &str| text.parse::<Timestamp>().unwrap();
    let first = (licence, 1, licence);
    let refuse = |label: &str, times, code: &str, member: &str| {
        let event = event(&bob, label, first, LicenceEvent::Terminated, times);
        refused(service, &event, code, &format!("/predicate/{member}"));
    };
    // In Hong Kong, the last two are in the year 10000.
    refuse("days 1", (now().plus_days(2), now().plus_days(3)), "not_yet_valid", "issued_at");
    refuse("days 2", (now().plus_minutes(60), now().plus_days(1)), "not_yet_valid", "issued_at");
    let last = (moment("9999-12-31T20:00:00.000Z"), moment("9999-12-31T21:00:00.000Z"));
    refuse("days 3", last, "not_yet_valid", "issued_at");
    refuse(
        "days 4",
        (moment("2099-01-01T00:00:00.000Z"), moment("9999-12-31T21:00:00.000Z")),
        "not_yet_valid",
        "issued_at",
    );
    refuse("days 5", (moment("0000-06-01T00:00:00.000Z"), now().plus_days(1)), "invalid_statement", "not_after");
    refuse("days 6", (days_ago(7), now().plus_days(1)), "invalid_statement", "not_after");
    assert_eq!(service.get("/v1/status-list").status, 200);

    // What is suspended stays so, whatever the licensee says of a day to come.
    let suspended = event_of(&licensor.author, "days 7", first, LicenceEvent::Suspended, 0);
    enter(service, &suspended, &log_key);
    let second = (licence, 2, suspended.statement.id);
    let lifted = event(&bob, "days 8", second, LicenceEvent::Terminated, (now().plus_days(2), now().plus_days(3)));
    refused(service, &lifted, "not_yet_valid", "/predicate/issued_at");
    assert_eq!(standing(service, licence, today()), "suspended");
    // An event was not made before the one that it follows.
    let before = event_of(&licensor.author, "days 9", second, LicenceEvent::Reinstated, 1);
    refused(service, &before, "stale_status_head", "/predicate/issued_at");
    enter(service, &event_of(&bob, "days 10", second, LicenceEvent::Terminated, 0), &log_key);
    assert_eq!(standing(service, licence, today()), "terminated");
}

#[test]
fn a_suspension_that_is_over_still_counts_for_its_days() {
    let service = shared::service();
    let licensor = Licensor::new(service, "history", &Preset::CommercialPerSeat.terms().unwrap());
    let bob = author(service, "history bob");
    let licence = old_licence(&licensor, &bob, "history grant");
    let (_, log_key) = shared::registry(service);
    let mut prev = licence;
    for (seq, (status, days)) in (1..).zip([(LicenceEvent::Suspended, 5), (LicenceEvent::Reinstated, 2)]) {
        let event = event_of(&licensor.author, &format!("history {seq}"), (licence, seq, prev), status, days);
        enter(service, &event, &log_key);
        prev = event.statement.id;
    }
    let file = service.get(&format!("/v1/licences/{licence}/file"));
    let proven = Bundle::parse(file.text().as_bytes()).unwrap().verify(&trust(service)).unwrap().licence.unwrap();
    let in_force_on = |day: Date| {
        let query = format!("/v1/licences?licensee={}&in_force_on={day}", bob.party);
        listed(service, &query, "licences", "licence_id")
    };
    for (days, expected) in [(31, "not_yet"), (6, "in_force"), (5, "suspended"), (3, "suspended"), (2, "in_force")] {
        let day = day_ago(days);
        assert_eq!(standing(service, licence, day), expected, "{days} days ago");
        let offline = serde_json::to_value(proven.standing(day)).unwrap();
        assert_eq!(offline["standing"], expected, "{days} days ago: {file:?}");
        let is_listed = in_force_on(day) == [licence.to_hex()];
        assert_eq!(is_listed, expected == "in_force", "{days} days ago");
    }
    // Terminated, it was in force before all the same.
    enter(service, &event_of(&licensor.author, "history 3", (licence, 3, prev), LicenceEvent::Terminated, 0), &log_key);
    assert_eq!(in_force_on(day_ago(1)), [licence.to_hex()]);
    assert_eq!(in_force_on(today()), [] as [String; 0]);
}

#[test]
fn pages_of_licences_are_all_of_one_moment() {
    let service = shared::service();
    let licensor = Licensor::new(service, "moment", &Preset::CommercialPerSeat.terms().unwrap());
    let both = ["bob", "carol"].map(|name| author(service, &format!("moment {name}")));
    let licences = both.each_ref().map(|licensee| old_licence(&licensor, licensee, &licensee.party.to_hex()));
    let artefact = licensor.artefact;
    let queries = [format!("in_force_on={}", today()), "status=granted".to_owned()];
    let first = queries.each_ref().map(|query| {
        let page = service.get(&format!("/v1/licences?artefact={artefact}&{query}&limit=1")).json();
        assert_eq!(page["licences"][0]["licence_id"], licences[0].to_hex(), "{page}");
        page["next"].as_str().unwrap().to_owned()
    });
    let suspended =
        event_of(&licensor.author, "moment suspended", (licences[1], 1, licences[1]), LicenceEvent::Suspended, 0);
    enter(service, &suspended, &shared::registry(service).1);
    for (query, cursor) in queries.iter().zip(first) {
        let path = format!("/v1/licences?artefact={artefact}&{query}");
        let page = service.get(&format!("{path}&cursor={cursor}")).json();
        let found = &page["licences"][0];
        assert_eq!(
            (&found["licence_id"], &found["status"], &found["event_seq"]),
            (&json!(licences[1].to_hex()), &json!("granted"), &json!(0)),
            "{page}"
        );
        assert_eq!(listed(service, &path, "licences", "licence_id"), [licences[0].to_hex()]);
    }
    // A page may have nothing that fits, and lead on to one that has.
    let newest = author(service, "moment dave");
    let third = old_licence(&licensor, &newest, "moment dave");
    let path = format!("/v1/licences?artefact={artefact}&{}&limit=1", queries[0]);
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("{path}{cursor}")).json();
        found.extend(page["licences"].as_array().unwrap().iter().map(|licence| licence["licence_id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, [json!(licences[0].to_hex()), json!(third.to_hex())]);
}

#[test]
fn an_exclusive_sublicence_that_ended_with_its_head_keeps_nobody_out() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let mut terms = Preset::ExclusiveTerritorial.terms().unwrap();
    (terms.sublicensing.permission, terms.sublicensing.max_depth) = (Permission::Free, None);
    (terms.termination.sublicences.effect, terms.termination.sublicences.period) = (EndEffect::Terminate, None);
    terms.validate().unwrap();
    let licensor = Licensor::new(service, "freed", &terms);
    let [bob, carol, dave] = ["bob", "carol", "dave"].map(|name| author(service, &format!("freed {name}")));
    let head = licensor.grant("freed head", &bob);
    enter(service, &say(&bob, "freed terms of bob", &Claim::Terms(TermsClaim(Box::new(terms)))), &log_key);
    let claim = OfferClaim { under: vec![head], ..licensor.offer_claim() };
    let offer = say(&bob, "freed sub offer", &Claim::Offer(claim));
    enter(service, &offer, &log_key);
    let claim =
        GrantClaim { licensor: bob.party, under: vec![head], ..licensor.acceptance(offer.statement.id, &carol) };
    let sub = say(&carol, "freed sub", &Claim::Grant(claim));
    enter(service, &sub, &log_key);

    let offer = licensor.offer("freed second offer", licensor.offer_claim());
    let second = |label: &str| say(&dave, label, &Claim::Grant(licensor.acceptance(offer, &dave)));
    let refusal = refused(service, &second("freed 1"), "exclusive_overlap", "/predicate/claim/artefacts/0");
    assert_eq!(refusal["existing"], head.to_hex());
    enter(service, &event_of(&licensor.author, "freed 2", (head, 1, head), LicenceEvent::Terminated, 0), &log_key);
    let in_force = format!("/v1/licences?licensee={}&in_force_on={}", carol.party, today());
    assert_eq!(listed(service, &in_force, "licences", "licence_id"), [] as [String; 0]);
    enter(service, &second("freed 3"), &log_key);
}

#[test]
fn nothing_is_granted_beyond_the_days_that_can_be_written() {
    let service = shared::service();
    let mut terms = Preset::CommercialPerSeat.terms().unwrap();
    terms.term.duration = Some("P9999Y".parse().unwrap());
    let licensor = Licensor::new(service, "beyond", &terms);
    let bob = author(service, "beyond bob");
    let offer = licensor.offer("beyond offer", licensor.offer_claim());
    let grant = say(&bob, "beyond grant", &Claim::Grant(licensor.acceptance(offer, &bob)));
    refused(service, &grant, "invalid_statement", "/predicate/claim/starts_on");
}

/// Statements at once, some of which ask for what can't be read.
const AT_ONCE: usize = 120;

#[test]
fn what_can_not_be_read_stops_only_those_that_ask_for_it() {
    let place = place();
    let service = Service::start(place.path());
    let (reference, log_key) = shared::registry(&service);
    let per_seat = Preset::CommercialPerSeat.terms().unwrap();
    let exclusive = Preset::ExclusiveTerritorial.terms().unwrap();
    let licensor = Licensor::new(&service, "damaged", &per_seat);
    let publish = |author: &Author, terms: &Terms| {
        let claim = Claim::Terms(TermsClaim(Box::new(terms.clone())));
        enter(&service, &say(author, &format!("exclusive terms of {}", author.party), &claim), &log_key);
    };
    publish(&licensor.author, &exclusive);
    let [bob, carol, eve, mallory] = ["bob", "carol", "eve", "mallory"].map(|name| author(&service, name));
    publish(&eve, &exclusive);
    let licence = licensor.grant("damaged", &bob);
    let suspended = event_of(&licensor.author, "damaged 1", (licence, 1, licence), LicenceEvent::Suspended, 0);
    enter(&service, &suspended, &log_key);
    let exclusive = exclusive.id().unwrap();
    let offer = licensor.offer("exclusive offer", OfferClaim { terms: exclusive, ..licensor.offer_claim() });
    service.sql("UPDATE view.licence_event SET since = '0000-06-01'").unwrap();

    // The odd ones are new parties, the even ones want to reinstate the licence.
    let second = (licence, 2, suspended.statement.id);
    let requests: Vec<_> = (0..AT_ONCE)
        .map(|number| match number % 2 {
            0 => {
                event_of(&licensor.author, &format!("again {number}"), second, LicenceEvent::Reinstated, 0).to_request()
            }
            _ => Author::new(&reference, &format!("new {number}"), 1, 1).1.to_request(),
        })
        .collect();
    let answers = at_once(&service, &requests, |_, answer| answer.status);
    for (number, status) in answers.iter().enumerate() {
        assert_eq!(*status, if number % 2 == 0 { 503 } else { 201 }, "{number}");
    }

    // Nothing is read for a grant that can't be: on unknown terms, in what is another's, and not signed by the licensor.
    let claim = |licensor_is: StatementId, terms| GrantClaim {
        offer: None,
        licensor: licensor_is,
        terms,
        ..licensor.acceptance(licence, &mallory)
    };
    let unknown = Preset::Permissive.terms().unwrap().id().unwrap();
    for (label, terms, code, member) in [
        ("vain 1", unknown, "unknown_terms", "claim/terms"),
        ("vain 2", exclusive, "not_authorised", "claim/artefacts/0"),
    ] {
        let grant = signed_by_both(&eve, &mallory, label, &Claim::Grant(claim(eve.party, terms)));
        refused(&service, &grant, code, &format!("/predicate/{member}"));
    }
    let alone = say(&mallory, "vain 3", &Claim::Grant(claim(licensor.author.party, exclusive)));
    refused(&service, &alone, "threshold_not_met", "/predicate/signers");
    let may = GrantClaim { terms: exclusive, ..licensor.acceptance(offer, &carol) };
    let may = say(&carol, "may be granted", &Claim::Grant(may));
    assert_eq!(service.post(&may.to_request()).problem()["code"], "ledger_damaged");
    service.stop();
}

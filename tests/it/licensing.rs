//! Licences over HTTP and offline: who may offer and accept what, which of two stands, and what a file proves.

mod sublicences;

use chopmark_core::artefact::{ArtefactClaim, Parent, ParentSource, Relation};
use chopmark_core::bundle::Bundle;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::licensing::{GrantClaim, LicenceEvent, LicenceStatusClaim, OfferClaim, Standing, TermsClaim};
use chopmark_core::party::{KeyClaim, KeyEvent, RevocationReason};
use chopmark_core::statement::{Envelope, Header, Issuer, SignerGroup, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::{EndEffect, Ground, Permission};
use chopmark_core::terms::{Preset, Terms, TermsId};
use chopmark_core::time::Timestamp;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use serde_json::{Value, json};

use crate::harness::{Service, place};
use crate::make::{Author, Random, now, small_manifest};
use crate::repeat::at_once;
use crate::shared::{self, author, author_with, check_receipt, enter};

/// A licensor with an artefact and published terms, at a service.
pub struct Licensor<'a> {
    pub service: &'a Service,
    pub author: Author,
    pub artefact: StatementId,
    pub terms: TermsId,
}

pub fn today() -> Date {
    Date::in_hong_kong(now())
}

/// A signed statement with this claim and a header that may be changed first.
pub fn say_with(author: &Author, label: &str, claim: &Claim, change: impl FnOnce(&mut Header)) -> Submission {
    let mut header = author.header(Issuer::Party(author.party), author.threshold, label);
    change(&mut header);
    let payload = Statement::compose(label, &header, claim).unwrap();
    author.sign(payload, Vec::new())
}

pub fn say(author: &Author, label: &str, claim: &Claim) -> Submission {
    say_with(author, label, claim, |_| {})
}

impl<'a> Licensor<'a> {
    pub fn new(service: &'a Service, label: &str, terms: &Terms) -> Self {
        Self::of(service, author(service, &format!("{label} licensor")), label, terms)
    }

    fn of(service: &'a Service, author: Author, label: &str, terms: &Terms) -> Self {
        let (_, log_key) = shared::registry(service);
        let registration = author.artefact(&format!("{label} artefact"));
        enter(service, &registration, &log_key);
        let publication = say(&author, &format!("{label} terms"), &Claim::Terms(TermsClaim(Box::new(terms.clone()))));
        enter(service, &publication, &log_key);
        Self { service, author, artefact: registration.statement.id, terms: terms.id().unwrap() }
    }

    pub fn offer_claim(&self) -> OfferClaim {
        OfferClaim {
            artefacts: vec![self.artefact],
            terms: self.terms,
            licensee: None,
            expires_at: now().plus_days(10),
            under: Vec::new(),
        }
    }

    /// Enters an offer; its id, and when it was made.
    pub fn offer(&self, label: &str, claim: OfferClaim) -> StatementId {
        let offer = say(&self.author, label, &Claim::Offer(claim));
        enter(self.service, &offer, &shared::registry(self.service).1);
        offer.statement.id
    }

    /// The acceptance of an offer as it should be.
    pub fn acceptance(&self, offer: StatementId, licensee: &Author) -> GrantClaim {
        GrantClaim {
            offer: Some(offer),
            licensor: self.author.party,
            licensee: licensee.party,
            artefacts: vec![self.artefact],
            terms: self.terms,
            starts_on: today(),
            under: Vec::new(),
        }
    }

    /// Enters a licence under a new offer.
    pub fn grant(&self, label: &str, licensee: &Author) -> StatementId {
        let offer = self.offer(&format!("{label} offer"), self.offer_claim());
        let grant = say(licensee, &format!("{label} grant"), &Claim::Grant(self.acceptance(offer, licensee)));
        enter(self.service, &grant, &shared::registry(self.service).1);
        grant.statement.id
    }
}

/// A licence with the terms and the offer that it is of.
pub struct Licensed {
    pub terms: TermsId,
    pub offer: StatementId,
    pub licence: StatementId,
}

/// Enters all it takes for a licence.
pub fn licensed(service: &Service, label: &str) -> Licensed {
    let licensor = Licensor::new(service, label, &Preset::CommercialPerSeat.terms().unwrap());
    let licensee = author(service, &format!("{label} licensee"));
    let licence = licensor.grant(label, &licensee);
    let page = service.get(&format!("/v1/licences/{licence}")).json();
    let offer = page["offer"].as_str().unwrap().parse().unwrap();
    Licensed { terms: licensor.terms, offer, licence }
}

/// Sends a statement that must be refused in this way.
#[track_caller]
pub fn refused(service: &Service, submission: &Submission, code: &str, pointer: &str) -> Value {
    let problem = service.post(&submission.to_request()).problem();
    assert_eq!((&problem["code"], &problem["pointer"]), (&json!(code), &json!(pointer)), "{problem}");
    problem
}

#[test]
fn what_is_not_offered_to_whom_is_not_accepted() {
    let service = shared::service();
    let per_seat = Preset::CommercialPerSeat.terms().unwrap();
    let licensor = Licensor::new(service, "refusals", &per_seat);
    let (bob, carol) = (author(service, "refusals bob"), author(service, "refusals carol"));
    let stranger = author(service, "refusals stranger");

    // Offers.
    let of = |change: &dyn Fn(&mut OfferClaim)| {
        let mut claim = licensor.offer_claim();
        change(&mut claim);
        Claim::Offer(claim)
    };
    let mine = &licensor.author;
    let refuse_offer = |author: &Author, label: &str, claim: Claim, code: &str, pointer: &str| {
        refused(service, &say(author, label, &claim), code, &format!("/predicate/claim{pointer}"))
    };
    refuse_offer(&stranger, "offer 1", of(&|_| {}), "unknown_terms", "/terms");
    refuse_offer(mine, "offer 2", of(&|offer| offer.artefacts = vec![bob.party]), "unknown_artefact", "/artefacts/0");
    refuse_offer(mine, "offer 3", of(&|offer| offer.licensee = Some(mine.party)), "not_authorised", "/licensee");
    refuse_offer(mine, "offer 4", of(&|offer| offer.licensee = Some(offer.artefacts[0])), "unknown_party", "/licensee");
    let past = "2020-01-01T00:00:00.000Z".parse::<Timestamp>().unwrap();
    refuse_offer(mine, "offer 5", of(&|offer| offer.expires_at = past), "offer_expired", "/expires_at");
    refuse_offer(mine, "offer 6", of(&|offer| offer.under = vec![offer.artefacts[0]]), "unknown_licence", "/under/0");
    // Another's artefact, on terms of one's own.
    let terms = Claim::Terms(TermsClaim(Box::new(per_seat.clone())));
    enter(service, &say(&stranger, "stranger's terms", &terms), &shared::registry(service).1);
    refuse_offer(&stranger, "offer 7", of(&|_| {}), "not_authorised", "/artefacts/0");
    let again = refused(service, &say(mine, "terms again", &terms), "already_registered", "/predicate/claim");
    assert_eq!(again["status"], 409);

    // Acceptances.
    let offer = licensor.offer("offer for bob", OfferClaim { licensee: Some(bob.party), ..licensor.offer_claim() });
    let grant = |author: &Author, change: &dyn Fn(&mut GrantClaim)| {
        let mut claim = licensor.acceptance(offer, author);
        change(&mut claim);
        Claim::Grant(claim)
    };
    let refuse = |author: &Author, label: &str, claim: Claim, code: &str, pointer: &str| {
        refused(service, &say(author, label, &claim), code, &format!("/predicate{pointer}"))
    };
    refuse(&carol, "grant 1", grant(&carol, &|_| {}), "not_authorised", "/claim/licensee");
    refuse(&carol, "grant 2", grant(&bob, &|_| {}), "not_authorised", "/issuer");
    refuse(&bob, "grant 3", grant(&bob, &|grant| grant.licensor = carol.party), "offer_differs", "/claim/licensor");
    let other = Preset::Permissive.terms().unwrap().id().unwrap();
    refuse(&bob, "grant 4", grant(&bob, &|grant| grant.terms = other), "offer_differs", "/claim/terms");
    refuse(
        &bob,
        "grant 5",
        grant(&bob, &|grant| grant.artefacts.push(StatementId::from_bytes([255; 32]))),
        "offer_differs",
        "/claim/artefacts",
    );
    refuse(
        &bob,
        "grant 6",
        grant(&bob, &|grant| grant.starts_on = "2020-01-01".parse().unwrap()),
        "offer_differs",
        "/claim/starts_on",
    );
    refuse(&bob, "grant 7", grant(&bob, &|grant| grant.offer = Some(bob.party)), "unknown_offer", "/claim/offer");
    let late =
        say_with(&bob, "grant 8", &grant(&bob, &|_| {}), |header| header.not_after = header.issued_at.plus_days(11));
    refused(service, &late, "offer_expired", "/predicate/not_after");
    let early = say_with(&bob, "grant 9", &grant(&bob, &|_| {}), |header| {
        header.issued_at = "2020-01-01T00:00:00.000Z".parse().unwrap();
    });
    refused(service, &early, "offer_differs", "/predicate/issued_at");
    // Without an offer, both sides sign.
    refuse(&bob, "grant 10", grant(&bob, &|grant| grant.offer = None), "threshold_not_met", "/signers");
    refuse(&stranger, "grant 11", grant(&bob, &|grant| grant.offer = None), "not_authorised", "/issuer");
    // Another registry, and an offer that is over.
    let foreign = say_with(&bob, "grant 12", &grant(&bob, &|_| {}), |header| {
        header.registry.as_mut().unwrap().origin = "elsewhere.example/log".to_owned();
    });
    refused(service, &foreign, "wrong_registry", "/predicate/registry");
    let over = say_with(&bob, "grant 13", &grant(&bob, &|_| {}), |header| {
        header.issued_at = "2020-01-01T00:00:00.000Z".parse().unwrap();
        header.not_after = "2020-01-02T00:00:00.000Z".parse().unwrap();
    });
    refused(service, &over, "expired", "/predicate/not_after");

    // Once, and not again under another nonce; the very same statement is found.
    let accepted = say(&bob, "grant 14", &grant(&bob, &|_| {}));
    enter(service, &accepted, &shared::registry(service).1);
    assert_eq!(service.post(&accepted.to_request()).status, 200);
    let again = refuse(&bob, "grant 15", grant(&bob, &|_| {}), "already_registered", "/claim/offer");
    assert_eq!(again["existing"], accepted.statement.id.to_hex());
}

/// A statement that two parties sign.
pub fn signed_by_both(first: &Author, second: &Author, label: &str, claim: &Claim) -> Submission {
    let mut header = first.header(Issuer::Party(first.party), first.threshold, label);
    let group = |author: &Author| SignerGroup {
        party: Issuer::Party(author.party),
        key_head: Some(author.party),
        keys: author.keys.iter().map(|key| PublicKey::from(key).id()).collect(),
        threshold: author.threshold,
    };
    header.signers = vec![group(first), group(second)];
    let payload = Statement::compose(label, &header, claim).unwrap();
    let keys: Vec<_> = first.keys.iter().chain(&second.keys).collect();
    Submission::assemble(Envelope::sign(payload, &keys), Vec::new()).unwrap()
}

#[test]
fn a_grant_that_both_sides_sign_needs_no_offer() {
    let service = shared::service();
    let licensor = Licensor::new(service, "both", &Preset::CommercialPerSeat.terms().unwrap());
    let bob = author(service, "both bob");
    let claim = Claim::Grant(GrantClaim { offer: None, ..licensor.acceptance(bob.party, &bob) });
    // A signature that is missing, or is another's, is none.
    let half = signed_by_both(&licensor.author, &author(service, "both carol"), "both 1", &claim);
    refused(service, &half, "threshold_not_met", "/predicate/signers");
    let both = signed_by_both(&licensor.author, &bob, "both 2", &claim);
    let (_, log_key) = shared::registry(service);
    enter(service, &both, &log_key);
    let page = service.get(&format!("/v1/licences/{}", both.statement.id)).json();
    assert_eq!((&page["status"], &page["offer"]), (&json!("granted"), &Value::Null), "{page}");
    // Together they may end it for a reason that the terms do not know.
    let end = |label: &str, prev: StatementId| {
        let claim = LicenceStatusClaim {
            licence: both.statement.id,
            seq: 1,
            prev,
            status: LicenceEvent::Terminated,
            reason: Some(Ground::ChangeOfControl),
        };
        signed_by_both(&bob, &licensor.author, label, &Claim::LicenceStatus(claim))
    };
    refused(service, &end("both 3", bob.party), "stale_status_head", "/predicate/claim/prev");
    enter(service, &end("both 4", both.statement.id), &log_key);
    let page = service.get(&format!("/v1/licences/{}", both.statement.id)).json();
    assert_eq!(
        (&page["status"], &page["standing"]["standing"]),
        (&json!("terminated"), &json!("terminated")),
        "{page}"
    );
}

#[test]
fn every_side_signs_with_as_many_keys_as_it_says() {
    let service = shared::service();
    let two = author_with(service, "thresholds licensor", 2, 2);
    let licensor = Licensor::of(service, two, "thresholds", &Preset::CommercialPerSeat.terms().unwrap());
    let bob = author(service, "thresholds bob");
    let claim = Claim::Grant(GrantClaim { offer: None, ..licensor.acceptance(bob.party, &bob) });
    // The licensor signs second, with one key of two.
    let mut alone = licensor.author.clone();
    alone.keys.truncate(1);
    alone.threshold = 1;
    let half = signed_by_both(&bob, &alone, "thresholds 1", &claim);
    refused(service, &half, "threshold_not_met", "/predicate/signers/1/threshold");
    let both = signed_by_both(&bob, &licensor.author, "thresholds 2", &claim);
    enter(service, &both, &shared::registry(service).1);
}

/// Ids in a list, by the name of their member.
pub fn listed(service: &Service, path: &str, list: &str, member: &str) -> Vec<String> {
    let answer = service.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let list = answer.json()[list].clone();
    list.as_array().unwrap().iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn offers_and_licences_are_found_by_what_is_known_of_them() {
    let service = shared::service();
    let licensor = Licensor::new(service, "found", &Preset::CommercialPerSeat.terms().unwrap());
    let (bob, carol) = (author(service, "found bob"), author(service, "found carol"));
    let (artefact, party) = (licensor.artefact, licensor.author.party);
    let to_bob = licensor.offer("found to bob", OfferClaim { licensee: Some(bob.party), ..licensor.offer_claim() });
    let to_all = licensor.offer("found to all", licensor.offer_claim());
    let (to_bob, to_all) = (to_bob.to_hex(), to_all.to_hex());
    let offers = |query: String| listed(service, &format!("/v1/offers?{query}"), "offers", "offer_id");
    assert_eq!(offers(format!("artefact={artefact}")), [to_bob.clone(), to_all.clone()]);
    assert_eq!(offers(format!("licensor={party}")), [to_bob.clone(), to_all.clone()]);
    assert_eq!(offers(format!("artefact={artefact}&licensee={}", bob.party)), core::slice::from_ref(&to_bob));
    assert_eq!(offers(format!("licensor={}", bob.party)), [] as [String; 0]);
    assert_eq!(offers(format!("artefact={artefact}&open_at=2099-01-01T00:00:00.000Z")), [] as [String; 0]);
    let first = service.get(&format!("/v1/offers?artefact={artefact}&limit=1"));
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    assert!(first.header("link").unwrap().contains(&format!("cursor={cursor}")));
    assert_eq!(offers(format!("artefact={artefact}&limit=1&cursor={cursor}")), [to_all]);

    let (bobs, carols) = (licensor.grant("found bob", &bob), licensor.grant("found carol", &carol));
    let licences =
        |query: &str| listed(service, &format!("/v1/licences?artefact={artefact}&{query}"), "licences", "licence_id");
    let both = [bobs.to_hex(), carols.to_hex()];
    assert_eq!(licences(&format!("licensor={party}")), both);
    assert_eq!(licences(&format!("licensee={}", carol.party)), [carols.to_hex()]);
    assert_eq!(licences("status=granted"), both);
    assert_eq!(licences(&format!("in_force_on={}", today())), both);
    assert_eq!(licences("in_force_on=2020-01-01"), [] as [String; 0]);
    let claim = LicenceStatusClaim {
        licence: bobs,
        seq: 1,
        prev: bobs,
        status: LicenceEvent::Suspended,
        reason: Some(Ground::Breach),
    };
    let suspended = say(&licensor.author, "found suspended", &Claim::LicenceStatus(claim));
    enter(service, &suspended, &shared::registry(service).1);
    assert_eq!(licences(&format!("in_force_on={}", today())), [carols.to_hex()]);
    assert_eq!(licences("status=suspended"), [bobs.to_hex()]);
    for (bad, pointer) in [
        ("/v1/licences?in_force_on=2027-02-29", "/in_force_on"),
        ("/v1/licences?status=lost", "/status"),
        ("/v1/offers?open_at=now", "/open_at"),
        ("/v1/offers?artefact=abc", "/artefact"),
        ("/v1/status-list?ttl=P2Y", "/ttl"),
    ] {
        let problem = service.get(bad).problem();
        assert_eq!((&problem["code"], &problem["pointer"]), (&json!("bad_parameter"), &json!(pointer)), "{problem}");
    }

    // Terms speak the reader's language.
    let path = format!("/v1/terms/{}", licensor.terms);
    for (asked, language, word) in
        [("zh-HK, en;q=0.5", "zh-Hant", "特許"), ("zh-CN", "zh-Hans", "许可"), ("fr", "en", "seats")]
    {
        let answer = service.get_with(&path, &[("Accept-Language", asked)]);
        assert_eq!(
            (answer.header("content-language"), answer.header("vary")),
            (Some(language), Some("Accept-Language"))
        );
        let summary = answer.json()["summary"].as_str().unwrap().to_owned();
        assert!(summary.contains(word), "{summary}");
    }
}

#[test]
fn only_a_side_with_a_ground_ends_a_licence() {
    let service = shared::service();
    let licensor = Licensor::new(service, "events", &Preset::CommercialPerSeat.terms().unwrap());
    let (bob, stranger) = (author(service, "events bob"), author(service, "events stranger"));
    let licence = licensor.grant("events", &bob);
    let (_, log_key) = shared::registry(service);
    let claim = |status, reason| LicenceStatusClaim { licence, seq: 1, prev: licence, status, reason };
    let event =
        |author: &Author, label: &str, claim: LicenceStatusClaim| say(author, label, &Claim::LicenceStatus(claim));
    let terminated = |reason| claim(LicenceEvent::Terminated, Some(reason));
    let place = |member: &str| format!("/predicate/{member}");
    for (author, label, claim, code, member) in [
        (&stranger, "event 1", terminated(Ground::Breach), "not_authorised", "issuer"),
        (&bob, "event 2", terminated(Ground::LicenseeConvenience), "not_authorised", "claim/reason"),
        (&bob, "event 3", terminated(Ground::NonPayment), "not_authorised", "claim/reason"),
        (&bob, "event 4", claim(LicenceEvent::Suspended, Some(Ground::Breach)), "not_authorised", "claim/reason"),
        (&licensor.author, "event 5", terminated(Ground::Challenge), "not_authorised", "claim/reason"),
        (&licensor.author, "event 6", claim(LicenceEvent::Reinstated, None), "licence_not_in_force", "claim/status"),
    ] {
        refused(service, &event(author, label, claim), code, &place(member));
    }
    let suspended = event(&licensor.author, "event 7", claim(LicenceEvent::Suspended, Some(Ground::NonPayment)));
    enter(service, &suspended, &log_key);
    let next = |status, reason| LicenceStatusClaim { licence, seq: 2, prev: suspended.statement.id, status, reason };
    let again = next(LicenceEvent::Suspended, Some(Ground::NonPayment));
    refused(service, &event(&licensor.author, "event 8", again), "licence_not_in_force", "/predicate/claim/status");
    let by_licensee = next(LicenceEvent::Reinstated, None);
    refused(service, &event(&bob, "event 9", by_licensee), "not_authorised", "/predicate/issuer");
    let reinstated = event(&licensor.author, "event 10", next(LicenceEvent::Reinstated, None));
    enter(service, &reinstated, &log_key);
    let page = service.get(&format!("/v1/licences/{licence}")).json();
    assert_eq!((&page["status"], &page["event_seq"]), (&json!("reinstated"), &json!(2)), "{page}");
    assert_eq!(page["standing"]["standing"], "in_force");
    let statuses: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["status"].clone()).collect();
    assert_eq!(statuses, ["suspended", "reinstated"]);

    // A key that was revoked accepts nothing more.
    let dave = author_with(service, "events dave", 2, 1);
    let offer = licensor.offer("events offer 2", licensor.offer_claim());
    let revoke = KeyEvent::Revoke { key: PublicKey::from(&dave.keys[0]).id(), reason: RevocationReason::Lost };
    let revoke = Claim::Key(KeyClaim { seq: 1, prev: dave.party, event: revoke });
    let revocation = say_with(&dave, "events dave revokes", &revoke, |header| header.signers[0].threshold = 2);
    enter(service, &revocation, &log_key);
    let acceptance = Claim::Grant(licensor.acceptance(offer, &dave));
    let stale = say(&dave, "events dave accepts", &acceptance);
    refused(service, &stale, "stale_key_head", "/predicate/signers/0/key_head");
    let revoked = say_with(&dave, "events dave accepts", &acceptance, |header| {
        header.signers[0].key_head = Some(revocation.statement.id);
    });
    refused(service, &revoked, "not_authorised", "/predicate/signers/0/keys");
}

/// Whom an offline verifier of a service's licences trusts.
pub fn trust(service: &Service) -> TrustPolicy {
    let (reference, log_key) = shared::registry(service);
    let registry = TrustedRegistry {
        origin: reference.origin,
        log_key: log_key.to_string(),
        genesis: reference.genesis,
        allow_registry_asserted: true,
        max_status_age: None,
    };
    TrustPolicy { registries: vec![registry] }
}

#[test]
fn the_service_refuses_a_conflict_that_its_owner_does_not_accept() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let (alice, bob) = (author(service, "conflict alice"), author(service, "conflict bob"));
    let register = |author: &Author, label: &str, licence: &str, parents: Vec<Parent>, accepts_conflict: bool| {
        let manifest = small_manifest(label);
        let licence = DeclaredLicence::parse(licence).unwrap();
        let claim = ArtefactClaim { licence, accepts_conflict, ..Author::claim(label, "1", &manifest, parents) };
        let header = author.header(Issuer::Party(author.party), author.threshold, label);
        let payload = Statement::compose(label, &header, &Claim::Artefact(claim)).unwrap();
        author.sign(payload, vec![manifest.to_canonical_bytes()])
    };
    let base = register(&alice, "conflict base", "cc-by-nd-4.0", Vec::new(), false);
    enter(service, &base, &log_key);
    let of_base = || vec![Parent { relation: Relation::Finetune, source: ParentSource::Artefact(base.statement.id) }];
    let child = register(&bob, "conflict child", "mit", of_base(), false);
    let problem = refused(service, &child, "licence_conflict", "/predicate/claim/licence");
    assert_eq!(problem["status"], 409, "{problem}");
    let accepted = register(&bob, "conflict accepted", "mit", of_base(), true);
    enter(service, &accepted, &log_key);
    let page = service.get(&format!("/v1/artefacts/{}", accepted.statement.id)).json();
    assert_eq!(page["compatibility"]["verdict"], "conflict", "{page}");
    // What is one's own binds nobody.
    enter(service, &register(&alice, "conflict own", "mit", of_base(), false), &log_key);

    // What was entered before somebody registered its parent is answered with its entry ever after.
    let unregistered = Sha256Digest::of(b"conflict later");
    let of_unregistered = vec![Parent { relation: Relation::Finetune, source: ParentSource::Digest(unregistered) }];
    let early = register(&bob, "conflict early", "mit", of_unregistered.clone(), false);
    let index = enter(service, &early, &log_key);
    enter(service, &register(&alice, "conflict later", "cc-by-nd-4.0", Vec::new(), false), &log_key);
    let again = service.post(&early.to_request());
    assert_eq!((again.status, check_receipt(&again, &early.entry, &log_key).0), (200, index), "{}", again.text());
    let late = register(&bob, "conflict late", "mit", of_unregistered, false);
    refused(service, &late, "licence_conflict", "/predicate/claim/licence");
}

#[test]
fn a_sublicence_stays_within_the_licence_it_rests_on_and_ends_with_it() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let mut head = Preset::CommercialRevenueShare.terms().unwrap();
    head.sublicensing.permission = Permission::Free;
    head.sublicensing.max_depth = Some(1);
    (head.termination.sublicences.effect, head.termination.sublicences.period) = (EndEffect::Terminate, None);
    head.validate().unwrap();
    let licensor = Licensor::new(service, "sublicence", &head);
    let (bob, carol) = (author(service, "sublicence bob"), author(service, "sublicence carol"));
    let licence = licensor.grant("sublicence", &bob);
    let mut below = head.clone();
    (below.sublicensing.permission, below.sublicensing.max_depth) = (Permission::None, None);
    let below_id = below.id().unwrap();
    for author in [&bob, &carol] {
        for terms in [&head, &below] {
            let label = format!("terms {} of {}", terms.id().unwrap(), author.party);
            enter(service, &say(author, &label, &Claim::Terms(TermsClaim(Box::new(terms.clone())))), &log_key);
        }
    }
    let wider = Preset::Permissive.terms().unwrap();
    let offer = |author: &Author, label: &str, under: Vec<StatementId>, terms: TermsId| {
        say(author, label, &Claim::Offer(OfferClaim { terms, under, ..licensor.offer_claim() }))
    };
    refused(
        service,
        &offer(&bob, "sub 1", Vec::new(), licensor.terms),
        "not_authorised",
        "/predicate/claim/artefacts/0",
    );
    refused(
        service,
        &offer(&carol, "sub 2", vec![licence], licensor.terms),
        "not_authorised",
        "/predicate/claim/under/0",
    );
    enter(service, &say(&bob, "wider terms", &Claim::Terms(TermsClaim(Box::new(wider.clone())))), &log_key);
    let too_wide = offer(&bob, "sub 3", vec![licence], wider.id().unwrap());
    refused(service, &too_wide, "beyond_head_licence", "/predicate/claim/artefacts/0");
    // A hand further has one hand fewer.
    let as_deep = offer(&bob, "sub 3 again", vec![licence], licensor.terms);
    let problem = refused(service, &as_deep, "beyond_head_licence", "/predicate/claim/artefacts/0");
    assert!(problem["detail"].as_str().unwrap().contains("(its terms, /sublicensing)"), "{problem}");
    let offered = offer(&bob, "sub 4", vec![licence], below_id);
    enter(service, &offered, &log_key);
    let accepted = licensor.acceptance(offered.statement.id, &carol);
    let sub = GrantClaim { licensor: bob.party, under: vec![licence], terms: below_id, ..accepted };
    let sub = say(&carol, "sub 5", &Claim::Grant(sub));
    enter(service, &sub, &log_key);
    // One hand, and no more.
    let further = offer(&carol, "sub 6", vec![sub.statement.id], below_id);
    refused(service, &further, "beyond_head_licence", "/predicate/claim/artefacts/0");

    let file = |id: StatementId| service.get(&format!("/v1/licences/{id}/file?ttl=P30D"));
    let trust = trust(service);
    let proven = |id| Bundle::parse(file(id).text().as_bytes()).unwrap().verify(&trust).unwrap().licence.unwrap();
    assert!(proven(sub.statement.id).standing(today()).is_in_force());
    let reason = *head.termination.grounds.iter().find(|ground| **ground == Ground::Breach).unwrap();
    let end =
        LicenceStatusClaim { licence, seq: 1, prev: licence, status: LicenceEvent::Terminated, reason: Some(reason) };
    enter(service, &say(&licensor.author, "sub 7", &Claim::LicenceStatus(end)), &log_key);
    let standing = proven(sub.statement.id).standing(today());
    assert!(matches!(standing, Standing::Terminated { licence: by, .. } if by == licence), "{standing:?}");
    let page = service.get(&format!("/v1/licences/{}", sub.statement.id)).json();
    assert_eq!(page["standing"]["licence"], licence.to_hex(), "{page}");
    // Nothing more is offered under it.
    let over = offer(&bob, "sub 8", vec![licence], licensor.terms);
    refused(service, &over, "licence_not_in_force", "/predicate/claim/under/0");
}

/// Parties that want the same exclusive licence.
const RIVALS: usize = 1_000;

#[test]
fn of_a_thousand_exclusive_grants_at_once_one_stands() {
    let place = place();
    let service = Service::start(place.path());
    let (reference, _) = shared::registry(&service);
    let licensor = Licensor::new(&service, "rivals", &Preset::ExclusiveTerritorial.terms().unwrap());
    let rivals: Vec<_> = (0..RIVALS).map(|number| Author::new(&reference, &format!("rival {number}"), 1, 1)).collect();
    let parties: Vec<_> = rivals.iter().map(|(_, party)| party.to_request()).collect();
    assert!(at_once(&service, &parties, |_, answer| answer.status).iter().all(|status| *status == 201));
    let offer = licensor.offer("rivals offer", licensor.offer_claim());
    let grants: Vec<_> = rivals
        .iter()
        .enumerate()
        .map(|(number, (rival, _))| {
            say(rival, &format!("grant {number}"), &Claim::Grant(licensor.acceptance(offer, rival)))
        })
        .collect();
    let requests: Vec<_> = grants.iter().map(Submission::to_request).collect();
    let answers = at_once(&service, &requests, |_, answer| (answer.status, answer.json()));
    let stands: Vec<usize> = (0..RIVALS).filter(|number| answers[*number].0 == 201).collect();
    let [winner] = stands.as_slice() else { panic!("{} stand", stands.len()) };
    for (number, (status, problem)) in answers.iter().enumerate().filter(|(number, _)| number != winner) {
        assert_eq!((*status, &problem["code"]), (409, &json!("exclusive_overlap")), "{number}: {problem}");
        assert_eq!(problem["existing"], grants[*winner].statement.id.to_hex());
    }
    let list = service.get(&format!("/v1/licences?artefact={}", licensor.artefact)).json();
    assert_eq!(list["licences"].as_array().unwrap().len(), 1, "{list}");
    let same = service.get(&format!("/v1/artefacts/{}/licences", licensor.artefact)).json();
    assert_eq!(same["licences"], list["licences"]);
    service.stop();
}

#[test]
fn no_change_to_an_offline_licence_is_accepted() {
    let service = shared::service();
    let licensor = Licensor::new(service, "mutations", &Preset::CommercialPerSeat.terms().unwrap());
    let bob = author(service, "mutations bob");
    let licence = licensor.grant("mutations", &bob);
    let answer = service.get(&format!("/v1/licences/{licence}/file"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let trust = trust(service);
    let bytes = answer.text().as_bytes().to_vec();
    let honest = Bundle::parse(&bytes).unwrap();
    let proven = honest.verify(&trust).unwrap().licence.unwrap();
    assert!(proven.id == licence && proven.standing(today()).is_in_force());
    assert!(proven.judge(today(), 90).age_days == 0 && !proven.judge(today(), 90).is_stale);

    let mut random = Random::new(5);
    let (mut refused, mut unchanged) = (0, 0);
    while refused < 2_000 {
        let (what, changed) = random.damage(&bytes);
        match Bundle::parse(&changed) {
            // White space between members is no change of what is said.
            Ok(bundle) if bundle == honest => unchanged += 1,
            Ok(bundle) => {
                assert!(bundle.verify(&trust).is_err(), "{what}");
                refused += 1;
            }
            Err(_) => refused += 1,
        }
        assert!(unchanged < 2_000, "hardly anything is a change");
    }

    // Whole parts that are somebody else's, missing, or in another order.
    let carol = author(service, "mutations carol");
    let other = licensor.grant("mutations carol", &carol);
    let other = Bundle::parse(service.get(&format!("/v1/licences/{other}/file")).text().as_bytes()).unwrap();
    let proof = |change: &dyn Fn(&mut Bundle)| {
        let mut changed = honest.clone();
        change(&mut changed);
        changed.verify(&trust).map(|proven| proven.licence.is_some())
    };
    for number in 0..honest.licence.as_ref().unwrap().history.len() {
        let gone = proof(&|bundle| {
            bundle.licence.as_mut().unwrap().history.remove(number);
        });
        assert!(gone.is_err(), "without entry {number} of its history");
    }
    assert!(proof(&|bundle| bundle.licence.as_mut().unwrap().history.reverse()).is_err());
    let theirs = other.licence.as_ref().unwrap();
    assert!(proof(&|bundle| bundle.licence.as_mut().unwrap().licence = theirs.licence).is_err());
    assert!(proof(&|bundle| bundle.licence.as_mut().unwrap().history.clone_from(&theirs.history)).is_err());
    assert!(proof(&|bundle| bundle.licence.as_mut().unwrap().status_list.clone_from(&theirs.status_list)).is_err());
    // Left out altogether, it is the proof of an artefact and of no licence.
    assert_eq!(proof(&|bundle| bundle.licence = None), Ok(false));
}

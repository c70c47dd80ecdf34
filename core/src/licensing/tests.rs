//! Whether licences are in force, and lists that say which are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::SigningKey;

use super::*;
use crate::admission::{DatedEvent, LicenceChange, LicenceRecord, Licensing, TermsRecord};
use crate::digest::Sha256Digest;
use crate::ledger::checkpoint::{Checkpoint, open_checkpoint, sign_checkpoint};
use crate::ledger::note::NoteSigner;
use crate::terms::period::Date;
use crate::terms::vocabulary::EndEffect;
use crate::terms::{Preset, Terms};

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn id(name: &str) -> StatementId {
    StatementId::of(name.as_bytes())
}

/// The entry of the next licence.
static INDEX: AtomicU64 = AtomicU64::new(1);

/// A licence in an artefact, resting on others, that is entered after all that were made before.
fn licence(name: &str, artefact: &str, terms: &Terms, under: &[&str]) -> LicenceRecord {
    let mut under: Vec<StatementId> = under.iter().map(|name| id(name)).collect();
    under.sort_unstable();
    let claim = GrantClaim {
        offer: None,
        licensor: id("licensor"),
        licensee: id(&format!("holder of {name}")),
        artefacts: vec![id(artefact)],
        terms: terms.id().unwrap(),
        starts_on: day("2027-01-01"),
        under,
    };
    let index = INDEX.fetch_add(1, Ordering::Relaxed);
    LicenceRecord::new(&LicenceChange { id: id(name), index, claim }, Arc::new(terms.clone()))
}

/// The terms for a year and no longer, with this effect of their end on sublicences and on licences in derivatives.
fn terms(sublicences: (EndEffect, Option<&str>), derivatives: (EndEffect, Option<&str>)) -> Terms {
    let mut terms = Preset::CommercialPerSeat.terms().unwrap();
    terms.term.renewal = None;
    for (ending, (effect, period)) in
        [(&mut terms.termination.sublicences, sublicences), (&mut terms.termination.derivatives, derivatives)]
    {
        ending.effect = effect;
        ending.period = period.map(|period| period.parse().unwrap());
    }
    terms.validate().unwrap();
    terms
}

fn stands(licences: &[LicenceRecord], name: &str, on: &str) -> String {
    standing(|wanted| licences.iter().find(|licence| licence.id == *wanted), &id(name), day(on)).to_string()
}

fn event(status: LicenceEvent, since: &str) -> DatedEvent {
    DatedEvent { status, since: day(since) }
}

#[test]
fn a_licence_has_its_own_term() {
    let plain = terms((EndEffect::Terminate, None), (EndEffect::Terminate, None));
    let one = [licence("a", "x", &plain, &[])];
    for (on, expected) in [
        ("2026-12-31", "not in force before 2027-01-01"),
        ("2027-01-01", "in force until 2027-12-31"),
        ("2027-12-31", "in force until 2027-12-31"),
        ("2028-01-01", "expired on 2027-12-31"),
    ] {
        assert_eq!(stands(&one, "a", on), expected);
    }
    // What renews itself has no end that anybody could compute.
    let renewing = [licence("a", "x", &Preset::CommercialPerSeat.terms().unwrap(), &[])];
    assert_eq!(stands(&renewing, "a", "2050-01-01"), "in force without end");
}

#[test]
fn events_count_from_their_day_on_and_until_the_next() {
    let plain = terms((EndEffect::Terminate, None), (EndEffect::Terminate, None));
    let mut one = [licence("a", "x", &plain, &[])];
    for (status, since) in [
        (LicenceEvent::Suspended, "2027-03-01"),
        (LicenceEvent::Reinstated, "2027-04-01"),
        // Of one day, the last counts.
        (LicenceEvent::Suspended, "2027-05-01"),
        (LicenceEvent::Reinstated, "2027-05-01"),
    ] {
        one[0].happened(event(status, since));
    }
    let intervals = [
        ("2027-02-28", "in force until 2027-12-31"),
        ("2027-03-01", "suspended since 2027-03-01"),
        ("2027-03-31", "suspended since 2027-03-01"),
        ("2027-04-01", "in force until 2027-12-31"),
        ("2027-05-01", "in force until 2027-12-31"),
        ("2028-01-01", "expired on 2027-12-31"),
    ];
    for (on, expected) in intervals {
        assert_eq!(stands(&one, "a", on), expected);
    }
    one[0].happened(event(LicenceEvent::Suspended, "2027-05-20"));
    one[0].happened(event(LicenceEvent::Terminated, "2027-06-01"));
    let over = "terminated on 2027-06-01";
    for (on, expected) in [
        ("2027-03-15", "suspended since 2027-03-01"),
        ("2027-04-15", "in force until 2027-05-31"),
        ("2027-05-20", "suspended since 2027-05-20"),
        ("2027-06-01", over),
        ("2029-01-01", over),
    ] {
        assert_eq!(stands(&one, "a", on), expected);
    }
}

#[test]
fn a_licence_ends_with_what_it_rests_on_as_those_terms_say() {
    let outlives = terms((EndEffect::Terminate, None), (EndEffect::Terminate, None));
    for (sublicence, effect, period, on, expected) in [
        (true, EndEffect::Terminate, None, "2027-06-02", "terminated on 2027-06-01"),
        (true, EndEffect::Survive, None, "2027-06-02", "in force until 2027-12-31"),
        (true, EndEffect::WindDown, Some("P90D"), "2027-08-29", "in force until 2027-08-29"),
        (true, EndEffect::WindDown, Some("P90D"), "2027-08-30", "terminated on 2027-06-01"),
        (false, EndEffect::Terminate, None, "2027-06-02", "terminated on 2027-06-01"),
        (false, EndEffect::Survive, None, "2027-06-02", "in force until 2027-12-31"),
    ] {
        let other = (EndEffect::Terminate, None);
        let head = if sublicence { terms((effect, period), other) } else { terms(other, (effect, period)) };
        // A sublicence is in the same artefact, a licence in a derivative is not.
        let artefact = if sublicence { "x" } else { "made from x" };
        let mut both = [licence("head", "x", &head, &[]), licence("below", artefact, &outlives, &["head"])];
        both[0].events = vec![event(LicenceEvent::Terminated, "2027-06-01")];
        assert_eq!(stands(&both, "below", on), expected, "{effect:?} {period:?}");
        both[0].events = vec![event(LicenceEvent::Suspended, "2027-06-01")];
        assert_eq!(stands(&both, "below", on), "suspended since 2027-06-01");
        both[0].events = Vec::new();
        assert_eq!(stands(&both, "below", on), "in force until 2027-12-31");
    }
    // Through two hands, and with a hand that is not known.
    let plain = terms((EndEffect::Terminate, None), (EndEffect::Terminate, None));
    let mut chain =
        [licence("a", "x", &plain, &[]), licence("b", "x", &plain, &["a"]), licence("c", "x", &plain, &["b"])];
    chain[0].happened(event(LicenceEvent::Terminated, "2027-06-01"));
    assert_eq!(stands(&chain, "c", "2027-07-01"), "terminated on 2027-06-01");
    assert!(stands(&chain[1..], "c", "2027-07-01").contains("not known here"));
}

/// The same terms without end.
fn perpetual(mut terms: Terms) -> Terms {
    (terms.term.perpetual, terms.term.duration) = (true, None);
    terms.term.notice = None;
    terms.validate().unwrap();
    terms
}

#[test]
fn a_licence_winds_down_from_the_day_after_the_end_of_what_it_rests_on() {
    let other = (EndEffect::Terminate, None);
    let winding = terms((EndEffect::WindDown, Some("P90D")), other);
    let outlives = perpetual(terms((EndEffect::WindDown, Some("P1M")), other));
    // The head expires on the last day of 2027, and 90 days more are those to 30 March: 2028 is a leap year.
    let mut chain = [
        licence("head", "x", &winding, &[]),
        licence("below", "x", &outlives, &["head"]),
        licence("further", "x", &outlives, &["below"]),
    ];
    assert_eq!(stands(&chain, "below", "2027-02-01"), "in force until 2028-03-30", "its end is known before");
    assert_eq!(stands(&chain, "below", "2028-03-30"), "in force until 2028-03-30");
    assert_eq!(stands(&chain, "below", "2028-03-31"), "expired on 2027-12-31");
    // What rests on one that is wound down begins to when that one has ended.
    assert_eq!(stands(&chain, "further", "2028-04-30"), "in force until 2028-04-30");
    assert_eq!(stands(&chain, "further", "2028-05-01"), "expired on 2027-12-31");
    chain[0].happened(event(LicenceEvent::Terminated, "2027-06-01"));
    assert_eq!(stands(&chain, "below", "2027-06-02"), "in force until 2027-08-29");
    assert_eq!(stands(&chain, "further", "2027-06-02"), "in force until 2027-09-29");
    // Where that is after all days that can be written, it has no end.
    let forever = terms((EndEffect::WindDown, Some("P9999Y")), other);
    let two = [licence("head", "x", &forever, &[]), licence("below", "x", &outlives, &["head"])];
    assert_eq!(stands(&two, "below", "2029-01-01"), "in force without end");
}

#[test]
fn two_ways_to_the_same_licence_are_both_judged() {
    // In the same artefact it ends with the head, in a derivative it survives that.
    let head = terms((EndEffect::Terminate, None), (EndEffect::Survive, None));
    let plain = terms((EndEffect::Terminate, None), (EndEffect::Terminate, None));
    for (first, second) in [("x", "made from x"), ("made from x", "x")] {
        let mut diamond = [
            licence("head", "x", &head, &[]),
            licence("a", first, &plain, &["head"]),
            licence("b", second, &plain, &["head"]),
            licence("end", "x", &plain, &["a", "b"]),
        ];
        diamond[0].happened(event(LicenceEvent::Terminated, "2027-06-01"));
        assert_eq!(stands(&diamond, "end", "2027-06-01"), "terminated on 2027-06-01", "{first}");
        let survivor = if first == "x" { "b" } else { "a" };
        assert_eq!(stands(&diamond, survivor, "2027-06-01"), "in force until 2027-12-31");
    }
}

#[test]
fn a_long_chain_of_hands_is_judged() {
    let plain = perpetual(terms((EndEffect::Terminate, None), (EndEffect::Terminate, None)));
    let mut hand = licence("first", "x", &plain, &[]);
    hand.happened(event(LicenceEvent::Terminated, "2027-06-01"));
    let mut state = Licensing::default();
    state.load_licence(hand.clone());
    for index in 1_000_000..1_020_000_u64 {
        (hand.claim.under, hand.id, hand.index) = (vec![hand.id], StatementId::of(&index.to_be_bytes()), index);
        hand.events = Vec::new();
        state.load_licence(hand.clone());
    }
    let last = standing(|id| state.licence(id), &hand.id, day("2027-06-01"));
    assert_eq!(last.to_string(), "terminated on 2027-06-01");
}

#[test]
fn an_exclusive_licence_collides_with_whatever_shares_its_scope() {
    let exclusive = Preset::ExclusiveTerritorial.terms().unwrap();
    let plain = Preset::CommercialRevenueShare.terms().unwrap();
    let mut state = Licensing::default();
    for terms in [&exclusive, &plain] {
        let terms = Arc::new(terms.clone());
        let (id, statement) = (terms.id().unwrap(), self::id("published"));
        state.load_terms(TermsRecord { id, index: 1, statement, issuer: self::id("licensor"), terms });
    }
    let first = licence("first", "x", &exclusive, &[]);
    state.load_licence(first.clone());
    let collides = |state: &Licensing, record: &LicenceRecord| state.collision(&record.claim, &record.terms);
    let shares = |terms: &Terms| exclusive.grant.rights.iter().any(|right| terms.grant.rights.contains(right));
    assert!(shares(&plain), "else the test tests nothing");
    assert_eq!(collides(&state, &licence("second", "x", &exclusive, &[])), Some((0, id("first"))));
    assert_eq!(collides(&state, &licence("second", "x", &plain, &[])), Some((0, id("first"))));
    assert_eq!(collides(&state, &licence("second", "y", &exclusive, &[])), None, "another artefact");
    assert_eq!(collides(&state, &licence("second", "x", &exclusive, &["first"])), None, "it rests on the first");
    let mut later = licence("second", "x", &exclusive, &[]);
    later.claim.starts_on = first.ends_on.map_or(day("2099-01-01"), |end| end);
    assert_eq!(collides(&state, &later), Some((0, id("first"))), "on the last day");
    let mut over = first;
    over.happened(event(LicenceEvent::Terminated, "2027-02-01"));
    state.load_licence(over);
    assert_eq!(collides(&state, &licence("second", "x", &exclusive, &[])), None, "the first is over");
    // A new exclusive licence is kept out by an old one that is not.
    state.load_licence(licence("plain", "z", &plain, &[]));
    assert_eq!(collides(&state, &licence("second", "z", &exclusive, &[])), Some((0, id("plain"))));
    assert_eq!(collides(&state, &licence("second", "z", &plain, &[])), None);
}

#[test]
fn what_ended_with_a_head_keeps_nobody_out() {
    let mut exclusive = Preset::ExclusiveTerritorial.terms().unwrap();
    exclusive.termination.sublicences.effect = EndEffect::WindDown;
    exclusive.termination.sublicences.period = Some("P1M".parse().unwrap());
    let mut state = Licensing::default();
    let mut head = licence("head", "x", &exclusive, &[]);
    state.load_licence(head.clone());
    state.load_licence(licence("below", "x", &exclusive, &["head"]));
    let collides = |state: &Licensing, starts_on: &str| {
        let mut new = licence("new", "x", &exclusive, &[]);
        new.claim.starts_on = day(starts_on);
        state.collision(&new.claim, &new.terms)
    };
    assert!(collides(&state, "2027-07-01").is_some());
    head.happened(event(LicenceEvent::Terminated, "2027-06-01"));
    state.load_licence(head.clone());
    assert_eq!(collides(&state, "2027-06-30"), Some((0, id("below"))), "the sublicence is wound down until then");
    assert_eq!(collides(&state, "2027-07-01"), None);
    // What is suspended may be reinstated.
    head.events = vec![event(LicenceEvent::Suspended, "2027-06-01")];
    state.load_licence(head);
    assert!(collides(&state, "2027-07-01").is_some());
}

fn signer() -> NoteSigner {
    NoteSigner::new("a.example/log", SigningKey::from_bytes(&[5; 32])).unwrap()
}

fn list(listed: &[(&str, LicenceEvent)]) -> StatusList {
    let listed = listed.iter().map(|(name, status)| (id(name), vec![event(*status, "2027-02-03")]));
    StatusList {
        origin: "a.example/log".to_owned(),
        size: 7,
        root: Sha256Digest::of(b"root"),
        signed_at: "2027-03-01T12:00:00.000Z".parse().unwrap(),
        not_after: "2027-03-08T12:00:00.000Z".parse().unwrap(),
        listed: listed.collect::<BTreeMap<_, _>>(),
    }
}

#[test]
fn a_status_list_is_what_the_log_key_signed_and_nothing_else() {
    let signer = signer();
    let key = signer.verifier_key();
    for listed in [&[][..], &[("a", LicenceEvent::Terminated), ("b", LicenceEvent::Suspended)]] {
        let list = list(listed);
        let text = list.sign(&signer).unwrap();
        assert_eq!(StatusList::open(&text, key), Ok(list));
        let mut accepted = 0;
        for position in 0..text.len() {
            for change in [1_u8, 2, 4, 8, 16, 32] {
                let mut bytes = text.clone().into_bytes();
                bytes[position] ^= change;
                accepted += String::from_utf8(bytes).map_or(0, |text| u32::from(StatusList::open(&text, key).is_ok()));
            }
            let mut shorter = text.clone();
            shorter.remove(text.char_indices().map(|(at, _)| at).take_while(|at| *at <= position).last().unwrap());
            accepted += u32::from(StatusList::open(&shorter, key).is_ok());
            accepted += u32::from(StatusList::open(text.get(..position).unwrap_or_default(), key).is_ok());
        }
        assert_eq!(accepted, 0);
    }
}

#[test]
fn a_status_list_has_the_events_of_a_licence_by_day() {
    let signer = signer();
    let opened = |days: [&str; 2]| {
        let [first, second] = days;
        let events = vec![event(LicenceEvent::Suspended, first), event(LicenceEvent::Reinstated, second)];
        let list = StatusList { listed: [(id("a"), events), (id("b"), Vec::new())].into(), ..list(&[]) };
        StatusList::open(&list.sign(&signer).unwrap(), signer.verifier_key())
    };
    let found = opened(["2027-02-01", "2027-02-03"]).unwrap();
    assert_eq!((found.listed.len(), found.events()), (1, 2));
    for days in [["2027-02-03", "2027-02-01"], ["2027-02-03", "2027-02-03"]] {
        assert!(matches!(opened(days), Err(StatusListError::Listed { .. })), "{days:?}");
    }
}

#[test]
fn a_status_list_and_a_checkpoint_are_never_taken_for_each_other() {
    let signer = signer();
    let key = signer.verifier_key();
    let text = list(&[]).sign(&signer).unwrap();
    assert!(open_checkpoint(&text, core::slice::from_ref(key)).is_err());
    assert!(open_checkpoint(text.trim_start(), core::slice::from_ref(key)).is_err());
    let checkpoint = Checkpoint::new("a.example/log", 7, Sha256Digest::of(b"root")).unwrap();
    let note = sign_checkpoint(&checkpoint, core::slice::from_ref(&signer)).unwrap();
    assert!(StatusList::open(&note, key).is_err() && StatusList::open(&format!("\n{note}"), key).is_err());
    // Another log's key under this log's name.
    let other = NoteSigner::new("a.example/log", SigningKey::from_bytes(&[6; 32])).unwrap();
    assert!(StatusList::open(&list(&[]).sign(&other).unwrap(), key).is_err());
    let foreign = StatusList { origin: "b.example/log".to_owned(), ..list(&[]) };
    assert!(matches!(
        StatusList::open(&foreign.sign(&signer).unwrap(), key),
        Err(StatusListError::NotSigned { origin }) if origin == "b.example/log"
    ));
}

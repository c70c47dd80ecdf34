//! What artefacts and parties say of themselves in lists: as of the list's size on every page, and never without end.

use chopmark_core::attestation::AttestationClaim;
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::party::{KeyClaim, KeyEvent, KeyRole};
use chopmark_core::statement::{Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use serde_json::{Value, json};

use super::{artefact, say};
use crate::audit::registry_key;
use crate::harness::{Service, place};
use crate::make::{Author, key, small_manifest};
use crate::repeat::at_once;
use crate::shared::{self, author, check_receipt, enter};

/// The operator of a service's registry.
fn operator(service: &Service) -> Author {
    let (registry, _) = shared::registry(service);
    let party: StatementId = service.get("/v1/registry").json()["operator"].as_str().unwrap().parse().unwrap();
    Author { registry, keys: vec![registry_key(service, "operator.key")], threshold: 1, party }
}

/// The author's only key gives way to a new one; `last` is the event before.
fn rotate(author: &mut Author, seq: u64, last: StatementId, label: &str) -> Submission {
    let (old, new) = (author.keys.remove(0), key(label));
    let event = KeyEvent::Rotate {
        replaced: PublicKey::from(&old).id(),
        public_key: PublicKey::from(&new),
        role: KeyRole::Root,
    };
    author.keys = vec![old, new.clone()];
    author.keys.sort_by_key(|key| PublicKey::from(key).id());
    let mut header = author.header(Issuer::Party(author.party), 2, label);
    header.signers[0].key_head = Some(last);
    let claim = Claim::Key(KeyClaim { seq, prev: last, event });
    let submission = author.sign(Statement::compose(label, &header, &claim).unwrap(), Vec::new());
    author.keys = vec![new];
    submission
}

#[test]
fn every_page_of_a_list_shows_parties_as_of_its_size() {
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let (_, mut second) = (author(&service, "first party"), author(&service, "second party"));
    let operator = operator(&service);
    let say = |label: &str, claim: AttestationClaim| {
        enter(&service, &say(&operator, label, &Claim::Attestation(claim), None), &log_key)
    };
    let list = |cursor: &str| -> Value {
        let answer = service.get(&format!("/v1/parties?q=party&limit=1{cursor}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let next = |page: &Value| list(&format!("&cursor={}", page["next"].as_str().unwrap()))["parties"][0].clone();
    let shown = || service.get(&format!("/v1/parties/{}", second.party)).json();

    let before = list("");
    let untouched = next(&before);
    assert_eq!((&untouched["party_id"], &untouched["key_seq"]), (&json!(second.party.to_hex()), &json!(0)));
    let verified = AttestationClaim::PartyVerified { party: second.party, identifiers: Vec::new() };
    let verified_from = say("verify", verified);
    assert_eq!(shown()["verified_from"], verified_from);
    let between = list("");
    let as_verified = next(&between);
    assert_eq!(as_verified["verified_from"], verified_from);
    say("unverify", AttestationClaim::PartyUnverified { party: second.party });
    let (party, old) = (second.party, PublicKey::from(&second.keys[0]).id().to_string());
    let rotation = rotate(&mut second, 1, party, "second party rotates");
    let index = enter(&service, &rotation, &log_key);

    let now = service.get(&format!("/v1/parties/{party}")).json();
    assert_eq!((&now["key_seq"], &now["key_head"]), (&json!(1), &json!(rotation.statement.id.to_hex())), "{now}");
    assert!(now["verified_from"].is_null() && now["keys"].as_array().unwrap().len() == 2, "{now}");
    assert!(now["keys"].as_array().unwrap().iter().any(|key| key["key_id"] == old && key["valid_until"] == index));
    assert_eq!(next(&before), untouched);
    assert_eq!(next(&between), as_verified);
    assert_eq!(next(&list("")), now);
    service.stop();
}

#[test]
fn of_many_later_versions_a_hundred_are_shown() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let owner = author(service, "many later versions");
    let first = owner.artefact("many later versions");
    enter(service, &first, &log_key);
    let id = first.statement.id;
    let later: Vec<Submission> = (0..=100)
        .map(|number| {
            let label = format!("many later versions {number}");
            artefact(&owner, &label, &small_manifest(&label), |claim| claim.supersedes = Some(id))
        })
        .collect();
    let requests: Vec<_> = later[..100].iter().map(Submission::to_request).collect();
    let mut expected = at_once(service, &requests, |number, answer| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        (check_receipt(&answer, &later[number].entry, &log_key).0, later[number].statement.id.to_hex())
    });
    expected.sort();
    let expected: Vec<&str> = expected.iter().map(|(_, id)| &**id).collect();
    let shown = |more: bool| {
        let view = service.get(&format!("/v1/artefacts/{id}")).json();
        assert_eq!((&view["superseded_by"], &view["more_superseded_by"]), (&json!(expected), &json!(more)));
        let listed = service.get(&format!("/v1/artefacts?owner={}&limit=1", owner.party)).json();
        let listed = &listed["artefacts"][0];
        assert_eq!((&listed["superseded_by"], &listed["more_superseded_by"]), (&json!(expected), &json!(more)));
    };
    shown(false);
    enter(service, &later[100], &log_key);
    shown(true);
}

#[test]
fn of_many_keys_a_hundred_are_shown_and_those_that_may_sign_are_among_them() {
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let mut author = author(&service, "many keys");
    let party = author.party;
    let shown = || {
        let listed = service.get("/v1/parties?q=many+keys").json()["parties"][0].clone();
        let view = service.get(&format!("/v1/parties/{party}")).json();
        assert_eq!(listed, view);
        let valid = |key: &&Value| key["valid_until"].is_null();
        let keys = view["keys"].as_array().unwrap();
        let [valid] = keys.iter().filter(valid).collect::<Vec<_>>()[..] else { panic!("{view}") };
        (keys.len(), view["more_keys"].as_bool().unwrap(), valid["key_id"].as_str().unwrap().to_owned())
    };
    let mut last = party;
    for seq in 1..=100 {
        let rotation = rotate(&mut author, seq, last, &format!("many keys {seq}"));
        enter(&service, &rotation, &log_key);
        last = rotation.statement.id;
        if seq == 99 {
            assert_eq!(shown(), (100, false, PublicKey::from(&author.keys[0]).id().to_string()));
        }
    }
    assert_eq!(shown(), (100, true, PublicKey::from(&author.keys[0]).id().to_string()));
    service.stop();
}

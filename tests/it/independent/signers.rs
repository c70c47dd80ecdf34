//! Who is listed and who has signed, in every combination: of a party with two root keys that sign together, a signing key,
//! and a key that went; alone, and as the second of two parties.

use std::collections::BTreeMap;

use chopmark_core::admission::{KeyRecord, PartyRecord, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::kind::Claim;
use chopmark_core::party::KeyRole;
use chopmark_core::statement::{Issuer, RegistryRef, Statement, StatementId};
use chopmark_core::text::Names;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::bases::{Base, header};
use super::hostile::Case;
use crate::make::key;

/// What is registered of the parties whose signers are judged: for the product, and for the other program.
pub struct Registered {
    pub view: View,
    pub parties: Value,
    pub keys: BTreeMap<KeyId, PublicKey>,
}

/// The careful party's keys: two root keys, a signing key, one that went.
fn careful() -> (StatementId, [SigningKey; 4]) {
    let keys = ["root one", "root two", "machine", "gone"].map(|label| key(&format!("independent careful {label}")));
    (StatementId::of(b"careful"), keys)
}

/// The other party's only key.
fn plain() -> (StatementId, SigningKey) {
    (StatementId::of(b"plain"), key("independent plain"))
}

pub fn registered() -> Registered {
    let ((careful, keys), (plain, only)) = (careful(), plain());
    let role = |position| if position < 2 { KeyRole::Root } else { KeyRole::Signing };
    let all = (0..).zip(&keys).map(|(position, key)| (careful, key, role(position), position == 3));
    let all: Vec<_> = all.chain([(plain, &only, KeyRole::Root, false)]).collect();
    let mut registered = Registered { view: View::new(9, None, None), parties: json!({}), keys: BTreeMap::new() };
    for (party, threshold) in [(careful, 2), (plain, 1)] {
        registered.view.load_party(PartyRecord {
            id: party,
            index: 2,
            name: Names { en: Some("Party".to_owned()), ..Names::default() },
            identifiers: Vec::new(),
            jurisdiction: None,
            threshold,
            key_head: party,
            key_seq: 0,
            root_keys: threshold,
            verified_from: None,
        });
        let current = all.iter().filter(|(owner, _, _, is_gone)| *owner == party && !is_gone);
        let roles: BTreeMap<String, &str> =
            current.map(|(_, key, role, _)| (PublicKey::from(*key).id().to_string(), role.as_str())).collect();
        registered.parties[party.to_string()] = json!({"threshold": threshold, "key_head": party, "keys": roles});
    }
    for (party, key, role, is_gone) in all {
        let record = KeyRecord::new(PublicKey::from(key), party, role, 2);
        registered.keys.insert(record.id, record.public_key);
        registered.view.load_key(KeyRecord { valid_until: is_gone.then_some(5), ..record });
    }
    registered
}

/// Every choice of at least one of these.
fn choices<'k>(keys: &[&'k SigningKey]) -> Vec<Vec<&'k SigningKey>> {
    let chosen = |choice: usize| {
        let is_chosen = |position: &usize| choice >> position & 1 == 1;
        (0..keys.len()).filter(is_chosen).map(|position| keys[position]).collect()
    };
    (1..1 << keys.len()).map(chosen).collect()
}

fn case(what: String, groups: &[(Issuer, &[&SigningKey], u32)], signers: &[&SigningKey]) -> Case {
    let registry =
        RegistryRef { origin: "registry.example.hk/log".to_owned(), genesis: Sha256Digest::of(b"independent signers") };
    let claim = Claim::Endorsement(EndorsementClaim { statement: StatementId::of(b"other") });
    let payload = Statement::compose("signers", &header(&registry, groups, "signers"), &claim).unwrap();
    let signers = signers.iter().map(|key| (*key).clone()).collect();
    let base = Base { kind: "endorsement", payload, signers, documents: Vec::new(), openings: None };
    Case { what, body: base.request(&base.payload), exact: true }
}

pub fn cases() -> Vec<Case> {
    let ((careful, keys), (plain, only)) = (careful(), plain());
    let [careful, plain, nobody] = [careful, plain, StatementId::of(b"nobody")].map(Issuer::Party);
    let mut cases = Vec::new();
    for listed in choices(&keys.each_ref()) {
        for threshold in 1..=u32::try_from(listed.len()).unwrap() {
            for signing in choices(&listed) {
                let what = format!("{} of {} listed keys sign, {threshold} have to", signing.len(), listed.len());
                cases.push(case(what.clone(), &[(careful, &listed, threshold)], &signing));
                let groups: [(Issuer, &[&SigningKey], u32); 2] = [(plain, &[&only], 1), (careful, &listed, threshold)];
                cases.push(case(format!("beside another: {what}"), &groups, &[signing.as_slice(), &[&only]].concat()));
            }
        }
    }
    let [root, ..] = &keys;
    let groups: [(Issuer, &[&SigningKey], u32); 2] = [(plain, &[&only], 1), (nobody, &[root], 1)];
    cases.push(case("beside a party that nobody knows".to_owned(), &groups, &[&only, root]));
    cases.push(case("keys of another party".to_owned(), &[(plain, &[root], 1)], &[root]));
    cases
}

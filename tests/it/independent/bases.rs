//! A good statement of every kind, in every form a kind has. Keys and nonces come from labels and times are fixed, so
//! every run makes the same bytes.

use chopmark_core::artefact::{ForeignArtefact, Parent, ParentSource, Relation};
use chopmark_core::attestation::AttestationClaim;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::party::{Identifier, KeyClaim, KeyEvent, KeyRole, KeySet, PartyClaim, RevocationReason, Scheme};
use chopmark_core::policy::{Founding, PolicyClaim, TrustAnchors};
use chopmark_core::sealed::{Opening, Openings, Place};
use chopmark_core::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement, StatementId};
use chopmark_core::strict::to_canonical;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::{expenditure, licensed};
use crate::make::{Author, key, manifest, nonce};

/// A good statement of one kind, from which others are made.
#[derive(Clone)]
pub struct Base {
    pub kind: &'static str,
    pub payload: Vec<u8>,
    pub signers: Vec<SigningKey>,
    pub documents: Vec<Vec<u8>>,
    pub openings: Option<Openings>,
}

impl Base {
    /// What is signed, as a document.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    /// The request around any payload, signed by everybody.
    pub fn request(&self, payload: &[u8]) -> Vec<u8> {
        let envelope = Envelope::sign(payload.to_vec(), &self.signers.iter().collect::<Vec<_>>()).to_bytes();
        let documents: Vec<_> = self.documents.iter().map(|bytes| BASE64.encode(bytes)).collect();
        let openings = self.openings.as_ref().map(|openings| format!(",\"openings\":{}", json!(openings)));
        let documents = format!(",\"documents\":{}{}}}", json!(documents), openings.unwrap_or_default());
        [b"{\"envelope\":", envelope.as_slice(), documents.as_bytes()].concat()
    }

    /// As [`Base::request`], with the subject that the changed claim has.
    pub fn request_about(&self, payload: &Value) -> Vec<u8> {
        let mut payload = payload.clone();
        if self.documents.is_empty()
            && let Some(claim) = payload.pointer("/predicate/claim")
        {
            let digest = Sha256Digest::of(&to_canonical(claim).unwrap()).to_hex();
            if let Some(subject) = payload.pointer_mut("/subject/0/digest/sha256") {
                *subject = digest.into();
            }
        }
        self.request(payload.to_string().as_bytes())
    }
}

/// A party that makes statements alone, with one key.
pub struct Alone<'a> {
    pub registry: &'a RegistryRef,
    pub party: StatementId,
    pub key: &'a SigningKey,
}

impl Alone<'_> {
    fn header(&self, kind: &str) -> Header {
        header(self.registry, &[(Issuer::Party(self.party), &[self.key], 1)], kind)
    }

    /// Where the values are that its statement of this kind seals.
    pub fn place(&self, kind: &str, predicate_type: &str) -> Place {
        Place::of(&self.header(kind), predicate_type)
    }

    /// Its good statement of a kind, and what opens the sealed values in it.
    pub fn says(&self, kind: &'static str, claim: &Claim, fields: Vec<Opening>) -> Base {
        let payload = Statement::compose(kind, &self.header(kind), claim).unwrap();
        let openings = (!fields.is_empty()).then_some(Openings { zone: ResidencyZone::HongKong, fields });
        Base { kind, payload, signers: vec![self.key.clone()], documents: Vec::new(), openings }
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn header(registry: &RegistryRef, signers: &[(Issuer, &[&SigningKey], u32)], label: &str) -> Header {
    let groups = signers.iter().map(|(party, keys, threshold)| {
        let mut ids: Vec<_> = keys.iter().map(|key| PublicKey::from(*key).id()).collect();
        ids.sort();
        let key_head = match party {
            Issuer::Own => None,
            Issuer::Party(id) => Some(*id),
        };
        SignerGroup { party: *party, key_head, keys: ids, threshold: *threshold }
    });
    Header {
        registry: Some(registry.clone()),
        issuer: signers[0].0,
        issued_at: at("2026-05-02T08:30:00.000Z"),
        not_after: at("2026-05-03T08:30:00.000Z"),
        nonce: Nonce::from_random(nonce(label)),
        signers: groups.collect(),
    }
}

/// A good statement of every kind, in every form a kind has.
pub fn bases() -> Vec<Base> {
    let (operator, log) = (key("independent operator"), key("independent log"));
    let log_key = VerifierKey::new("registry.example.hk/log", PublicKey::from(&log)).unwrap();
    let founding = Founding {
        log_key: &log_key,
        operator: &operator,
        operator_name: Names { en: Some("Operator".into()), zh_hant: Some("營運者".into()), ..Names::default() },
        now: at("2026-05-01T00:00:00.000Z"),
        nonces: [nonce("a"), nonce("b")],
    };
    let [genesis, _] = founding.statements().unwrap();
    let registry = RegistryRef { origin: log_key.name().to_owned(), genesis: leaf_hash(&genesis.entry) };
    let operator_party = Issuer::Party(genesis.statement.id);
    let mut all = vec![Base {
        kind: "descriptor",
        payload: genesis.envelope.payload().to_vec(),
        signers: vec![operator.clone()],
        documents: Vec::new(),
        openings: None,
    }];
    let keys: Vec<_> = (0..3).map(|number| key(&format!("independent {number}"))).collect();
    let [first, second, third] = [&keys[0], &keys[1], &keys[2]];
    let other = StatementId::of(b"other");
    let party = Issuer::Party(StatementId::of(b"party"));
    let mut add = |kind: &'static str, signers: &[(Issuer, &[&SigningKey], u32)], claim: Claim, documents| {
        let payload = Statement::compose(kind, &header(&registry, signers, kind), &claim).unwrap();
        let signers = signers.iter().flat_map(|(_, keys, _)| keys.iter().map(|key| (*key).clone())).collect();
        all.push(Base { kind, payload, signers, documents, openings: None });
    };

    let mut witnesses: Vec<_> = ["w1.example", "w2.example"]
        .map(|name| VerifierKey::new(name, PublicKey::from(&key(name))).unwrap().to_string())
        .into();
    witnesses.sort();
    let anchors = PolicyClaim::TrustAnchors(TrustAnchors { witnesses, quorum: 1 });
    add("trust anchors", &[(operator_party, &[&operator], 1)], Claim::Policy(anchors), Vec::new());

    let claim = PartyClaim {
        name: Names {
            en: Some("Lam AI Limited".into()),
            zh_hant: Some("林氏（香港）".into()),
            zh_hans: Some("林氏".into()),
        },
        identifiers: vec![
            Identifier { scheme: Scheme::HkBrn, value: "12345678".into() },
            Identifier { scheme: Scheme::CnUscc, value: "9144030071526726XG".into() },
            Identifier { scheme: Scheme::Lei, value: "HWUPKR0MPOU8FGXBT394".into() },
        ],
        jurisdiction: Jurisdiction::new("HK").unwrap(),
        root_keys: KeySet::new(keys.iter().map(PublicKey::from).collect(), 2),
    };
    add("party", &[(Issuer::Own, &[first, second, third], 3)], Claim::Party(claim), Vec::new());

    let new = key("independent new");
    let (public_key, gone) = (PublicKey::from(&new), PublicKey::from(third).id());
    for (kind, event) in [
        ("key added", KeyEvent::Add { public_key, role: KeyRole::Signing }),
        ("key rotated", KeyEvent::Rotate { replaced: gone, public_key, role: KeyRole::Root }),
        ("key revoked", KeyEvent::Revoke { key: gone, reason: RevocationReason::Lost }),
    ] {
        let signers: &[&SigningKey] = if kind == "key revoked" { &[first, second] } else { &[first, second, &new] };
        let threshold = u32::try_from(signers.len()).unwrap();
        let claim = KeyClaim { seq: 1, prev: other, event };
        add(kind, &[(party, signers, threshold)], Claim::Key(claim), Vec::new());
    }

    let files = manifest(&[("config.json", b"{}"), ("weights.bin", b"weights"), ("模型/權重.bin", b"more")]);
    let parent = |source| Parent { relation: Relation::Finetune, source };
    let foreign = ForeignArtefact { origin: "elsewhere.example/log".into(), artefact: other };
    let parents = vec![
        parent(ParentSource::Artefact(other)),
        parent(ParentSource::Digest(Sha256Digest::of(b"x"))),
        parent(ParentSource::Foreign(foreign)),
    ];
    let mut claim = Author::claim("Model", "1.0", &files, parents);
    claim.supersedes = Some(other);
    let documents = vec![files.to_canonical_bytes()];
    let plain = Author::claim("Model", "1.0", &files, Vec::new());
    add("artefact", &[(party, &[first], 1)], Claim::Artefact(claim), documents.clone());
    let signers: &[(Issuer, &[&SigningKey], u32)] =
        &[(party, &[first, second], 2), (Issuer::Party(other), &[third], 1)];
    add("artefact of two", signers, Claim::Artefact(plain), documents);

    for (kind, claim) in [
        (
            "party verified",
            AttestationClaim::PartyVerified { party: other, identifiers: vec![Scheme::HkBrn, Scheme::Lei] },
        ),
        ("party unverified", AttestationClaim::PartyUnverified { party: other }),
        (
            "bytes match",
            AttestationClaim::BytesMatch {
                artefact: other,
                manifest: Sha256Digest::of(b"x"),
                zone: ResidencyZone::HongKong,
                tool: "chopmark 0.1.0".into(),
            },
        ),
    ] {
        add(kind, &[(party, &[first], 1)], Claim::Attestation(claim), Vec::new());
    }
    add("endorsement", &[(party, &[first], 1)], Claim::Endorsement(EndorsementClaim { statement: other }), vec![]);
    let alone = Alone { registry: &registry, party: StatementId::of(b"party"), key: first };
    all.extend(licensed::bases(&alone, other));
    all.extend(expenditure::bases(&alone, other));
    all
}

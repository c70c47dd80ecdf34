//! Statements as honest clients make them: keys from labels, parties, artefacts, small manifests.
//!
//! Relies on `chopmark-core` for the formats; what must be malformed is made by hand where it is tested.

use std::time::{SystemTime, UNIX_EPOCH};

use chopmark_core::artefact::{ArtefactClaim, ArtefactKind, IpType, ManifestRef, Parent};
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::manifest::{ExclusionProfile, FileEntry, FilePath, Manifest};
use chopmark_core::party::{Identifier, KeySet, PartyClaim};
use chopmark_core::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use ed25519_dalek::SigningKey;

pub use crate::damage::Random;

/// The same label is the same key in every run.
pub fn key(label: &str) -> SigningKey {
    SigningKey::from_bytes(Sha256Digest::of(label.as_bytes()).as_bytes())
}

/// The same label is the same nonce in every run.
pub fn nonce(label: &str) -> [u8; 16] {
    let digest = Sha256Digest::of(label.as_bytes());
    *digest.as_bytes().first_chunk().unwrap()
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap()).unwrap()
}

pub fn english(name: &str) -> Names {
    Names { en: Some(name.to_owned()), ..Names::default() }
}

/// A manifest of files with these names and contents.
pub fn manifest(files: &[(&str, &[u8])]) -> Manifest {
    let entries = files
        .iter()
        .map(|(path, content)| FileEntry {
            path: FilePath::parse(path).unwrap(),
            size_bytes: u64::try_from(content.len()).unwrap(),
            sha256: Sha256Digest::of(content),
            blake3: Some(Blake3Digest::of(content)),
            weights: None,
        })
        .collect();
    Manifest::new(ExclusionProfile::V1, entries).unwrap()
}

/// The manifest of one file whose content is its label.
pub fn small_manifest(label: &str) -> Manifest {
    manifest(&[("weights.bin", label.as_bytes())])
}

/// Whoever makes statements: keys, and the party they speak for once it exists.
#[derive(Clone)]
pub struct Author {
    pub registry: RegistryRef,
    pub keys: Vec<SigningKey>,
    pub threshold: u32,
    pub party: StatementId,
}

impl Author {
    /// A party-to-be with `keys` keys, and the statement that creates it.
    pub fn new(registry: &RegistryRef, label: &str, keys: usize, threshold: u32) -> (Self, Submission) {
        Self::named(registry, label, english(label), keys, threshold)
    }

    /// As [`Author::new`], under other names than the label.
    pub fn named(registry: &RegistryRef, label: &str, name: Names, keys: usize, threshold: u32) -> (Self, Submission) {
        Self::identified(registry, label, (name, Vec::new()), keys, threshold)
    }

    /// As [`Author::named`], with numbers it is known by.
    pub fn identified(
        registry: &RegistryRef,
        label: &str,
        (name, identifiers): (Names, Vec<Identifier>),
        keys: usize,
        threshold: u32,
    ) -> (Self, Submission) {
        let mut keys: Vec<_> = (0..keys).map(|number| key(&format!("{label}/key/{number}"))).collect();
        keys.sort_by_key(|key| PublicKey::from(key).id());
        let claim = Claim::Party(PartyClaim {
            name,
            identifiers,
            jurisdiction: Jurisdiction::new("HK").unwrap(),
            root_keys: KeySet::new(keys.iter().map(PublicKey::from).collect(), threshold),
        });
        let mut author = Self { registry: registry.clone(), keys, threshold, party: StatementId::of(b"") };
        let all = u32::try_from(author.keys.len()).unwrap();
        let header = author.header(Issuer::Own, all, &format!("{label}/party"));
        let payload = Statement::compose("party", &header, &claim).unwrap();
        author.party = StatementId::of(&payload);
        let submission = author.sign(payload, Vec::new());
        (author, submission)
    }

    /// A header for a statement by this author.
    pub fn header(&self, issuer: Issuer, threshold: u32, label: &str) -> Header {
        let key_head = match issuer {
            Issuer::Own => None,
            Issuer::Party(party) => Some(party),
        };
        let issued_at = now();
        Header {
            registry: Some(self.registry.clone()),
            issuer,
            issued_at,
            not_after: issued_at.plus_days(1),
            nonce: Nonce::from_random(nonce(label)),
            signers: vec![SignerGroup {
                party: issuer,
                key_head,
                keys: self.keys.iter().map(|key| PublicKey::from(key).id()).collect(),
                threshold,
            }],
        }
    }

    /// The claim that registers `manifest`.
    pub fn claim(name: &str, version: &str, manifest: &Manifest, parents: Vec<Parent>) -> ArtefactClaim {
        ArtefactClaim {
            name: english(name),
            version: version.to_owned(),
            kind: ArtefactKind::Model,
            ip_type: IpType::Copyright,
            manifest: ManifestRef::to(manifest),
            parents,
            supersedes: None,
            author_jurisdiction: Jurisdiction::new("HK").unwrap(),
            residency_zone: ResidencyZone::World,
            licence: DeclaredLicence::parse("apache-2.0").unwrap(),
            accepts_conflict: false,
        }
    }

    /// The payload of a registration of `manifest`, and the nonce's label with it.
    pub fn payload(&self, label: &str, version: &str, manifest: &Manifest) -> Vec<u8> {
        let claim = Self::claim(label, version, manifest, Vec::new());
        let header = self.header(Issuer::Party(self.party), self.threshold, label);
        Statement::compose(label, &header, &Claim::Artefact(claim)).unwrap()
    }

    /// A signed registration of a small manifest of its own.
    pub fn artefact(&self, label: &str) -> Submission {
        let manifest = small_manifest(label);
        self.sign(self.payload(label, "1", &manifest), vec![manifest.to_canonical_bytes()])
    }

    /// Signs a payload with every key.
    pub fn sign(&self, payload: Vec<u8>, documents: Vec<Vec<u8>>) -> Submission {
        let keys: Vec<_> = self.keys.iter().collect();
        Submission::assemble(Envelope::sign(payload, &keys), documents).unwrap()
    }
}

//! Kind `artefact`: software, a model or a dataset is registered, by the digest of its manifest.
//!
//! Registration is evidence of when, never of title. The manifest travels beside the statement and is kept by digest;
//! the artefact is then found by the digest of any file in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::admission::{ArtefactRecord, Change, Code, Entry, Reads, Rejection, VersionKey, View};
use crate::code::{Jurisdiction, ResidencyZone};
use crate::digest::Sha256Digest;
use crate::kind::Kind;
use crate::licence::DeclaredLicence;
use crate::manifest::{FileEntry, Manifest};
use crate::statement::{Statement, StatementId};
use crate::strict::{INTEGER_MAX, StrictError, present};
use crate::text::{Names, validate_name};

/// Longest version, in characters.
pub const VERSION_CHARACTERS_MAX: usize = 64;

/// Most parents of one artefact. A merge of many adapters stays below.
pub const PARENTS_MAX: usize = 64;

/// What sort of thing is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtefactKind {
    /// Weights with their configuration.
    Model,
    /// Source or binaries: an archive, a package, a directory.
    Software,
    /// Data.
    Dataset,
}

/// The eight kinds of intellectual property one breakdown is kept for (Inland Revenue Ordinance, sections 16E and 16EA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpType {
    /// Section 16E.
    PatentRight,
    /// Section 16E.
    KnowHow,
    /// Section 16EA; software and model weights are here.
    Copyright,
    /// Section 16EA.
    PerformersEconomicRight,
    /// Section 16EA.
    LayoutDesign,
    /// Section 16EA.
    PlantVarietyRight,
    /// Section 16EA.
    RegisteredDesign,
    /// Section 16EA.
    RegisteredTradeMark,
}

impl IpType {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PatentRight,
        Self::KnowHow,
        Self::Copyright,
        Self::PerformersEconomicRight,
        Self::LayoutDesign,
        Self::PlantVarietyRight,
        Self::RegisteredDesign,
        Self::RegisteredTradeMark,
    ];

    /// The word in statements, facts and rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PatentRight => "patent_right",
            Self::KnowHow => "know_how",
            Self::Copyright => "copyright",
            Self::PerformersEconomicRight => "performers_economic_right",
            Self::LayoutDesign => "layout_design",
            Self::PlantVarietyRight => "plant_variety_right",
            Self::RegisteredDesign => "registered_design",
            Self::RegisteredTradeMark => "registered_trade_mark",
        }
    }
}

/// How an artefact comes from a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Trained further.
    Finetune,
    /// An adapter to be used with it.
    Adapter,
    /// Merged from it and others.
    Merge,
    /// The same weights in fewer bits.
    Quantized,
    /// Any other work based on it.
    Derived,
}

/// What a parent is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentSource {
    /// Registered here: the parent's statement id.
    Artefact(StatementId),
    /// Perhaps registered nowhere: the SHA-256 of its manifest or of one of its files.
    Digest(Sha256Digest),
    /// Registered elsewhere; unverified here.
    Foreign(ForeignArtefact),
}

/// An artefact of another registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignArtefact {
    /// Origin of that registry's log.
    pub origin: String,
    /// The artefact's statement id there.
    pub artefact: StatementId,
}

/// One parent of an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireParent", into = "WireParent")]
pub struct Parent {
    /// How the artefact comes from it.
    pub relation: Relation,
    /// What it is known by.
    pub source: ParentSource,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireParent {
    relation: Relation,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    artefact: Option<StatementId>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    digest: Option<Sha256Digest>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    foreign: Option<ForeignArtefact>,
}

impl TryFrom<WireParent> for Parent {
    type Error = &'static str;

    fn try_from(wire: WireParent) -> Result<Self, Self::Error> {
        let source = match (wire.artefact, wire.digest, wire.foreign) {
            (Some(artefact), None, None) => ParentSource::Artefact(artefact),
            (None, Some(digest), None) => ParentSource::Digest(digest),
            (None, None, Some(foreign)) => ParentSource::Foreign(foreign),
            _ => return Err("a parent has exactly one of artefact, digest, foreign"),
        };
        Ok(Self { relation: wire.relation, source })
    }
}

impl From<Parent> for WireParent {
    fn from(Parent { relation, source }: Parent) -> Self {
        let (artefact, digest, foreign) = match source {
            ParentSource::Artefact(artefact) => (Some(artefact), None, None),
            ParentSource::Digest(digest) => (None, Some(digest), None),
            ParentSource::Foreign(foreign) => (None, None, Some(foreign)),
        };
        Self { relation, artefact, digest, foreign }
    }
}

/// What the statement says about its manifest, so that a reader of the tree alone knows the size of the thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRef {
    /// SHA-256 of the manifest's canonical bytes; the subject of the statement.
    pub sha256: Sha256Digest,
    /// Number of files.
    pub files: u64,
    /// Bytes in all files together.
    pub content_size_bytes: u64,
}

impl ManifestRef {
    /// The reference to a manifest.
    pub fn to(manifest: &Manifest) -> Self {
        Self {
            sha256: manifest.digest(),
            files: u64::try_from(manifest.files().len()).unwrap_or(u64::MAX),
            content_size_bytes: manifest.size_bytes(),
        }
    }
}

/// What an `artefact` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtefactClaim {
    /// The artefact's names.
    pub name: Names,
    /// Its version, as its owner counts.
    pub version: String,
    /// What sort of thing it is.
    pub kind: ArtefactKind,
    /// Under which head of intellectual property it is accounted for.
    pub ip_type: IpType,
    /// What it consists of.
    pub manifest: ManifestRef,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// The artefact of the same owner that this one takes the place of: its previous version, as a rule.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<StatementId>,
    /// Where its authors are.
    pub author_jurisdiction: Jurisdiction,
    /// Where its bytes and sealed values may be kept.
    pub residency_zone: ResidencyZone,
    /// The licence its owner declares.
    pub licence: DeclaredLicence,
    /// Whether the owner registers it although that licence conflicts with those of what it was made from.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accepts_conflict: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl ArtefactClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:artefact:v1";

    /// Parents that are registered here, with their positions.
    pub fn registered_parents(&self) -> impl Iterator<Item = (usize, StatementId)> {
        self.parents.iter().enumerate().filter_map(|(position, parent)| match parent.source {
            ParentSource::Artefact(id) => Some((position, id)),
            ParentSource::Digest(_) | ParentSource::Foreign(_) => None,
        })
    }

    fn version_key(&self, statement: &Statement) -> VersionKey {
        VersionKey { owner: statement.issuer(), manifest: self.manifest.sha256, version: self.version.clone() }
    }
}

impl Kind for ArtefactClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.name.validate(validate_name).map_err(|error| error.under("/name"))?;
        validate_name(&self.version)
            .and_then(|()| match self.version.chars().count() {
                length if length > VERSION_CHARACTERS_MAX => {
                    Err(format!("a version has at most {VERSION_CHARACTERS_MAX} characters"))
                }
                _ => Ok(()),
            })
            .map_err(|reason| StrictError::new("/version", reason))?;
        if self.manifest.files == 0 {
            return Err(StrictError::new("/manifest/files", "an artefact has at least one file"));
        }
        if self.manifest.content_size_bytes > INTEGER_MAX {
            return Err(StrictError::new("/manifest/content_size_bytes", "larger than 2^53 − 1 bytes"));
        }
        if self.parents.len() > PARENTS_MAX {
            return Err(StrictError::new("/parents", format!("at most {PARENTS_MAX} parents")));
        }
        for (position, parent) in self.parents.iter().enumerate() {
            let place = format!("/parents/{position}");
            if self.parents.get(..position).unwrap_or_default().iter().any(|other| other.source == parent.source) {
                let member = match parent.source {
                    ParentSource::Artefact(_) => "artefact",
                    ParentSource::Digest(_) => "digest",
                    ParentSource::Foreign(_) => "foreign",
                };
                return Err(StrictError::new(format!("{place}/{member}"), "this parent already stands above"));
            }
            if let ParentSource::Foreign(foreign) = &parent.source {
                validate_name(&foreign.origin).map_err(|reason| StrictError::new(place + "/foreign/origin", reason))?;
            }
        }
        self.licence.validate().map_err(|error| error.under("/licence"))
    }

    fn documents(&self) -> Vec<Sha256Digest> {
        vec![self.manifest.sha256]
    }

    fn check_documents(&self, manifests: &BTreeMap<Sha256Digest, Manifest>) -> Result<(), StrictError> {
        match manifests.get(&self.manifest.sha256).map(ManifestRef::to) {
            Some(actual) if actual == self.manifest => Ok(()),
            Some(actual) => {
                let (files, bytes) = (actual.files, actual.content_size_bytes);
                Err(StrictError::new(
                    "/manifest",
                    format!("the manifest lists {files} files with {bytes} bytes in all"),
                ))
            }
            None => Err(StrictError::new("/manifest/sha256", "the manifest is not at hand")),
        }
    }

    fn reads(&self, statement: &Statement, reads: &mut Reads) {
        reads.artefacts.extend(self.registered_parents().map(|(_, parent)| parent));
        reads.artefacts.extend(self.supersedes);
        reads.versions.push(self.version_key(statement));
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse = |code, member: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate/claim{member}"), reason))
        };
        for (position, parent) in self.registered_parents() {
            if view.artefact(&parent).is_none() {
                let reason = format!("no artefact {parent} is registered here");
                return Err(refuse(Code::UnknownParent, &format!("/parents/{position}/artefact"), reason));
            }
        }
        if let Some(earlier) = self.supersedes {
            match view.artefact(&earlier) {
                Some(record) if record.owner == statement.issuer() => {}
                Some(_) => {
                    let reason = format!("artefact {earlier} is another party's; only its owner can supersede it");
                    return Err(refuse(Code::NotAuthorised, "/supersedes", reason));
                }
                None => {
                    let reason = format!("no artefact {earlier} is registered here");
                    return Err(refuse(Code::UnknownArtefact, "/supersedes", reason));
                }
            }
        }
        if let Some(existing) = view.version(&self.version_key(statement)) {
            let reason = "this owner has registered the same files under the same version".to_owned();
            return Err(refuse(Code::AlreadyRegistered, "/version", reason).with_existing(existing));
        }
        Ok(())
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        vec![Change::Artefact(ArtefactRecord {
            id: entry.statement.id,
            index: entry.index,
            owner: entry.statement.issuer(),
            claim: self.clone(),
        })]
    }
}

/// Every digest an artefact is found by: its manifest's, and SHA-256 and BLAKE3 (where known) of each file. Ascending,
/// none twice.
pub fn digests(manifest: &Manifest) -> Vec<[u8; 32]> {
    let of = |file: &FileEntry| {
        let blake3 = file.blake3.as_ref().map(|digest| *digest.as_bytes());
        core::iter::once(*file.sha256.as_bytes()).chain(blake3)
    };
    let files = manifest.files().iter().flat_map(of);
    let mut digests: Vec<[u8; 32]> = files.chain([*manifest.digest().as_bytes()]).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

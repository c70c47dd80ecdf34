//! What is entered: distinct one-file artefacts with names of several words in English and Chinese, signed beforehand.

use chopmark_core::artefact::{ArtefactClaim, ArtefactKind, IpType, ManifestRef};
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::manifest::{ExclusionProfile, FileEntry, FilePath, Manifest};
use chopmark_core::party::{KeySet, PartyClaim};
use chopmark_core::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use ed25519_dalek::SigningKey;

use crate::Failure;

/// Words that names are made of; how often each occurs falls with its place, as in real names.
const ENGLISH: [&str; 32] = [
    "chat",
    "instruct",
    "base",
    "large",
    "small",
    "mini",
    "vision",
    "code",
    "speech",
    "embedding",
    "reranker",
    "translate",
    "legal",
    "medical",
    "finance",
    "math",
    "robot",
    "agent",
    "guard",
    "tiny",
    "ocean",
    "harbour",
    "dragon",
    "lantern",
    "jade",
    "bamboo",
    "peak",
    "ferry",
    "kowloon",
    "lantau",
    "victoria",
    "sampan",
];

/// The same in Chinese, traditional and simplified.
const CHINESE: [(&str, &str); 16] = [
    ("語言", "语言"),
    ("模型", "模型"),
    ("對話", "对话"),
    ("視覺", "视觉"),
    ("語音", "语音"),
    ("翻譯", "翻译"),
    ("法律", "法律"),
    ("醫療", "医疗"),
    ("金融", "金融"),
    ("數學", "数学"),
    ("機械人", "机械人"),
    ("海港", "海港"),
    ("燈籠", "灯笼"),
    ("翡翠", "翡翠"),
    ("竹林", "竹林"),
    ("渡輪", "渡轮"),
];

const LICENCES: [&str; 4] = ["apache-2.0", "mit", "bsd-3-clause", "gpl-3.0-only"];

/// Whoever signs: one party with one key.
pub(crate) struct Author {
    registry: RegistryRef,
    secret: SigningKey,
    /// The key it signs with.
    pub(crate) public: PublicKey,
    /// Its party.
    pub(crate) party: StatementId,
}

impl Author {
    /// The author of this number, and the statement that registers it.
    pub(crate) fn new(registry: &RegistryRef, number: u32) -> Result<(Self, Submission), Failure> {
        let secret = SigningKey::from_bytes(Sha256Digest::of(format!("author {number}").as_bytes()).as_bytes());
        let public = PublicKey::from(&secret);
        let mut author = Self { registry: registry.clone(), secret, public, party: StatementId::of(b"") };
        let claim = Claim::Party(PartyClaim {
            name: Names { en: Some(format!("{} Laboratories {number}", word(number))), ..Names::default() },
            identifiers: Vec::new(),
            jurisdiction: Jurisdiction::new("HK")?,
            root_keys: KeySet::new(vec![author.public], 1),
        });
        let submission = author.sign(Issuer::Own, &format!("party {number}"), &claim, Vec::new())?;
        author.party = submission.statement.id;
        Ok((author, submission))
    }

    /// Signs a claim; the label gives the nonce.
    pub(crate) fn sign(
        &self,
        issuer: Issuer,
        label: &str,
        claim: &Claim,
        documents: Vec<Vec<u8>>,
    ) -> Result<Submission, Failure> {
        let header = self.header(issuer, label)?;
        let payload = Statement::compose(label, &header, claim)?;
        self.seal(payload, documents)
    }

    /// What stands before a claim; the label gives the nonce.
    pub(crate) fn header(&self, issuer: Issuer, label: &str) -> Result<Header, Failure> {
        let key_head = match issuer {
            Issuer::Own => None,
            Issuer::Party(party) => Some(party),
        };
        let issued_at = Timestamp::from(chrono::Utc::now());
        let nonce = *Sha256Digest::of(label.as_bytes()).as_bytes().first_chunk().ok_or("a digest is too short")?;
        Ok(Header {
            registry: Some(self.registry.clone()),
            issuer,
            issued_at,
            not_after: issued_at.plus_days(1),
            nonce: Nonce::from_random(nonce),
            signers: vec![SignerGroup { party: issuer, key_head, keys: vec![self.public.id()], threshold: 1 }],
        })
    }

    /// Signs a payload.
    pub(crate) fn seal(&self, payload: Vec<u8>, documents: Vec<Vec<u8>>) -> Result<Submission, Failure> {
        Ok(Submission::assemble(Envelope::sign(payload, &[&self.secret]), documents)?)
    }
}

/// A word; early ones are frequent.
fn word(number: u32) -> &'static str {
    pick(&ENGLISH, number)
}

/// The square of a uniform number is small more often than large.
fn pick<T: Copy + Default>(from: &[T], number: u32) -> T {
    let uniform = f64::from(number.wrapping_mul(2_654_435_769) >> 8) / f64::from(1_u32 << 24);
    let place = uniform * uniform * crate::figures::count(from.len());
    (0_u32..).zip(from).find(|(index, _)| f64::from(*index) + 1.0 > place).map(|(_, value)| *value).unwrap_or_default()
}

/// The artefact of this number by an author: no two are the same.
pub(crate) fn artefact(author: &Author, number: u32) -> Result<Submission, Failure> {
    let label = format!("artefact {number}");
    let file = FileEntry {
        path: FilePath::parse("model.safetensors")?,
        size_bytes: u64::from(number) + 1,
        sha256: Sha256Digest::of(label.as_bytes()),
        blake3: Some(Blake3Digest::of(label.as_bytes())),
        weights: None,
    };
    let manifest = Manifest::new(ExclusionProfile::V1, vec![file])?;
    let (first, second) = (pick(&CHINESE, number), pick(&CHINESE, number.wrapping_add(7)));
    let name = Names {
        en: Some(format!("{}-{}-{number}", word(number), word(number.wrapping_mul(31).wrapping_add(5)))),
        zh_hant: Some(format!("{}{}第{number}號", first.0, second.0)),
        zh_hans: Some(format!("{}{}第{number}号", first.1, second.1)),
    };
    let claim = Claim::Artefact(ArtefactClaim {
        name,
        version: "1.0".to_owned(),
        kind: ArtefactKind::Model,
        ip_type: IpType::Copyright,
        manifest: ManifestRef::to(&manifest),
        parents: Vec::new(),
        supersedes: None,
        author_jurisdiction: Jurisdiction::new("HK")?,
        residency_zone: ResidencyZone::World,
        licence: DeclaredLicence::parse(pick(&LICENCES, number))?,
        accepts_conflict: false,
    });
    author.sign(Issuer::Party(author.party), &label, &claim, vec![manifest.to_canonical_bytes()])
}

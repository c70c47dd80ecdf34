//! Statements on their way from one signer to the next: a file with everything a signer needs to know, without network.
//!
//! Nothing in it has to be believed: key ids are digests of keys, statement ids digests of statements, documents are
//! hashed again, commitments computed again from their openings. What the payload does not bind is not in the file.
//! A file with openings is the user's alone (0600): whoever reads it reads what is sealed.

use std::collections::BTreeMap;
use std::path::Path;

use chopmark_core::admission::{Code, Rejection};
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::kind::Claim;
use chopmark_core::policy::PolicyClaim;
use chopmark_core::sealed::{self, OPENINGS_MAX, Opening, Openings, Place, VALUE_BYTES_MAX};
use chopmark_core::statement::{ENTRY_BYTES_MAX, Envelope, Statement, StatementId};
use chopmark_core::strict::{self, present};
use chopmark_core::submission::{REQUEST_BYTES_MAX, Submission};
use chopmark_core::terms::{Terms, TermsId};
use chopmark_core::text::Names;
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::files::{self, Access};

/// Schema name of the document.
const SCHEMA: &str = "chopmark.statement/v1";

/// Most statements that come along to explain the one to be signed.
pub(crate) const STATEMENTS_MAX: usize = 8;

/// Largest file, in bytes: a request, the statements that explain it in base64, and the openings of all of them.
const FILE_BYTES_MAX: usize = REQUEST_BYTES_MAX
    + STATEMENTS_MAX * ENTRY_BYTES_MAX * 4 / 3
    + (STATEMENTS_MAX + 1) * OPENINGS_MAX * (VALUE_BYTES_MAX + 300)
    + (64 << 10);

/// A statement file as it is written and read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFile {
    /// [`SCHEMA`].
    schema: String,
    /// The envelope, with the signatures so far.
    envelope: Value,
    /// The documents that the statement names, padded base64.
    documents: Vec<String>,
    /// Public keys of those who sign, padded base64.
    keys: Vec<PublicKey>,
    /// Payloads of statements that this one names, padded base64.
    statements: Vec<String>,
    /// Openings of the statement's sealed fields.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    openings: Option<Openings>,
    /// Openings of sealed fields of the statements that come along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    opened: Vec<WireOpened>,
}

/// Openings of a statement that comes along.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOpened {
    statement: StatementId,
    fields: Vec<Opening>,
}

/// A statement that is being signed.
#[derive(Debug)]
pub(crate) struct StatementFile {
    /// The statement, its documents and its signatures so far.
    pub(crate) submission: Submission,
    keys: Vec<PublicKey>,
    statements: BTreeMap<StatementId, (Vec<u8>, Statement)>,
    opened: BTreeMap<StatementId, Vec<Opening>>,
}

impl StatementFile {
    /// A statement with the public keys of those who sign, the payloads of statements that it names, and openings of the
    /// sealed fields of those.
    ///
    /// # Errors
    /// When one of those can't be read, a signature does not hold, or an opening opens something else.
    pub(crate) fn new(
        submission: Submission,
        keys: Vec<PublicKey>,
        payloads: Vec<Vec<u8>>,
        opened: BTreeMap<StatementId, Vec<Opening>>,
    ) -> Result<Self, Failure> {
        let mut statements = BTreeMap::new();
        for payload in payloads {
            let statement = Statement::parse(&payload).map_err(|rejection| not_acceptable(&rejection))?;
            statements.insert(statement.id, (payload, statement));
        }
        let file = Self { submission, keys, statements, opened };
        file.check()?;
        Ok(file)
    }

    /// Reads a statement file, and checks everything in it but whether enough have signed.
    ///
    /// # Errors
    /// A usage failure when it can't be read or is not understood to the last member; a proof failure when a signature
    /// does not hold.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, FILE_BYTES_MAX)
            .map_err(|error| Failure::usage(format!("cannot read the statement {}: {error}", path.display())))?;
        Self::parse(&bytes).map_err(|failure| Failure { message: format!("{}: {failure}", path.display()), ..failure })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let malformed = |reason: String| Failure::new(Exit::Usage, "statement_malformed", reason);
        let wire: WireFile = strict::from_slice(bytes)
            .map_err(|error| malformed(format!("not a statement file, or one of a newer version: {error}")))?;
        if wire.schema != SCHEMA {
            return Err(malformed(format!("the schema is {:?}, expected {SCHEMA}", wire.schema)));
        }
        if wire.statements.len() > STATEMENTS_MAX {
            return Err(malformed(format!("at most {STATEMENTS_MAX} statements come along")));
        }
        let decode = |texts: &[String], member: &str| {
            let decoded = texts.iter().map(|text| BASE64.decode(text.as_bytes()));
            decoded.collect::<Result<Vec<_>, _>>().map_err(|error| malformed(format!("{member}: {error}")))
        };
        let envelope = Envelope::from_value(&wire.envelope).map_err(|error| malformed(format!("envelope: {error}")))?;
        let documents = decode(&wire.documents, "documents")?;
        let submission = Submission::assemble(envelope, documents).map_err(|rejection| not_acceptable(&rejection))?;
        let submission = submission.with_openings(wire.openings).map_err(|rejection| not_acceptable(&rejection))?;
        let number = wire.opened.len();
        let opened: BTreeMap<_, _> = wire.opened.into_iter().map(|opened| (opened.statement, opened.fields)).collect();
        if opened.len() < number {
            return Err(malformed("opened: a statement is opened twice".to_owned()));
        }
        Self::new(submission, wire.keys, decode(&wire.statements, "statements")?, opened)
    }

    /// Documents are what the statement says of them, openings open what stands there, and every signature holds.
    fn check(&self) -> Result<(), Failure> {
        self.submission.check_documents().map_err(|rejection| not_acceptable(&rejection))?;
        self.submission.check_openings().map_err(|rejection| opens_nothing(&rejection, ""))?;
        for (id, fields) in &self.opened {
            let Some(statement) = self.named(id) else {
                let message = format!("the statement {id}, of which there are openings, did not come along");
                return Err(Failure::new(Exit::Usage, "opening_unreferenced", message));
            };
            let kind = statement.claim.kind();
            let place = Place::of(&statement.header, statement.claim.predicate_type());
            let of = format!(" of the statement {id}");
            sealed::check_fields(&place, &kind.sealed_fields(), fields)
                .map_err(|rejection| opens_nothing(&rejection, &of))?;
            kind.check_opened(fields).map_err(|error| {
                let message = format!("opened, the sealed values{of} are not acceptable: {error}");
                Failure::new(Exit::Usage, "invalid_statement", message)
            })?;
        }
        let find = |id: &KeyId| self.keys.iter().find(|key| key.id() == *id);
        self.submission.verify_signatures(find).map_err(|rejection| match rejection.code {
            Code::UnknownKey => Failure::proof(format!(
                "the public key behind a signature is not in the file, so it can't be checked ({})",
                rejection.pointer
            )),
            code => Failure::new(
                Exit::ProofInvalid,
                code.as_str(),
                format!("{} ({}); take the file from before that signature", rejection.detail, rejection.pointer),
            ),
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let internal = |error: String| Failure::internal(error);
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        let wire = WireFile {
            schema: SCHEMA.to_owned(),
            envelope: strict::value_from_slice(&self.submission.entry).map_err(|error| internal(error.to_string()))?,
            documents: self.submission.documents.values().map(|bytes| encode(bytes)).collect(),
            keys: self.keys.clone(),
            statements: self.statements.values().map(|(payload, _)| encode(payload)).collect(),
            openings: self.submission.openings.clone(),
            opened: self
                .opened
                .iter()
                .map(|(statement, fields)| WireOpened { statement: *statement, fields: fields.clone() })
                .collect(),
        };
        let mut bytes = strict::to_canonical(&wire).map_err(|error| internal(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Who may read the file: the user alone where something in it is sealed.
    fn access(&self) -> Access {
        if self.submission.openings.is_some() || !self.opened.is_empty() { Access::Private } else { Access::Shared }
    }

    /// Openings of sealed fields, with the statement that they are of where it is not this one.
    pub(crate) fn openings(&self) -> impl Iterator<Item = (Option<&Statement>, &[Opening])> {
        let own = self.submission.openings.iter().map(|openings| (None, openings.fields.as_slice()));
        own.chain(self.opened.iter().map(|(id, fields)| (self.named(id), fields.as_slice())))
    }

    /// Writes the file where nothing is yet.
    ///
    /// # Errors
    /// A usage failure when there is something.
    pub(crate) fn create(&self, path: &Path) -> Result<(), Failure> {
        files::create(path, &self.to_bytes()?, self.access()).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(path),
            _ => Failure::file("write", path, &error),
        })
    }

    /// Writes the file in place of what it was.
    ///
    /// # Errors
    /// When that fails; the file is then as it was.
    pub(crate) fn replace(&self, path: &Path) -> Result<(), Failure> {
        files::replace(path, &self.to_bytes()?, self.access()).map_err(|error| Failure::file("write", path, &error))
    }

    /// The payload.
    pub(crate) fn statement(&self) -> &Statement {
        &self.submission.statement
    }

    /// A statement that this one names, where it came along.
    pub(crate) fn named(&self, id: &StatementId) -> Option<&Statement> {
        self.statements.get(id).map(|(_, statement)| statement)
    }

    /// Terms, where the statement that published them came along.
    pub(crate) fn terms(&self, id: &TermsId) -> Option<&Terms> {
        self.statements.values().find_map(|(_, statement)| match &statement.claim {
            Claim::Terms(claim) if claim.id().as_ref() == Ok(id) => Some(&*claim.0),
            _ => None,
        })
    }

    /// The names of a party, where the statement that created it came along.
    pub(crate) fn names_of(&self, party: &StatementId) -> Option<&Names> {
        match &self.named(party)?.claim {
            Claim::Party(claim) => Some(&claim.name),
            Claim::Policy(PolicyClaim::Descriptor(descriptor)) => Some(&descriptor.operator_name),
            _ => None,
        }
    }

    /// Signatures that are there.
    pub(crate) fn signed(&self) -> usize {
        self.submission.envelope.signatures().len()
    }

    /// Signatures that are missing, over all groups.
    pub(crate) fn missing(&self) -> usize {
        let missing = self.statement().header.signers.iter().map(|group| {
            let needed = usize::try_from(group.threshold).unwrap_or(usize::MAX);
            needed.saturating_sub(self.submission.envelope.signatures_of(group))
        });
        missing.sum()
    }

    /// Keys that may still sign.
    pub(crate) fn unsigned_keys(&self) -> Vec<KeyId> {
        let has_signed = |key: &&KeyId| self.has_signed(key);
        self.statement()
            .header
            .signers
            .iter()
            .flat_map(|group| &group.keys)
            .filter(|key| !has_signed(key))
            .copied()
            .collect()
    }

    /// Whether the payload asks this key to sign.
    pub(crate) fn lists(&self, key: &KeyId) -> bool {
        self.statement().header.signers.iter().any(|group| group.keys.contains(key))
    }

    /// Whether this key has signed.
    pub(crate) fn has_signed(&self, key: &KeyId) -> bool {
        self.submission.envelope.signatures().iter().any(|signature| signature.key_id == *key)
    }

    /// The same with one more signature for each of these keys.
    ///
    /// # Errors
    /// When the result would not be accepted.
    pub(crate) fn sign(self, keys: &[&SigningKey]) -> Result<Self, Failure> {
        let signed = Envelope::sign(self.submission.envelope.payload().to_vec(), keys);
        self.with(signed)
    }

    /// The same with the signatures that another copy of it has collected.
    ///
    /// # Errors
    /// A usage failure when it is another statement.
    pub(crate) fn merge(mut self, other: Self) -> Result<Self, Failure> {
        for key in other.keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        if self.submission.openings.as_ref().is_none_or(|openings| openings.fields.is_empty()) {
            self.submission.openings = other.submission.openings;
        }
        self.with(other.submission.envelope)
    }

    fn with(self, envelope: Envelope) -> Result<Self, Failure> {
        let Self { submission, keys, statements, opened } = self;
        let openings = submission.openings;
        let documents = submission.documents.into_values().collect();
        let envelope = submission
            .envelope
            .merge(envelope)
            .ok_or_else(|| Failure::usage("the files hold different statements; give copies of one"))?;
        let submission = Submission::assemble(envelope, documents).map_err(|rejection| not_acceptable(&rejection))?;
        let submission = submission.with_openings(openings).map_err(|rejection| not_acceptable(&rejection))?;
        let file = Self { submission, keys, statements, opened };
        file.check()?;
        Ok(file)
    }
}

/// The failure when a statement would be written over something.
pub(crate) fn exists(path: &Path) -> Failure {
    Failure::usage(format!("{} exists and is left as it is; choose another file with --sign-only", path.display()))
}

/// Openings that do not open what is sealed.
fn opens_nothing(rejection: &Rejection, of: &str) -> Failure {
    let message = format!("{}{of} ({})", rejection.detail, rejection.pointer);
    match rejection.code {
        Code::CommitmentMismatch => Failure::new(Exit::ProofInvalid, rejection.code.as_str(), message),
        code => Failure::new(Exit::Usage, code.as_str(), message),
    }
}

/// A statement that this program would refuse to read.
fn not_acceptable(rejection: &Rejection) -> Failure {
    Failure::new(Exit::Usage, rejection.code.as_str(), format!("{} ({})", rejection.detail, rejection.pointer))
}

#[cfg(test)]
mod tests {
    use chopmark_core::code::Jurisdiction;
    use chopmark_core::digest::Sha256Digest;
    use chopmark_core::party::{KeySet, PartyClaim};
    use chopmark_core::statement::{Header, Issuer, Nonce, RegistryRef, SignerGroup};

    use super::*;

    /// A party's own statement, which comes along to explain itself.
    fn file() -> StatementFile {
        let keys = [SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32])];
        let mut public: Vec<_> = keys.iter().map(PublicKey::from).collect();
        public.sort_by_key(PublicKey::id);
        let header = Header {
            registry: Some(RegistryRef { origin: "log.example/x".to_owned(), genesis: Sha256Digest::of(b"genesis") }),
            issuer: Issuer::Own,
            issued_at: "2026-05-02T08:30:00.000Z".parse().unwrap(),
            not_after: "2026-05-03T08:30:00.000Z".parse().unwrap(),
            nonce: Nonce::from_random([7; 16]),
            signers: vec![SignerGroup {
                party: Issuer::Own,
                key_head: None,
                keys: public.iter().map(PublicKey::id).collect(),
                threshold: 2,
            }],
        };
        let claim = PartyClaim {
            name: Names { en: Some("Signer".to_owned()), ..Names::default() },
            identifiers: Vec::new(),
            jurisdiction: Jurisdiction::new("HK").unwrap(),
            root_keys: KeySet::new(public.clone(), 1),
        };
        let payload = Statement::compose("signer", &header, &Claim::Party(claim)).unwrap();
        let submission = Submission::assemble(Envelope::sign(payload.clone(), &[&keys[0]]), Vec::new()).unwrap();
        StatementFile::new(submission, public, vec![payload], BTreeMap::new()).unwrap()
    }

    #[test]
    fn damaged_files_are_refused_or_have_one_reading() {
        // What is signed comes along a second time, and few places are left where a change changes nothing.
        crate::damage::feed("statement file", 5_000, &[file().to_bytes().unwrap()], 10, |bytes| {
            match StatementFile::parse(bytes) {
                Ok(file) => {
                    let written = file.to_bytes().unwrap();
                    assert_eq!(StatementFile::parse(&written).unwrap().to_bytes().unwrap(), written);
                    true
                }
                Err(failure) => {
                    assert!(!failure.code.is_empty() && !failure.message.is_empty());
                    false
                }
            }
        });
    }
}

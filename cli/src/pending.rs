//! Statements on their way: signed, written to disk before they are sent, removed when their proof is in hand.
//!
//! A run that was cut short is repeated with the same signed bytes, so that it can't register the same thing twice.
//! The file is the request itself; its name is a digest of what is said, by whom, where, with which keys.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::statement::{Issuer, RegistryRef, SignerGroup, Statement};
use chopmark_core::strict;
use chopmark_core::submission::{REQUEST_BYTES_MAX, Submission};

use crate::config::Directories;
use crate::exit::Failure;
use crate::files::{self, Access};

/// Directory of these files below the user's state directory.
const DIRECTORY: &str = "pending";

/// What makes two statements the same intention: everything but time and nonce.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intention<'a> {
    /// Where it is to count.
    pub(crate) registry: &'a RegistryRef,
    /// Who says it.
    pub(crate) issuer: Issuer,
    /// Who signs it, the party's key head aside.
    pub(crate) signers: &'a SignerGroup,
    /// What is said.
    pub(crate) claim: &'a Claim,
    /// The same with open figures, where figures are sealed: commitments are others each time they are made.
    pub(crate) meaning: Option<Sha256Digest>,
}

impl Intention<'_> {
    /// Where the statement is kept.
    fn path(&self, directories: &Directories) -> Result<PathBuf, Failure> {
        let claim = self.claim.to_value().and_then(|claim| strict::to_canonical(&claim));
        let claim = claim.map_err(|error| Failure::internal(error.to_string()))?;
        let header = format!("{}\n{}\n{}\n", self.registry.genesis, issuer(self.issuer), self.claim.predicate_type());
        let keys: Vec<String> = self.signers.keys.iter().map(ToString::to_string).collect();
        let said = self.meaning.as_ref().map_or(claim.as_slice(), |meaning| meaning.as_bytes());
        let digest = Sha256Digest::of_parts(&[header.as_bytes(), keys.join("\n").as_bytes(), b"\n\n", said]);
        Ok(directories.state()?.join(DIRECTORY).join(format!("{digest}.json")))
    }

    /// Whether a statement says just this.
    fn is_of(&self, submission: &Submission) -> bool {
        let (header, claim) = (&submission.statement.header, &submission.statement.claim);
        let same_signers = |group: &SignerGroup| {
            group.party == self.signers.party
                && group.keys == self.signers.keys
                && group.threshold == self.signers.threshold
        };
        // What sealed figures mean the name of the file says; they still have to be those of this statement.
        let is_said = match self.meaning {
            None => claim == self.claim,
            Some(_) => claim.predicate_type() == self.claim.predicate_type() && submission.check_openings().is_ok(),
        };
        is_said
            && header.registry.as_ref() == Some(self.registry)
            && header.issuer == self.issuer
            && matches!(header.signers.as_slice(), [group] if same_signers(group))
    }
}

fn issuer(issuer: Issuer) -> String {
    match issuer {
        Issuer::Own => "self".to_owned(),
        Issuer::Party(party) => party.to_string(),
    }
}

/// A statement on disk.
#[derive(Debug)]
pub(crate) struct Pending {
    path: PathBuf,
    /// The statement and its documents.
    pub(crate) submission: Submission,
}

impl Pending {
    /// The statement that an earlier run left for the same intention.
    ///
    /// # Errors
    /// When the file is there and can't be read. One that does not fit is ignored, and replaced later.
    pub(crate) fn find(directories: &Directories, intention: &Intention<'_>) -> Result<Option<Self>, Failure> {
        let path = intention.path(directories)?;
        let bytes = match files::read(&path, REQUEST_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let usable = |submission: &Submission| intention.is_of(submission) && submission.check_documents().is_ok();
        Ok(Submission::parse(&bytes).ok().filter(usable).map(|submission| Self { path, submission }))
    }

    /// The statements that earlier runs left, whatever they say. A file that is none is ignored.
    ///
    /// # Errors
    /// When the environment names no home.
    pub(crate) fn all(directories: &Directories) -> Result<Vec<Statement>, Failure> {
        let Ok(entries) = fs::read_dir(directories.state()?.join(DIRECTORY)) else { return Ok(Vec::new()) };
        let read = |entry: DirEntry| {
            let path = entry.path();
            // What a kill cut off before it was renamed was not sent.
            path.extension().filter(|extension| *extension == "json")?;
            let bytes = files::read(&path, REQUEST_BYTES_MAX).ok()?;
            Submission::parse(&bytes).ok().map(|submission| submission.statement)
        };
        Ok(entries.filter_map(Result::ok).filter_map(read).collect())
    }

    /// Writes a signed statement to disk.
    ///
    /// # Errors
    /// When that fails; then it must not be sent.
    pub(crate) fn save(
        directories: &Directories,
        intention: &Intention<'_>,
        submission: Submission,
    ) -> Result<Self, Failure> {
        let path = intention.path(directories)?;
        let failed = |error| Failure::file("write", &path, &error);
        let directory = path.parent().unwrap_or(Path::new("."));
        files::create_directory(directory).map_err(failed)?;
        files::sweep(directory);
        files::replace(&path, &submission.to_request(), Access::Private).map_err(failed)?;
        Ok(Self { path, submission })
    }

    /// Forgets the statement: its proof is in hand, or it can never be admitted.
    pub(crate) fn remove(self) -> Submission {
        // What stays behind is found by a later run of the same intention, and then the answer is the same entry.
        let _ = fs::remove_file(&self.path);
        self.submission
    }
}

#[cfg(test)]
mod tests {
    use chopmark_core::code::Jurisdiction;
    use chopmark_core::key::PublicKey;
    use chopmark_core::party::{KeySet, PartyClaim};
    use chopmark_core::statement::{Envelope, Header, Nonce};
    use chopmark_core::text::Names;
    use chopmark_core::time::Timestamp;
    use ed25519_dalek::SigningKey;

    use super::*;

    fn claim(name: &str, key: &SigningKey) -> Claim {
        Claim::Party(PartyClaim {
            name: Names { en: Some(name.to_owned()), ..Names::default() },
            identifiers: Vec::new(),
            jurisdiction: Jurisdiction::new("HK").unwrap(),
            root_keys: KeySet::new(vec![PublicKey::from(key)], 1),
        })
    }

    fn submission(registry: &RegistryRef, signers: &SignerGroup, claim: &Claim, key: &SigningKey) -> Submission {
        let issued_at = Timestamp::from_unix_ms(1_777_000_000_000).unwrap();
        let header = Header {
            registry: Some(registry.clone()),
            issuer: Issuer::Own,
            issued_at,
            not_after: issued_at.plus_days(1),
            nonce: Nonce::from_random([9; 16]),
            signers: vec![signers.clone()],
        };
        let payload = Statement::compose("party", &header, claim).unwrap();
        Submission::assemble(Envelope::sign(payload, &[key]), Vec::new()).unwrap()
    }

    #[test]
    fn the_same_intention_finds_the_same_statement_and_any_other_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().as_os_str().to_owned();
        let directories = Directories::of(&|name| (name == "HOME").then(|| home.clone()));
        let key = SigningKey::from_bytes(&[1; 32]);
        let registry = RegistryRef { origin: "a.example/log".into(), genesis: Sha256Digest::of(b"g") };
        let signers =
            SignerGroup { party: Issuer::Own, key_head: None, keys: vec![PublicKey::from(&key).id()], threshold: 1 };
        let said = claim("Lam AI", &key);
        let intention =
            Intention { registry: &registry, issuer: Issuer::Own, signers: &signers, claim: &said, meaning: None };
        assert!(Pending::find(&directories, &intention).unwrap().is_none());

        let submission = submission(&registry, &signers, &said, &key);
        let id = submission.statement.id;
        Pending::save(&directories, &intention, submission).unwrap();
        let found = Pending::find(&directories, &intention).unwrap().unwrap();
        assert_eq!(found.submission.statement.id, id);
        let all = Pending::all(&directories).unwrap();
        assert_eq!(all.iter().map(|statement| statement.id).collect::<Vec<_>>(), [id]);

        let other_registry = RegistryRef { genesis: Sha256Digest::of(b"h"), ..registry.clone() };
        let other_signers = SignerGroup { threshold: 2, ..signers.clone() };
        let other_claim = claim("Lam AI Limited", &key);
        for other in [
            Intention { registry: &other_registry, ..intention },
            Intention { signers: &other_signers, ..intention },
            Intention { claim: &other_claim, ..intention },
        ] {
            assert!(Pending::find(&directories, &other).unwrap().is_none());
        }

        fs::write(&found.path, b"{\"envelope\":").unwrap();
        assert!(Pending::find(&directories, &intention).unwrap().is_none(), "a damaged file is no statement");
        assert!(Pending::all(&directories).unwrap().is_empty());
        found.remove();
        assert_eq!(fs::read_dir(directories.state().unwrap().join(DIRECTORY)).unwrap().count(), 0);
    }
}

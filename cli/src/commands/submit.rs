//! Signing a statement, keeping it on disk, sending it, and checking the receipt: what `party` and `register` share.

use chopmark_core::admission::Rejection;
use chopmark_core::kind::Claim;
use chopmark_core::statement::{Envelope, Header, Nonce, SignerGroup, Statement};
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;

use super::sealing::SealedFigures;
use crate::client::{Client, Proved, check_receipt};
use crate::config::Directories;
use crate::exit::{Exit, Failure};
use crate::keys::Key;
use crate::pending::{Intention, Pending};
use crate::printer::Printer;
use crate::trust::Contact;

/// How long a signed statement may wait to be admitted, in days: an outage over a long weekend, not a forgotten laptop.
const ADMISSION_DAYS: u16 = 7;

/// Refusals of a statement signed earlier that a new signature cures.
const STALE: [&str; 2] = ["expired", "stale_key_head"];

/// What is to be said, before it is signed.
#[derive(Clone, Copy)]
pub(crate) struct Draft<'a> {
    /// Where the statement goes.
    pub(crate) contact: &'a Contact,
    /// The keys of the issuer that sign.
    pub(crate) signers: &'a SignerGroup,
    /// Those of other parties that sign as well.
    pub(crate) beside: &'a [SignerGroup],
    /// The keys at hand; those of them sign that are listed.
    pub(crate) keys: &'a [Key],
    /// A label for the subject.
    pub(crate) subject_name: &'a str,
    /// What is said.
    pub(crate) claim: &'a Claim,
    /// The document that the claim names.
    pub(crate) document: Option<&'a [u8]>,
    /// After this moment it must not be admitted, where that is sooner than usual.
    pub(crate) until: Option<Timestamp>,
    /// Its sealed fields, opened.
    pub(crate) sealed: Option<&'a SealedFigures>,
}

/// A signed statement, from this run or an earlier one.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The statement and its documents.
    pub(crate) submission: Submission,
    /// It was left by an earlier run.
    pub(crate) is_resumed: bool,
}

/// A statement that the registry took in, with proof.
#[derive(Debug)]
pub(crate) struct Registered {
    /// On disk until [`Registered::forget`].
    pending: Pending,
    /// The receipt, which holds.
    pub(crate) proved: Proved,
    /// When the registry says it took it in.
    pub(crate) recorded_at: String,
    /// It was left by an earlier run.
    pub(crate) is_resumed: bool,
}

impl Registered {
    /// The statement.
    pub(crate) fn statement(&self) -> &Statement {
        &self.pending.submission.statement
    }

    /// Forgets the signed statement: everything that was wanted of it is in hand.
    pub(crate) fn forget(self) {
        self.pending.remove();
    }
}

impl Draft<'_> {
    fn intention(&self) -> Intention<'_> {
        let Self { contact, signers, claim, sealed, .. } = self;
        let meaning = sealed.map(|sealed| sealed.meaning);
        Intention { registry: &contact.registry, issuer: signers.party, signers, claim, meaning }
    }

    /// The signed statement: the one an earlier run left, or a new one. Nothing is written or sent.
    ///
    /// # Errors
    /// A usage failure when the statement would not be accepted.
    pub(crate) fn signed(&self, directories: &Directories) -> Result<Signed, Failure> {
        match Pending::find(directories, &self.intention())? {
            Some(pending) => Ok(Signed { submission: pending.submission, is_resumed: true }),
            None => Ok(Signed { submission: self.sign()?, is_resumed: false }),
        }
    }

    /// Checks, before slow work begins, everything that can be said against it but for the document that it names.
    ///
    /// # Errors
    /// A usage failure when the statement would not be accepted.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.compose(&self.header()?).map(drop)
    }

    /// Forgets what an earlier run left of it.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn forget(&self, directories: &Directories) -> Result<(), Failure> {
        if let Some(pending) = Pending::find(directories, &self.intention())? {
            pending.remove();
        }
        Ok(())
    }

    /// A new signed statement, signed with the keys at hand.
    ///
    /// # Errors
    /// A usage failure when the statement would not be accepted.
    pub(crate) fn sign(&self) -> Result<Submission, Failure> {
        let header = self.header()?;
        let payload = self.compose(&header)?;
        let is_listed = |key: &&Key| header.signers.iter().any(|group| group.keys.contains(&key.id()));
        let secrets: Vec<_> = self.keys.iter().filter(is_listed).map(Key::secret).collect();
        let envelope = Envelope::sign(payload, &secrets);
        let documents = self.document.iter().map(|document| document.to_vec()).collect();
        let submission = Submission::assemble(envelope, documents).map_err(|rejection| not_acceptable(&rejection))?;
        submission.check_documents().map_err(|rejection| not_acceptable(&rejection))?;
        let openings = self.sealed.map(|sealed| sealed.openings.clone());
        let submission = submission.with_openings(openings).map_err(|rejection| not_acceptable(&rejection))?;
        submission.check_openings().map_err(|rejection| not_acceptable(&rejection))?;
        Ok(submission)
    }

    fn header(&self) -> Result<Header, Failure> {
        let nonce = match self.sealed {
            Some(sealed) => sealed.nonce.clone(),
            None => Nonce::from_random(random()?),
        };
        let issued_at = Timestamp::from(chrono::Utc::now());
        Ok(Header {
            registry: Some(self.contact.registry.clone()),
            issuer: self.signers.party,
            issued_at,
            not_after: self.until.into_iter().chain([issued_at.plus_days(ADMISSION_DAYS)]).min().unwrap_or(issued_at),
            nonce,
            signers: [core::slice::from_ref(self.signers), self.beside].concat(),
        })
    }

    fn compose(&self, header: &Header) -> Result<Vec<u8>, Failure> {
        Statement::compose(self.subject_name, header, self.claim).map_err(|rejection| not_acceptable(&rejection))
    }

    /// Keeps the statement on disk, sends it, and checks the receipt.
    ///
    /// # Errors
    /// A network failure, after which the next run sends the same statement; the registry's refusal; a proof failure
    /// when the receipt does not hold.
    pub(crate) fn send(
        &self,
        signed: Signed,
        client: &Client,
        directories: &Directories,
        printer: &Printer,
    ) -> Result<Registered, Failure> {
        let Signed { submission, is_resumed } = signed;
        client.check_carries(&submission)?;
        if is_resumed {
            printer.note("an earlier run was cut short: sending the statement it signed");
        }
        let pending = Pending::save(directories, &self.intention(), submission)?;
        let receipt = match client.submit(&pending.submission) {
            Ok(receipt) => receipt,
            Err(mut failure) if failure.exit == Exit::Network => {
                failure.message += "; the signed statement is kept, and the same command sends it again";
                return Err(failure);
            }
            Err(refusal) => {
                // What was refused outright is never admitted later; keeping it would repeat the refusal.
                pending.remove();
                if is_resumed && STALE.contains(&&*refusal.code) {
                    printer.note("the registry no longer admits that statement; signing it again");
                    let signed = Signed { submission: self.sign()?, is_resumed: false };
                    return self.send(signed, client, directories, printer);
                }
                return Err(refusal);
            }
        };
        let proved = check_receipt(client, &receipt, &pending.submission.envelope, &self.contact.log_key)?;
        Ok(Registered { pending, proved, recorded_at: receipt.recorded_at, is_resumed })
    }
}

/// Random bytes.
///
/// # Errors
/// When the operating system gives none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::internal(format!("the operating system gives no randomness: {error}")))?;
    Ok(bytes)
}

/// A statement that this very program would refuse to read.
fn not_acceptable(rejection: &Rejection) -> Failure {
    Failure::new(Exit::Usage, rejection.code.as_str(), format!("{} ({})", rejection.detail, rejection.pointer))
}

//! Kind `terms`: a licensor publishes a terms document. The claim is the document, so its id is the statement's subject.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, Entry, Reads, Rejection, TermsRecord, View};
use crate::digest::Sha256Digest;
use crate::kind::Kind;
use crate::sealed::{Opening, SealedField};
use crate::statement::Statement;
use crate::strict::StrictError;
use crate::terms::{Terms, TermsId};

/// What a `terms` statement says: the document itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TermsClaim(pub Box<Terms>);

impl TermsClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:terms:v1";

    /// The id of the document.
    ///
    /// # Errors
    /// None in practice: see [`Terms::id`].
    pub fn id(&self) -> Result<TermsId, StrictError> {
        self.0.id()
    }
}

impl Kind for TermsClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.0.validate()
    }

    fn subject(&self) -> Option<Sha256Digest> {
        self.id().ok().map(|id| Sha256Digest::from_bytes(*id.as_bytes()))
    }

    fn sealed_fields(&self) -> Vec<SealedField> {
        self.0.sealed_fields()
    }

    fn check_opened(&self, openings: &[Opening]) -> Result<(), StrictError> {
        self.0.opened(openings).map(|_| ())
    }

    fn reads(&self, statement: &Statement, reads: &mut Reads) {
        if let Ok(id) = self.id() {
            reads.licensing.terms.push((statement.issuer(), id));
        }
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let invalid = |error| Rejection::in_payload(Code::InvalidStatement, error);
        let id = self.id().map_err(invalid)?;
        match view.licensing().publication(&statement.issuer(), &id) {
            Some(published) => {
                let place = StrictError::new("/predicate/claim", "this party has published the same terms");
                Err(Rejection::in_payload(Code::AlreadyRegistered, place).with_existing(published.statement))
            }
            None => Ok(()),
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        let Ok(id) = self.id() else { return Vec::new() };
        vec![Change::Terms(TermsRecord {
            id,
            index: entry.index,
            statement: entry.statement.id,
            issuer: entry.statement.issuer(),
            terms: Arc::new(Terms::clone(&self.0)),
        })]
    }
}

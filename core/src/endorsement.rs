//! Kind `endorsement`: "I sign this statement too", said after it was entered.
//!
//! A signature that comes later is an entry of its own, so none is ever lost and none can be slipped in unseen.

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, EndorsementRecord, Entry, Reads, Rejection, View};
use crate::kind::Kind;
use crate::statement::{Statement, StatementId};
use crate::strict::StrictError;

/// What an `endorsement` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndorsementClaim {
    /// The statement the issuer signs too.
    pub statement: StatementId,
}

impl EndorsementClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:endorsement:v1";
}

impl Kind for EndorsementClaim {
    fn validate(&self) -> Result<(), StrictError> {
        Ok(())
    }

    fn reads(&self, statement: &Statement, reads: &mut Reads) {
        reads.statements.push(self.statement);
        reads.endorsements.push((self.statement, statement.issuer()));
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse =
            |code, reason: String| Rejection::in_payload(code, StrictError::new("/predicate/claim/statement", reason));
        match view.statement_issuer(&self.statement) {
            None => {
                let reason = format!("the log holds no statement {}", self.statement);
                Err(refuse(Code::UnknownStatement, reason))
            }
            Some(issuer) if issuer == statement.issuer() => {
                Err(refuse(Code::NotAuthorised, "this party made the statement itself".to_owned()))
            }
            Some(_) => match view.endorsement(&self.statement, &statement.issuer()) {
                Some(existing) => {
                    let reason = "this party has endorsed the statement already".to_owned();
                    Err(refuse(Code::AlreadyRegistered, reason).with_existing(existing))
                }
                None => Ok(()),
            },
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        vec![Change::Endorsement(EndorsementRecord {
            id: entry.statement.id,
            index: entry.index,
            statement: self.statement,
            issuer: entry.statement.issuer(),
        })]
    }
}

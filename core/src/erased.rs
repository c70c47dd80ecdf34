//! Kind `erased`: the openings of these sealed fields were destroyed.
//!
//! The party whose statement it was asks for it by signing this; the operator may say it for them. The registry enters it
//! and destroys salt, value and key in one transaction, so that the entry is true from the moment it exists. What is in
//! the log stays, and every proof about it: a commitment whose salt is gone says nothing.

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, Entry, Reads, Rejection, View};
use crate::kind::Kind;
use crate::sealed::{Field, OPENINGS_MAX};
use crate::statement::{Statement, StatementId};
use crate::strict::StrictError;

/// What an `erased` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedClaim {
    /// The statement the fields belong to.
    pub statement: StatementId,
    /// The fields, ascending, none twice.
    pub fields: Vec<Field>,
}

impl ErasedClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:erased:v1";
}

impl Kind for ErasedClaim {
    fn validate(&self) -> Result<(), StrictError> {
        if self.fields.is_empty() || self.fields.len() > OPENINGS_MAX || !self.fields.is_sorted_by(|a, b| a < b) {
            let reason = format!("1 to {OPENINGS_MAX} fields in ascending order, none twice");
            return Err(StrictError::new("/fields", reason));
        }
        Ok(())
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.statements.push(self.statement);
        reads.openings.push(self.statement);
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse = |code, member: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate/claim{member}"), reason))
        };
        let Some(issuer) = view.statement_issuer(&self.statement) else {
            let reason = format!("the log holds no statement {}", self.statement);
            return Err(refuse(Code::UnknownStatement, "/statement", reason));
        };
        if statement.issuer() != issuer && view.operator() != Some(statement.issuer()) {
            let reason = "only the party that made the statement, or the operator for it, has it erased".to_owned();
            return Err(refuse(Code::NotAuthorised, "/statement", reason));
        }
        // A replay knows no vault: what was there, and how long it had to be kept, was judged when it was.
        let Some(kept) = view.openings(&self.statement) else { return Ok(()) };
        for (position, field) in self.fields.iter().enumerate() {
            let at = format!("/fields/{position}");
            match kept.get(field) {
                None => {
                    let reason = format!("no opening of {field} is kept here, or it was erased already");
                    return Err(refuse(Code::OpeningMissing, &at, reason));
                }
                Some(Some(until)) => {
                    let reason = format!("{field} has to be kept until {until}; ask again then");
                    return Err(refuse(Code::RetentionRunning, &at, reason));
                }
                Some(None) => {}
            }
        }
        Ok(())
    }

    fn apply(&self, _: &Entry<'_>) -> Vec<Change> {
        // The read tables hold nothing of sealed values.
        Vec::new()
    }
}

//! What a registry says about the ids that payments name: each asked once, however many rows name it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chopmark_core::artefact::IpType;
use chopmark_core::expenditure::{ExpenditureClaim, Replacement};
use chopmark_core::kind::Claim;
use chopmark_core::licensing::GrantClaim;
use chopmark_core::statement::{Statement, StatementId};

use super::other_kind;
use crate::client::Client;
use crate::exit::{Exit, Failure};

/// Why an id leads nowhere: the exit code, the code and the sentence.
type Nowhere = (Exit, String, String);

/// Answers of a registry.
pub(in crate::commands) struct Lookup<'a> {
    client: &'a Client,
    statements: RefCell<BTreeMap<String, Result<Statement, Nowhere>>>,
    parties: RefCell<BTreeMap<String, Result<StatementId, Nowhere>>>,
    heads: RefCell<BTreeMap<StatementId, StatementId>>,
}

fn nowhere(failure: Failure) -> Result<Nowhere, Failure> {
    // A service that is away says nothing about an id.
    if matches!(failure.exit, Exit::Network | Exit::Internal | Exit::Interrupted) {
        return Err(failure);
    }
    Ok((failure.exit, failure.code.into_owned(), failure.message))
}

fn failure((exit, code, message): Nowhere) -> Failure {
    Failure::new(exit, code, message)
}

impl<'a> Lookup<'a> {
    /// Nothing is asked yet.
    pub(in crate::commands) fn new(client: &'a Client) -> Self {
        Self { client, statements: RefCell::default(), parties: RefCell::default(), heads: RefCell::default() }
    }

    /// A statement.
    ///
    /// # Errors
    /// A usage failure when that is no id; as the registry answers.
    pub(in crate::commands) fn statement(&self, id: &str) -> Result<Statement, Failure> {
        if let Some(known) = self.statements.borrow().get(id) {
            return known.clone().map_err(failure);
        }
        let found = match self.client.statement(id) {
            Ok(statement) => Ok(statement),
            Err(failure) => Err(nowhere(failure)?),
        };
        self.statements.borrow_mut().insert(id.to_owned(), found.clone());
        found.map_err(failure)
    }

    /// A party, by id.
    ///
    /// # Errors
    /// As [`Lookup::statement`].
    pub(in crate::commands) fn party(&self, id: &str) -> Result<StatementId, Failure> {
        self.party_by(id, || Ok(self.client.party(id)?.party_id))
    }

    /// A party, by business registration number.
    ///
    /// # Errors
    /// A usage failure when it is not one party; as the registry answers.
    pub(super) fn party_with_brn(&self, brn: &str) -> Result<StatementId, Failure> {
        self.party_by(brn, || self.client.party_with_brn(brn))
    }

    fn party_by(&self, key: &str, ask: impl FnOnce() -> Result<StatementId, Failure>) -> Result<StatementId, Failure> {
        if let Some(known) = self.parties.borrow().get(key) {
            return known.clone().map_err(failure);
        }
        let found = match ask() {
            Ok(party) => Ok(party),
            Err(failure) => Err(nowhere(failure)?),
        };
        self.parties.borrow_mut().insert(key.to_owned(), found.clone());
        found.map_err(failure)
    }

    /// An asset.
    ///
    /// # Errors
    /// As [`Lookup::statement`]; a usage failure when it is something else.
    pub(in crate::commands) fn asset(&self, id: &str) -> Result<StatementId, Failure> {
        let statement = self.statement(id)?;
        match &statement.claim {
            Claim::Asset(_) => Ok(statement.id),
            other => Err(other_kind(id, "asset", other)),
        }
    }

    /// An asset, a payment or a use as it stands: who said it first, and what is said of it now; nothing where it was reversed.
    ///
    /// # Errors
    /// As [`Lookup::statement`].
    pub(super) fn standing(&self, id: &StatementId) -> Result<Option<(StatementId, Claim)>, Failure> {
        let first = self.statement(&id.to_string())?;
        let known = self.heads.borrow().get(id).copied();
        let head = known.map_or_else(|| self.client.correction_head(id), Ok)?;
        self.heads.borrow_mut().insert(*id, head);
        let issuer = first.issuer();
        if head == *id {
            return Ok(Some((issuer, first.claim)));
        }
        let Claim::Correction(correction) = self.statement(&head.to_string())?.claim else { return Ok(None) };
        let claim = correction.replacement.map(|replacement| match replacement {
            Replacement::Asset(claim) => Claim::Asset(*claim),
            Replacement::Expenditure(claim) => Claim::Expenditure(*claim),
            Replacement::Use(claim) => Claim::Use(claim),
        });
        Ok(claim.map(|claim| (issuer, claim)))
    }

    /// An artefact and the type of right in it.
    ///
    /// # Errors
    /// As [`Lookup::asset`].
    pub(in crate::commands) fn artefact(&self, id: &str) -> Result<(StatementId, IpType), Failure> {
        let statement = self.statement(id)?;
        match &statement.claim {
            Claim::Artefact(claim) => Ok((statement.id, claim.ip_type)),
            other => Err(other_kind(id, "artefact", other)),
        }
    }

    /// A licence.
    ///
    /// # Errors
    /// As [`Lookup::asset`].
    pub(super) fn licence(&self, id: &str) -> Result<(StatementId, GrantClaim), Failure> {
        let statement = self.statement(id)?;
        match statement.claim {
            Claim::Grant(claim) => Ok((statement.id, claim)),
            other => Err(other_kind(id, "licence", &other)),
        }
    }

    /// A payment as it was first recorded.
    ///
    /// # Errors
    /// As [`Lookup::asset`].
    pub(super) fn payment(&self, id: &str) -> Result<(StatementId, ExpenditureClaim), Failure> {
        let statement = self.statement(id)?;
        match statement.claim {
            Claim::Expenditure(claim) => Ok((statement.id, claim)),
            Claim::Correction(claim) => match claim.replacement {
                Some(Replacement::Expenditure(payment)) => Ok((claim.entry, *payment)),
                _ => Err(Failure::usage(format!("{id} is a correction of something else than a payment"))),
            },
            other => Err(other_kind(id, "payment", &other)),
        }
    }
}

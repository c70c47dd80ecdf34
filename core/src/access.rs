//! Who may see what: principals, what they want to do, to what, and the one place that decides.
//!
//! Everything in the log is public and needs nobody's leave; this is about sealed values and about who has read them.
//! Publishers and licensees act through their party's keys; officers, auditors and the operator have tokens.

use serde::{Deserialize, Serialize};

use crate::code::Jurisdiction;
use crate::statement::StatementId;
use crate::strict::StrictError;
use crate::text::is_invisible;
use crate::time::Timestamp;
use crate::token::TokenId;

/// Schema name of a record of who has read what.
pub const ACCESS_SCHEMA: &str = "chopmark.access/v1";

/// Longest case reference or purpose, in characters.
pub const REASON_CHARACTERS_MAX: usize = 200;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A party, by a signature of one of its keys.
    Party(StatementId),
    /// An officer of an authority of this jurisdiction.
    Officer(Jurisdiction),
    /// Whoever checks that the rules are kept; sees who has read what, and no value.
    Auditor,
    /// Whoever runs the registry; as an auditor.
    Operator,
}

impl Who {
    /// The role's name.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Party(_) => "party",
            Self::Officer(_) => "officer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// What the role is bound to: a party id, a jurisdiction, nothing.
    pub fn bound_to(&self) -> String {
        match self {
            Self::Party(party) => party.to_hex(),
            Self::Officer(jurisdiction) => jurisdiction.as_str().to_owned(),
            Self::Auditor | Self::Operator => String::new(),
        }
    }

    /// From a role and what it is bound to, as they are stored.
    ///
    /// # Errors
    /// A sentence when there is no such role, or it is not bound as it has to be.
    pub fn parse(role: &str, bound_to: &str) -> Result<Self, String> {
        match (role, bound_to) {
            ("party", id) => id.parse().map(Self::Party).map_err(|error| format!("{error}")),
            ("officer", code) => Jurisdiction::new(code).map(Self::Officer),
            ("auditor", "") => Ok(Self::Auditor),
            ("operator", "") => Ok(Self::Operator),
            _ => Err(format!("there is no role {role:?} bound to {bound_to:?}")),
        }
    }

    /// Everything that tokens of this role may be good for.
    pub fn scopes(&self) -> &'static [Scope] {
        match self {
            Self::Party(_) => &[Scope::Openings, Scope::Accesses],
            Self::Officer(_) => &[Scope::Openings, Scope::Accesses, Scope::Summaries],
            Self::Auditor => &[Scope::Accesses, Scope::Summaries],
            Self::Operator => &[Scope::Accesses],
        }
    }

    /// What a token of this role is good for unless somebody says otherwise: an auditor sees sums only where that is said.
    pub fn usual_scopes(&self) -> Vec<Scope> {
        let is_usual = |scope: &Scope| !matches!((self, scope), (Self::Auditor, Scope::Summaries));
        self.scopes().iter().copied().filter(is_usual).collect()
    }
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reading sealed values.
    Openings,
    /// Reading who has read what.
    Accesses,
    /// Reading sums over a jurisdiction.
    Summaries,
}

impl Scope {
    /// The scope's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openings => "openings",
            Self::Accesses => "accesses",
            Self::Summaries => "summaries",
        }
    }
}

/// Whoever has shown a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who that is.
    pub who: Who,
    /// The token shown.
    pub token: TokenId,
    /// What it is good for.
    pub scopes: Vec<Scope>,
}

/// Why an officer reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Name of the case in the authority's files.
    pub case_reference: String,
    /// What for.
    pub purpose: String,
}

impl Reason {
    /// Checks that both say something and nothing invisible.
    ///
    /// # Errors
    /// A [`StrictError`] that points at the one that does not.
    pub fn validate(&self) -> Result<(), StrictError> {
        for (pointer, text) in [("/case_reference", &self.case_reference), ("/purpose", &self.purpose)] {
            let is_fine = !text.trim().is_empty()
                && text.chars().count() <= REASON_CHARACTERS_MAX
                && !text.chars().any(is_invisible);
            if !is_fine {
                let reason = format!("1 to {REASON_CHARACTERS_MAX} visible characters are needed");
                return Err(StrictError::new(pointer, reason));
            }
        }
        Ok(())
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Read sealed values.
    ReadOpenings(Option<&'a Reason>),
    /// Read reports, or sums of them.
    ReadReport(Option<&'a Reason>),
    /// Read who has read what.
    ListAccesses,
}

/// What it is to be done to.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The sealed values of a statement, and the parties that may read them.
    Openings(&'a [Reader]),
    /// A report on a party, and where that is established.
    ReportOn(&'a Reader),
    /// Sums over all taxpayers of a jurisdiction.
    SummaryOf(&'a Jurisdiction),
    /// Records about what these parties may read.
    AccessesOf(&'a StatementId),
    /// All records.
    Accesses,
}

/// A party that may read the sealed values of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The party.
    pub party: StatementId,
    /// Where it is established: officers of that place may read too.
    pub jurisdiction: Option<Jurisdiction>,
}

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The token is not good for this.
    Scope,
    /// It is none of their business, so for them there is nothing there.
    NotTheirs,
    /// An officer has to say why.
    ReasonNeeded,
}

/// Whether `principal` may do `action` to `resource`: the only place that decides so. PostgreSQL's row security is a
/// second wall behind it and says the same (`migrations`, schema `vault`).
///
/// # Errors
/// Why not.
pub fn authorize(principal: &Principal, action: Action<'_>, resource: Resource<'_>) -> Result<(), Refused> {
    let needed = match (action, resource) {
        (Action::ReadReport(_), Resource::SummaryOf(_)) => Scope::Summaries,
        (Action::ReadOpenings(_) | Action::ReadReport(_), _) => Scope::Openings,
        (Action::ListAccesses, _) => Scope::Accesses,
    };
    if !principal.scopes.contains(&needed) || !principal.who.scopes().contains(&needed) {
        return Err(Refused::Scope);
    }
    let may = match (&principal.who, action, resource) {
        (Who::Party(party), Action::ReadOpenings(_), Resource::Openings(readers)) => {
            readers.iter().any(|reader| reader.party == *party)
        }
        (Who::Officer(own), Action::ReadOpenings(reason), Resource::Openings(readers)) => {
            if !readers.iter().any(|reader| reader.jurisdiction.as_ref() == Some(own)) {
                return Err(Refused::NotTheirs);
            }
            return if reason.is_some() { Ok(()) } else { Err(Refused::ReasonNeeded) };
        }
        (Who::Party(party), Action::ReadReport(_), Resource::ReportOn(reader)) => reader.party == *party,
        (Who::Officer(own), Action::ReadReport(reason), Resource::ReportOn(reader)) => {
            if reader.jurisdiction.as_ref() != Some(own) {
                return Err(Refused::NotTheirs);
            }
            return if reason.is_some() { Ok(()) } else { Err(Refused::ReasonNeeded) };
        }
        (who @ (Who::Officer(_) | Who::Auditor), Action::ReadReport(reason), Resource::SummaryOf(place)) => {
            if matches!(who, Who::Officer(own) if own != place) {
                return Err(Refused::NotTheirs);
            }
            return if reason.is_some() { Ok(()) } else { Err(Refused::ReasonNeeded) };
        }
        (Who::Party(party), Action::ListAccesses, Resource::AccessesOf(of)) => party == of,
        (Who::Auditor | Who::Operator, Action::ListAccesses, Resource::Accesses | Resource::AccessesOf(_)) => true,
        _ => false,
    };
    if may { Ok(()) } else { Err(Refused::NotTheirs) }
}

/// Origin of the access log of the registry with this origin. Its checkpoints are signed by the same log key under that
/// name, so that none is one of the log.
pub fn access_log_origin(origin: &str) -> String {
    format!("{origin}/access")
}

/// A record of who has read what: an entry of the access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRecord {
    /// [`ACCESS_SCHEMA`].
    pub schema: String,
    /// 16 random bytes, hexadecimal: two reads of the same thing are two entries.
    pub id: String,
    /// When, by the registry's clock.
    pub at: Timestamp,
    /// The statement whose sealed values were read.
    pub statement: StatementId,
    /// Which fields; empty for all.
    pub fields: Vec<String>,
    /// Role of whoever read.
    pub role: String,
    /// What the role is bound to: a party id, a jurisdiction.
    pub bound_to: String,
    /// Id of the token that was shown.
    pub token: String,
    /// Why; officers always say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// From when on the parties concerned see it, where the operator has that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_from: Option<Timestamp>,
}

impl AccessRecord {
    /// From when on the parties concerned see it.
    pub fn visible_from(&self) -> Timestamp {
        self.shown_from.unwrap_or(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(who: Who) -> Principal {
        let scopes = who.scopes().to_vec();
        Principal { who, token: TokenId::from_random([0; 10]), scopes }
    }

    #[test]
    fn only_parties_and_officers_of_their_place_read_values() {
        let (own, other) = (StatementId::of(b"own"), StatementId::of(b"other"));
        let [hk, sg] = ["HK", "SG"].map(|code| Jurisdiction::new(code).unwrap());
        let readers = [Reader { party: own, jurisdiction: Some(hk.clone()) }];
        let reason = Reason { case_reference: "IRD 1".to_owned(), purpose: "稅務".to_owned() };
        assert_eq!(reason.validate(), Ok(()));
        for (who, reason, expected) in [
            (Who::Party(own), None, Ok(())),
            (Who::Party(other), None, Err(Refused::NotTheirs)),
            (Who::Officer(hk.clone()), Some(&reason), Ok(())),
            (Who::Officer(hk.clone()), None, Err(Refused::ReasonNeeded)),
            (Who::Officer(sg.clone()), Some(&reason), Err(Refused::NotTheirs)),
            (Who::Officer(sg.clone()), None, Err(Refused::NotTheirs)),
            (Who::Auditor, Some(&reason), Err(Refused::Scope)),
            (Who::Operator, Some(&reason), Err(Refused::Scope)),
        ] {
            let principal = principal(who);
            let decided = authorize(&principal, Action::ReadOpenings(reason), Resource::Openings(&readers));
            assert_eq!(decided, expected, "{principal:?}");
            let nobodys = authorize(&principal, Action::ReadOpenings(reason), Resource::Openings(&[]));
            assert!(nobodys.is_err(), "{principal:?}");
            let narrow = Principal { scopes: vec![Scope::Accesses], ..principal };
            let decided = authorize(&narrow, Action::ReadOpenings(reason), Resource::Openings(&readers));
            assert_eq!(decided, Err(Refused::Scope));
        }
        for (who, of, expected) in [
            (Who::Party(own), Resource::AccessesOf(&own), Ok(())),
            (Who::Party(own), Resource::AccessesOf(&other), Err(Refused::NotTheirs)),
            (Who::Party(own), Resource::Accesses, Err(Refused::NotTheirs)),
            (Who::Officer(hk), Resource::Accesses, Err(Refused::NotTheirs)),
            (Who::Auditor, Resource::Accesses, Ok(())),
            (Who::Operator, Resource::Accesses, Ok(())),
            (Who::Auditor, Resource::Openings(&readers), Err(Refused::NotTheirs)),
        ] {
            assert_eq!(authorize(&principal(who), Action::ListAccesses, of), expected);
        }
    }

    #[test]
    fn reports_are_for_the_taxpayer_and_officers_of_its_place_and_sums_for_those_who_watch() {
        let (own, other) = (StatementId::of(b"own"), StatementId::of(b"other"));
        let [hk, sg] = ["HK", "SG"].map(|code| Jurisdiction::new(code).unwrap());
        let reader = Reader { party: own, jurisdiction: Some(hk.clone()) };
        let reason = Reason { case_reference: "IRD 1".to_owned(), purpose: "audit".to_owned() };
        let (theirs, needed, scope) = (Err(Refused::NotTheirs), Err(Refused::ReasonNeeded), Err(Refused::Scope));
        for (who, reason, on_report, on_sums) in [
            (Who::Party(own), None, Ok(()), scope),
            (Who::Party(other), Some(&reason), theirs, scope),
            (Who::Officer(hk.clone()), Some(&reason), Ok(()), Ok(())),
            (Who::Officer(hk.clone()), None, needed, needed),
            (Who::Officer(sg), Some(&reason), theirs, theirs),
            (Who::Auditor, Some(&reason), scope, Ok(())),
            (Who::Auditor, None, scope, needed),
            (Who::Operator, Some(&reason), scope, scope),
        ] {
            let principal = principal(who);
            let action = Action::ReadReport(reason);
            assert_eq!(authorize(&principal, action, Resource::ReportOn(&reader)), on_report, "{principal:?}");
            assert_eq!(authorize(&principal, action, Resource::SummaryOf(&hk)), on_sums, "{principal:?}");
            let usual = Principal { scopes: principal.who.usual_scopes(), ..principal };
            let is_auditor = usual.who == Who::Auditor;
            let on_sums = if is_auditor { scope } else { on_sums };
            assert_eq!(authorize(&usual, action, Resource::SummaryOf(&hk)), on_sums, "{usual:?}");
        }
    }

    #[test]
    fn roles_are_bound_as_they_have_to_be() {
        let id = StatementId::of(b"x").to_hex();
        for (role, bound_to) in [("party", &*id), ("officer", "HK"), ("auditor", ""), ("operator", "")] {
            let who = Who::parse(role, bound_to).unwrap();
            assert_eq!((who.role(), &*who.bound_to()), (role, bound_to));
        }
        for (role, bound_to) in [("party", "HK"), ("officer", ""), ("officer", "XX"), ("auditor", "HK"), ("root", "")] {
            assert!(Who::parse(role, bound_to).is_err());
        }
        for bad in ["", " ", "\u{202e}x", "a\nb", &"x".repeat(REASON_CHARACTERS_MAX + 1)] {
            let reason = Reason { case_reference: bad.to_owned(), purpose: "p".to_owned() };
            assert_eq!(reason.validate().unwrap_err().pointer, "/case_reference");
        }
    }
}

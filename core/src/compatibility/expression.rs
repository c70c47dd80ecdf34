//! SPDX expressions as alternatives: each one is a set of licences that hold together.

use std::sync::Arc;

use spdx::expression::{ExprNode, Operator};
use spdx::{LicenseItem, LicenseReq};

use super::clauses::Clauses;
use super::known;
use super::{FindingCode, Licence};
use crate::licence::DeclaredLicence;
use crate::terms::Terms;

/// Most alternatives of one expression. Published packages stay below ten.
const ALTERNATIVES_MAX: usize = 64;

/// One licence of an expression.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// What it says.
    pub(super) clauses: Arc<Clauses>,
    /// Why a person has to read it.
    pub(super) review: Option<FindingCode>,
    /// Whether an exception permits more than the licence, in a way that the data does not express.
    pub(super) is_softened: bool,
}

/// What a licence comes to: alternatives of parts that hold together. `Err` says why a person has to look instead.
pub(super) type Alternatives = Result<Vec<Vec<Part>>, FindingCode>;

/// The alternatives that a licence leaves; `is_offered` for that of the thing itself.
pub(super) fn alternatives(licence: &Licence, is_offered: bool) -> Alternatives {
    match licence {
        Licence::Terms(terms) => Ok(vec![of_terms(terms, is_offered)]),
        Licence::Expression(declared) => of_expression(declared),
        Licence::AnyOf(licences) => {
            let mut choices = Vec::new();
            let mut why = FindingCode::UnknownLicence;
            for licence in licences {
                match alternatives(licence, is_offered) {
                    Ok(more) => choices.extend(more),
                    Err(code) => why = code,
                }
            }
            if choices.is_empty() { Err(why) } else { Ok(choices) }
        }
    }
}

/// Terms are one part; where they restate a public licence, that one holds as well.
fn of_terms(terms: &Terms, is_offered: bool) -> Vec<Part> {
    let clauses = Clauses::of_terms(terms, is_offered);
    let mut parts = Vec::new();
    let mut review = None;
    if let Some(declared) = &terms.licence {
        let restated = of_expression(declared).unwrap_or_default();
        match restated.as_slice() {
            [one] if one.iter().all(|part| part.review.is_none()) => {
                if one.iter().any(|part| differs(&clauses, &part.clauses)) {
                    review = Some(FindingCode::Restatement);
                }
                parts.extend(one.iter().cloned());
            }
            _ => review = Some(FindingCode::Restatement),
        }
    }
    parts.push(Part { clauses: Arc::new(clauses), review, is_softened: false });
    parts
}

/// Whether terms say something else than the licence that they claim to restate.
fn differs(terms: &Clauses, licence: &Clauses) -> bool {
    terms.rights != licence.rights
        || terms.share_alike != licence.share_alike
        || terms.restrictions != licence.restrictions
        || terms.attribution != licence.attribution
        || terms.derivatives_allowed != licence.derivatives_allowed
        || terms.area != licence.area
        || terms.field != licence.field
        || terms.end != licence.end
        || terms.caps != licence.caps
}

fn of_expression(declared: &DeclaredLicence) -> Alternatives {
    let expression = spdx::Expression::parse(&declared.expression).map_err(|_| FindingCode::UnknownLicence)?;
    let mut stack: Vec<Vec<Vec<Part>>> = Vec::new();
    for node in expression.iter() {
        match node {
            ExprNode::Req(requirement) => stack.push(vec![vec![part(&requirement.req)]]),
            ExprNode::Op(operator) => {
                let (Some(right), Some(mut left)) = (stack.pop(), stack.pop()) else {
                    return Err(FindingCode::UnknownLicence);
                };
                match operator {
                    Operator::Or => left.extend(right),
                    Operator::And => {
                        left = left
                            .iter()
                            .flat_map(|one| right.iter().map(move |other| [one.as_slice(), other].concat()))
                            .collect();
                    }
                }
                if left.len() > ALTERNATIVES_MAX {
                    return Err(FindingCode::TooComplex);
                }
                stack.push(left);
            }
        }
    }
    stack.pop().ok_or(FindingCode::UnknownLicence)
}

/// One licence, perhaps with an exception.
fn part(requirement: &LicenseReq) -> Part {
    let name = match &requirement.license {
        // `Apache-2.0+`: the version named is one that may be chosen.
        LicenseItem::Spdx { id, .. } => id.name.to_owned(),
        other @ LicenseItem::Other(_) => other.to_string(),
    };
    let Some(known) = known::find(&name) else {
        let clauses = Arc::new(Clauses::unknown(&name));
        return Part { clauses, review: Some(FindingCode::UnknownLicence), is_softened: false };
    };
    let Some(addition) = &requirement.addition else {
        return Part { clauses: known.clauses.clone(), review: None, is_softened: false };
    };
    let mut clauses = Clauses::clone(&known.clauses);
    let full = format!("{name} WITH {addition}");
    clauses.names.insert(full.clone());
    clauses.licence = Some(full);
    let exception = known::find_exception(&addition.to_string());
    if let Some(exception) = exception {
        clauses.share_alike = exception.share_alike.map_or(clauses.share_alike, |level| level.min(clauses.share_alike));
        for lifted in &exception.combines_with {
            clauses.incompatible.remove(lifted);
        }
    }
    Part { clauses: Arc::new(clauses), review: None, is_softened: exception.is_none() }
}

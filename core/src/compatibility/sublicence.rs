//! Whether a sublicence stays within the licence it rests on. It is in the same work, so the rules are those for a thing
//! that contains it – and stricter: nobody grants more than they have themselves, whether it would have to be handed on or
//! not.

use super::clauses::Clauses;
use super::pair::{self, Offer};
use super::{Finding, graph};
use crate::terms::Terms;

/// The first thing in which terms go beyond those of the licence they are to be granted under, called `head`; none when
/// they stay within. When they end, and whether they keep others out, is not looked at.
pub fn beyond_head(held: &Terms, terms: &Terms, head: &str) -> Option<Finding> {
    let lineage = held.derivatives.lineage_disclosure && terms.derivatives.allowed;
    let parent = Clauses { propagates: true, lineage, ..Clauses::of_terms(held, false) };
    let offer = Offer { clauses: Clauses::of_terms(terms, false), parts: Vec::new(), is_unknown: false };
    let hands_on_less = held.use_restrictions.propagates && !terms.use_restrictions.propagates;
    let found = pair::judge_sublicence(&parent, &offer, hands_on_less);
    found.into_iter().filter(|one| one.is_conflict).min().map(|one| graph::named(head, one))
}

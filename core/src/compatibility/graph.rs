//! From the whole lineage to findings: which ancestors bind the thing and how, what they come to together.
//!
//! An ancestor further up binds by the loosest step on the way to it: what is trained on a dataset and then quantised is
//! still only trained on that dataset. Where several ways lead to an ancestor, each is judged.

use std::collections::{BTreeMap, BTreeSet};

use super::clauses::exceeds_all;
use super::exclusive::Scope;
use super::expression::{Part, alternatives};
use super::pair::{self, Found, Making, Offer};
use super::{Derivation, Edge, Finding, FindingCode, Inputs, Licence, NODES_MAX, Node};
use crate::terms::figures::percent;

/// Findings of both sorts.
#[derive(Debug, Default)]
pub(super) struct Findings {
    conflicts: BTreeSet<Finding>,
    reviews: BTreeSet<Finding>,
}

impl Findings {
    /// Conflicts and reviews, ascending.
    pub(super) fn into_lists(self) -> (Vec<Finding>, Vec<Finding>) {
        (self.conflicts.into_iter().collect(), self.reviews.into_iter().collect())
    }

    fn add(&mut self, is_conflict: bool, finding: Finding) {
        if is_conflict {
            self.conflicts.insert(finding)
        } else {
            self.reviews.insert(finding)
        };
    }

    fn conflict(&mut self, code: FindingCode, clause: &str, parent: &str, about: Vec<String>) {
        self.add(true, finding(code, clause, parent, about));
    }

    fn review(&mut self, code: FindingCode, clause: &str, parent: &str, about: Vec<String>) {
        self.add(false, finding(code, clause, parent, about));
    }
}

/// What the rules found, with the name of what it is about.
pub(super) fn named(name: &str, found: Found) -> Finding {
    let Found { code, clause, licence, about, .. } = found;
    Finding { licence, ..finding(code, clause, name, about) }
}

fn finding(code: FindingCode, clause: &str, parent: &str, about: Vec<String>) -> Finding {
    Finding { code, clause: clause.to_owned(), parent: parent.to_owned(), licence: None, about }
}

/// How tightly a step ties the thing to what it was made from.
fn tightness(derivation: Derivation) -> u8 {
    match derivation {
        Derivation::Finetune | Derivation::Merge | Derivation::Quantized | Derivation::Derived => 4,
        Derivation::Adapter => 3,
        Derivation::Dependency => 2,
        Derivation::Distilled => 1,
        Derivation::Dataset => 0,
    }
}

/// Two steps as one: the looser; where they are as tight, the one that the thing itself took.
fn through(near: Derivation, far: Derivation) -> Derivation {
    if tightness(far) < tightness(near) { far } else { near }
}

/// Judges everything.
pub(super) fn judge(inputs: &Inputs) -> Findings {
    let mut findings = Findings::default();
    let child = inputs.child.as_str();
    if inputs.ancestors.len() > NODES_MAX {
        findings.review(FindingCode::TooComplex, "", child, vec![inputs.ancestors.len().to_string()]);
        return findings;
    }
    let reached = reach(inputs);
    if let Some(name) = circle(inputs) {
        findings.conflict(FindingCode::Cycle, "", name, Vec::new());
    }
    let offers = offers(inputs, &mut findings);
    let mut stack: Vec<(u64, &str)> = Vec::new();
    for (name, derivations) in &reached {
        if *name == child {
            continue;
        }
        let Some(node) = inputs.ancestors.get(*name) else {
            findings.review(FindingCode::UnknownParent, "", name, Vec::new());
            continue;
        };
        if node.is_own {
            continue;
        }
        let Some(licence) = &node.licence else {
            findings.review(FindingCode::NoLicence, "/licence", name, Vec::new());
            continue;
        };
        match alternatives(licence, false) {
            Ok(choices) => {
                let mut asked = Vec::new();
                for derivation in derivations {
                    let is_step = |edge: &Edge| edge.derivation == *derivation && edge.parent == *name;
                    let is_direct = inputs.node.parents.iter().any(is_step);
                    let making = Making { derivation: *derivation, is_direct, on: inputs.on };
                    asked.extend(offers.iter().map(|offer| add_best(&mut findings, name, &choices, offer, making)));
                }
                if offers.is_empty() {
                    asked.extend(choices.iter().map(|parts| share(parts)).min_by_key(|share| dearness(*share)));
                }
                // For another way of making it, or of offering it, another licence may be the better one.
                match asked.into_iter().max_by_key(|share| dearness(*share)).unwrap_or(Some(0)) {
                    Some(0) => {}
                    Some(parts) => stack.push((parts, name)),
                    None => findings.review(FindingCode::Sealed, "/consideration", name, Vec::new()),
                }
            }
            Err(code) => findings.review(code, "/licence", name, Vec::new()),
        }
    }
    let total = stack.iter().fold(0_u64, |total, (parts, _)| total.saturating_add(*parts));
    if exceeds_all(total)
        && let Some((_, name)) = stack.iter().max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(a.1)))
    {
        findings.conflict(FindingCode::RoyaltyStack, "/consideration", name, vec![percent(total)]);
    }
    exclusivity(inputs, &reached, &offers, &mut findings);
    findings
}

/// The alternatives under which the thing is licensed: all of them have to hold.
fn offers(inputs: &Inputs, findings: &mut Findings) -> Vec<Offer> {
    let child = inputs.child.as_str();
    let Some(licence) = &inputs.node.licence else {
        findings.review(FindingCode::NoLicence, "/licence", child, Vec::new());
        return Vec::new();
    };
    let choices = alternatives(licence, true).unwrap_or_else(|code| {
        findings.review(code, "/licence", child, Vec::new());
        Vec::new()
    });
    let mut offers = Vec::new();
    for parts in choices {
        let Some((first, rest)) = parts.split_first() else { continue };
        let clauses = rest.iter().fold((*first.clauses).clone(), |all, part| all.and(&part.clauses));
        for code in parts.iter().filter_map(|part| part.review) {
            findings.review(code, "/licence", child, Vec::new());
        }
        if clauses.has_rider {
            findings.review(FindingCode::Rider, "/rider", child, Vec::new());
        }
        let names = parts.iter().map(|part| part.clauses.names.clone());
        let is_unknown = parts.iter().any(|part| part.review == Some(FindingCode::UnknownLicence));
        offers.push(Offer { clauses, parts: names.collect(), is_unknown });
    }
    offers
}

/// Adds what is found under the alternative that the licensee would choose: the one that stands least against it, and of
/// these the one that asks for least. Returns the share of revenue that this one asks for; `None` when that is sealed.
fn add_best(findings: &mut Findings, name: &str, choices: &[Vec<Part>], offer: &Offer, making: Making) -> Option<u64> {
    let under = |parts: &Vec<Part>| {
        let mut found: Vec<Found> = parts.iter().flat_map(|part| pair::judge(part, offer, making)).collect();
        found.sort();
        found.dedup();
        let conflicts = found.iter().filter(|one| one.is_conflict).count();
        let share = share(parts);
        (conflicts > 0, !found.is_empty() || share.is_none(), conflicts, dearness(share), found, share)
    };
    let Some((.., best, share)) = choices.iter().map(under).min() else { return Some(0) };
    for found in best {
        findings.add(found.is_conflict, named(name, found));
    }
    share
}

/// The share of revenue that licences which hold together ask for; `None` when a figure is sealed.
fn share(parts: &[Part]) -> Option<u64> {
    parts.iter().map(|part| part.clauses.share_parts).sum()
}

/// Shares by size; nobody knows that a sealed one is small.
fn dearness(share: Option<u64>) -> u64 {
    share.unwrap_or(u64::MAX)
}

fn node<'i>(inputs: &'i Inputs, name: &str) -> Option<&'i Node> {
    if name == inputs.child { Some(&inputs.node) } else { inputs.ancestors.get(name) }
}

/// Every ancestor with the ways in which the thing was made from it.
fn reach(inputs: &Inputs) -> BTreeMap<&str, BTreeSet<Derivation>> {
    let mut reached: BTreeMap<&str, BTreeSet<Derivation>> = BTreeMap::new();
    let mut waiting: Vec<(&str, Derivation)> =
        inputs.node.parents.iter().map(|edge| (edge.parent.as_str(), edge.derivation)).collect();
    while let Some((name, derivation)) = waiting.pop() {
        if !reached.entry(name).or_default().insert(derivation) {
            continue;
        }
        let Some(further) = node(inputs, name) else { continue };
        waiting.extend(further.parents.iter().map(|edge| (edge.parent.as_str(), through(derivation, edge.derivation))));
    }
    reached
}

/// The first name, in order, of those that are made from themselves.
fn circle(inputs: &Inputs) -> Option<&str> {
    // What has no parents, and what has only such parents, and so on, is in no circle. What is left is in one, or made
    // from one; then the same the other way round.
    let names = || inputs.ancestors.keys().map(String::as_str).chain([inputs.child.as_str()]);
    let mut left: BTreeSet<&str> = names().collect();
    let mut parents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut children: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in names() {
        for edge in node(inputs, name).into_iter().flat_map(|node| &node.parents) {
            if left.contains(edge.parent.as_str()) {
                parents.entry(name).or_default().insert(&edge.parent);
                children.entry(&edge.parent).or_default().insert(name);
            }
        }
    }
    for (before, after) in [(&parents, &children), (&children, &parents)] {
        let open = |name: &str, left: &BTreeSet<&str>| {
            before.get(name).is_some_and(|others| others.iter().any(|other| left.contains(other)))
        };
        let mut ready: Vec<&str> = left.iter().copied().filter(|name| !open(name, &left)).collect();
        while let Some(name) = ready.pop() {
            if !left.remove(name) {
                continue;
            }
            let next = after.get(name).into_iter().flatten().copied();
            ready.extend(next.filter(|other| left.contains(other) && !open(other, &left)));
        }
    }
    left.into_iter().next()
}

/// Grants that keep the thing out, and grants that its own exclusivity would break.
fn exclusivity(
    inputs: &Inputs,
    reached: &BTreeMap<&str, BTreeSet<Derivation>>,
    offers: &[Offer],
    findings: &mut Findings,
) {
    let own = match &inputs.node.licence {
        Some(Licence::Terms(terms)) => {
            let from = terms.term.start.or(inputs.on);
            let until = from.zip(terms.term.duration).and_then(|(from, duration)| from.last_day_of(duration));
            Scope::exclusive(terms, from, until)
        }
        Some(Licence::Expression(_) | Licence::AnyOf(_)) | None => None,
    };
    for live in &inputs.grants {
        let binds = |derivations: &BTreeSet<Derivation>| derivations.iter().any(|step| tightness(*step) >= 3);
        let is_about_it = live.artefact == inputs.child || reached.get(live.artefact.as_str()).is_some_and(binds);
        if !is_about_it {
            continue;
        }
        let kept = Scope::exclusive(&live.terms, live.from, live.until);
        let offered = |offer: &Offer| Scope::of_clauses(&offer.clauses, inputs.on);
        let keeps_out = kept.is_some_and(|kept| offers.iter().any(|offer| kept.overlaps(&offered(offer))));
        let granted = Scope::granted(&live.terms, live.from, live.until);
        let breaks_promise = own.as_ref().is_some_and(|own| own.overlaps(&granted));
        if keeps_out || breaks_promise {
            findings.conflict(FindingCode::Exclusivity, "/exclusivity", &live.grant, vec![live.artefact.clone()]);
        }
    }
}

//! The rules between one licence of an ancestor and the terms of the thing made from it.
//!
//! Which rules hold depends on how the one was made from the other: weights that were trained further contain those they
//! were trained from; a program that uses a library leaves it as it is; a model trained on data contains no copy of it,
//! and where law is not settled a person has to look.

use std::collections::BTreeSet;

use super::clauses::{Clauses, End, zones_within};
use super::expression::Part;
use super::known::Condition;
use super::{Derivation, FindingCode};
use crate::terms::period::Date;
use crate::terms::vocabulary::{Overage, Permission, Right, ShareAlike, UseRestriction, Vocabulary as _};

/// Most codes that a finding lists; a longer list is said as a whole.
const ABOUT_MAX: usize = 8;

/// The terms of the thing: one alternative of its licence.
#[derive(Debug)]
pub(super) struct Offer {
    /// All of its licences together.
    pub(super) clauses: Clauses,
    /// The names of each.
    pub(super) parts: Vec<BTreeSet<String>>,
    /// Whether one of them is not known, so that its clauses are not.
    pub(super) is_unknown: bool,
}

/// What the rules found, without the ancestor's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) code: FindingCode,
    pub(super) clause: &'static str,
    pub(super) licence: Option<String>,
    pub(super) about: Vec<String>,
    pub(super) is_conflict: bool,
}

/// How the thing was made from an ancestor, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making {
    /// How.
    pub(super) derivation: Derivation,
    /// Whether the thing itself took that step; others took those further up.
    pub(super) is_direct: bool,
    /// The day for which it is judged.
    pub(super) on: Option<Date>,
}

struct Judge<'a> {
    parent: &'a Clauses,
    child: &'a Clauses,
    offer: &'a Offer,
    derivation: Derivation,
    is_softened: bool,
    found: Vec<Found>,
}

/// Judges one pair.
pub(super) fn judge(part: &Part, offer: &Offer, making: Making) -> Vec<Found> {
    let mut judge = Judge {
        parent: &part.clauses,
        child: &offer.clauses,
        offer,
        derivation: making.derivation,
        is_softened: part.is_softened,
        found: Vec::new(),
    };
    if let Some(code) = part.review {
        judge.review(code, "/licence", Vec::new());
    }
    if part.clauses.has_rider {
        judge.review(FindingCode::Rider, "/rider", Vec::new());
    }
    judge.making();
    judge.term(making);
    judge.passing_on();
    judge.bounds();
    judge.ends();
    judge.caps();
    judge.prohibitions();
    judge.obligations();
    judge.share_alike();
    judge.conditions();
    judge.found
}

/// Judges a sublicence, as something that contains the whole work.
pub(super) fn judge_sublicence(parent: &Clauses, offer: &Offer, hands_on_less: bool) -> Vec<Found> {
    let (child, derivation) = (&offer.clauses, Derivation::Derived);
    let mut judge = Judge { parent, child, offer, derivation, is_softened: false, found: Vec::new() };
    judge.passing_on();
    judge.bounds();
    judge.caps();
    judge.prohibitions();
    if hands_on_less && !parent.restrictions.is_empty() {
        let about = codes(parent.restrictions.iter().copied());
        judge.mismatch(FindingCode::UseRestriction, "/use_restrictions/propagates", about);
    }
    judge.obligations();
    judge.derivatives();
    judge.found
}

fn codes<T: crate::terms::vocabulary::Vocabulary>(values: impl Iterator<Item = T>) -> Vec<String> {
    values.map(|value| value.as_str().to_owned()).collect()
}

/// A list that is too long says nothing; the words for none are "all of it".
fn brief(codes: Vec<String>) -> Vec<String> {
    if codes.len() > ABOUT_MAX { Vec::new() } else { codes }
}

impl Judge<'_> {
    fn find(&mut self, is_conflict: bool, code: FindingCode, clause: &'static str, about: Vec<String>) {
        let licence = self.parent.licence.clone();
        self.found.push(Found { code, clause, licence, about, is_conflict });
    }

    /// Something that holds whatever the thing's own terms say.
    fn conflict(&mut self, code: FindingCode, clause: &'static str, about: Vec<String>) {
        self.find(!self.is_softened, code, clause, about);
    }

    /// Something that the thing's terms do; where they are not known, a person has to look.
    fn mismatch(&mut self, code: FindingCode, clause: &'static str, about: Vec<String>) {
        self.find(!self.is_softened && !self.offer.is_unknown, code, clause, about);
    }

    fn review(&mut self, code: FindingCode, clause: &'static str, about: Vec<String>) {
        self.find(false, code, clause, about);
    }

    /// Whether the thing contains the ancestor's work.
    fn contains(&self) -> bool {
        use Derivation::{Derived, Finetune, Merge, Quantized};
        matches!(self.derivation, Finetune | Merge | Quantized | Derived)
    }

    /// Whether it can't be had without the ancestor's work, as a part or beside it.
    fn needs(&self) -> bool {
        self.contains() || matches!(self.derivation, Derivation::Adapter | Derivation::Dependency)
    }

    fn is(&self, derivation: Derivation) -> bool {
        self.derivation == derivation
    }

    /// May it be made at all?
    fn making(&mut self) {
        let sufficient: &[Right] = match self.derivation {
            Derivation::Finetune | Derivation::Adapter => &[Right::Finetune, Right::Modify],
            Derivation::Merge => &[Right::Merge, Right::Modify],
            Derivation::Quantized => &[Right::Quantize, Right::Modify],
            Derivation::Derived => &[Right::Modify],
            Derivation::Distilled => &[Right::Distill],
            Derivation::Dataset => &[Right::Train],
            Derivation::Dependency => &[Right::Embed, Right::Use],
        };
        if !sufficient.iter().any(|right| self.parent.rights.contains(right)) {
            let about = codes(sufficient.iter().copied().take(1));
            self.conflict(FindingCode::RightNotGranted, "/grant/rights", about);
        }
        if self.is(Derivation::Distilled) && !self.parent.outputs_training {
            self.conflict(FindingCode::OutputTraining, "/outputs/may_train_on_outputs", Vec::new());
        }
        if !self.parent.derivatives_allowed {
            if self.contains() {
                self.conflict(FindingCode::Derivatives, "/derivatives/allowed", Vec::new());
            } else if self.is(Derivation::Adapter) {
                // An adapter alone holds none of the weights; whether it is a derivative is not settled.
                self.review(FindingCode::Derivatives, "/derivatives/allowed", Vec::new());
            }
        }
        if self.parent.approval_required && (self.contains() || self.is(Derivation::Adapter)) {
            self.review(FindingCode::Approval, "/derivatives/approval_required", Vec::new());
        }
    }

    /// Is more granted than was received?
    fn passing_on(&mut self) {
        if !self.contains() && !self.is(Derivation::Adapter) {
            return;
        }
        let beyond: Vec<String> = codes(self.child.rights.difference(&self.parent.rights).copied());
        if !beyond.is_empty() {
            self.mismatch(FindingCode::RightsExceeded, "/grant/rights", beyond);
        }
        let depth = |clauses: &Clauses| match clauses.sublicensing {
            Permission::None => 0,
            _ => clauses.depth_max.map_or(u16::MAX, u16::from),
        };
        // Whoever is licensed in the derivative is a hand further.
        let is_deeper = self.parent.depth_max.is_some_and(|most| depth(self.child) >= u16::from(most).max(1));
        if self.child.sublicensing > self.parent.sublicensing || is_deeper {
            self.mismatch(FindingCode::Sublicensing, "/sublicensing", Vec::new());
        }
        if self.child.transferable > self.parent.transferable {
            self.mismatch(FindingCode::Transfer, "/sublicensing/transferable", Vec::new());
        }
        let forms: Vec<String> = codes(self.child.forms.difference(&self.parent.forms).copied());
        if !forms.is_empty() {
            self.mismatch(FindingCode::Redistribution, "/redistribution/forms", forms);
        }
    }

    /// Does it reach beyond where, for what and in which place it may?
    fn bounds(&mut self) {
        if self.needs() {
            let beyond = self.child.area.without(self.parent.area);
            if !beyond.is_empty() {
                let places = beyond.codes().into_iter().map(str::to_owned).collect();
                self.mismatch(FindingCode::Territory, "/territory", brief(places));
            }
            let beyond = self.child.field.beyond(&self.parent.field);
            if !beyond.is_empty() {
                self.mismatch(FindingCode::FieldOfUse, "/field", brief(beyond));
            }
        }
        let Some(allowed) = &self.parent.zones else { return };
        if !self.is(Derivation::Distilled)
            && self.child.zones.as_ref().is_none_or(|zones| !zones_within(zones, allowed))
        {
            let about = allowed.iter().map(|zone| zone.as_str().to_owned()).collect();
            self.mismatch(FindingCode::Residency, "/compliance/data_residency", about);
        }
    }

    /// Is it in force on the day on which the thing is made? What others made of it before is not undone by its end; but
    /// what does not survive that end can't be in the thing any more.
    fn term(&mut self, making: Making) {
        let Some(on) = making.on else { return };
        let (code, day) = match (self.parent.start, self.parent.end) {
            (Some(start), _) if on < start => (FindingCode::NotBegun, start),
            (_, End::On(end)) if on > end => (FindingCode::Expired, end),
            _ => return,
        };
        let is_bound = making.is_direct || (self.needs() && !self.parent.derivatives_survive);
        // A renewal that was made would be at hand as other terms; one that makes itself would not.
        let may_go_on = code == FindingCode::Expired && self.parent.renews_itself;
        if is_bound && !may_go_on {
            self.conflict(code, "/term", vec![day.to_string()]);
        } else if making.is_direct || self.needs() {
            self.review(code, "/term", vec![day.to_string()]);
        }
    }

    /// Does it last longer than what it rests on?
    fn ends(&mut self) {
        if !self.needs() || self.parent.derivatives_survive {
            return;
        }
        let clause = "/term";
        match (self.parent.end, self.child.end) {
            (End::Never, _) => {}
            (End::On(parent), child) => {
                let about = vec![parent.to_string()];
                match child {
                    End::On(child) if child <= parent => {}
                    End::On(_) if self.parent.is_renewable => self.review(FindingCode::Expiry, clause, about),
                    End::Never | End::On(_) => self.mismatch(FindingCode::Expiry, clause, about),
                    End::Sometime => self.review(FindingCode::Expiry, clause, about),
                }
            }
            (End::Sometime, End::Never) => self.mismatch(FindingCode::Expiry, clause, Vec::new()),
            // When it begins is in the grant, which is not at hand here.
            (End::Sometime, _) => self.review(FindingCode::Expiry, clause, Vec::new()),
        }
    }

    /// Is there a cap wherever there has to be one?
    fn caps(&mut self) {
        if !self.needs() {
            return;
        }
        for (key, cap) in &self.parent.caps {
            let (metric, _) = key;
            let Some(most) = cap.most.filter(|_| cap.overage != Overage::Billed) else { continue };
            let own = self.child.caps.get(key);
            let is_within =
                own.is_some_and(|own| own.most.is_some_and(|own| own <= most) && own.overage <= cap.overage);
            if is_within {
                continue;
            }
            let about = vec![metric.as_str().to_owned(), most.to_string()];
            let counts_otherwise = own.is_none() && self.child.caps.keys().any(|(other, _)| other == metric);
            if cap.overage == Overage::ByAgreement || counts_otherwise {
                self.review(FindingCode::Ceiling, "/metric", about);
            } else {
                self.mismatch(FindingCode::Ceiling, "/metric", about);
            }
        }
    }

    /// Are all uses still ruled out that have to be?
    fn prohibitions(&mut self) {
        if !self.parent.propagates {
            return;
        }
        let mut dropped =
            self.parent.restrictions.difference(&self.child.restrictions).copied().collect::<BTreeSet<_>>();
        if self.child.restrictions.contains(&UseRestriction::Production) {
            // Nothing but trying it out: no commercial use either.
            dropped.remove(&UseRestriction::Commercial);
        }
        if dropped.is_empty() {
            return;
        }
        let about = codes(dropped.into_iter());
        let clause = "/use_restrictions";
        if self.needs() || (self.is(Derivation::Distilled) && self.parent.covers_distillation) {
            self.mismatch(FindingCode::UseRestriction, clause, about);
        } else if self.is(Derivation::Dataset) {
            self.review(FindingCode::UseRestriction, clause, about);
        }
    }

    /// Are duties handed on?
    fn obligations(&mut self) {
        if self.parent.attribution && !self.child.attribution {
            let clause = "/redistribution/attribution_required";
            if self.contains() || self.is(Derivation::Adapter) {
                self.mismatch(FindingCode::Attribution, clause, Vec::new());
            } else if self.is(Derivation::Dataset) {
                self.review(FindingCode::Attribution, clause, Vec::new());
            }
        }
        let is_told = self.contains() || matches!(self.derivation, Derivation::Adapter | Derivation::Distilled);
        if self.parent.lineage && !self.child.lineage && is_told {
            self.mismatch(FindingCode::Lineage, "/derivatives/lineage_disclosure", Vec::new());
        }
    }

    /// Is more permitted of what others make with it?
    fn derivatives(&mut self) {
        if self.child.derivatives_allowed {
            if !self.parent.derivatives_allowed {
                self.mismatch(FindingCode::Derivatives, "/derivatives/allowed", Vec::new());
            }
            if self.parent.approval_required && !self.child.approval_required {
                self.mismatch(FindingCode::Approval, "/derivatives/approval_required", Vec::new());
            }
            if self.child.share_alike < self.parent.share_alike {
                self.mismatch(FindingCode::ShareAlike, "/derivatives/share_alike", Vec::new());
            }
        }
        if self.child.outputs_training && !self.parent.outputs_training {
            self.mismatch(FindingCode::OutputTraining, "/outputs/may_train_on_outputs", Vec::new());
        }
    }

    /// Is it under the same terms, or under compatible ones, where it has to be?
    fn share_alike(&mut self) {
        if self.needs() {
            let incompatible: Vec<String> = self.parent.incompatible.intersection(&self.child.names).cloned().collect();
            if !incompatible.is_empty() {
                self.mismatch(FindingCode::LicenceIncompatible, "/licence", incompatible);
            }
        }
        let level = self.parent.share_alike;
        if level == ShareAlike::None {
            return;
        }
        let suits = |names: &BTreeSet<String>| {
            !names.is_disjoint(&self.parent.names) || !names.is_disjoint(&self.parent.compatible)
        };
        let suitable = self.offer.parts.iter().filter(|names| suits(names)).count();
        if suitable == self.offer.parts.len() {
            return;
        }
        let clause = "/derivatives/share_alike";
        let about = self.offer.parts.iter().filter(|names| !suits(names)).flatten().cloned().collect();
        let about = brief(about);
        if suitable > 0 {
            // Several licences together: which part of the work is under which is not said.
            self.review(FindingCode::ShareAlike, clause, about);
            return;
        }
        match (self.derivation, level) {
            (Derivation::Finetune | Derivation::Merge | Derivation::Quantized, _)
            | (Derivation::Derived | Derivation::Adapter, ShareAlike::Library)
            | (
                Derivation::Derived | Derivation::Adapter | Derivation::Dependency,
                ShareAlike::Work | ShareAlike::Network,
            ) => self.mismatch(FindingCode::ShareAlike, clause, about),
            // Were its files changed, or others added?
            (Derivation::Derived, _)
            // Whether a model is based on what it was trained on is not settled.
            | (Derivation::Distilled | Derivation::Dataset, ShareAlike::Work | ShareAlike::Network) => {
                self.review(FindingCode::ShareAlike, clause, about);
            }
            (Derivation::Dependency, ShareAlike::Library)
                if self.child.restrictions.contains(&UseRestriction::ReverseEngineering) =>
            {
                self.mismatch(FindingCode::ReverseEngineering, clause, Vec::new());
            }
            _ => {}
        }
    }

    /// What is left to a person, unless the licence goes on as it is.
    fn conditions(&mut self) {
        if !self.parent.names.is_disjoint(&self.child.names) {
            return;
        }
        let is_trained_on = matches!(self.derivation, Derivation::Distilled | Derivation::Dataset);
        let applies = |condition: &Condition| {
            if *condition == Condition::OutputCondition {
                return self.is(Derivation::Distilled);
            }
            !is_trained_on || self.parent.covers_distillation
        };
        let conditions: Vec<Condition> = self.parent.conditions.iter().copied().filter(applies).collect();
        if !conditions.is_empty() {
            self.review(FindingCode::Conditions, "/licence", codes(conditions.into_iter()));
        }
    }
}

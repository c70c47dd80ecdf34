//! What terms and licences come to, in the one form that the rules compare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::known::{Condition, Known};
use crate::code::ResidencyZone;
use crate::terms::Terms;
use crate::terms::field::Activities;
use crate::terms::figures::RATE_WHOLE;
use crate::terms::period::{Date, Duration};
use crate::terms::place::Area;
use crate::terms::vocabulary::{
    EndEffect, Form, MetricKind, Overage, Permission, RenewalMode, Right, ShareAlike, UseRestriction, Vocabulary as _,
};

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Never.
    Never,
    /// At the end of a day.
    On(Date),
    /// Some time; its beginning is not known.
    Sometime,
}

/// A cap and what happens above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cap {
    /// The most; `None` is unlimited.
    pub(super) most: Option<u64>,
    /// What happens above it.
    pub(super) overage: Overage,
}

/// The clauses of one licence, or of several that hold together.
#[expect(clippy::struct_excessive_bools, reason = "clauses are independent of each other")]
#[derive(Debug, Clone)]
pub(super) struct Clauses {
    /// Names it goes by: an SPDX identifier, a reference to terms.
    pub(super) names: BTreeSet<String>,
    /// Its name when it is a public licence; for findings.
    pub(super) licence: Option<String>,
    pub(super) rights: BTreeSet<Right>,
    pub(super) sublicensing: Permission,
    pub(super) depth_max: Option<u8>,
    pub(super) transferable: Permission,
    pub(super) area: Area,
    pub(super) field: Arc<Activities>,
    /// Its first day, where that is known.
    pub(super) start: Option<Date>,
    pub(super) end: End,
    /// Whether the end may move.
    pub(super) is_renewable: bool,
    /// Whether it moves by itself.
    pub(super) renews_itself: bool,
    /// Whether derivatives outlive it.
    pub(super) derivatives_survive: bool,
    pub(super) caps: BTreeMap<(MetricKind, Option<Duration>), Cap>,
    pub(super) derivatives_allowed: bool,
    pub(super) approval_required: bool,
    pub(super) share_alike: ShareAlike,
    /// Names that share-alike permits besides its own.
    pub(super) compatible: BTreeSet<String>,
    /// Names that it can't be combined with.
    pub(super) incompatible: BTreeSet<String>,
    pub(super) lineage: bool,
    pub(super) attribution: bool,
    pub(super) outputs_training: bool,
    pub(super) restrictions: BTreeSet<UseRestriction>,
    /// Whether restrictions have to stand in the terms of what is made with it.
    pub(super) propagates: bool,
    /// Whether a model trained on outputs counts as made with it.
    pub(super) covers_distillation: bool,
    pub(super) forms: BTreeSet<Form>,
    /// Where it may be kept; anywhere when `None`.
    pub(super) zones: Option<BTreeSet<ResidencyZone>>,
    /// The share of revenue, in parts of [`RATE_WHOLE`]; `None` when a figure is sealed.
    pub(super) share_parts: Option<u64>,
    /// Conditions that no clause expresses.
    pub(super) conditions: BTreeSet<Condition>,
    pub(super) has_rider: bool,
}

impl Clauses {
    /// Everything permitted and nothing asked for.
    fn open() -> Self {
        static EVERYTHING: std::sync::LazyLock<Arc<Activities>> =
            std::sync::LazyLock::new(|| Arc::new(Activities::all()));
        Self {
            names: BTreeSet::new(),
            licence: None,
            rights: Right::ALL.iter().copied().collect(),
            sublicensing: Permission::Free,
            depth_max: None,
            transferable: Permission::Free,
            area: Area::world(),
            field: EVERYTHING.clone(),
            start: None,
            end: End::Never,
            is_renewable: false,
            renews_itself: false,
            derivatives_survive: true,
            caps: BTreeMap::new(),
            derivatives_allowed: true,
            approval_required: false,
            share_alike: ShareAlike::None,
            compatible: BTreeSet::new(),
            incompatible: BTreeSet::new(),
            lineage: false,
            attribution: false,
            outputs_training: true,
            restrictions: BTreeSet::new(),
            propagates: true,
            covers_distillation: false,
            forms: Form::ALL.iter().copied().collect(),
            zones: None,
            share_parts: Some(0),
            conditions: BTreeSet::new(),
            has_rider: false,
        }
    }

    /// The clauses of a terms document. Its id takes longer than all the rest, and is asked for where it `is_offered` or
    /// asks for share-alike; elsewhere nothing compares it.
    pub(super) fn of_terms(terms: &Terms, is_offered: bool) -> Self {
        let is_compared = is_offered || terms.derivatives.share_alike != ShareAlike::None;
        let reference = is_compared.then(|| terms.id().map(|id| id.licence_ref()).ok()).flatten();
        let restated = terms.licence.as_ref().map(|licence| licence.expression.clone());
        let caps = terms.metric.iter().map(|metric| {
            let cap = Cap { most: metric.cap.map(crate::terms::figures::Count::get), overage: metric.overage };
            ((metric.metric, metric.period), cap)
        });
        let end = match (terms.term.start, terms.term.duration) {
            (_, None) => End::Never,
            (Some(start), Some(duration)) => start.last_day_of(duration).map_or(End::Never, End::On),
            (None, Some(_)) => End::Sometime,
        };
        let renewal = terms.term.renewal.as_ref();
        let shares = terms.consideration.iter().map(crate::terms::Consideration::share_parts);
        Self {
            names: restated.into_iter().chain(reference).collect(),
            licence: None,
            rights: terms.grant.rights.iter().copied().collect(),
            sublicensing: terms.sublicensing.permission,
            depth_max: terms.sublicensing.max_depth,
            transferable: terms.sublicensing.transferable,
            area: terms.area(),
            field: Arc::new(Activities::of(&terms.field)),
            start: terms.term.start,
            end,
            is_renewable: renewal.is_some(),
            renews_itself: renewal.is_some_and(|renewal| renewal.mode == RenewalMode::Automatic),
            derivatives_survive: terms.termination.derivatives.effect == EndEffect::Survive,
            caps: caps.collect(),
            derivatives_allowed: terms.derivatives.allowed,
            approval_required: terms.derivatives.approval_required,
            share_alike: terms.derivatives.share_alike,
            compatible: terms.derivatives.compatible_terms.iter().cloned().collect(),
            incompatible: BTreeSet::new(),
            lineage: terms.derivatives.lineage_disclosure,
            attribution: terms.redistribution.attribution_required,
            outputs_training: terms.outputs.may_train_on_outputs,
            restrictions: terms.use_restrictions.codes.iter().copied().collect(),
            propagates: terms.use_restrictions.propagates,
            covers_distillation: terms.use_restrictions.propagates,
            forms: terms.redistribution.forms.iter().copied().collect(),
            zones: terms.compliance.as_ref().map(|compliance| compliance.data_residency.iter().copied().collect()),
            share_parts: shares.sum(),
            conditions: BTreeSet::new(),
            has_rider: terms.rider.is_some(),
        }
    }

    /// The clauses of a licence in the data.
    pub(super) fn of_known(known: &Known) -> Self {
        let withheld = |right: &&Right| !known.rights_withheld.contains(right);
        let caps = known.monthly_active_users_max.map(|most| {
            let cap = Cap { most: Some(most.get()), overage: Overage::ByAgreement };
            ((MetricKind::MonthlyActiveUsers, None), cap)
        });
        Self {
            names: BTreeSet::from([known.id.clone()]),
            licence: Some(known.id.clone()),
            rights: Right::ALL.iter().filter(withheld).copied().collect(),
            sublicensing: known.sublicensing,
            transferable: known.sublicensing,
            area: known
                .territory_excluded
                .iter()
                .fold(Area::world(), |area, place| area.without(Area::NOWHERE.with(place))),
            caps: caps.into_iter().collect(),
            derivatives_allowed: !known.no_derivatives,
            share_alike: known.share_alike,
            compatible: known.compatible.iter().cloned().collect(),
            incompatible: known.incompatible.iter().flat_map(|entry| entry.with.iter().cloned()).collect(),
            attribution: known.attribution,
            outputs_training: !known.no_output_training,
            restrictions: known.restrictions.iter().copied().collect(),
            covers_distillation: known.covers_distillation,
            conditions: known.conditions.iter().copied().collect(),
            ..Self::open()
        }
    }

    /// A licence that nothing is known about but its name.
    pub(super) fn unknown(name: &str) -> Self {
        Self { names: BTreeSet::from([name.to_owned()]), licence: Some(name.to_owned()), ..Self::open() }
    }

    /// What a recipient has who is under both: permissions intersect, obligations and prohibitions unite.
    #[must_use]
    pub(super) fn and(&self, other: &Self) -> Self {
        let union = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.union(b).cloned().collect();
        let mut caps = self.caps.clone();
        for (key, cap) in &other.caps {
            caps.entry(*key).and_modify(|own| *own = lower(*own, *cap)).or_insert(*cap);
        }
        let zones = match (&self.zones, &other.zones) {
            (Some(a), Some(b)) => Some(a.intersection(b).copied().collect()),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Self {
            names: union(&self.names, &other.names),
            licence: self.licence.clone().or_else(|| other.licence.clone()),
            rights: self.rights.intersection(&other.rights).copied().collect(),
            sublicensing: self.sublicensing.min(other.sublicensing),
            depth_max: [self.depth_max, other.depth_max].into_iter().flatten().min(),
            transferable: self.transferable.min(other.transferable),
            area: self.area.within(other.area),
            field: Arc::new(self.field.within(&other.field)),
            start: self.start.max(other.start),
            end: earlier(self.end, other.end),
            is_renewable: self.is_renewable && other.is_renewable,
            renews_itself: self.renews_itself && other.renews_itself,
            derivatives_survive: self.derivatives_survive && other.derivatives_survive,
            caps,
            derivatives_allowed: self.derivatives_allowed && other.derivatives_allowed,
            approval_required: self.approval_required || other.approval_required,
            share_alike: self.share_alike.max(other.share_alike),
            compatible: union(&self.compatible, &other.compatible),
            incompatible: union(&self.incompatible, &other.incompatible),
            lineage: self.lineage || other.lineage,
            attribution: self.attribution || other.attribution,
            outputs_training: self.outputs_training && other.outputs_training,
            restrictions: self.restrictions.union(&other.restrictions).copied().collect(),
            propagates: self.propagates || other.propagates,
            covers_distillation: self.covers_distillation || other.covers_distillation,
            forms: self.forms.intersection(&other.forms).copied().collect(),
            zones,
            share_parts: self.share_parts.zip(other.share_parts).map(|(a, b)| a.saturating_add(b)),
            conditions: self.conditions.union(&other.conditions).copied().collect(),
            has_rider: self.has_rider || other.has_rider,
        }
    }
}

fn earlier(a: End, b: End) -> End {
    match (a, b) {
        (End::Never, end) | (end, End::Never) => end,
        (End::On(a), End::On(b)) => End::On(a.min(b)),
        (End::Sometime, _) | (_, End::Sometime) => End::Sometime,
    }
}

fn lower(a: Cap, b: Cap) -> Cap {
    let most = match (a.most, b.most) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    };
    Cap { most, overage: a.overage.min(b.overage) }
}

/// Whether all of some zones are within others.
pub(super) fn zones_within(inner: &BTreeSet<ResidencyZone>, outer: &BTreeSet<ResidencyZone>) -> bool {
    inner.iter().all(|zone| {
        outer.contains(zone)
            || outer.contains(&ResidencyZone::World)
            || (*zone == ResidencyZone::GreaterBayArea && outer.contains(&ResidencyZone::Mainland))
    })
}

/// Whether a stack of shares can't be paid out of what comes in.
pub(super) fn exceeds_all(parts: u64) -> bool {
    parts > RATE_WHOLE
}

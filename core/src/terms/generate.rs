//! Generated terms for property tests: any combination of clauses, made consistent afterwards.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::clauses::{Audit, Ending, Metric};
use super::consideration::{Consideration, Figures, Schedule, SealedFigures};
use super::field::{Activity, FieldOfUse, IsicRevision};
use super::place::{Place, Territory};
use super::vocabulary::{
    Codes, ConsiderationKind, EndEffect, ExclusivityKind, Form, MetricKind, Overage, Permission, RenewalMode,
    RevenueBase, Right, ShareAlike, UseRestriction, Vocabulary,
};
use super::{Preset, Terms};
use crate::sealed::Commitment;

fn some_of<T: Vocabulary + core::fmt::Debug + PartialEq>(least: usize) -> impl Strategy<Value = Vec<T>> {
    subsequence(T::ALL.to_vec(), least..=T::ALL.len())
}

fn one_of<T: Vocabulary + core::fmt::Debug>() -> impl Strategy<Value = T> {
    select(T::ALL)
}

fn codes<T: PartialEq + core::fmt::Debug, const MIN: usize>(values: Vec<T>) -> Codes<T, MIN> {
    Codes::new(values).unwrap()
}

fn territory() -> impl Strategy<Value = Territory> {
    let choice = select(vec![
        (vec!["WORLD"], vec![]),
        (vec!["WORLD"], vec!["US", "GB"]),
        (vec!["WORLD"], vec!["GBA"]),
        (vec!["GBA"], vec!["MO"]),
        (vec!["HK", "MO", "CN"], vec![]),
        (vec!["CN"], vec![]),
        (vec!["SG", "JP"], vec![]),
    ]);
    choice.prop_map(|(include, exclude)| {
        let places = |names: Vec<&str>| names.into_iter().map(|name| Place::new(name).unwrap()).collect::<Vec<_>>();
        Territory { include: codes(places(include)), exclude: codes(places(exclude)) }
    })
}

fn field() -> impl Strategy<Value = FieldOfUse> {
    let choice = select(vec![
        (vec!["ALL"], vec![]),
        (vec!["ALL"], vec!["86"]),
        (vec!["Q"], vec!["8610"]),
        (vec!["J", "62"], vec![]),
        (vec!["K"], vec!["64"]),
        (vec!["861", "862"], vec![]),
    ]);
    choice.prop_map(|(include, exclude)| {
        let activities =
            |names: Vec<&str>| names.into_iter().map(|name| Activity::new(name).unwrap()).collect::<Vec<_>>();
        FieldOfUse {
            isic_revision: IsicRevision::Four,
            include: codes(activities(include)),
            exclude: codes(activities(exclude)),
        }
    })
}

fn metrics() -> impl Strategy<Value = Vec<Metric>> {
    let one = (one_of::<MetricKind>(), 1_u64..1_000_000, select(vec![Overage::Forbidden, Overage::ByAgreement]));
    prop::collection::vec(one, 0..3).prop_map(|all| {
        let mut metrics: Vec<Metric> = Vec::new();
        for (metric, cap, overage) in all {
            if !metrics.iter().any(|other| other.metric == metric) {
                metrics.push(Metric { metric, cap: Some(cap.to_string().parse().unwrap()), period: None, overage });
            }
        }
        metrics
    })
}

fn share(parts: u32, is_sealed: bool) -> Consideration {
    let sealed = Commitment::from_bytes([7; 32]);
    let rate = format!("{:.8}", f64::from(parts) / 1e8);
    let rate = rate.trim_end_matches('0').trim_end_matches('.').parse().unwrap();
    Consideration {
        kind: ConsiderationKind::RevShare,
        currency: "HKD".parse().unwrap(),
        figures: (!is_sealed).then(|| Figures { amount: None, rate: Some(rate), tiers: Vec::new(), ceiling: None }),
        sealed: is_sealed.then_some(SealedFigures { amount: sealed, rate: sealed, tiers: sealed, ceiling: sealed }),
        schedule: Some(Schedule { on: None, milestone: None, every: Some("P3M".parse().unwrap()), within: None }),
        base: Some(RevenueBase::Net),
        unit: None,
        recoupable: None,
    }
}

/// Terms that satisfy every rule between clauses, whatever else they say.
pub(crate) fn terms() -> impl Strategy<Value = Terms> {
    let grant = (some_of::<Right>(1), one_of::<Permission>(), one_of::<Permission>(), prop::option::of(1_u8..4));
    let bounds = (territory(), field(), metrics());
    let term = (any::<bool>(), prop::option::of(select(vec!["2026-01-01", "2027-06-30"])), select(vec!["P1Y", "P90D"]));
    let derivatives = (any::<bool>(), any::<bool>(), one_of::<ShareAlike>(), any::<bool>());
    let others = (some_of::<UseRestriction>(0), any::<bool>(), any::<bool>(), any::<bool>());
    let money = prop::option::of((1_u32..=100_000_000, prop::bool::weighted(0.2)));
    let rest = (money, prop::bool::weighted(0.1), one_of::<EndEffect>(), any::<bool>());
    (grant, bounds, term, derivatives, others, rest).prop_map(
        |(grant, (territory, field, metric), term, derivatives, others, (money, rider, end, is_exclusive))| {
            let mut terms = Preset::ExclusiveTerritorial.terms().unwrap();
            terms.consideration.clear();
            terms.tax = None;
            terms.audit = None;
            terms.compliance = None;
            terms.exclusivity.scope = None;
            if !is_exclusive {
                terms.exclusivity.kind = ExclusivityKind::NonExclusive;
            }
            let (rights, permission, transferable, depth) = grant;
            let (allowed, approval, share_alike, lineage) = derivatives;
            let making = [Right::Modify, Right::Finetune, Right::Quantize, Right::Merge];
            let mut rights: Vec<Right> =
                rights.into_iter().filter(|right| allowed || !making.contains(right)).collect();
            if rights.is_empty() {
                rights.push(Right::Use);
            }
            let forms = if rights.contains(&Right::Distribute) { Form::ALL.to_vec() } else { Vec::new() };
            terms.grant.rights = codes(rights);
            terms.redistribution.forms = codes(forms);
            terms.sublicensing.permission = permission;
            terms.sublicensing.max_depth = depth.filter(|_| permission != Permission::None);
            terms.sublicensing.transferable = transferable;
            terms.territory = territory;
            terms.field = field;
            terms.metric = metric;
            let (perpetual, start, duration) = term;
            terms.term.perpetual = perpetual;
            terms.term.start = start.map(|day| day.parse().unwrap());
            terms.term.duration = (!perpetual).then(|| duration.parse().unwrap());
            if perpetual {
                terms.term.renewal = None;
            } else if let Some(renewal) = &mut terms.term.renewal {
                renewal.mode = RenewalMode::ByAgreement;
            }
            terms.derivatives.allowed = allowed;
            terms.derivatives.approval_required = allowed && approval;
            terms.derivatives.share_alike = if allowed { share_alike } else { ShareAlike::None };
            terms.derivatives.lineage_disclosure = allowed && lineage;
            let (restrictions, propagates, attribution, outputs) = others;
            terms.use_restrictions.propagates = propagates && !restrictions.is_empty();
            terms.use_restrictions.codes = codes(restrictions);
            terms.redistribution.attribution_required = attribution;
            terms.outputs.may_train_on_outputs = outputs;
            let period = (end == EndEffect::WindDown).then(|| "P6M".parse().unwrap());
            terms.termination.derivatives = Ending { effect: end, period };
            if let Some((parts, is_sealed)) = money {
                terms.consideration.push(share(parts, is_sealed));
                terms.audit =
                    Some(Audit { cadence: Some("P3M".parse().unwrap()), statement_due: None, lookback: None });
            }
            if rider {
                terms.rider = Some(crate::text::Texts { en: Some("As agreed.".to_owned()), ..Default::default() });
            }
            terms
        },
    )
}

//! What holds for any terms and any lineage, generated.

use proptest::prelude::*;
use proptest::sample::select;

use super::{activity, expression, judge};
use crate::compatibility::*;
use crate::terms::generate::terms as generated;
use crate::terms::vocabulary::{
    Codes, EndEffect, Form, Language, Overage, Permission, Right, ShareAlike, UseRestriction, Vocabulary as _,
};
use crate::terms::words::Words;

/// Licences as tests draw them: generated terms, presets, known licences, expressions.
fn licences() -> impl Strategy<Value = Licence> {
    let ids: Vec<String> = known::all().map(|known| known.id.clone()).collect();
    let texts =
        ["MIT OR GPL-3.0-only", "MIT AND CC-BY-4.0", "GPL-2.0-only WITH Classpath-exception-2.0", "LicenseRef-A"];
    prop_oneof![
        3 => generated().prop_map(|terms| Licence::Terms(Box::new(terms))),
        2 => select(ids).prop_map(|id| expression(&id)),
        1 => select(texts.to_vec()).prop_map(expression),
    ]
}

fn derivations() -> impl Strategy<Value = Derivation> {
    select(Derivation::ALL)
}

/// Any lineage, circles and gaps included.
fn lineages() -> impl Strategy<Value = Inputs> {
    let edges = || prop::collection::vec((derivations(), 0_usize..6), 0..3);
    let nodes = prop::collection::vec((prop::option::weighted(0.9, licences()), edges()), 0..5);
    (licences(), edges(), nodes).prop_map(|(child, own, nodes)| {
        let named = |edges: Vec<(Derivation, usize)>| -> Vec<Edge> {
            edges.into_iter().map(|(derivation, to)| Edge { derivation, parent: format!("n{to}") }).collect()
        };
        let ancestors = nodes.into_iter().enumerate().map(|(at, (licence, edges))| {
            (format!("n{at}"), Node { parents: named(edges), ..Node::licensed(licence) })
        });
        Inputs {
            child: "child".to_owned(),
            node: Node { parents: named(own), ..Node::licensed(Some(child)) },
            ancestors: ancestors.collect(),
            grants: Vec::new(),
            on: Some("2026-12-01".parse().unwrap()),
        }
    })
}

/// One more restriction, of any sort. Whether the result would pass every rule between clauses does not matter here.
#[derive(Debug, Clone)]
enum Restriction {
    Withhold(Right),
    Permission(Permission),
    Transfer(Permission),
    Depth(u8),
    Only(&'static str),
    Without(&'static str),
    Ends(&'static str),
    Cap(u64),
    NoDerivatives,
    Approval,
    ShareAlike(ShareAlike),
    Lineage,
    NoOutputTraining,
    RuleOut(UseRestriction),
    NoForm(Form),
    Attribution,
    EndDerivatives,
    Rider,
}

fn restrictions() -> impl Strategy<Value = Restriction> {
    prop_oneof![
        select(Right::ALL).prop_map(Restriction::Withhold),
        select(Permission::ALL).prop_map(Restriction::Permission),
        select(Permission::ALL).prop_map(Restriction::Transfer),
        (1_u8..4).prop_map(Restriction::Depth),
        select(vec!["HK", "SG"]).prop_map(Restriction::Only),
        select(vec!["84", "6201"]).prop_map(Restriction::Without),
        select(vec!["P1M", "P9Y"]).prop_map(Restriction::Ends),
        (1_u64..100).prop_map(Restriction::Cap),
        Just(Restriction::NoDerivatives),
        Just(Restriction::Approval),
        select(ShareAlike::ALL).prop_map(Restriction::ShareAlike),
        Just(Restriction::Lineage),
        Just(Restriction::NoOutputTraining),
        select(UseRestriction::ALL).prop_map(Restriction::RuleOut),
        select(Form::ALL).prop_map(Restriction::NoForm),
        Just(Restriction::Attribution),
        Just(Restriction::EndDerivatives),
        Just(Restriction::Rider),
    ]
}

/// The terms with a restriction more; the same where it is there already.
fn restricted(mut terms: Terms, restriction: &Restriction) -> Terms {
    match restriction {
        Restriction::Withhold(right) => {
            let left: Vec<Right> = terms.grant.rights.iter().copied().filter(|other| other != right).collect();
            if let Ok(left) = Codes::new(left) {
                terms.grant.rights = left;
            }
        }
        Restriction::Permission(most) => {
            terms.sublicensing.permission = terms.sublicensing.permission.min(*most);
        }
        Restriction::Transfer(most) => {
            terms.sublicensing.transferable = terms.sublicensing.transferable.min(*most);
        }
        Restriction::Depth(most) => {
            terms.sublicensing.max_depth = Some(terms.sublicensing.max_depth.map_or(*most, |own| own.min(*most)));
        }
        Restriction::Only(code) => {
            let place = crate::terms::place::Place::new(code).unwrap();
            let mut only = terms.territory.clone();
            only.include = Codes::new(vec![place]).unwrap();
            only.exclude = Codes::default();
            if terms.area().contains(only.area()) {
                terms.territory = only;
            }
        }
        Restriction::Without(code) => {
            let mut exclude = terms.field.exclude.as_slice().to_vec();
            exclude.push(activity(code));
            if let Ok(exclude) = Codes::new(exclude) {
                terms.field.exclude = exclude;
            }
        }
        // Only where there was no end: a later one would be no restriction.
        Restriction::Ends(duration) if terms.term.perpetual => {
            terms.term.perpetual = false;
            terms.term.duration = Some(duration.parse().unwrap());
        }
        Restriction::Ends(_) => {}
        Restriction::Cap(most) => {
            let metric = crate::terms::vocabulary::MetricKind::Devices;
            if !terms.metric.iter().any(|other| other.metric == metric) {
                let cap = Some(most.to_string().parse().unwrap());
                terms.metric.push(crate::terms::Metric { metric, cap, period: None, overage: Overage::Forbidden });
            }
        }
        Restriction::NoDerivatives => terms.derivatives.allowed = false,
        Restriction::Approval => terms.derivatives.approval_required = true,
        Restriction::ShareAlike(level) => terms.derivatives.share_alike = terms.derivatives.share_alike.max(*level),
        Restriction::Lineage => terms.derivatives.lineage_disclosure = true,
        Restriction::NoOutputTraining => terms.outputs.may_train_on_outputs = false,
        Restriction::RuleOut(code) => {
            let mut codes = terms.use_restrictions.codes.as_slice().to_vec();
            // Restrictions that were not handed on are from now on.
            terms.use_restrictions.propagates = true;
            codes.push(*code);
            if let Ok(codes) = Codes::new(codes) {
                terms.use_restrictions.codes = codes;
            }
        }
        Restriction::NoForm(form) => {
            let left = terms.redistribution.forms.iter().copied().filter(|other| other != form).collect();
            terms.redistribution.forms = Codes::new(left).unwrap();
        }
        Restriction::Attribution => terms.redistribution.attribution_required = true,
        Restriction::EndDerivatives => terms.termination.derivatives.effect = EndEffect::Terminate,
        Restriction::Rider => {
            let passage = crate::text::Texts { en: Some("As agreed.".to_owned()), ..Default::default() };
            terms.rider.get_or_insert(passage);
        }
    }
    terms
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Total: any lineage has a verdict, and the lists fit it.
    #[test]
    fn every_lineage_has_a_verdict_that_replays(inputs in lineages()) {
        let verdict = inputs.judge();
        let expected = match (verdict.conflicts.is_empty(), verdict.reviews.is_empty()) {
            (true, true) => Outcome::Compatible,
            (true, false) => Outcome::NeedsReview,
            (false, _) => Outcome::Conflict,
        };
        prop_assert_eq!(verdict.verdict, expected);
        // Stored inputs, read again, give the same verdict to the byte; and so does the verdict itself.
        let stored = strict::to_canonical(&inputs).unwrap();
        let again: Inputs = strict::from_slice(&stored).unwrap();
        prop_assert_eq!(again.judge(), verdict.clone());
        let bytes = strict::to_canonical(&verdict).unwrap();
        prop_assert_eq!(strict::from_slice::<Verdict>(&bytes).unwrap(), verdict.clone());
        for list in [&verdict.conflicts, &verdict.reviews] {
            prop_assert!(list.is_sorted_by(|a, b| a < b));
        }
        let words = Words::of(Language::English);
        for finding in verdict.conflicts.iter().chain(&verdict.reviews) {
            prop_assert!(!finding.words(&words).contains("finding-"));
        }
    }

    #[test]
    fn the_order_of_parents_never_matters(inputs in lineages(), seed in any::<u64>()) {
        let mut shuffled = inputs.clone();
        let turn = |edges: &mut Vec<Edge>| {
            let length = edges.len().max(1);
            edges.rotate_left(usize::try_from(seed % 7).unwrap() % length);
            if seed.is_multiple_of(2) {
                edges.reverse();
            }
        };
        turn(&mut shuffled.node.parents);
        shuffled.ancestors.values_mut().for_each(|node| turn(&mut node.parents));
        prop_assert_eq!(shuffled.judge(), inputs.judge());
    }

    #[test]
    fn a_restriction_more_never_makes_it_better(
        parent in generated(),
        child in licences(),
        derivation in derivations(),
        restrictions in prop::collection::vec(restrictions(), 1..4),
    ) {
        let outcome = |parent: &Terms| {
            let verdict = judge(Licence::Terms(Box::new(parent.clone())), derivation, child.clone());
            (verdict.verdict, verdict)
        };
        let (before, verdict) = outcome(&parent);
        let more = restrictions.iter().fold(parent.clone(), restricted);
        let (after, worse) = outcome(&more);
        prop_assert!(after >= before, "{:?}\n{:?}\n{:?}", restrictions, verdict, worse);
    }

    #[test]
    fn a_parent_more_never_makes_it_better(inputs in lineages(), licence in licences(), derivation in derivations()) {
        let mut more = inputs.clone();
        more.node.parents.push(Edge { derivation, parent: "more".to_owned() });
        more.ancestors.insert("more".to_owned(), Node::licensed(Some(licence)));
        let (before, after) = (inputs.judge(), more.judge());
        prop_assert!(after.verdict >= before.verdict);
        for finding in &before.conflicts {
            let stays = after.conflicts.contains(finding) || finding.code == FindingCode::RoyaltyStack;
            prop_assert!(stays, "{finding:?} went away");
        }
    }
}

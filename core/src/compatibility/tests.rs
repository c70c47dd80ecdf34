mod properties;

use std::collections::BTreeSet;

use serde::Deserialize;

use super::exclusive::LiveGrant;
use super::*;
use crate::terms::Preset;
use crate::terms::vocabulary::{Codes, EndEffect, ExclusivityKind, Language, UseRestriction, Vocabulary as _};
use crate::terms::words::Words;

/// One row of the table: what is expected, why, and who says so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    parent: String,
    derivation: Derivation,
    child: String,
    verdict: Outcome,
    codes: Vec<FindingCode>,
    reason: String,
    source: String,
}

fn pairs() -> Vec<Pair> {
    strict::from_slice(include_bytes!("pairs.json")).unwrap()
}

fn expression(text: &str) -> Licence {
    let text = known::by_alias(text).unwrap_or(text);
    Licence::Expression(DeclaredLicence::parse(text).unwrap())
}

/// `preset:…`, the name on a model card, or an SPDX expression.
fn licence(text: &str) -> Licence {
    let Some(name) = text.strip_prefix("preset:") else { return expression(text) };
    let preset = Preset::ALL.iter().find(|preset| preset.as_str() == name).unwrap();
    Licence::Terms(Box::new(preset.terms().unwrap()))
}

fn judge(parent: Licence, derivation: Derivation, child: Licence) -> Verdict {
    Inputs::of_parents("child", child, vec![("parent".to_owned(), derivation, Some(parent))]).judge()
}

fn codes(findings: &[Finding]) -> BTreeSet<FindingCode> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_table_of_pairs_is_judged_as_its_sources_say() {
    let pairs = pairs();
    assert!(pairs.len() >= 80, "{}", pairs.len());
    let mut wrong = Vec::new();
    for pair in &pairs {
        assert!(!pair.reason.is_empty() && !pair.source.is_empty(), "{pair:?}");
        let verdict = judge(licence(&pair.parent), pair.derivation, licence(&pair.child));
        let findings = match pair.verdict {
            Outcome::Compatible => &Vec::new(),
            Outcome::NeedsReview => &verdict.reviews,
            Outcome::Conflict => &verdict.conflicts,
        };
        let expected: BTreeSet<FindingCode> = pair.codes.iter().copied().collect();
        if verdict.verdict != pair.verdict || codes(findings) != expected {
            wrong.push(format!(
                "{} {:?} {}: {:?} {:?}, found {:?} {:?} and {:?}",
                pair.parent,
                pair.derivation,
                pair.child,
                pair.verdict,
                expected,
                verdict.verdict,
                codes(&verdict.conflicts),
                codes(&verdict.reviews)
            ));
        }
    }
    println!("{} pairs", pairs.len());
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

#[test]
fn a_conflict_names_the_clause_and_reads_as_a_sentence() {
    let mut base = Preset::Permissive.terms().unwrap();
    base.licence = None;
    base.field.exclude = Codes::new(vec![activity("86")]).unwrap();
    let child = Preset::CommercialRevenueShare.terms().unwrap();
    let inputs = Inputs::of_parents(
        "child",
        Licence::Terms(Box::new(child)),
        vec![("art_base".to_owned(), Derivation::Finetune, Some(Licence::Terms(Box::new(base))))],
    );
    let verdict = inputs.judge();
    assert_eq!(verdict.verdict, Outcome::Conflict);
    let [finding] = verdict.conflicts.as_slice() else { panic!("{verdict:?}") };
    assert_eq!((finding.code, finding.clause.as_str()), (FindingCode::FieldOfUse, "/field"));
    for (language, words) in [
        (Language::English, "parent art_base excludes healthcare (its terms, /field)"),
        (Language::TraditionalChinese, "上游 art_base 不包括醫療保健（其條款 /field）"),
        (Language::SimplifiedChinese, "上游 art_base 不包括医疗保健（其条款 /field）"),
    ] {
        assert_eq!(finding.words(&Words::of(language)), words);
    }
}

fn activity(code: &str) -> crate::terms::field::Activity {
    crate::terms::field::Activity::new(code).unwrap()
}

/// Every finding of every pair has words in every language, and none shows a key or an argument.
#[test]
fn every_finding_has_words() {
    let mut seen = BTreeSet::new();
    for language in Language::ALL {
        let words = Words::of(*language);
        for pair in pairs() {
            let verdict = judge(licence(&pair.parent), pair.derivation, licence(&pair.child));
            for finding in verdict.conflicts.iter().chain(&verdict.reviews) {
                let text = finding.words(&words);
                let names_a_key = ["finding-", "right-", "restriction-", "condition-", "place-", "isic-", "{"];
                assert!(!names_a_key.iter().any(|key| text.contains(key)), "{text}");
                seen.insert(finding.code);
            }
        }
        for code in FindingCode::ALL.iter().filter(|code| words::has_wide_form(**code)) {
            let key = format!("{}-wide", code.key());
            assert_ne!(words.get(&key), key);
        }
    }
    assert!(seen.len() >= 20, "{seen:?}");
}

fn chain(links: &[(&str, Derivation)], child: &str) -> Inputs {
    let mut inputs = Inputs::of_parents("child", licence(child), Vec::new());
    let mut parents = &mut inputs.node.parents;
    let mut ancestors = BTreeMap::new();
    for (depth, (text, derivation)) in links.iter().enumerate() {
        let name = format!("a{depth}");
        parents.push(Edge { derivation: *derivation, parent: name.clone() });
        let node = Node::licensed(Some(licence(text)));
        parents = &mut ancestors.entry(name).or_insert(node).parents;
    }
    inputs.ancestors = ancestors;
    inputs
}

#[test]
fn a_clause_that_one_step_dropped_still_binds_the_next() {
    use Derivation::{Dataset, Dependency, Finetune, Quantized};
    // Somebody fine-tuned Gemma and said MIT; somebody else quantised that and said MIT.
    let verdict = chain(&[("MIT", Quantized), ("gemma", Finetune)], "MIT").judge();
    assert_eq!(verdict.verdict, Outcome::Conflict);
    assert!(verdict.conflicts.iter().all(|finding| finding.parent == "a1"), "{:?}", verdict.conflicts);
    // What is only data for a parent is only data for what is made from it.
    let verdict = chain(&[("MIT", Finetune), ("CC-BY-SA-4.0", Dataset)], "MIT").judge();
    assert_eq!((verdict.verdict, codes(&verdict.reviews)), (Outcome::NeedsReview, [FindingCode::ShareAlike].into()));
    // A library below a model is a library for whatever is made from the model.
    let verdict = chain(&[("MIT", Finetune), ("LGPL-2.1-only", Dependency)], "MIT").judge();
    assert_eq!(verdict.verdict, Outcome::Compatible);
}

#[test]
fn circles_gaps_and_stacks_are_found() {
    use Derivation::{Finetune, Merge};
    let mut circle = chain(&[("MIT", Finetune), ("MIT", Finetune)], "MIT");
    let back = Edge { derivation: Finetune, parent: "a0".to_owned() };
    circle.ancestors.get_mut("a1").unwrap().parents.push(back);
    let verdict = circle.judge();
    assert_eq!(verdict.conflicts, [finding(FindingCode::Cycle, "", "a0", &[])]);
    let mut own = chain(&[("MIT", Finetune)], "MIT");
    own.node.parents.push(Edge { derivation: Merge, parent: "child".to_owned() });
    assert_eq!(own.judge().conflicts, [finding(FindingCode::Cycle, "", "child", &[])]);

    let mut gaps = chain(&[("MIT", Finetune)], "MIT");
    gaps.node.parents.push(Edge { derivation: Merge, parent: "elsewhere".to_owned() });
    gaps.ancestors.get_mut("a0").unwrap().licence = None;
    let found: Vec<(FindingCode, String)> =
        gaps.judge().reviews.into_iter().map(|finding| (finding.code, finding.parent)).collect();
    let expected = [(FindingCode::UnknownParent, "elsewhere".to_owned()), (FindingCode::NoLicence, "a0".to_owned())];
    assert_eq!(found, expected);

    // Each asks for 40 %, and nothing else stands against it.
    let asking = |rate: &str| {
        let mut terms = Preset::Permissive.terms().unwrap();
        let paid = Preset::CommercialRevenueShare.terms().unwrap();
        terms.licence = None;
        terms.consideration = vec![paid.consideration[1].clone()];
        let figures = terms.consideration[0].figures.as_mut().unwrap();
        figures.rate = Some(rate.parse().unwrap());
        figures.tiers.clear();
        (terms.law, terms.audit) = (paid.law, paid.audit);
        assert_eq!(terms.validate(), Ok(()));
        Some(Licence::Terms(Box::new(terms)))
    };
    let stack = |rates: &[&str]| {
        let parents = rates.iter().enumerate().map(|(at, rate)| (format!("p{at}"), Merge, asking(rate))).collect();
        Inputs::of_parents("child", licence("preset:permissive"), parents).judge()
    };
    assert_eq!(stack(&["0.4", "0.4", "0.2"]).verdict, Outcome::Compatible, "all of it is not more than all of it");
    let verdict = stack(&["0.4", "0.4", "0.20000001"]);
    assert_eq!(verdict.conflicts, [finding(FindingCode::RoyaltyStack, "/consideration", "p0", &["100.000001"])]);

    // What is paid is the share of the licence that permits it, not that of one that does not.
    let held = |declared: &str, licences: [Option<Licence>; 2]| {
        let mut child = Preset::Permissive.terms().unwrap();
        child.licence = None;
        let any = |licence: Option<Licence>| Some(Licence::AnyOf(vec![expression(declared), licence?]));
        let [a, b] = licences.map(any);
        let parents = vec![("a".to_owned(), Merge, a), ("b".to_owned(), Merge, b)];
        Inputs::of_parents("child", Licence::Terms(Box::new(child)), parents).judge()
    };
    let stacked = [finding(FindingCode::RoyaltyStack, "/consideration", "a", &["120"])];
    for declared in ["CC-BY-NC-4.0", "LicenseRef-Elsewhere"] {
        assert_eq!(held(declared, [asking("0.6"), asking("0.6")]).conflicts, stacked, "{declared}");
        assert_eq!(held(declared, [asking("0.6"), asking("0.4")]).verdict, Outcome::Compatible, "{declared}");
    }
    assert_eq!(held("MIT", [asking("0.6"), asking("0.6")]).verdict, Outcome::Compatible, "nobody has to pay");
    // A sealed share is known only to those that agreed on it.
    let sealed = |rate: &str| {
        let Some(Licence::Terms(terms)) = asking(rate) else { panic!() };
        let place = crate::sealed::Place {
            registry: "r 00".to_owned(),
            predicate_type: "urn:chopmark:predicate:terms:v1".to_owned(),
            issuer: "ab".to_owned(),
            nonce: "cd".to_owned(),
        };
        Some(Licence::Terms(Box::new(terms.seal(&place, || [7; 32]).unwrap().0)))
    };
    let verdict = held("CC-BY-NC-4.0", [sealed("0.6"), asking("0.6")]);
    assert_eq!(verdict.conflicts, []);
    assert_eq!(verdict.reviews, [finding(FindingCode::Sealed, "/consideration", "a", &[])]);
}

fn finding(code: FindingCode, clause: &str, parent: &str, about: &[&str]) -> Finding {
    let about = about.iter().map(|code| (*code).to_owned()).collect();
    Finding { code, clause: clause.to_owned(), parent: parent.to_owned(), licence: None, about }
}

#[test]
fn a_live_exclusive_grant_keeps_others_out() {
    let exclusive = Preset::ExclusiveTerritorial.terms().unwrap();
    let grant = |artefact: &str| LiveGrant {
        grant: "lic_one".to_owned(),
        artefact: artefact.to_owned(),
        terms: Box::new(exclusive.clone()),
        from: Some("2026-01-01".parse().unwrap()),
        until: Some("2030-12-31".parse().unwrap()),
    };
    let with = |derivation: Derivation, grants: Vec<LiveGrant>, child: Licence, on: &str| {
        let mut inputs =
            Inputs::of_parents("child", child, vec![("base".to_owned(), derivation, Some(expression("MIT")))]);
        inputs.grants = grants;
        inputs.on = Some(on.parse().unwrap());
        inputs.judge()
    };
    let collides = with(Derivation::Finetune, vec![grant("base")], licence("MIT"), "2027-01-01");
    assert_eq!(collides.conflicts, [finding(FindingCode::Exclusivity, "/exclusivity", "lic_one", &["base"])]);
    let own = with(Derivation::Finetune, vec![grant("child")], licence("MIT"), "2027-01-01");
    assert_eq!(own.conflicts, [finding(FindingCode::Exclusivity, "/exclusivity", "lic_one", &["child"])]);
    for (why, verdict) in [
        ("the grant has ended", with(Derivation::Finetune, vec![grant("base")], licence("MIT"), "2031-01-01")),
        ("another thing", with(Derivation::Finetune, vec![grant("other")], licence("MIT"), "2027-01-01")),
        ("nothing of it is inside", with(Derivation::Distilled, vec![grant("base")], licence("MIT"), "2027-01-01")),
    ] {
        assert_eq!(verdict.verdict, Outcome::Compatible, "{why}");
    }
    // And the other way round: a promise of exclusivity that a live grant would break.
    let mut open = exclusive.clone();
    open.exclusivity.kind = ExclusivityKind::NonExclusive;
    open.exclusivity.scope = None;
    let live = LiveGrant { terms: Box::new(open), ..grant("child") };
    let promise = with(Derivation::Finetune, vec![live], Licence::Terms(Box::new(exclusive)), "2027-01-01");
    assert!(codes(&promise.conflicts).contains(&FindingCode::Exclusivity), "{:?}", promise.conflicts);
}

#[test]
fn ends_are_compared_where_they_are_known() {
    use FindingCode::{Expired, Expiry, NotBegun};
    use Outcome::{Compatible, Conflict, NeedsReview};

    let ending = |start: Option<&str>, duration: Option<&str>, renewable: bool| {
        let mut terms = Preset::OpenRail.terms().unwrap();
        terms.term.start = start.map(|day| day.parse().unwrap());
        terms.term.duration = duration.map(|length| length.parse().unwrap());
        terms.term.perpetual = duration.is_none();
        if renewable {
            terms.term.renewal = Preset::CommercialRevenueShare.terms().unwrap().term.renewal;
        }
        assert_eq!(terms.validate(), Ok(()));
        terms
    };
    let verdict = |parent: &Terms, child: &Terms, on: Option<&str>| {
        let terms = |terms: &Terms| Licence::Terms(Box::new(terms.clone()));
        let parents = vec![("p".to_owned(), Derivation::Finetune, Some(terms(parent)))];
        let mut inputs = Inputs::of_parents("child", terms(child), parents);
        inputs.on = on.map(|day| day.parse().unwrap());
        let verdict = inputs.judge();
        let codes = codes(&verdict.conflicts).into_iter().chain(codes(&verdict.reviews)).collect::<Vec<_>>();
        (verdict.verdict, codes)
    };
    let two_years = ending(Some("2026-01-01"), Some("P2Y"), false);
    let one_year = ending(Some("2026-01-01"), Some("P1Y"), false);
    let renewable = ending(Some("2026-01-01"), Some("P1Y"), true);
    let undated = ending(None, Some("P1Y"), false);
    let perpetual = ending(None, None, false);
    assert_eq!(verdict(&two_years, &one_year, None), (Compatible, vec![]));
    assert_eq!(verdict(&one_year, &one_year, None), (Compatible, vec![]));
    assert_eq!(verdict(&one_year, &two_years, None), (Conflict, vec![Expiry]));
    assert_eq!(verdict(&renewable, &two_years, None), (NeedsReview, vec![Expiry]));
    assert_eq!(verdict(&one_year, &perpetual, None), (Conflict, vec![Expiry]));
    assert_eq!(verdict(&one_year, &undated, None), (NeedsReview, vec![Expiry]));
    assert_eq!(verdict(&undated, &perpetual, None), (Conflict, vec![Expiry]));
    assert_eq!(verdict(&undated, &one_year, None), (NeedsReview, vec![Expiry]));
    assert_eq!(verdict(&perpetual, &perpetual, None), (Compatible, vec![]));
    assert_eq!(verdict(&one_year, &one_year, Some("2026-12-31")), (Compatible, vec![]));
    assert_eq!(verdict(&one_year, &one_year, Some("2027-01-01")), (Conflict, vec![Expired]));
    // What was made before outlives it; nothing more is made of it.
    let mut surviving = one_year.clone();
    surviving.termination.derivatives.effect = EndEffect::Survive;
    assert_eq!(verdict(&surviving, &perpetual, Some("2026-12-31")), (Compatible, vec![]));
    assert_eq!(verdict(&surviving, &perpetual, Some("2027-01-01")), (Conflict, vec![Expired]));
    assert_eq!(verdict(&two_years, &one_year, Some("2025-12-31")), (Conflict, vec![NotBegun]));
    let renewal = Preset::CommercialPerSeat.terms().unwrap().term;
    let mut going_on = renewable.clone();
    (going_on.term.renewal, going_on.term.notice) = (renewal.renewal, renewal.notice);
    assert_eq!(verdict(&going_on, &one_year, Some("2027-01-01")), (NeedsReview, vec![Expired]), "it may go on");
    assert_eq!(verdict(&going_on, &one_year, Some("2025-12-31")), (Conflict, vec![NotBegun]));
}

/// What ended, by how the thing was made from it, and whether it made it itself or somebody did before.
#[test]
fn of_what_has_ended_nothing_is_made() {
    use Derivation::{Adapter, Dataset, Dependency, Distilled, Finetune};

    let base = |effect: EndEffect| {
        let mut terms = Preset::Permissive.terms().unwrap();
        (terms.licence, terms.term.perpetual) = (None, false);
        (terms.term.start, terms.term.duration) = (Some("2026-01-01".parse().unwrap()), Some("P1Y".parse().unwrap()));
        (terms.termination.derivatives.effect, terms.termination.derivatives.period) = (effect, None);
        assert_eq!(terms.validate(), Ok(()));
        Some(Licence::Terms(Box::new(terms)))
    };
    let found = |mut inputs: Inputs, effect: EndEffect, on: &str| {
        inputs.ancestors.get_mut("base").unwrap().licence = base(effect);
        inputs.on = Some(on.parse().unwrap());
        let verdict = inputs.judge();
        let has = |findings: &[Finding]| codes(findings).contains(&FindingCode::Expired);
        (has(&verdict.conflicts), has(&verdict.reviews))
    };
    for effect in [EndEffect::Survive, EndEffect::Terminate] {
        for derivation in [Finetune, Adapter, Dependency, Distilled, Dataset] {
            let direct = || Inputs::of_parents("c", expression("MIT"), vec![("base".to_owned(), derivation, None)]);
            assert_eq!(found(direct(), effect, "2026-12-31"), (false, false));
            assert_eq!(found(direct(), effect, "2027-01-01"), (true, false), "{effect:?} {derivation:?}");
            // Somebody made a model of it, and that was fine-tuned.
            let mut further = Inputs::of_parents(
                "c",
                expression("MIT"),
                vec![("model".to_owned(), Finetune, Some(expression("MIT")))],
            );
            let edge = Edge { derivation, parent: "base".to_owned() };
            further.ancestors.get_mut("model").unwrap().parents.push(edge);
            further.ancestors.insert("base".to_owned(), Node::licensed(None));
            let is_inside = !matches!(derivation, Distilled | Dataset);
            let survives = effect == EndEffect::Survive;
            let expected = (is_inside && !survives, is_inside && survives);
            assert_eq!(found(further, effect, "2027-01-01"), expected, "{effect:?} {derivation:?}");
        }
    }
}

#[test]
fn terms_that_restate_a_licence_and_differ_from_it_are_noticed() {
    let mut pretending = Preset::Copyleft.terms().unwrap();
    pretending.use_restrictions.codes = Codes::new(vec![UseRestriction::Commercial]).unwrap();
    let verdict = judge(licence("GPL-3.0-or-later"), Derivation::Derived, Licence::Terms(Box::new(pretending)));
    assert_eq!(codes(&verdict.reviews), [FindingCode::Restatement].into());
}

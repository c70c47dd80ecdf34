use std::sync::Arc;

use super::*;
use crate::admission::{ArtefactHead, DatedEvent, LicenceChange, TermsRecord};
use crate::digest::Sha256Digest;
use crate::licensing::{GrantClaim, LicenceEvent};
use crate::terms::Preset;
use crate::terms::vocabulary::{Codes, EndEffect, Form, Overage, Right, ShareAlike, UseRestriction};

type Change = fn(&mut Terms);

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn id(name: &str) -> StatementId {
    StatementId::of(name.as_bytes())
}

/// Terms that may be sublicensed through any number of hands.
fn free() -> Terms {
    let mut terms = Preset::CommercialRevenueShare.terms().unwrap();
    (terms.sublicensing.permission, terms.sublicensing.max_depth) = (Permission::Free, None);
    terms
}

fn changed(terms: &Terms, change: impl FnOnce(&mut Terms)) -> Terms {
    let mut terms = terms.clone();
    change(&mut terms);
    assert_eq!(terms.validate(), Ok(()));
    terms
}

fn hands(terms: &Terms, most: Option<u8>) -> Terms {
    changed(terms, |terms| {
        let permission = if most == Some(0) { Permission::None } else { Permission::Free };
        (terms.sublicensing.permission, terms.sublicensing.max_depth) = (permission, most.filter(|most| *most > 0));
    })
}

/// A registry in which the owner licensed a distributor in two artefacts.
struct Registry(View);

impl Registry {
    fn new() -> Self {
        let mut view = View::new(100, None, None);
        for artefact in ["a", "b"] {
            let head = ArtefactHead { owner: id("owner"), manifest: Sha256Digest::of(artefact.as_bytes()) };
            view.load_artefact(id(artefact), head);
        }
        Self(view)
    }

    fn licence(&mut self, licence: StatementId, (from, to): (&str, &str), artefacts: &[&str], terms: &Terms) {
        self.resting(licence, (from, to), artefacts, terms, &[]);
    }

    fn resting(
        &mut self,
        licence: StatementId,
        (from, to): (&str, &str),
        artefacts: &[&str],
        terms: &Terms,
        under: &[StatementId],
    ) {
        let mut artefacts: Vec<_> = artefacts.iter().map(|name| id(name)).collect();
        artefacts.sort_unstable();
        let claim = GrantClaim {
            offer: None,
            licensor: id(from),
            licensee: id(to),
            artefacts,
            terms: terms.id().unwrap(),
            starts_on: day("2027-01-01"),
            under: under.to_vec(),
        };
        // A licence is entered after those it rests on.
        let heads = under.iter().filter_map(|head| self.0.licensing().licence(head));
        let index = heads.map(|head| head.index).max().map_or(1, |latest| latest + 1);
        let change = LicenceChange { id: licence, index, claim };
        self.0.licensing_mut().load_licence(LicenceRecord::new(&change, Arc::new(terms.clone())));
    }

    fn happens(&mut self, licence: StatementId, status: LicenceEvent, since: &str) {
        let mut record = self.0.licensing().licence(&licence).unwrap().clone();
        record.events = vec![DatedEvent { status, since: day(since) }];
        self.0.licensing_mut().load_licence(record);
    }

    /// Whether a party may license an artefact on these terms under these licences; the code and reason where not.
    fn deals(
        &mut self,
        licensor: &str,
        artefact: &str,
        terms: &Terms,
        under: &[StatementId],
        on: &str,
    ) -> Result<(), (Code, String)> {
        let record = TermsRecord {
            id: terms.id().unwrap(),
            index: 1,
            statement: id("published"),
            issuer: id(licensor),
            terms: Arc::new(terms.clone()),
        };
        self.0.licensing_mut().load_terms(record);
        let artefacts = [id(artefact)];
        let terms = terms.id().unwrap();
        let deal = Deal { licensor: id(licensor), artefacts: &artefacts, terms, under, on: day(on) };
        deal.admit(&self.0).map(|_| ()).map_err(|rejection| (rejection.code, rejection.detail))
    }
}

/// That terms go beyond those that they are granted under, and what the reason says.
#[track_caller]
fn beyond(held: &Terms, terms: &Terms, said: &str) {
    let mut registry = Registry::new();
    registry.licence(id("head"), ("owner", "distributor"), &["a"], held);
    let refusal = registry.deals("distributor", "a", terms, &[id("head")], "2027-06-01");
    let (code, reason) = refusal.expect_err(said);
    assert!(code == Code::BeyondHeadLicence && reason.contains(said), "{code:?} {reason}");
}

#[track_caller]
fn stays_within(held: &Terms, terms: &Terms) {
    let mut registry = Registry::new();
    registry.licence(id("head"), ("owner", "distributor"), &["a"], held);
    assert_eq!(registry.deals("distributor", "a", terms, &[id("head")], "2027-06-01"), Ok(()));
}

#[test]
fn nobody_keeps_others_out_whose_own_licence_does_not() {
    let open = free();
    let kind = |kind| move |terms: &mut Terms| terms.exclusivity.kind = kind;
    let exclusive = changed(&open, kind(ExclusivityKind::Exclusive));
    let sole = changed(&open, kind(ExclusivityKind::Sole));
    for terms in [&exclusive, &sole] {
        beyond(&open, terms, "keeps nobody out");
        stays_within(&exclusive, terms);
        stays_within(terms, &open);
    }
    stays_within(&sole, &sole);
    beyond(&sole, &exclusive, "is sole");

    // Exclusive in a part only, or for a time only.
    let part = Preset::ExclusiveTerritorial.terms().unwrap();
    let part = changed(&part, |terms| terms.sublicensing.max_depth = None);
    stays_within(&part, &part);
    let whole = changed(&part, |terms| terms.exclusivity.scope = None);
    beyond(&part, &whole, "the exclusive part of its licence does not reach so far");
    let for_a_year = |terms: &Terms, length: &str| {
        changed(terms, |terms| terms.exclusivity.scope.as_mut().unwrap().duration = Some(length.parse().unwrap()))
    };
    beyond(&for_a_year(&part, "P1Y"), &part, "it ends on 2027-12-31");
    beyond(&for_a_year(&part, "P1Y"), &for_a_year(&part, "P1Y"), "it ends on 2027-12-31");
    stays_within(&for_a_year(&part, "P1Y"), &for_a_year(&part, "P7M"));

    // The right itself is its owner's, and an option is no right yet.
    let grant_type = |grant_type| move |terms: &mut Terms| terms.grant.grant_type = grant_type;
    let assignment = changed(&exclusive, grant_type(GrantType::Assignment));
    beyond(&exclusive, &assignment, "the right itself");
    beyond(&exclusive, &changed(&open, grant_type(GrantType::Option)), "the right itself");
    beyond(&changed(&open, grant_type(GrantType::Option)), &open, "is an option");
    stays_within(&assignment, &assignment);
    let mut registry = Registry::new();
    for terms in [&exclusive, &assignment] {
        assert_eq!(registry.deals("owner", "a", terms, &[], "2027-06-01"), Ok(()), "the owner may");
    }
}

#[test]
fn a_sublicence_drops_nothing_that_binds_its_licensor() {
    let held = changed(&free(), |terms| {
        terms.metric = Preset::CommercialPerSeat.terms().unwrap().metric;
        terms.metric[0].overage = Overage::Forbidden;
        terms.sublicensing.permission = Permission::WithConsent;
        terms.derivatives.approval_required = true;
        terms.derivatives.share_alike = ShareAlike::Work;
        terms.use_restrictions.propagates = true;
    });
    stays_within(&held, &held);
    let changes: [(&str, Change); 13] = [
        ("/grant/rights", |terms| {
            let rights = terms.grant.rights.iter().copied().chain([Right::Distill]).collect();
            terms.grant.rights = Codes::new(rights).unwrap();
        }),
        ("/sublicensing)", |terms| terms.sublicensing.permission = Permission::Free),
        ("/sublicensing/transferable", |terms| terms.sublicensing.transferable = Permission::Free),
        ("/metric", |terms| terms.metric.clear()),
        ("/metric", |terms| terms.metric[0].cap = Some("51".parse().unwrap())),
        ("/use_restrictions)", |terms| {
            terms.use_restrictions.codes = Codes::new(vec![UseRestriction::Unlawful]).unwrap();
        }),
        ("/use_restrictions/propagates", |terms| terms.use_restrictions.propagates = false),
        ("/redistribution/attribution_required", |terms| terms.redistribution.attribution_required = false),
        ("/redistribution/forms", |terms| {
            terms.redistribution.forms = Codes::new(vec![Form::Source, Form::Weights]).unwrap();
        }),
        ("/derivatives/lineage_disclosure", |terms| terms.derivatives.lineage_disclosure = false),
        ("/derivatives/approval_required", |terms| terms.derivatives.approval_required = false),
        ("/derivatives/share_alike", |terms| terms.derivatives.share_alike = ShareAlike::None),
        ("/outputs/may_train_on_outputs", |terms| terms.outputs.may_train_on_outputs = true),
    ];
    for (clause, change) in changes {
        beyond(&held, &changed(&held, change), clause);
    }
    // What need not be handed on to derivatives still binds whoever has the same work.
    let kept = changed(&held, |terms| terms.use_restrictions.propagates = false);
    let dropped = changed(&kept, |terms| terms.use_restrictions.codes = Codes::default());
    beyond(&kept, &dropped, "/use_restrictions");
    // Where nothing may be made of it, there is nobody to tell what it was made from.
    stays_within(
        &held,
        &changed(&held, |terms| {
            let made = [Right::Modify, Right::Finetune, Right::Quantize, Right::Merge];
            let rights = terms.grant.rights.iter().copied().filter(|right| !made.contains(right)).collect();
            terms.grant.rights = Codes::new(rights).unwrap();
            let derivatives = &mut terms.derivatives;
            (derivatives.allowed, derivatives.approval_required) = (false, false);
            (derivatives.share_alike, derivatives.lineage_disclosure) = (ShareAlike::None, false);
        }),
    );
}

#[test]
fn no_hand_is_gained_by_licences_in_two_artefacts() {
    let (any, one, none) = (free(), hands(&free(), Some(1)), hands(&free(), Some(0)));
    // Whichever of the two comes first.
    for (in_a, in_b) in [([1; 32], [2; 32]), ([2; 32], [1; 32])] {
        let (in_a, in_b) = (StatementId::from_bytes(in_a), StatementId::from_bytes(in_b));
        let mut under = [in_a, in_b];
        under.sort_unstable();
        let mut registry = Registry::new();
        registry.licence(in_a, ("owner", "distributor"), &["a"], &any);
        registry.licence(in_b, ("owner", "distributor"), &["b"], &one);
        assert_eq!(registry.deals("distributor", "a", &any, &under, "2027-06-01"), Ok(()));
        let (code, reason) = registry.deals("distributor", "b", &one, &under, "2027-06-01").unwrap_err();
        assert!(code == Code::BeyondHeadLicence && reason.contains("/sublicensing"), "{reason}");
        assert_eq!(registry.deals("distributor", "b", &none, &under, "2027-06-01"), Ok(()));
        // The hand after that has none.
        registry.resting(id("both"), ("distributor", "shop"), &["a", "b"], &none, &under);
        for artefact in ["a", "b"] {
            let (code, reason) = registry.deals("shop", artefact, &none, &[id("both")], "2027-06-01").unwrap_err();
            assert!(code == Code::BeyondHeadLicence && reason.contains("no sublicences"), "{reason}");
        }
        // Of two licences in the same artefact, one that permits it is enough.
        let wider = StatementId::from_bytes([3; 32]);
        registry.licence(wider, ("owner", "distributor"), &["b"], &any);
        assert_eq!(registry.deals("distributor", "b", &any, &[in_b, wider], "2027-06-01"), Ok(()));
    }
    // Through as many hands as the first licence permits.
    let mut registry = Registry::new();
    registry.licence(id("0"), ("owner", "party 1"), &["a"], &hands(&any, Some(2)));
    for (hand, most) in [(1, 1), (2, 0)] {
        let (licensor, head) = (format!("party {hand}"), id(&(hand - 1).to_string()));
        let terms = hands(&any, Some(most));
        assert_eq!(registry.deals(&licensor, "a", &terms, &[head], "2027-06-01"), Ok(()));
        let further = hands(&any, Some(most + 1));
        assert!(registry.deals(&licensor, "a", &further, &[head], "2027-06-01").is_err());
        let licensee = format!("party {}", hand + 1);
        registry.resting(id(&hand.to_string()), (&licensor, &licensee), &["a"], &terms, &[head]);
    }
    assert!(registry.deals("party 3", "a", &none, &[id("2")], "2027-06-01").is_err());
}

#[test]
fn what_has_ended_is_not_sublicensed_for_an_earlier_day() {
    let survives = changed(&free(), |terms| {
        let ending = &mut terms.termination.sublicences;
        (ending.effect, ending.period) = (EndEffect::Survive, None);
    });
    for terms in [&free(), &survives] {
        let mut registry = Registry::new();
        registry.licence(id("head"), ("owner", "distributor"), &["a"], terms);
        registry.resting(id("below"), ("distributor", "shop"), &["a"], terms, &[id("head")]);
        let deals = |registry: &mut Registry, licensor: &str, under: &str| {
            registry.deals(licensor, "a", terms, &[id(under)], "2027-05-15")
        };
        for (status, said) in
            [(LicenceEvent::Terminated, "terminated on"), (LicenceEvent::Suspended, "suspended since")]
        {
            registry.happens(id("head"), status, "2027-06-01");
            let (code, reason) = deals(&mut registry, "distributor", "head").unwrap_err();
            assert!(code == Code::LicenceNotInForce && reason.contains(said), "{reason}");
            assert!(reason.ends_with("on 2027-06-01"), "{reason}");
        }
        registry.happens(id("head"), LicenceEvent::Reinstated, "2027-07-01");
        assert_eq!(deals(&mut registry, "distributor", "head"), Ok(()));
        // What the end of a licence above does to the head, its terms say.
        assert_eq!(deals(&mut registry, "shop", "below"), Ok(()));
        registry.happens(id("head"), LicenceEvent::Terminated, "2026-10-01");
        let outlives = terms.termination.sublicences.effect == EndEffect::Survive;
        assert_eq!(deals(&mut registry, "shop", "below").is_ok(), outlives);
    }
}

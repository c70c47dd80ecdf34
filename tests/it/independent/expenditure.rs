//! Good statements of the seven kinds about expenditure, with every member that they may have.

use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{
    AssetClaim, CorrectionClaim, CorrectionReason, Details, ExpenditureClaim, FxRateClaim, Lapse, Nature, Outside,
    RelationClaim, RelationKind, Replacement, SealedPayment, SealedUse, Side, Succession, TaxProfileClaim, TitleLeft,
    UseClaim,
};
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Commitment, Opening, Place, Salt};
use chopmark_core::statement::StatementId;
use chopmark_core::tax::facts::{
    Acquires, Entity, Funding, LapseCause, PerformedBy, ResearchPlace, Trade, UsedBy, UsedIn,
};
use chopmark_core::text::Names;
use serde_json::json;

use super::bases::{Alone, Base};
use super::licensed::salt;

/// Texts that are sealed, by the names of their fields; the other fields are sealed as absent.
type Figures<'a> = &'a [(&'a str, &'a str)];

fn seal<const N: usize>(place: &Place, fields: [&str; N], figures: Figures<'_>) -> ([Commitment; N], Vec<Opening>) {
    let openings = fields.map(|field| {
        let text = figures.iter().find(|(name, _)| *name == field).map(|(_, text)| json!(text));
        Opening::new(field.parse().unwrap(), Salt::from_random(salt(field)), text.as_ref()).unwrap()
    });
    let commitments = openings.each_ref().map(|opening| opening.commitment(place));
    (commitments, openings.into())
}

/// A good statement of each of these kinds; payments in several, for no nature has everything.
pub fn bases(alone: &Alone<'_>, other: StatementId) -> Vec<Base> {
    let mut all = payments(alone, other);
    all.extend(corrections(alone, other));
    for (kind, claim) in [
        ("asset", Claim::Asset(asset(other))),
        ("relation", Claim::Relation(relation(other))),
        ("tax profile", Claim::TaxProfile(profile())),
        ("fx rate", Claim::FxRate(rate())),
    ] {
        all.push(alone.says(kind, &claim, Vec::new()));
    }
    let (claim, fields) = used(other, &alone.place("use", UseClaim::PREDICATE_TYPE));
    all.push(alone.says("use", &Claim::Use(claim), fields));
    all
}

fn outside() -> Side {
    Side::Outside(Outside { name: "Delta 模型 GmbH".to_owned(), jurisdiction: Jurisdiction::new("DE").unwrap() })
}

/// A payment with what every nature has.
fn payment(alone: &Alone<'_>, nature: Nature) -> ExpenditureClaim {
    ExpenditureClaim {
        nature,
        payer: Side::Party(alone.party),
        payee: outside(),
        document: "INV-2026-0117".to_owned(),
        file: None,
        on: "2026-05-02".parse().unwrap(),
        asset: None,
        counter_asset: None,
        ip_type: None,
        licence: None,
        artefact: None,
        credits: None,
        details: Details::default(),
        sealed: Box::new(SealedPayment::new([Commitment::from_bytes([0; 32]); 6])),
    }
}

fn purchase(alone: &Alone<'_>, other: StatementId) -> ExpenditureClaim {
    ExpenditureClaim {
        file: Some(Sha256Digest::of(b"invoice")),
        asset: Some(other),
        counter_asset: Some(StatementId::of(b"the seller's")),
        licence: Some(other),
        artefact: Some(other),
        details: Details {
            share: Some("0.5".parse().unwrap()),
            funding: Some(Funding::Recourse),
            licensed_back: Some(true),
            acquires: Some(Acquires::Ownership),
            fraction: Some("0.25".parse().unwrap()),
            early_termination: Some(false),
            ..Details::default()
        },
        ..payment(alone, Nature::Purchase)
    }
}

const PURCHASED: Figures<'static> =
    &[("/amount", "1200.00"), ("/currency", "USD"), ("/fx_rate", "7.8125"), ("/fees", "1500.00")];

fn payments(alone: &Alone<'_>, other: StatementId) -> Vec<Base> {
    let royalty = ExpenditureClaim {
        payer: Side::Party(other),
        payee: Side::Party(alone.party),
        licence: Some(other),
        details: Details {
            used_in: Some(UsedIn::Abroad),
            film: Some(false),
            ever_hk_owned: Some(true),
            treaty_cap: Some("3%".to_owned()),
            ..Details::default()
        },
        ..payment(alone, Nature::Royalty)
    };
    let upfront = ExpenditureClaim {
        ip_type: Some(IpType::Copyright),
        details: Details { term_years: Some(5), ..Details::default() },
        ..payment(alone, Nature::UpfrontFee)
    };
    let research = ExpenditureClaim {
        details: Details {
            place: Some(ResearchPlace::Overseas),
            proportion: Some("1".parse().unwrap()),
            vested: Some(true),
            for_another: Some(false),
            performed_by: Some(PerformedBy::RdInstitution),
            avoidance: Some(false),
            ..Details::default()
        },
        ..payment(alone, Nature::RndTypeA)
    };
    let credit = ExpenditureClaim { credits: Some(other), ..payment(alone, Nature::CreditNote) };
    let dollars = [("/amount", "1200.00"), ("/currency", "HKD")];
    let payments: [(&'static str, ExpenditureClaim, Figures<'_>); 5] = [
        ("expenditure", purchase(alone, other), PURCHASED),
        ("royalty", royalty, &[("/amount", "1200.00"), ("/currency", "CNY"), ("/withheld", "60.00")]),
        ("upfront fee", upfront, &[("/amount", "1200"), ("/currency", "JPY")]),
        ("research", research, &[dollars[0], dollars[1], ("/met_by_others", "200.00")]),
        ("credit note", credit, &dollars),
    ];
    let sealed = |(kind, mut claim, figures): (&'static str, ExpenditureClaim, Figures<'_>)| {
        let place = alone.place(kind, ExpenditureClaim::PREDICATE_TYPE);
        let (commitments, fields) = seal(&place, SealedPayment::FIELDS, figures);
        claim.sealed = Box::new(SealedPayment::new(commitments));
        alone.says(kind, &Claim::Expenditure(claim), fields)
    };
    payments.into_iter().map(sealed).collect()
}

fn used(asset: StatementId, place: &Place) -> (UseClaim, Vec<Opening>) {
    let ([fraction], fields) = seal(place, [SealedUse::FIELD], &[(SealedUse::FIELD, "0.25")]);
    let (year, by) = ("2026/27".parse().unwrap(), UsedBy::LicenseeAbroad);
    (UseClaim { asset, year, by, taxed_in_hk: Some(true), sealed: SealedUse { fraction } }, fields)
}

/// One for each sort of entry, and one that reverses.
fn corrections(alone: &Alone<'_>, other: StatementId) -> Vec<Base> {
    let place = |kind: &str| alone.place(kind, CorrectionClaim::PREDICATE_TYPE);
    let mut all = Vec::new();
    let mut add = |kind: &'static str, reason, replacement, fields| {
        let claim = CorrectionClaim { entry: other, prev: StatementId::of(b"the first"), reason, replacement };
        all.push(alone.says(kind, &Claim::Correction(claim), fields));
    };
    add("reversal", CorrectionReason::Duplicate, None, Vec::new());
    let replacement = Replacement::Asset(Box::new(asset(other)));
    add("correction of an asset", CorrectionReason::LaterEvent, Some(replacement), Vec::new());
    let kind = "correction of a payment";
    let (commitments, fields) = seal(&place(kind), SealedPayment::FIELDS, PURCHASED);
    let sealed = Box::new(SealedPayment::new(commitments));
    let replacement = Replacement::Expenditure(Box::new(ExpenditureClaim { sealed, ..purchase(alone, other) }));
    add(kind, CorrectionReason::Amount, Some(replacement), fields);
    let kind = "correction of a use";
    let (claim, fields) = used(other, &place(kind));
    add(kind, CorrectionReason::Amount, Some(Replacement::Use(claim)), fields);
    all
}

fn asset(other: StatementId) -> AssetClaim {
    let mut artefacts = vec![other, StatementId::of(b"one"), StatementId::of(b"two")];
    artefacts.sort_unstable();
    AssetClaim {
        title: Names { en: Some("Translator".into()), zh_hant: Some("翻譯".into()), zh_hans: Some("翻译".into()) },
        ip_type: IpType::Copyright,
        jurisdiction: Jurisdiction::new("CN").unwrap(),
        registered: true,
        registration_number: Some("2024SR0001".to_owned()),
        registered_on: Some("2024-02-29".parse().unwrap()),
        protection_ends: Some("2074-12-31".parse().unwrap()),
        software: Some(true),
        artefacts,
        lapse: Some(Lapse { on: "2026-03-31".parse().unwrap(), cause: LapseCause::Surrendered }),
        title_left: Some(TitleLeft { on: "2026-04-01".parse().unwrap(), to: Side::Party(other) }),
        succession: Some(Succession {
            on: "2025-01-01".parse().unwrap(),
            predecessor: outside(),
            year_end: Some("02-29".parse().unwrap()),
        }),
    }
}

fn relation(other: StatementId) -> RelationClaim {
    RelationClaim {
        other: Side::Party(other),
        relation: RelationKind::ControlledBy,
        from: "2026-01-01".parse().unwrap(),
        until: Some("2026-07-01".parse().unwrap()),
    }
}

fn profile() -> TaxProfileClaim {
    TaxProfileClaim {
        from: "2026/27".parse().unwrap(),
        brn: Some("12345678".to_owned()),
        file_number: Some("22/12345678".to_owned()),
        entity: Entity::Corporation,
        year_end: "03-31".parse().unwrap(),
        trade: Trade::PartlyHk,
        hk_proportion: Some("0.6".parse().unwrap()),
        two_tier: false,
        commenced: Some("2020-02-29".parse().unwrap()),
        ceased: Some("2026-05-02".parse().unwrap()),
    }
}

fn rate() -> FxRateClaim {
    FxRateClaim {
        from: "USD".parse().unwrap(),
        units: "1".to_owned(),
        to: "HKD".parse().unwrap(),
        rate: "7.8269".to_owned(),
        source: "IRD, average rates".to_owned(),
        date: "2026-03-31".parse().unwrap(),
    }
}

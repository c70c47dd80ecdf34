//! Good statements of the kinds about licences and sealed values, with every member that they may have.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::erased::ErasedClaim;
use chopmark_core::kind::Claim;
use chopmark_core::licensing::{GrantClaim, LicenceEvent, LicenceStatusClaim, OfferClaim, TermsClaim};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::vocabulary::Ground;
use chopmark_core::terms::{Preset, Terms};
use serde_json::{Value, json};

use super::bases::{Alone, Base, at};
use crate::json;

/// Terms with every clause and every optional member in it.
fn whole() -> Terms {
    let mut terms = serde_json::to_value(Preset::ExclusiveTerritorial.terms().unwrap()).unwrap();
    let mut put = |pointer: &str, member: &str, value: Value| {
        terms.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(member.to_owned(), value);
    };
    put("", "licence", json!({"expression": "MIT", "license_list_version": "3.27.0"}));
    put("", "rider", json!({"en": "Signed in two copies.", "zh-Hant": "一式兩份。"}));
    put("/exclusivity/scope", "duration", json!("P2Y"));
    put("/exclusivity/scope", "field", json!({"isic_revision": "4", "include": ["62", "Q"], "exclude": ["862"]}));
    put("/territory", "include", json!(["WORLD"]));
    put("/territory", "exclude", json!(["US", "TW"]));
    put("/term", "start", json!("2027-01-31"));
    put("/redistribution", "notice_text", json!({"en": "Made with it.\nAll rights reserved."}));
    put("/derivatives", "share_alike", json!("library"));
    put("/derivatives", "compatible_terms", json!(["Apache-2.0", "MIT"]));
    put(
        "",
        "metric",
        json!([
            {"metric": "token", "cap": "1000000", "period": "P1M", "overage": "billed"},
            {"metric": "seats", "cap": "50", "overage": "forbidden"},
        ]),
    );
    let more = json!([
        {
            "kind": "per_unit", "currency": "USD", "unit": "token", "schedule": {"every": "P1M"},
            "figures": {
                "amount": "0.05", "ceiling": "9000.00",
                "tiers": [{"above_units": "1000", "amount": "0.04"}, {"above_units": "100000", "amount": "0.03"}],
            },
        },
        {"kind": "milestone", "currency": "JPY", "figures": {"amount": "500"}, "schedule": {"milestone": "delivery"}},
        {"kind": "upfront_lump_sum", "currency": "HKD", "figures": {"amount": "1.00"}, "schedule": {"on": "2027-03-01"}},
    ]);
    let tiers = json!([{"above_amount": "1000.00", "rate": "0.04"}, {"above_amount": "5000.00", "rate": "0.03"}]);
    put("/consideration/2/figures", "tiers", tiers);
    put("/consideration/2/figures", "ceiling", json!("800000.00"));
    put("/tax", "withholding_rate_claimed", json!("0.05"));
    put("/tax", "treaty", json!({"with": "CN", "article": "12(2)"}));
    put(
        "/compliance",
        "technology_export",
        json!({"class": "restricted", "catalogue_number": "086501X", "approval_number": "MOFCOM-2026-1"}),
    );
    terms["consideration"].as_array_mut().unwrap().extend(more.as_array().unwrap().iter().cloned());
    Terms::parse(terms.to_string().as_bytes()).unwrap()
}

/// A salt that follows from a label.
pub fn salt(label: &str) -> [u8; 32] {
    *Sha256Digest::of(label.as_bytes()).as_bytes()
}

/// A good statement of each of these kinds.
pub fn bases(alone: &Alone<'_>, other: StatementId) -> Vec<Base> {
    let id = |label: &str| StatementId::of(label.as_bytes());
    let mut all = Vec::new();
    let mut add = |kind, fields, claim: Claim| all.push(alone.says(kind, &claim, fields));

    let terms = whole();
    let terms_id = terms.id().unwrap();
    add("terms", Vec::new(), Claim::Terms(TermsClaim(Box::new(terms))));
    let open = Preset::CommercialRevenueShare.terms().unwrap();
    let mut last = 0;
    let salts = || {
        last += 1;
        salt(&format!("terms {last}"))
    };
    let (sealed, fields) = open.seal(&alone.place("sealed terms", TermsClaim::PREDICATE_TYPE), salts).unwrap();
    add("sealed terms", fields, Claim::Terms(TermsClaim(Box::new(sealed))));

    let mut artefacts = vec![id("one"), id("two"), id("three")];
    let mut under = vec![id("four"), id("five")];
    artefacts.sort_unstable();
    under.sort_unstable();
    let offer = OfferClaim {
        artefacts: artefacts.clone(),
        terms: terms_id,
        licensee: Some(other),
        expires_at: at("2026-06-01T00:00:00.000Z"),
        under: under.clone(),
    };
    add("offer", Vec::new(), Claim::Offer(offer));
    let grant = GrantClaim {
        offer: Some(id("offer")),
        licensor: alone.party,
        licensee: other,
        artefacts,
        terms: terms_id,
        starts_on: "2027-01-31".parse().unwrap(),
        under,
    };
    add("grant", Vec::new(), Claim::Grant(grant));
    for (kind, status, reason) in [
        ("licence suspended", LicenceEvent::Suspended, Some(Ground::NonPayment)),
        ("licence reinstated", LicenceEvent::Reinstated, None),
        ("licence terminated", LicenceEvent::Terminated, Some(Ground::Breach)),
    ] {
        let claim = LicenceStatusClaim { licence: other, seq: 2, prev: id("before"), status, reason };
        add(kind, Vec::new(), Claim::LicenceStatus(claim));
    }
    let fields = vec!["/amount".parse().unwrap(), "/consideration/0/amount".parse().unwrap()];
    add("erased", Vec::new(), Claim::Erased(ErasedClaim { statement: other, fields }));
    all
}

/// Openings in other orders, too few, too many, for another zone, of another field.
pub fn openings(base: &Base) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let honest: Value = serde_json::from_slice(&base.request(&base.payload)).unwrap();
    let fields = honest["openings"]["fields"].as_array().unwrap().clone();
    let send = |fields: Vec<Value>| json::with(&honest, "/openings/fields", json!(fields)).to_string().into_bytes();
    let last = fields.len() - 1;
    let mut swapped = fields.clone();
    let mut same_salt = fields.clone();
    if let [first, second, ..] = fields.as_slice() {
        (swapped[0]["field"], swapped[1]["field"]) = (second["field"].clone(), first["field"].clone());
        same_salt[1]["salt"] = first["salt"].clone();
    }
    let mut without = fields.clone();
    without.remove(last);
    let mut unknown = fields.clone();
    unknown[last]["field"] = json!("/consideration/99/amount");
    for (what, fields) in [
        ("backwards", fields.iter().rev().cloned().collect()),
        ("swapped", swapped),
        ("of one salt", same_salt),
        ("one too few", without),
        ("none", Vec::new()),
        ("one twice", [fields.as_slice(), &fields[..1]].concat()),
        ("of no field", unknown),
        ("many", vec![fields[0].clone(); 512]),
        ("too many", vec![fields[0].clone(); 513]),
    ] {
        all.push((format!("{} openings {what}", base.kind), send(fields)));
    }
    for zone in ["HK", "CN-GBA", "CN", "WORLD", "US", "hk"] {
        let changed = json::with(&honest, "/openings/zone", json!(zone)).to_string();
        all.push((format!("{} openings for {zone}", base.kind), changed.into_bytes()));
    }
    let absent = json::without(&honest, "/openings").to_string();
    all.push((format!("{} without openings", base.kind), absent.into_bytes()));
    all
}

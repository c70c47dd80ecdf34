use proptest::prelude::*;
use serde_json::{Value, json};

use super::generate::terms as generated;
use super::vocabulary::{Language, Vocabulary as _};
use super::*;

/// The published schema.
const SCHEMA: &str = include_str!("../../../docs/formats/terms.schema.json");

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

fn document(preset: Preset) -> Value {
    serde_json::from_str(preset.text()).unwrap()
}

fn parse(value: &Value) -> Result<Terms, StrictError> {
    Terms::parse(value.to_string().as_bytes())
}

/// The document with a value put at a pointer, whose last token may be new.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.insert(name.to_owned(), new)),
        Value::Array(items) if name == "-" => items.push(new),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = new,
        _ => panic!("{parent} has no members"),
    }
    value
}

fn without(mut value: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(name).unwrap()),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => panic!("{parent} has no members"),
    }
    value
}

/// Every place in a document but the root.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return,
    };
    for (name, member) in members {
        let pointer = format!("{at}/{name}");
        all.push(pointer.clone());
        pointers(member, &pointer, all);
    }
}

#[test]
fn every_preset_is_valid_and_comes_back_as_it_was() {
    let schema = schema();
    for preset in Preset::ALL {
        let terms = preset.terms().unwrap_or_else(|error| panic!("{preset:?}: {error}"));
        let value = document(*preset);
        assert_eq!(serde_json::to_value(&terms).unwrap(), value, "{preset:?}");
        assert_eq!(terms.to_string() + "\n", preset.text(), "{preset:?} is not in the form that is written");
        assert!(schema.is_valid(&value), "{preset:?}");
        // The id is that of the canonical form of the document, however it was spelled.
        let canonical = serde_json_canonicalizer::to_vec(&value).unwrap();
        assert_eq!(terms.id().unwrap().as_bytes(), Sha256Digest::of(&canonical).as_bytes());
    }
}

/// `sha256sum` of what `jq -cjS .` writes for the preset, whose members and values are all plain ASCII.
#[test]
fn an_id_is_the_digest_of_the_canonical_form() {
    let id = Preset::EvaluationOnly.terms().unwrap().id().unwrap();
    assert_eq!(id.to_hex(), "648559e96aa56a97b021df5f1054393015930fe2ea3669cdff4d0ae6302a0360");
    assert!(id.shown().to_string().starts_with("trm_"));
    assert!(crate::licence::DeclaredLicence::parse(&id.licence_ref()).is_ok());
}

#[test]
fn what_contradicts_itself_is_refused_at_its_place() {
    use Preset::{
        CommercialPerSeat, CommercialRevenueShare, Copyleft, EvaluationOnly, ExclusiveTerritorial, Permissive,
    };
    let tier = json!({"above_amount": "5000000.00", "rate": "0.04"});
    let mut wrong = Vec::new();
    for (preset, at, value, pointer) in [
        (CommercialRevenueShare, "/consideration/1/figures/rate", json!("1.01"), "/consideration/1/figures/rate"),
        (CommercialRevenueShare, "/consideration/1/figures/rate", json!("0.07250"), "/consideration/1/figures/rate"),
        (
            CommercialRevenueShare,
            "/consideration/1/figures/tiers/-",
            tier,
            "/consideration/1/figures/tiers/1/above_amount",
        ),
        (CommercialRevenueShare, "/consideration/0/figures/amount", json!("100"), "/consideration/0/figures/amount"),
        (CommercialRevenueShare, "/consideration/0/currency", json!("JPY"), "/consideration/0/figures/amount"),
        (CommercialRevenueShare, "/consideration/0/currency", json!("XAU"), "/consideration/0/currency"),
        (CommercialRevenueShare, "/consideration/1/kind", json!("ip_purchase"), "/consideration/0/kind"),
        (CommercialRevenueShare, "/audit", json!({"lookback": "P1Y"}), "/audit/cadence"),
        (
            CommercialRevenueShare,
            "/tax/treaty",
            json!({"with": "CN", "article": "12(2)"}),
            "/tax/withholding_rate_claimed",
        ),
        (CommercialPerSeat, "/consideration/0/unit", json!("cores"), "/metric/0/overage"),
        (CommercialPerSeat, "/metric/0/period", json!("P1M"), "/metric/0/period"),
        (CommercialPerSeat, "/metric/0/cap", json!("0"), "/metric/0/cap"),
        (CommercialPerSeat, "/metric/0/cap", json!(50), "/metric/0/cap"),
        (CommercialPerSeat, "/sublicensing/permission", json!("none"), "/sublicensing/max_depth"),
        (CommercialPerSeat, "/term/perpetual", json!(true), "/term/duration"),
        (CommercialPerSeat, "/term/duration", json!("1 year"), "/term/duration"),
        (CommercialPerSeat, "/term/start", json!("2027-02-29"), "/term/start"),
        (
            CommercialPerSeat,
            "/termination/sublicences",
            json!({"effect": "wind_down"}),
            "/termination/sublicences/period",
        ),
        (EvaluationOnly, "/grant/rights/-", json!("finetune"), "/grant/rights/3"),
        (EvaluationOnly, "/grant/rights/-", json!("distribute"), "/redistribution/forms"),
        (EvaluationOnly, "/grant/rights", json!([]), "/grant/rights"),
        (EvaluationOnly, "/grant/rights/-", json!("use"), "/grant/rights"),
        (EvaluationOnly, "/use_restrictions/codes", json!([]), "/use_restrictions/propagates"),
        (EvaluationOnly, "/exclusivity/scope", json!({}), "/exclusivity/scope"),
        (EvaluationOnly, "/redistribution/notice_text", json!({"en": "A"}), "/redistribution/notice_text"),
        (EvaluationOnly, "/rider", json!({"en": "a\u{202e}b"}), "/rider/en"),
        (EvaluationOnly, "/rider", json!({}), "/rider"),
        (EvaluationOnly, "/tax", json!({"payee_residence": "HK", "associate": false, "gross_up": false}), "/tax"),
        (ExclusiveTerritorial, "/territory/exclude", json!(["US"]), "/territory/exclude/0"),
        (
            ExclusiveTerritorial,
            "/exclusivity/scope/territory",
            json!({"include": ["WORLD"]}),
            "/exclusivity/scope/territory",
        ),
        (ExclusiveTerritorial, "/exclusivity/scope/rights/-", json!("merge"), "/exclusivity/scope/rights/3"),
        (ExclusiveTerritorial, "/exclusivity/scope/duration", json!("P10Y"), "/exclusivity/scope/duration"),
        (
            ExclusiveTerritorial,
            "/exclusivity/scope/field",
            json!({"isic_revision": "4", "include": ["84"]}),
            "/exclusivity/scope/field",
        ),
        (ExclusiveTerritorial, "/grant/grant_type", json!("assignment"), ""),
        (ExclusiveTerritorial, "/field/exclude", json!(["V"]), "/field/exclude/0"),
        (
            ExclusiveTerritorial,
            "/compliance/technology_export",
            json!({"class": "restricted", "catalogue_number": "086501J"}),
            "/compliance/technology_export/catalogue_number",
        ),
        (Permissive, "/derivatives/compatible_terms", json!(["MIT"]), "/derivatives/compatible_terms"),
        (Permissive, "/licence/expression", json!("apache-2.0"), "/licence/expression"),
        (Copyleft, "/derivatives/compatible_terms", json!(["mit"]), "/derivatives/compatible_terms/0"),
        (Copyleft, "/derivatives/compatible_terms", json!(["MIT OR ISC"]), "/derivatives/compatible_terms/0"),
        (Copyleft, "/derivatives/allowed", json!(false), "/grant/rights/2"),
        (
            Copyleft,
            "/consideration",
            json!([{"kind": "upfront_lump_sum", "currency": "HKD", "figures": {"amount": "1.00"}}]),
            "/law",
        ),
        (Copyleft, "/schema", json!("chopmark.terms/v2"), "/schema"),
        (Copyleft, "/extra", json!(1), "/extra"),
    ] {
        let changed = with(document(preset), at, value.clone());
        let found = parse(&changed).map_or_else(|error| error.pointer, |_| String::new());
        if found != pointer {
            wrong.push(format!("{preset:?} with {value} at {at}: {found:?} instead of {pointer:?}"));
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
    let twice = Preset::Permissive.text().replacen("\"grant\":", "\"grant\": 1, \"grant\":", 1);
    assert!(Terms::parse(twice.as_bytes()).is_err(), "a member that stands there twice");
    let large = format!("{}{}", Preset::Permissive.text(), " ".repeat(TERMS_SIZE_BYTES_MAX));
    assert!(Terms::parse(large.as_bytes()).is_err());
}

#[test]
fn sealed_figures_take_the_place_of_open_ones() {
    let hex = "07".repeat(32);
    let sealed = json!({"amount": hex, "rate": hex, "tiers": hex, "ceiling": hex});
    let value = without(document(Preset::CommercialRevenueShare), "/consideration/1/figures");
    assert_eq!(parse(&value).unwrap_err().pointer, "/consideration/1");
    let value = with(value, "/consideration/1/sealed", sealed.clone());
    let terms = parse(&value).unwrap();
    assert!(terms.is_sealed() && schema().is_valid(&value));
    assert!(
        terms.summary(Language::English).unwrap().to_string().contains("A confidential share (in HKD) of net revenue")
    );
    // Every field has a commitment, so that none shows by being left out.
    for member in ["amount", "rate", "tiers", "ceiling"] {
        let partial = without(value.clone(), &format!("/consideration/1/sealed/{member}"));
        assert_eq!(parse(&partial).unwrap_err().pointer, "/consideration/1/sealed", "{member}");
        assert!(!schema().is_valid(&partial));
    }
    let both = with(document(Preset::CommercialRevenueShare), "/consideration/1/sealed", sealed);
    assert_eq!(parse(&both).unwrap_err().pointer, "/consideration/1");
}

/// The schema knows shapes; rules between clauses are in words on the page of terms. So whatever it refuses is refused,
/// and whatever is refused for its shape it refuses, too.
fn compare_with_schema(schema: &jsonschema::Validator, value: &Value) -> bool {
    let text = value.to_string();
    let shape = strict::from_slice::<Terms>(text.as_bytes());
    let accepts = schema.is_valid(value);
    if !accepts {
        assert!(Terms::parse(text.as_bytes()).is_err(), "only the schema refuses {text}");
    }
    if let Err(error) = &shape {
        assert!(!accepts, "the schema accepts what has the wrong shape ({error}): {text}");
    }
    accepts
}

#[test]
fn the_schema_agrees_with_the_parser_on_mutations() {
    let schema = schema();
    let others = [
        json!(null),
        json!(true),
        json!(7),
        json!("x"),
        json!(""),
        json!([]),
        json!({}),
        json!(["use"]),
        json!("none"),
        json!("P1Y"),
        json!("HK"),
        json!("2027-02-28"),
        json!("100.00"),
        json!("0.5"),
    ];
    let (mut tried, mut refused) = (0, 0);
    for preset in Preset::ALL {
        let whole = document(*preset);
        let mut places = Vec::new();
        pointers(&whole, "", &mut places);
        for place in &places {
            let replaced = others.iter().map(|other| with(whole.clone(), place, other.clone()));
            let mut changed: Vec<Value> = replaced.chain([without(whole.clone(), place)]).collect();
            match whole.pointer(place) {
                Some(Value::Object(_)) => changed.push(with(whole.clone(), &format!("{place}/extra"), json!("x"))),
                Some(Value::Array(items)) if !items.is_empty() => {
                    changed.push(with(whole.clone(), &format!("{place}/-"), items[0].clone()));
                }
                Some(Value::String(text)) => {
                    changed.push(with(whole.clone(), place, json!(text.to_uppercase())));
                    changed.push(with(whole.clone(), place, json!(format!("{text} "))));
                    changed.push(with(whole.clone(), place, json!(format!("{text}0"))));
                }
                _ => {}
            }
            for value in changed {
                tried += 1;
                refused += usize::from(!compare_with_schema(&schema, &value));
            }
        }
    }
    println!("{tried} mutations, {refused} refused by the schema");
    assert!(tried > 5_000 && refused > tried / 2, "{refused} of {tried}");
}

#[test]
fn the_schema_lists_exactly_the_vocabularies() {
    fn same<T: vocabulary::Vocabulary>(schema: &Value, name: &str) {
        let listed: Vec<&str> =
            schema["$defs"][name]["enum"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        let ours: Vec<&str> = T::ALL.iter().map(|value| value.as_str()).collect();
        assert_eq!(listed, ours, "{name}");
    }
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    same::<vocabulary::GrantType>(&schema, "grant_type");
    same::<vocabulary::Right>(&schema, "right");
    same::<vocabulary::ExclusivityKind>(&schema, "exclusivity_kind");
    same::<vocabulary::Permission>(&schema, "permission");
    same::<vocabulary::RenewalMode>(&schema, "renewal_mode");
    same::<vocabulary::MetricKind>(&schema, "metric_kind");
    same::<vocabulary::Overage>(&schema, "overage");
    same::<vocabulary::ShareAlike>(&schema, "share_alike");
    same::<vocabulary::OutputOwner>(&schema, "output_owner");
    same::<vocabulary::UseRestriction>(&schema, "use_restriction");
    same::<vocabulary::Form>(&schema, "form");
    same::<vocabulary::ConsiderationKind>(&schema, "consideration_kind");
    same::<vocabulary::Milestone>(&schema, "milestone");
    same::<vocabulary::RevenueBase>(&schema, "revenue_base");
    same::<vocabulary::Forum>(&schema, "forum");
    same::<vocabulary::Language>(&schema, "language");
    same::<vocabulary::Ground>(&schema, "ground");
    same::<vocabulary::EndEffect>(&schema, "end_effect");
    same::<vocabulary::TechnologyExportClass>(&schema, "technology_export_class");
    let codes = |name: &str| -> Vec<&str> {
        schema["$defs"][name]["enum"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
    };
    assert_eq!(codes("country"), crate::code::Jurisdiction::all().collect::<Vec<_>>());
    let mut currencies: Vec<&str> = crate::money::Currency::codes().collect();
    currencies.sort_unstable();
    assert_eq!(codes("currency"), currencies);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn generated_terms_are_valid_and_come_back_as_they_were(terms in generated()) {
        let value = serde_json::to_value(&terms).unwrap();
        prop_assert_eq!(terms.validate(), Ok(()));
        prop_assert!(compare_with_schema(&schema(), &value));
        prop_assert_eq!(&parse(&value).unwrap(), &terms);
        let canonical = serde_json_canonicalizer::to_vec(&value).unwrap();
        prop_assert_eq!(terms.id().unwrap().to_hex(), Sha256Digest::of(&canonical).to_hex());
        for language in Language::ALL {
            let summary = terms.summary(*language).unwrap().to_string();
            prop_assert!(!summary.contains('{'), "{}", summary);
        }
    }
}

/// The summaries were read through in all three languages; whatever changes in them is to be read again.
#[test]
fn summaries_of_presets_read_as_they_were_approved() {
    let mut changed = Vec::new();
    for preset in Preset::ALL {
        let terms = preset.terms().unwrap();
        for language in Language::ALL {
            let summary = terms.summary(*language).unwrap().to_string();
            let name = format!("{}.{}.txt", preset.as_str(), language.as_str());
            if Some(summary.as_str()) != approved(&name) {
                println!("=== {name}\n{summary}===");
                changed.push(name);
            }
        }
    }
    assert_eq!(changed, [""; 0]);
}

macro_rules! approved {
    ($($name:literal),+ $(,)?) => {
        fn approved(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("summaries/", $name))),)+
                _ => None,
            }
        }
    };
}

approved!(
    "permissive.en.txt",
    "permissive.zh-Hant.txt",
    "permissive.zh-Hans.txt",
    "copyleft.en.txt",
    "copyleft.zh-Hant.txt",
    "copyleft.zh-Hans.txt",
    "openrail.en.txt",
    "openrail.zh-Hant.txt",
    "openrail.zh-Hans.txt",
    "evaluation-only.en.txt",
    "evaluation-only.zh-Hant.txt",
    "evaluation-only.zh-Hans.txt",
    "commercial-per-seat.en.txt",
    "commercial-per-seat.zh-Hant.txt",
    "commercial-per-seat.zh-Hans.txt",
    "commercial-revenue-share.en.txt",
    "commercial-revenue-share.zh-Hant.txt",
    "commercial-revenue-share.zh-Hans.txt",
    "exclusive-territorial.en.txt",
    "exclusive-territorial.zh-Hant.txt",
    "exclusive-territorial.zh-Hans.txt",
);

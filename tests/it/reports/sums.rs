//! Sums over a jurisdiction: kept beside the read tables, and always what the engine's own lines add up to.

use std::collections::BTreeMap;

use chopmark_core::erased::ErasedClaim;
use chopmark_core::kind::Claim;
use chopmark_core::money::Amount;
use serde_json::{Value, json};

use super::books::{Books, Company, figures};
use super::{REASON, audit_and_rebuild, file, made};
use crate::harness::{Home, Service, place};
use crate::sealed::{get_as, officer, token_made};

/// Sums by year, type and section.
type Sums = BTreeMap<(String, String, String), BTreeMap<String, Amount>>;

const KINDS: [&str; 4] = ["deduction", "receipt", "withholding", "concession"];

/// What the engine's lines of everybody's own report add up to.
fn added(service: &Service, officer: &str, companies: &[&Company]) -> Sums {
    let mut sums = Sums::new();
    for company in companies {
        let view = made(service, officer, &json!({ "taxpayer": company.author.party.to_hex() }), None);
        let report: Value = serde_json::from_slice(&file(service, officer, &view["id"])).unwrap();
        for line in report["report"]["lines"].as_array().unwrap() {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let cell = sums.entry((text("year"), text("ip_type"), text("section"))).or_default();
            for kind in KINDS {
                let amount = if text("kind") == kind { Amount::parse(&text("amount")).unwrap() } else { Amount::ZERO };
                let sum = cell.entry(kind.to_owned()).or_default();
                *sum = sum.plus(amount).unwrap();
            }
        }
    }
    sums
}

/// What the summary says.
fn summed(summary: &Value) -> Sums {
    let cells = summary["cells"].as_array().unwrap().iter().map(|cell| {
        let text = |name: &str| cell[name].as_str().unwrap_or_default().to_owned();
        let totals = KINDS
            .iter()
            .map(|kind| ((*kind).to_owned(), Amount::parse(cell["totals"][kind].as_str().unwrap()).unwrap()));
        ((text("year"), text("ip_type"), text("section")), totals.collect())
    });
    cells.collect()
}

/// What tells the kept sums of a company from those of any other time: the nonce they are encrypted with.
fn version(service: &Service, company: &Company) -> String {
    let party = company.author.party.to_hex();
    let row =
        format!("SELECT encode(substring(sealed FOR 24), 'hex') FROM vault.report_sum WHERE party = '\\x{party}'");
    service.sql(&row).unwrap()
}

#[test]
fn the_sums_are_always_what_the_lines_add_up_to() {
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--retention-days", "0"]).unwrap();
    let companies = ["sums a", "sums b", "sums c"].map(|name| Company::new(&service, name));
    let [one, two, three] = &companies;
    let all: Vec<&Company> = companies.iter().collect();
    let officer = officer(&service, "HK");
    let summary = || {
        let answer = get_as(&service, &format!("/v1/reports/ip-expenditure/summary?{REASON}"), &officer);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let empty = summary();
    assert_eq!((&empty["taxpayers"], &empty["cells"]), (&0.into(), &json!([])));

    let (mut books, mut others) = (Books::of(&service, one), Books::of(&service, two));
    books.profile();
    let right = books.asset("專利");
    let purchase = books.purchase(two, right, "S-1", &figures("3000.03", "HKD"));
    let foreign = others.royalty("Licensor", "US", "S-2", &figures("100.00", "USD"));
    let compare = |label: &str, taxpayers: u64| {
        let summary = summary();
        assert_eq!(summed(&summary), added(&service, &officer, &all), "{label}");
        assert_eq!((&summary["taxpayers"], &summary["left_out"]), (&taxpayers.into(), &json!([])), "{label}");
        summary
    };
    compare("payments", 2);
    // Each of these changes what the sums of somebody are, who need not be the one that says it.
    others.rate("USD", "7.75", "2026-04-30");
    let rated = compare("a rate of one's own", 2);
    books.used(right, "2026/27", "1");
    let used = compare("a use", 2);
    assert_ne!(rated["totals"], used["totals"]);
    let of_first = version(&service, one);
    others.endorse(purchase);
    compare("an endorsement", 2);
    assert_ne!(version(&service, one), of_first, "it counts for the payer");
    books.royalty("Licensor", "GB", "S-3", &figures("77.77", "HKD"));
    let mut third = Books::of(&service, three);
    let mistaken = third.royalty("Licensor", "GB", "S-4", &figures("1.00", "HKD"));
    compare("a new taxpayer", 3);
    // What somebody else pays a party that the first one has paid, too, is no reason to compute the first one again.
    let (of_first, of_second) = (version(&service, one), version(&service, two));
    third.royalty_to(two, "S-6", &figures("500.00", "HKD"));
    compare("a payment to a partner", 3);
    assert_eq!(version(&service, one), of_first);
    assert_ne!(version(&service, two), of_second);
    // Another profile of that party is one.
    others.profile();
    compare("a profile of a partner", 3);
    assert_ne!(version(&service, one), of_first);
    third.reverse(mistaken);
    others.correct_royalty(foreign, "Licensor", "US", "S-2", &figures("120.00", "USD"));
    let corrected = compare("corrections", 3);
    assert_eq!(summary(), corrected, "asked again at the same size");
    // A right of somebody who is on neither side of the payment for it.
    let owner = Company::new(&service, "sums owner");
    let mut owners = Books::of(&service, &owner);
    let theirs = owners.asset("他人的版權");
    books.royalty_for(two, theirs, "S-9", &figures("30.00", "HKD"));
    let named = compare("a right of a third party", 3);
    let patent = owners.make_patent(theirs, "他人的版權");
    let retyped = compare("a correction by a third party", 3);
    assert_ne!(retyped["cells"], named["cells"], "the same sums, of another type");
    owners.reverse_after(theirs, patent);
    let corrected = compare("a reversal by a third party", 3);
    assert_ne!(corrected["totals"], retyped["totals"]);
    // One year of it.
    let year =
        get_as(&service, &format!("/v1/reports/ip-expenditure/summary?{REASON}&year=2026%2F27"), &officer).json();
    let of_year = corrected["cells"].as_array().unwrap().iter().filter(|cell| cell["year"] == "2026/27");
    assert_eq!(year["cells"].as_array().unwrap().len(), of_year.count());

    // They are kept, one for each, and nothing is lost with them.
    assert_eq!(service.sql("SELECT count(*) FROM vault.report_sum").unwrap(), "3");
    service.sql("TRUNCATE vault.report_sum").unwrap();
    books.royalty("Licensor", "GB", "S-5", &figures("0.01", "HKD"));
    compare("made anew", 3);
    let erased = books.royalty("Licensor", "GB", "S-7", &figures("5.00", "HKD"));
    let with = compare("before an erasure", 3);
    let fields = ["/amount", "/currency", "/fees", "/fx_rate", "/met_by_others", "/withheld"];
    let fields = fields.map(|name| name.parse().unwrap()).to_vec();
    books.say(Claim::Erased(ErasedClaim { statement: erased, fields }));
    assert_ne!(compare("an erasure", 3)["totals"], with["totals"]);
    assert_eq!(audit_and_rebuild(&service), ("clean".into(), 0.into()));

    // Auditors only where that was said when their token was made; officers of the place; parties never.
    let path = format!("/v1/reports/ip-expenditure/summary?{REASON}&jurisdiction=HK");
    let usual = token_made(&service, &["--role", "auditor"]).0;
    let allowed = token_made(&service, &["--role", "auditor", "--scope", "summaries"]).0;
    assert_eq!(get_as(&service, &path, &usual).status, 401);
    let seen = get_as(&service, &path, &allowed);
    assert_eq!((seen.status, summed(&seen.json())), (200, summed(&summary())));
    let without = get_as(&service, "/v1/reports/ip-expenditure/summary?jurisdiction=HK", &allowed);
    assert_eq!((without.status, &without.problem()["code"]), (400, &"reason_needed".into()));
    assert_eq!(get_as(&service, &path, &crate::sealed::officer(&service, "SG")).status, 404);
    let recorded = service.sql("SELECT count(*) FROM vault.access WHERE role = 'auditor'").unwrap();
    assert_eq!(recorded, "1");

    // With a new master key they stay what they are, wrapped anew.
    let (first, others) = (version(&service, one), [two, three].map(|company| version(&service, company)));
    let keys = service.sql("SELECT string_agg(DISTINCT key_id, ' ') FROM vault.report_sum").unwrap();
    let data = service.directory.to_str().unwrap();
    let (code, rotated) = Home::new().json(&["vault", "rotate", "--data-dir", data, "--destroy-old"]);
    assert_eq!(code, 0, "{rotated}");
    books.royalty("Licensor", "GB", "S-8", &figures("0.02", "HKD"));
    compare("after a rotation", 3);
    assert_ne!(version(&service, one), first);
    assert_eq!([two, three].map(|company| version(&service, company)), others);
    assert_ne!(service.sql("SELECT string_agg(DISTINCT key_id, ' ') FROM vault.report_sum").unwrap(), keys);
    service.stop();
}

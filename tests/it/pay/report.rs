//! Three companies, two currencies: through the binary and a service into a report, which is checked, explained, added up
//! again by a second program, and refused in a thousand damaged forms.
//!
//! The report is also put together here, from what the service shows and with its log key: to the byte the one it makes.

use std::fs;
use std::process::Command;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{Query, TreeHead, compute, document, verify};
use chopmark_core::expenditure::{Evidence, Item};
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::sealed::Opening;
use chopmark_core::statement::{Envelope, StatementId};
use chopmark_core::tax::jurisdiction;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::harness::{Home, Ran, Service, place};
use crate::shared;

/// Kinds of statement that a report may rest on.
const KINDS: &str = "policy party key asset expenditure use relation tax_profile fx_rate correction endorsement";

/// A service that only this story has written to.
struct Story {
    service: Service,
    alpha: (Home, String),
    beta: (Home, String),
    gamma: (Home, String),
    operator: Home,
}

impl Story {
    fn at(&self, home: &Home, arguments: &[&str]) -> Value {
        let (code, document) = home.json(&[arguments, &["--url", self.service.url()]].concat());
        assert_eq!(code, 0, "{arguments:?}: {document}");
        document
    }

    fn company(service: &Service, name: &str, place: &str, more: &[&str]) -> (Home, String) {
        let home = Home::new();
        assert_eq!(home.json(&["key", "new"]).0, 0);
        let register = ["party", "register", "--name-en", name, "--jurisdiction", place, "--url", service.url()];
        let (code, registered) = home.json(&[&register[..], more].concat());
        assert_eq!(code, 0, "{registered}");
        (home, registered["party_id"].as_str().unwrap().to_owned())
    }

    fn new(place: &std::path::Path) -> Self {
        let service = Service::start(place);
        let alpha = Self::company(&service, "Alpha Limited", "HK", &["--brn", "12345678"]);
        let beta = Self::company(&service, "Beta Limited", "HK", &[]);
        let gamma = Self::company(&service, "Gamma Inc", "US", &[]);
        Self { service, alpha, beta, gamma, operator: Home::new() }
    }

    /// Records a payment of Alpha's, with a document of its own; its id.
    fn pay(&self, nature: &str, document: &str, on: &str, figures: [&str; 2], more: &[&str]) -> String {
        let alpha = &self.alpha.0;
        let file = format!("{}.pdf", document.replace(' ', "-"));
        fs::write(alpha.file(&file), document).unwrap();
        let record = ["pay", "record", "--nature", nature, "--document", document, "--date", on, "--file", &file];
        let [amount, currency] = figures;
        let figures = ["--amount", amount, "--currency", currency];
        let recorded = self.at(alpha, &[&record[..], &figures, more].concat());
        recorded["id"].as_str().unwrap().to_owned()
    }

    /// Everything that happens.
    fn tell(&self) {
        let (alpha, beta, gamma) = (&self.alpha, &self.beta, &self.gamma);
        self.at(
            &alpha.0,
            &["tax", "profile", "--from", "2025/26", "--brn", "12345678", "--file-number", "22/12345678"],
        );
        let relation = ["tax", "relation", "--with", &alpha.1, "--relation", "common_control", "--from", "2020-01-01"];
        self.at(&beta.0, &relation);
        let key = self.service.directory.join("keys/operator.key");
        let rate = ["tax", "rate", "--from", "USD", "--rate", "7.8", "--source", "IRD, closing rate, March 2026"];
        let rest = ["--date", "2026-03-31", "--as-operator", "--key", key.to_str().unwrap()];
        self.at(&self.operator, &[&rate[..], &rest].concat());

        let asset = |name: &str, ip_type: &str, more: &[&str]| {
            let register = ["asset", "register", "--name-en", name, "--ip-type", ip_type, "--jurisdiction", "HK"];
            let registered = self.at(&alpha.0, &[&register[..], &["--registered", "true"], more].concat());
            registered["id"].as_str().unwrap().to_owned()
        };
        let mark = asset("ALPHA", "registered_trade_mark", &["--number", "300000001"]);
        let copyright = asset("Code", "copyright", &[]);
        let patent = asset("Valve", "patent_right", &["--number", "HK1234567"]);
        let bought = |asset: &str, from: &(Home, String), document: &str, on: &str, figures: [&str; 2]| {
            let payment = self.pay("purchase", document, on, figures, &["--asset", asset, "--payee", &from.1]);
            self.at(&from.0, &["pay", "confirm", &payment]);
        };
        bought(&mark, gamma, "G-1", "2026-05-02", ["1000000.00", "HKD"]);
        self.at(&alpha.0, &["tax", "use", "--asset", &mark, "--year", "2026/27", "--fraction", "0.8"]);
        bought(&copyright, beta, "B-1", "2026-06-01", ["500000.00", "HKD"]);
        bought(&patent, gamma, "G-2", "2026-04-10", ["100000.00", "USD"]);
        let outside = ["--payer-name", "Delta GmbH", "--payer-jurisdiction", "DE", "--asset", &patent];
        self.pay("disposal", "A-1", "2027-06-01", ["300000.00", "HKD"], &outside);
        let to_gamma = ["--payee", gamma.1.as_str(), "--ip-type", "copyright"];
        let royalty = self.pay("royalty", "G-3", "2026-09-30", ["50000.00", "USD"], &to_gamma);
        self.at(&gamma.0, &["pay", "confirm", &royalty]);
        let registry = ["--payee-name", "Trade Marks Registry", "--payee-jurisdiction", "HK", "--asset", &mark];
        let fee = self.pay("registration", "R-1", "2026-07-01", ["20000.00", "HKD"], &registry);
        self.at(&alpha.0, &["pay", "correct", &fee, "--reason", "amount", "--amount", "2000.00"]);
        let twice = self.pay("royalty", "G-3 copy", "2026-09-30", ["50000.00", "USD"], &to_gamma);
        self.at(&alpha.0, &["pay", "correct", &twice, "--reason", "duplicate", "--reverse"]);
    }

    /// A party's token.
    fn token(&self, home: &Home) -> String {
        let logged_in = self.at(home, &["token", "login"]);
        format!("Bearer {}", logged_in["token"].as_str().unwrap())
    }

    /// The evidence about Alpha, with the inclusion path of each entry, and the tree.
    fn evidence(&self) -> (Vec<Item>, Vec<Vec<Sha256Digest>>, TreeHead) {
        let token = self.token(&self.alpha.0);
        let ids = self.service.sql("SELECT encode(statement_id, 'hex') FROM log.entry ORDER BY idx").unwrap();
        let (mut items, mut paths, mut root) = (Vec::new(), Vec::new(), None);
        let size = shared::size(&self.service);
        for id in ids.lines() {
            let shown = self.service.get(&format!("/v1/statements/{id}")).json();
            let (kind, index) = (shown["kind"].as_str().unwrap(), shown["index"].as_u64().unwrap());
            if !KINDS.split(' ').any(|known| known == kind) || (kind == "policy" && index > 0) {
                continue;
            }
            let receipt = self.service.get(&format!("/v1/statements/{id}/receipt")).json();
            assert_eq!(receipt["size"], size, "{receipt}");
            let hash = |text: &str| {
                let bytes: [u8; 32] = BASE64.decode(text.as_bytes()).unwrap().try_into().unwrap();
                Sha256Digest::from_bytes(bytes)
            };
            root = receipt["checkpoint"].as_str().unwrap().lines().nth(2).map(hash);
            paths.push(receipt["path"].as_array().unwrap().iter().map(|text| hash(text.as_str().unwrap())).collect());
            let envelope = Envelope::from_value(&shown["envelope"]).unwrap();
            let headers = [("Authorization", token.as_str())];
            let opened = self.service.get_with(&format!("/v1/statements/{id}/openings"), &headers);
            let openings: Vec<Opening> = match opened.status {
                200 => serde_json::from_value(opened.json()["fields"].clone()).unwrap(),
                _ => Vec::new(),
            };
            items.push(Item { index, envelope, openings });
        }
        let registry = shared::registry(&self.service).0;
        (items, paths, TreeHead { registry, size, root: root.unwrap() })
    }

    /// The same by asking the service: Alpha with its key, an officer for a case, nobody else; and later as of the same size.
    fn asked(&self) -> Vec<u8> {
        const FILE: &str = "ip-2026-27-to-2027-28.json";
        let (alpha, url) = (&self.alpha.0, self.service.url());
        let ask = ["report", "ip-expenditure", "--taxpayer", "12345678", "--year", "2026/27", "--year", "2027/28"];
        let whole =
            [&ask[..], &["--format", "json,csv,xlsx", "--lang", "zh-Hant", "--bom", "--out", "reports"]].concat();
        let made = self.at(alpha, &whole);
        assert_eq!((&made["lines"], made["files"].as_array().unwrap().len()), (&json!(8), 5), "{made}");
        let read = |directory: &str| fs::read(alpha.file(directory).join(FILE)).unwrap();
        let bytes = read("reports");
        assert_eq!(made["id"], json!(Sha256Digest::of(&bytes)));
        let (code, again) = alpha.json(&[&whole[..], &["--url", url]].concat());
        assert_eq!(code, 2, "nothing is overwritten: {again}");
        let file = format!("reports/{FILE}");
        let checked = self.at(alpha, &["report", "verify", &file, "--online"]);
        assert_eq!(checked["made_again"], json!(true), "{checked}");
        assert!(fs::read(alpha.file("reports/ip-2026-27-to-2027-28.csv")).unwrap().starts_with(b"\xef\xbb\xbf"));
        assert_eq!(alpha.json(&[&ask[..], &["--bom", "--out", "bom", "--url", url]].concat()).0, 2, "only of CSV");
        exports(alpha, &made);
        let (code, other) = self.gamma.0.json(&[&ask[..], &["--out", "r", "--url", url]].concat());
        assert_eq!(code, 5, "{other}");

        let data = self.service.directory.to_str().unwrap();
        let token = ["token", "new", "--role", "officer", "--jurisdiction", "HK", "--name", "desk", "--data-dir", data];
        let (code, token) = self.operator.json(&token);
        assert_eq!(code, 0, "{token}");
        let officer = |more: &[&str]| {
            let arguments = [&ask[..], &["--out", "case", "--json", "--url", url], more].concat();
            let mut command = alpha.command(&arguments);
            Ran::of(command.env("CHOPMARK_TOKEN", token["token"].as_str().unwrap()).output().unwrap())
        };
        let refused = officer(&[]).document();
        assert_eq!(refused["error"]["code"], json!("reason_needed"), "{refused}");
        let given = officer(&["--case", "C-2026-17", "--purpose", "field audit"]);
        assert_eq!(given.code, 0, "{given:?}");
        assert_eq!(read("case"), bytes);

        // What is entered later changes nothing of what was at that size.
        let later = ["tax", "relation", "--with", &self.alpha.1, "--relation", "partner", "--from", "2020-01-01"];
        let size = made["size"].to_string();
        self.at(&self.gamma.0, &later);
        // Who names nobody asks for itself.
        let own = [&ask[..2], &ask[4..]].concat();
        self.at(alpha, &[&own[..], &["--as-of", &size, "--out", "later"]].concat());
        assert_eq!(read("later"), bytes);
        bytes
    }

    /// The report on Alpha for two years, as the service's key signs it.
    fn report(&self) -> Vec<u8> {
        let (items, paths, head) = self.evidence();
        let taxpayer: StatementId = self.alpha.1.parse().unwrap();
        let years = ["2026/27", "2027/28"].map(|year| year.parse().unwrap()).to_vec();
        let query = Query { years, ..Query::all(taxpayer) };
        let evidence = Evidence::gather(taxpayer, head.size, &items).unwrap();
        let hong_kong = jurisdiction("hk").unwrap();
        let report = compute(&evidence, &query, hong_kong, &hong_kong.rules().unwrap()).unwrap();
        let key = fs::read_to_string(self.service.directory.join("keys/log.key")).unwrap();
        let seed = key.lines().find_map(|line| line.strip_prefix("chopmark-key-v1 ")).unwrap();
        let seed: [u8; 32] = BASE64.decode(seed.as_bytes()).unwrap().try_into().unwrap();
        let signer = NoteSigner::new(head.registry.origin.as_str(), SigningKey::from_bytes(&seed)).unwrap();
        document(&report, &head, &items, &paths, &signer).unwrap()
    }
}

/// Each export is checked with the signature beside it, alone and beside its report; with a byte otherwise it is refused.
fn exports(home: &Home, made: &Value) {
    let stranger = Home::new();
    fs::copy(home.config().join("trust.toml"), stranger.file("policy.toml")).unwrap();
    let json = "ip-2026-27-to-2027-28.json";
    for (name, form) in
        [("ip-2026-27-to-2027-28.csv", "csv+bom zh-Hant"), ("ip-2026-27-to-2027-28.xlsx", "xlsx zh-Hant")]
    {
        let verify = || stranger.json(&["report", "verify", name, "--trust", "policy.toml"]);
        for file in [name.to_owned(), format!("{name}.sig")] {
            fs::copy(home.file("reports").join(&file), stranger.file(&file)).unwrap();
        }
        let (code, alone) = verify();
        assert_eq!((code, &alone["form"], &alone["report"]), (0, &json!(form), &made["id"]), "{alone}");
        assert_eq!((&alone["size"], &alone["root"]), (&made["size"], &made["root"]), "{alone}");
        assert_eq!(alone["report_verified"], json!(false));
        fs::copy(home.file("reports").join(json), stranger.file(json)).unwrap();
        assert_eq!(verify().1["report_verified"], json!(true));
        fs::write(stranger.file(json), "{}").unwrap();
        let (code, refused) = verify();
        assert_eq!((code, &refused["error"]["code"]), (6, &json!("report_not_signed")), "{refused}");
        fs::remove_file(stranger.file(json)).unwrap();
        let mut bytes = fs::read(stranger.file(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(stranger.file(name), bytes).unwrap();
        let (code, refused) = verify();
        assert_eq!((code, &refused["error"]["code"]), (6, &json!("report_not_signed")), "{refused}");
        let policy = fs::read_to_string(stranger.file("policy.toml")).unwrap();
        let strict = policy.replace("allow_registry_asserted = true", "allow_registry_asserted = false");
        fs::write(stranger.file("strict.toml"), strict).unwrap();
        assert_eq!(stranger.json(&["report", "verify", name, "--trust", "strict.toml"]).0, 9);
    }
}

/// `(year, kind, section, amount)` of each line, sorted.
fn figures(report: &Value) -> Vec<[String; 4]> {
    let lines = report["report"]["lines"].as_array().unwrap().iter();
    let mut figures: Vec<[String; 4]> = lines
        .map(|line| ["year", "kind", "section", "amount"].map(|name| line[name].as_str().unwrap().to_owned()))
        .collect();
    figures.sort();
    figures
}

/// What the second program, which shares no code with this one, makes of a report.
fn added_up(path: &std::path::Path) -> Value {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("independent/report.py");
    let output = Command::new("python3").arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn three_companies_end_in_a_report_that_anybody_can_check() {
    let place = place();
    let story = Story::new(place.path());
    story.tell();
    let by_hand = story.report();
    let bytes = story.asked();
    assert_eq!(bytes, by_hand, "what the service makes is what anybody makes of the same entries");
    let home = &story.alpha.0;
    fs::write(home.file("ip.json"), &bytes).unwrap();
    let report: Value = serde_json::from_slice(&bytes).unwrap();
    // Worked out by hand: 1,000,000 ÷ 5 × 0.8; nothing from an associate; US$100,000 × 7.8 at once; US$50,000 × 7.8 as
    // incurred, × 30% × 16.5% to be withheld; the corrected fee; then a lost slice, and min(300,000, 780,000) from the sale.
    let mut expected = [
        ["2026/27", "deduction", "16EA(3)", "160000.00"],
        ["2026/27", "denied", "16EC(2)", "0.00"],
        ["2026/27", "deduction", "16E(1)", "780000.00"],
        ["2026/27", "deduction", "16(1)", "390000.00"],
        ["2026/27", "withholding", "15(1)(b), 21A", "19305.00"],
        ["2026/27", "deduction", "16(1)(g)", "2000.00"],
        ["2027/28", "denied", "16EA(6)", "0.00"],
        ["2027/28", "receipt", "16E(3)", "300000.00"],
    ]
    .map(|line| line.map(str::to_owned));
    expected.sort();
    assert_eq!(figures(&report), expected);
    assert_eq!(report["report"]["set_aside"], json!([]));
    let mut flags: Vec<&str> =
        report["report"]["flags"].as_array().unwrap().iter().map(|flag| flag["code"].as_str().unwrap()).collect();
    flags.sort_unstable();
    flags.dedup();
    assert_eq!(flags, ["ASSOCIATE_SELLER", "NEEDS_REVIEW", "NO_WITHHOLDING", "UNCONFIRMED"]);
    let added = added_up(&home.file("ip.json"));
    assert_eq!(
        added,
        json!({
            "lines": 8,
            "payments_converted": 6,
            "totals": { "deduction": "1332000.00", "receipt": "300000.00", "withholding": "19305.00", "concession": "0.00" },
            "ip_types": { "patent_right": "780000", "registered_trade_mark": "160000" },
        })
    );

    // Whoever has the file, a policy and the binary needs nothing else.
    story.service.stop();
    let stranger = Home::new();
    fs::write(stranger.file("ip.json"), &bytes).unwrap();
    fs::copy(home.config().join("trust.toml"), stranger.file("policy.toml")).unwrap();
    let verify_it = ["report", "verify", "ip.json", "--trust", "policy.toml"];
    let (code, verified) = stranger.json(&verify_it);
    assert_eq!((code, &verified["lines"], &verified["totals"]), (0, &json!(8), &added["totals"]), "{verified}");
    assert_eq!(verified["id"], json!(Sha256Digest::of(&bytes)));
    let words = stranger.run(&verify_it);
    assert!(words.stdout.contains("VERIFIED: 8 lines") && words.stdout.contains("nothing was left out"), "{words:?}");
    let (code, untrusted) = stranger.json(&["report", "verify", "ip.json"]);
    assert_eq!(code, 9, "{untrusted}");
    let policy = fs::read_to_string(stranger.file("policy.toml")).unwrap();
    fs::write(
        stranger.file("strict.toml"),
        policy.replace("allow_registry_asserted = true", "allow_registry_asserted = false"),
    )
    .unwrap();
    let (code, refused) = stranger.json(&["report", "verify", "ip.json", "--trust", "strict.toml"]);
    assert_eq!((code, &refused["error"]["code"]), (9, &json!("refused_by_policy")), "{refused}");

    // A line, down to the document's digest and who signed.
    let lines = report["report"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["section"] == "16E(1)").unwrap();
    let number = line["line"].to_string();
    let explain = ["report", "explain", "ip.json", "--line", &number, "--trust", "policy.toml"];
    let (code, explained) = stranger.json(&explain);
    assert_eq!(code, 0, "{explained}");
    let [rate, entry] = explained["entries"].as_array().unwrap().as_slice() else { panic!("{explained}") };
    assert_eq!(rate["says"], json!("1 USD = 7.8 HKD, of 2026-03-31; source: IRD, closing rate, March 2026"));
    assert_eq!((&entry["document"], &entry["opened"]["amount"]), (&json!("G-2"), &json!("100000.00")), "{explained}");
    assert_eq!(entry["file"], json!(Sha256Digest::of(b"G-2")));
    assert_eq!(
        (&entry["signers"][0]["name"], &entry["endorsed_by"][0]["name"]),
        (&json!("Alpha Limited"), &json!("Gamma Inc"))
    );
    assert_eq!((&explained["line"]["citation"], &explained["line"]["steps"]), (&line["citation"], &line["steps"]));
    let words = stranger.run(&explain);
    for part in ["1 USD = 7.8 HKD", "G-2, SHA-256", "signed by", "confirmed", "780000.00"] {
        assert!(words.stdout.contains(part), "{part}: {words:?}");
    }
    assert_eq!(stranger.json(&["report", "explain", "ip.json", "--line", "99", "--trust", "policy.toml"]).0, 2);

    damaged(&stranger, &bytes, &policy);
}

/// The policy in a file of pins, as the core takes it.
fn trust(policy: &str) -> TrustPolicy {
    let value = |name: &str| {
        let line = policy.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).unwrap();
        line.trim_matches('"').to_owned()
    };
    let registry = TrustedRegistry {
        origin: value("origin"),
        log_key: value("log_key"),
        genesis: value("genesis").parse().unwrap(),
        allow_registry_asserted: true,
        max_status_age: None,
    };
    TrustPolicy { registries: vec![registry] }
}

/// A report in which anything at all is otherwise is refused: a thousand and more by the function that the command calls,
/// some of each sort by the command.
fn damaged(home: &Home, bytes: &[u8], policy: &str) {
    let trust = trust(policy);
    assert!(verify(bytes, &trust).is_ok());
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    // One byte otherwise, at places all over the file.
    let step = bytes.len() / 900;
    for at in (0..bytes.len()).step_by(step) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        damaged.push(changed);
    }
    // Cut short, or with something behind it.
    damaged.extend((1..=50).map(|part| bytes[..bytes.len() * part / 51].to_vec()));
    damaged.push([bytes, b" "].concat());
    // Figures, line by line, that read well: still canonical, still JSON.
    let document: Value = serde_json::from_slice(bytes).unwrap();
    let number = document["report"]["lines"].as_array().unwrap().len();
    let canonical = |value: &Value| [serde_json::to_vec(value).unwrap(), b"\n".to_vec()].concat();
    for line in 0..number {
        for (name, other) in [("amount", json!("0.01")), ("section", json!("16(1)")), ("year", json!("2025/26"))] {
            let mut changed = document.clone();
            changed["report"]["lines"][line][name] = other;
            // A line may say so already.
            if changed != document {
                damaged.push(canonical(&changed));
            }
        }
    }
    // An entry less; one twice; another opening; another size.
    let entries = document["report"]["evidence"].as_array().unwrap().len();
    for entry in 0..entries {
        let mut changed = document.clone();
        changed["report"]["evidence"].as_array_mut().unwrap().remove(entry);
        damaged.push(canonical(&changed));
        let mut changed = document.clone();
        let twice = changed["report"]["evidence"][entry].clone();
        changed["report"]["evidence"].as_array_mut().unwrap().insert(entry, twice);
        damaged.push(canonical(&changed));
    }
    let mut changed = document.clone();
    changed["report"]["checkpoint"]["size"] = json!(1);
    damaged.push(canonical(&changed));
    assert!(damaged.len() >= 1_000, "only {} damaged reports", damaged.len());
    for (place, changed) in damaged.iter().enumerate() {
        assert_ne!(changed, bytes, "{place} is not damaged");
        assert!(verify(changed, &trust).is_err(), "damaged report {place} is taken");
    }
    for (place, changed) in damaged.iter().enumerate().step_by(damaged.len() / 40) {
        fs::write(home.file("damaged.json"), changed).unwrap();
        let (code, refused) = home.json(&["report", "verify", "damaged.json", "--trust", "policy.toml"]);
        assert!(matches!(code, 6 | 9), "damaged report {place}: {refused}");
    }
    println!("{} damaged reports are refused", damaged.len());
}

//! Confidential values: what is sealed stays sealed, for everybody but those concerned, until it is destroyed.

mod accesses;
mod erasure;
mod forged;
mod guessing;
mod master_keys;
mod matrix;
mod shown;
mod tokens;
mod zones;

use std::sync::OnceLock;

use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{Details, ExpenditureClaim, Nature, SealedPayment, Side};
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Opening, Openings, Place, Salt};
use chopmark_core::statement::{Issuer, Statement};
use chopmark_core::submission::Submission;
use chopmark_core::token::login_message;
use data_encoding::BASE64;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use crate::admission::expect;
use crate::harness::{Answer, Client, Home, Ran, Service, place};
use crate::make::Author;
use crate::shared;

/// A service whose vault lets go of things at once, and which says all it can in its log.
fn service() -> &'static Service {
    static SHARED: OnceLock<Service> = OnceLock::new();
    SHARED.get_or_init(|| {
        let options = ["--retention-days", "0", "--log-format", "json", "--metrics-listen", "127.0.0.1:0"];
        // Removed by the service's watchdog once this executable has ended.
        Service::try_start_with(&place().keep(), "data", &options, &[("CHOPMARK_LOG", "trace")]).unwrap()
    })
}

/// A payment whose figures are sealed, and their openings.
pub struct Payment {
    pub submission: Submission,
    pub id: String,
}

impl Payment {
    pub fn new(payer: &Author, payee: &Author, label: &str, amount: &str) -> Self {
        Self::in_zone(payer, payee, label, amount, ResidencyZone::HongKong)
    }

    fn in_zone(payer: &Author, payee: &Author, label: &str, amount: &str, zone: ResidencyZone) -> Self {
        let header = payer.header(Issuer::Party(payer.party), payer.threshold, label);
        let place = Place::of(&header, ExpenditureClaim::PREDICATE_TYPE);
        let opening = |name: &str, value: Option<Value>| {
            let salt = *Sha256Digest::of(format!("{label}{name}").as_bytes()).as_bytes();
            Opening::new(format!("/{name}").parse().unwrap(), Salt::from_random(salt), value.as_ref()).unwrap()
        };
        let fields = vec![
            opening("amount", Some(json!(amount))),
            opening("currency", Some(json!("HKD"))),
            opening("withheld", None),
            opening("fx_rate", None),
            opening("fees", None),
            opening("met_by_others", None),
        ];
        let commitment = |at: usize| fields[at].commitment(&place);
        let sealed = Box::new(SealedPayment {
            amount: commitment(0),
            currency: commitment(1),
            withheld: commitment(2),
            fx_rate: commitment(3),
            fees: commitment(4),
            met_by_others: commitment(5),
        });
        let claim = Claim::Expenditure(ExpenditureClaim {
            nature: Nature::Royalty,
            payer: Side::Party(payer.party),
            payee: Side::Party(payee.party),
            document: label.to_owned(),
            file: None,
            on: "2026-05-02".parse().unwrap(),
            asset: None,
            counter_asset: None,
            ip_type: None,
            licence: None,
            artefact: None,
            credits: None,
            details: Details::default(),
            sealed,
        });
        let payload = Statement::compose(label, &header, &claim).unwrap();
        let openings = Openings { zone, fields };
        let submission = payer.sign(payload, Vec::new()).with_openings(Some(openings)).unwrap();
        let id = submission.statement.id.to_hex();
        Self { submission, id }
    }

    /// As it is sent, with some openings replaced.
    pub fn request(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut request: Value = serde_json::from_slice(&self.submission.to_request()).unwrap();
        change(&mut request);
        request.to_string().into_bytes()
    }

    fn entered(self, service: &Service) -> Self {
        let answer = service.post(&self.submission.to_request());
        assert_eq!(answer.status, 201, "{}", answer.text());
        self
    }
}

/// A login that the registry would take, but for what is done to it.
fn login(service: &Client, author: &Author, origin: &str) -> Value {
    let answer = service.post_to("/v1/challenges", b"").json();
    let text = |name: &str| answer[name].as_str().unwrap();
    let (party, challenge) = (author.party.to_hex(), text("challenge"));
    let message = login_message(origin, &author.registry.genesis, &party, challenge, text("expires_at"));
    json!({
        "party": party,
        "challenge": challenge,
        "key_id": PublicKey::from(&author.keys[0]).id(),
        "signature": BASE64.encode(&author.keys[0].sign(&message).to_bytes()),
    })
}

/// A token of a party.
pub fn token_of(service: &Client, author: &Author) -> String {
    let request = login(service, author, &author.registry.origin).to_string();
    let answer = service.post_to("/v1/tokens", request.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// A token made on the operator's machine, and its id.
pub fn token_made(service: &Service, arguments: &[&str]) -> (String, String) {
    let data = service.directory.to_str().unwrap();
    let made = ["token", "new", "--name", "desk", "--data-dir", data];
    let (code, document) = Home::new().json(&[&made, arguments].concat());
    assert_eq!(code, 0, "{document}");
    let text = |name: &str| document[name].as_str().unwrap().to_owned();
    (text("token"), text("token_id"))
}

pub fn officer(service: &Service, jurisdiction: &str) -> String {
    token_made(service, &["--role", "officer", "--jurisdiction", jurisdiction]).0
}

/// Asks with a token.
pub fn get_as(service: &Client, path: &str, token: &str) -> Answer {
    service.get_with(path, &[("Authorization", &format!("Bearer {token}"))])
}

/// Somebody at the command line with an author's key.
pub struct Desk {
    pub home: Home,
    url: String,
    party: String,
}

impl Desk {
    pub fn of(service: &Service, author: &Author) -> Self {
        let home = Home::new();
        let line = format!("chopmark-key-v1 {}\n", BASE64.encode(&author.keys[0].to_bytes()));
        let path = home.file("own.key");
        std::fs::write(&path, line).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self { home, url: service.url().to_owned(), party: author.party.to_hex() }
    }

    fn run(&self, arguments: &[&str], token: Option<&str>) -> Ran {
        let own = ["--url", &self.url, "--key", "own.key", "--party", &self.party];
        let mut command = self.home.command(&[arguments, &own].concat());
        if let Some(token) = token {
            command.env("CHOPMARK_TOKEN", token);
        }
        Ran::of(command.output().unwrap())
    }

    pub fn json(&self, arguments: &[&str], token: Option<&str>) -> (i32, Value) {
        let ran = self.run(&[arguments, &["--json"]].concat(), token);
        let document = ran.document();
        (ran.code, document)
    }
}

/// What an API fuzzer needs to get past 401: tokens, statements with sealed fields, and logins that are good for a few minutes.
pub fn fuzz_material(service: &Service) -> Value {
    let (payer, payee) = (shared::author(service, "fuzzed payer"), shared::author(service, "fuzzed payee"));
    let ids: Vec<String> = (0..3)
        .map(|number| Payment::new(&payer, &payee, &format!("fuzzed {number}"), "1.00").entered(service).id)
        .collect();
    let officer = officer(service, "HK");
    for id in &ids {
        let path = format!("/v1/statements/{id}/openings?case_reference=C&purpose=P");
        assert_eq!(get_as(service, &path, &officer).status, 200);
    }
    while service.get("/v1/accesses/checkpoint").status != 200 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let logins: Vec<Value> = (0..40).map(|_| login(service, &payer, &payer.registry.origin)).collect();
    let auditor = token_made(service, &["--role", "auditor"]).0;
    let (asked, reports) = fuzzed_reports(service, &payer, &officer);
    let mut tokens = json!({ "GET /v1/statements/{id}/openings": officer, "GET /v1/accesses": auditor });
    for label in [
        "POST /v1/reports/ip-expenditure",
        "GET /v1/reports/ip-expenditure/summary",
        "GET /v1/reports/{id}",
        "GET /v1/reports/{id}/lines",
        "GET /v1/reports/{id}/lines/{n}/evidence",
        "GET /v1/reports/{id}/export",
        "GET /v1/reports/{id}/export/signature",
    ] {
        tokens[label] = officer.as_str().into();
    }
    json!({ "openings": ids, "logins": logins, "tokens": tokens, "asked": asked, "reports": reports })
}

/// Requests for reports, and the ids of those that come of them.
fn fuzzed_reports(service: &Service, payer: &Author, officer: &str) -> (Vec<Value>, Vec<String>) {
    let queries = [json!({}), json!({ "years": ["2026/27"] }), json!({ "nature": "royalty", "associate": false })];
    let asked: Vec<Value> = queries
        .into_iter()
        .map(|mut query| {
            query["taxpayer"] = payer.party.to_hex().into();
            json!({ "query": query, "case_reference": "C", "purpose": "P", "size": shared::size(service) })
        })
        .collect();
    let headers = [("Authorization", &*format!("Bearer {officer}"))];
    let made = asked.iter().map(|body| {
        let answer = service.post_with("/v1/reports/ip-expenditure", body.to_string().as_bytes(), &headers);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    });
    let ids = made.collect();
    (asked, ids)
}

#[test]
fn every_commitment_is_computed_anew_before_a_statement_enters() {
    let service = service();
    let (payer, payee) = (shared::author(service, "seals"), shared::author(service, "sealed for"));
    let payment = Payment::new(&payer, &payee, "INV-1", "1200.00");
    let fields = |request: &mut Value| request["openings"]["fields"].as_array_mut().unwrap().clone();
    let refused = |change: &dyn Fn(&mut Value), expected: &str| {
        expect(&service.post(&payment.request(change)), expected);
    };
    let other_salt = BASE64.encode(&[9; 32]);
    let field = "/openings/fields/0";
    refused(
        &|request| request["openings"]["fields"][0]["salt"] = json!(other_salt),
        &format!("422 commitment_mismatch request {field}"),
    );
    refused(
        &|request| request["openings"]["fields"][0]["value"] = json!("1200.01"),
        &format!("422 commitment_mismatch request {field}"),
    );
    refused(
        &|request| {
            let swapped = fields(request);
            request["openings"]["fields"][0]["field"] = swapped[1]["field"].clone();
            request["openings"]["fields"][1]["field"] = swapped[0]["field"].clone();
        },
        &format!("422 commitment_mismatch request {field}"),
    );
    refused(
        &|request| {
            request["openings"]["fields"].as_array_mut().unwrap().pop();
        },
        "422 opening_missing request /openings/fields",
    );
    refused(&|request| request["openings"]["fields"] = json!([]), "422 opening_missing request /openings/fields");
    refused(
        &|request| {
            request.as_object_mut().unwrap().remove("openings");
        },
        "422 opening_missing request /openings",
    );
    refused(&|request| request["openings"]["zone"] = json!("CN"), "422 zone_not_served request /openings/zone");
    refused(&|request| request["openings"]["zone"] = json!("US"), "400 malformed_request request /openings/zone");
    // What an open figure could not be, a sealed one can't be either.
    let wrong = Payment::new(&payer, &payee, "INV-1 wrong", "1200");
    expect(&service.post(&wrong.submission.to_request()), "422 invalid_statement request /openings/fields");

    // A commitment of another statement, with its own opening: the other's nonce is in it.
    let first = Payment::new(&payer, &payee, "INV-2", "1200.00");
    let mut payload: Value = serde_json::from_slice(first.submission.envelope.payload()).unwrap();
    payload["predicate"]["nonce"] = json!("ab".repeat(16));
    let canonical = chopmark_core::strict::to_canonical(&payload).unwrap();
    let replayed = payer.sign(canonical, Vec::new()).with_openings(first.submission.openings.clone()).unwrap();
    expect(&service.post(&replayed.to_request()), &format!("422 commitment_mismatch request {field}"));

    let payment = payment.entered(service);
    let same_fee = Payment::new(&payer, &payee, "INV-3", "1200.00").entered(service);
    let commitment = |payment: &Payment| {
        let payload: Value = serde_json::from_slice(payment.submission.envelope.payload()).unwrap();
        payload["predicate"]["claim"]["sealed"]["amount"].clone()
    };
    assert_ne!(commitment(&payment), commitment(&same_fee), "equal fees");
    // Again, with and without its openings: the same entry.
    assert_eq!(service.post(&payment.submission.to_request()).status, 200);
    let public = Submission { openings: None, ..payment.submission.clone() };
    assert_eq!(service.post(&public.to_request()).status, 200);
    // Under the same document nothing is paid twice, whatever it is said to have been.
    let mut again = Payment::new(&payee, &payer, "INV-1 again", "1.00");
    let mut payload: Value = serde_json::from_slice(again.submission.envelope.payload()).unwrap();
    let claim = &mut payload["predicate"]["claim"];
    (claim["payer"], claim["payee"]) = (json!({ "party": payer.party }), json!({ "party": payee.party }));
    claim["document"] = json!("INV-1");
    let subject = Sha256Digest::of(&chopmark_core::strict::to_canonical(claim).unwrap());
    payload["subject"][0]["digest"]["sha256"] = json!(subject);
    let canonical = chopmark_core::strict::to_canonical(&payload).unwrap();
    again.submission = payee.sign(canonical, Vec::new()).with_openings(again.submission.openings).unwrap();
    let conflict = service.post(&again.submission.to_request());
    expect(&conflict, "409 already_registered payload /predicate/claim/document");
    assert_eq!(conflict.json()["existing"], payment.id);
    // A commitment may enter where another zone's vault keeps the opening.
    let elsewhere = Payment::in_zone(&payer, &payee, "INV-4", "5.00", ResidencyZone::Mainland);
    let request = elsewhere.request(|request| request["openings"]["fields"] = json!([]));
    assert_eq!(service.post(&request).status, 201);
    let token = token_of(service, &payer);
    assert_eq!(get_as(service, &format!("/v1/statements/{}/openings", elsewhere.id), &token).status, 404);
    let opened = get_as(service, &format!("/v1/statements/{}/openings", payment.id), &token).json();
    let sent: Value = serde_json::from_slice(&payment.submission.to_request()).unwrap();
    assert_eq!(opened["fields"], sent["openings"]["fields"]);
}

//! Who can write to the database makes nobody a reader: rows that this registry has not made are not believed, and nothing is
//! decrypted for them.

use chopmark_core::key::PublicKey;
use chopmark_core::token::Token;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{Desk, Payment, get_as, login, officer, token_made, token_of};
use crate::harness::{Home, Service, place};
use crate::make::Author;
use crate::shared;

const AMOUNT: &str = "50917734.61";

/// Puts an officer's token of one's own into the table, as a superuser can.
fn forge(service: &Service, number: u8) -> Token {
    let token = Token::from_random([number; 10], &[number; 32]);
    service
        .sql(&format!(
            "INSERT INTO vault.token (id, hash, role, bound_to, scopes, name, made_at, expires_at)
             VALUES ('{}', '\\x{}', 'officer', 'HK', '{{openings,accesses,summaries}}', 'desk', now(), now() + interval '1 day')",
            token.id(),
            HEXLOWER.encode(token.hash().as_bytes())
        ))
        .unwrap();
    token
}

#[test]
fn a_row_that_the_registry_has_not_made_lets_nobody_read() {
    let place = place();
    let service = Service::start(place.path());
    let (payer, payee) = (shared::author(&service, "forged"), shared::author(&service, "forged payee"));
    let stranger = shared::author(&service, "forged stranger");
    let payment = Payment::new(&payer, &payee, "forged", AMOUNT).entered(&service);
    let path = format!("/v1/statements/{}/openings?case_reference=C&purpose=P", payment.id);
    let refused = |token: &str, status: u16, what: &str| {
        let answer = get_as(&service, &path, token);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(!answer.text().contains(AMOUNT), "{what}");
    };
    let sql = |statement: &str| service.sql(statement).unwrap();

    // Tokens.
    let forged = forge(&service, 1);
    refused(forged.expose(), 401, "a token of one's own");
    let (_, real) = token_made(&service, &["--role", "officer", "--jurisdiction", "HK"]);
    sql(&format!(
        "UPDATE vault.token SET mac_key = real.mac_key, mac = real.mac FROM vault.token AS real
         WHERE real.id = '{real}' AND token.id = '{}'",
        forged.id()
    ));
    refused(forged.expose(), 401, "with the MAC of another");
    let data = service.directory.to_str().unwrap();
    let jurisdiction = |code| ["--role", "officer", "--jurisdiction", code];
    for (what, arguments, change) in [
        ("another place", jurisdiction("SG"), "bound_to = 'HK'"),
        ("a longer life", jurisdiction("HK"), "expires_at = expires_at + interval '1 year'"),
        ("another name", jurisdiction("HK"), "name = 'another desk'"),
        ("taken back, and given again", jurisdiction("HK"), "revoked_at = NULL"),
        ("another secret", jurisdiction("HK"), "hash = sha256('x')"),
    ] {
        let (token, id) = token_made(&service, &arguments);
        if what.starts_with("taken back") {
            assert_eq!(Home::new().json(&["token", "revoke", &id, "--data-dir", data]).0, 0);
            refused(&token, 401, "taken back");
        }
        sql(&format!("UPDATE vault.token SET {change} WHERE id = '{id}'"));
        refused(&token, 401, what);
    }
    let (auditor, id) = token_made(&service, &["--role", "auditor"]);
    sql(&format!(
        "UPDATE vault.token SET role = 'officer', bound_to = 'HK', scopes = '{{openings}}' WHERE id = '{id}'"
    ));
    refused(&auditor, 401, "another role");
    let (code, listed) = Home::new().json(&["token", "list", "--data-dir", data]);
    let row = listed["tokens"].as_array().unwrap().iter().find(|row| row["token_id"] == forged.id().as_str());
    assert_eq!((code, &row.unwrap()["is_authentic"]), (0, &json!(false)), "{listed}");

    // Readers.
    let token = token_of(&service, &stranger);
    let (statement, party) = (&payment.id, stranger.party.to_hex());
    sql(&format!(
        "INSERT INTO vault.reader (statement, party, jurisdiction) VALUES ('\\x{statement}', '\\x{party}', 'HK')"
    ));
    refused(&token, 404, "a reader of one's own");
    sql(&format!(
        "UPDATE vault.reader SET mac_key = real.mac_key, mac = real.mac FROM vault.reader AS real
         WHERE real.statement = '\\x{statement}' AND real.party = '\\x{}' AND reader.party = '\\x{party}'",
        payer.party
    ));
    refused(&token, 404, "with the MAC of another");
    // Nor do reports rest on it.
    sql(&format!(
        "INSERT INTO view.evidence_party (party, idx, kind, signs)
         SELECT '\\x{party}', idx, 'expenditure', true FROM log.entry WHERE statement_id = '\\x{statement}'"
    ));
    let request = json!({ "query": { "taxpayer": party } }).to_string();
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    let made = service.post_with("/v1/reports/ip-expenditure", request.as_bytes(), &headers);
    if made.status == 201 {
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert!(!get_as(&service, &format!("/v1/reports/{id}"), &token).text().contains(AMOUNT));
    }
    // A key of one's own, said to be the payer's.
    let (thief, key) = (crate::make::key("a thief's"), PublicKey::from(&crate::make::key("a thief's")));
    sql(&format!(
        "INSERT INTO view.key (id, public_key, party, role, valid_from)
         VALUES ('\\x{}', '\\x{}', '\\x{}', 'signing', 1)",
        key.id().digest(),
        HEXLOWER.encode(key.as_bytes()),
        payer.party
    ));
    let thief = Author { keys: vec![thief], ..payer.clone() };
    let request = login(&service, &thief, &payer.registry.origin).to_string();
    assert_eq!(service.post_to("/v1/tokens", request.as_bytes()).status, 401, "a key of one's own");
    sql("UPDATE vault.reader SET jurisdiction = 'SG'");
    refused(&officer(&service, "SG"), 404, "a reader somewhere else");
    refused(&token_of(&service, &payer), 404, "a reader that was altered");
    assert_eq!(sql(&format!("SELECT count(*) FROM vault.access WHERE statement = '\\x{statement}'")), "0");

    // As it was.
    sql("UPDATE vault.reader SET jurisdiction = 'HK'");
    for token in [officer(&service, "HK"), token_of(&service, &payer), token_of(&service, &payee)] {
        assert!(get_as(&service, &path, &token).text().contains(AMOUNT));
    }
    let log = service.errors();
    for message in ["a token has no MAC of this registry", "a reader has no MAC of this registry"] {
        assert!(log.contains(message), "{log}");
    }
    assert!(!log.contains(forged.expose()));
    service.stop();
}

#[test]
fn macs_follow_a_new_master_key_and_the_log_says_who_reads() {
    let place = place();
    let service = Service::start(place.path());
    let (payer, payee) = (shared::author(&service, "rotated"), shared::author(&service, "rotated payee"));
    let stranger = shared::author(&service, "rotated stranger");
    let payment = Payment::new(&payer, &payee, "rotated", AMOUNT).entered(&service);
    let path = format!("/v1/statements/{}/openings?case_reference=C&purpose=P", payment.id);
    let (desk, own) = (officer(&service, "HK"), token_of(&service, &payer));
    let forged = forge(&service, 2);
    service
        .sql(&format!(
            "UPDATE vault.token SET mac = sha256('x'), mac_key = (SELECT id FROM vault.wrapping_key) WHERE id = '{}'",
            forged.id()
        ))
        .unwrap();
    let data = service.directory.to_str().unwrap().to_owned();
    let (code, rotated) = Home::new().json(&["vault", "rotate", "--data-dir", &data, "--destroy-old"]);
    assert_eq!((code, &rotated["refused"]), (0, &json!(1)), "{rotated}");
    assert!(rotated["authenticated"].as_u64().unwrap() >= 4, "{rotated}");
    for token in [&desk, &own, &officer(&service, "HK"), &token_of(&service, &payee)] {
        assert!(get_as(&service, &path, token).text().contains(AMOUNT));
    }
    assert_eq!(get_as(&service, &path, forged.expose()).status, 401);

    // Rows from before there were MACs: readers are worked out from the log, tokens are made anew.
    service
        .sql(&format!(
            "UPDATE vault.reader SET mac_key = NULL, mac = NULL; UPDATE vault.token SET mac_key = NULL, mac = NULL;
             INSERT INTO vault.reader (statement, party, jurisdiction) VALUES ('\\x{}', '\\x{}', 'HK')",
            payment.id, stranger.party
        ))
        .unwrap();
    assert_eq!(get_as(&service, &path, &desk).status, 401);
    assert_eq!(get_as(&service, &path, &token_of(&service, &payer)).status, 404);
    service.stop();
    let service = Service::start(place.path());
    assert_eq!(get_as(&service, &path, &desk).status, 401);
    for token in [officer(&service, "HK"), token_of(&service, &payer), token_of(&service, &payee)] {
        assert!(get_as(&service, &path, &token).text().contains(AMOUNT));
    }
    assert_eq!(get_as(&service, &path, &token_of(&service, &stranger)).status, 404);
    assert!(service.errors().contains("readers that the log says nothing of"), "{}", service.errors());
    service.stop();
}

/// Whoever an offer names reads what is sealed in its terms; of rows from before there were MACs, that is worked out as well.
#[test]
fn readers_of_terms_are_those_that_offers_name() {
    let place = place();
    let service = Service::start(place.path());
    let licensor = shared::author(&service, "licensor with sealed terms");
    let licensee = shared::author(&service, "licensee of sealed terms");
    let stranger = shared::author(&service, "stranger to sealed terms");
    let desk = Desk::of(&service, &licensor);
    std::fs::write(desk.home.file("m.bin"), "weights under sealed terms").unwrap();
    let done = |(code, answer): (i32, Value)| {
        assert_eq!(code, 0, "{answer}");
        answer
    };
    let registered = done(desk.json(&["register", "m.bin", "--licence", "mit"], None));
    let model = registered["id"].as_str().unwrap();
    done(desk.home.json(&["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]));
    desk.home.edit("terms.json", |terms| terms["consideration"][0]["figures"]["amount"] = json!(AMOUNT));
    let to = licensee.party.to_hex();
    let offer = ["licence", "offer", "--artefact", model, "--terms", "terms.json", "--to", &to, "--seal", "amount"];
    let offered = done(desk.json(&offer, None));
    let terms = service.get(&format!("/v1/terms/{}", offered["terms_id"].as_str().unwrap())).json();
    let statement = terms["published_by"][0]["statement_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/statements/{statement}/openings");
    let reads = |service: &Service| {
        [&licensor, &licensee, &stranger].map(|party| {
            let answer = get_as(service, &path, &token_of(service, party));
            assert_eq!(answer.text().contains(AMOUNT), answer.status == 200, "{}", answer.text());
            answer.status
        })
    };
    assert_eq!(reads(&service), [200, 200, 404]);
    service.sql("UPDATE vault.reader SET mac_key = NULL, mac = NULL").unwrap();
    assert_eq!(reads(&service), [404, 404, 404]);
    service.stop();
    let service = Service::start(place.path());
    assert_eq!(reads(&service), [200, 200, 404]);
    service.stop();
}

#[test]
fn a_token_ends_with_the_key_that_has_logged_in() {
    let place = place();
    let service = Service::start(place.path());
    let author = shared::author(&service, "stolen");
    let path = format!("/v1/statements/{}/openings", author.party.to_hex());
    let desk = Desk::of(&service, &author);
    assert_eq!(desk.home.json(&["key", "new", "--out", "machine.key"]).0, 0);
    let shown = desk.home.json(&["key", "show", "--key", "machine.key"]).1;
    let id = shown["keys"][0]["key_id"].as_str().unwrap().to_owned();
    let (code, added) = desk.json(&["key", "add", "machine.key"], None);
    assert_eq!(code, 0, "{added}");
    let asked = ["token", "login", "--url", &desk.url, "--party", &desk.party, "--key", "machine.key"];
    let (code, logged_in) = desk.home.json(&asked);
    assert_eq!(code, 0, "{logged_in}");
    let (stolen, other) = (logged_in["token"].as_str().unwrap(), token_of(&service, &author));
    assert_eq!(get_as(&service, &path, stolen).status, 404, "a good token, and nothing sealed");
    let (code, revoked) = desk.json(&["key", "revoke", &id, "--reason", "compromised"], None);
    assert_eq!(code, 0, "{revoked}");
    for path in [path.as_str(), "/v1/accesses"] {
        assert_eq!(get_as(&service, path, stolen).status, 401, "{path}");
    }
    assert_eq!(get_as(&service, &path, &other).status, 404, "that of another key stays good");
    service.stop();
}

//! Licences through the command line: a conflict, an offer, an acceptance, a file for a machine without a network, and a
//! revocation that reaches it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::shared::{self, done, refused, run};

/// Somebody with a party of their own.
fn party(name: &str) -> (Home, String) {
    let home = Home::new();
    assert_eq!(home.json(&["key", "new"]).0, 0);
    let registered = done(&home, &["party", "register", "--name-en", name, "--jurisdiction", "HK"]);
    let id = registered["party_id"].as_str().unwrap().to_owned();
    (home, id)
}

fn id(document: &Value) -> String {
    document["id"].as_str().unwrap().to_owned()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, in the order it happens")]
fn a_licence_is_offered_accepted_filed_verified_and_revoked() {
    let ((alice, alices), (bob, bobs)) = (party("Granting Alice Limited"), party("Licensed Bob Limited"));
    fs::create_dir(alice.file("model")).unwrap();
    fs::write(alice.file("model/weights.bin"), "weights that are licensed by the seat").unwrap();
    done(&alice, &["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]);
    let terms = done(&alice, &["licence", "show", "terms.json"]);
    let licence_ref = terms["licence_ref"].as_str().unwrap();
    let model = id(&done(&alice, &["register", "model", "--licence", licence_ref, "--out", "model.chop"]));

    // A dry run sends nothing; the offer publishes the terms once.
    let offer = ["licence", "offer", "--artefact", &model, "--terms", "terms.json", "--to", &bobs];
    done(&alice, &[&offer[..], &["--dry-run"]].concat());
    refused(&alice, &["licence", "file", &model], 5, "not_found");
    let offered = done(&alice, &offer);
    assert_eq!(offered["terms_id"], terms["terms_id"]);
    let (code, again) = run(&alice, &["licence", "publish", "terms.json"]);
    assert_eq!((code, &again["error"]["code"]), (10, &json!("already_registered")), "{again}");
    let shown = shared::service().get(&format!("/v1/terms/{}", terms["terms_id"].as_str().unwrap())).json();
    // Others may have published the same preset.
    let ours = shown["published_by"].as_array().unwrap().iter().filter(|by| by["party"] == alices.as_str()).count();
    assert_eq!(ours, 1, "{shown}");

    // Only the party it was made to accepts it, once.
    let (carol, _) = party("Curious Carol Limited");
    refused(&carol, &["licence", "accept", &id(&offered)], 4, "not_authorised");
    // What is agreed to is shown before anything is signed.
    let offer_id = id(&offered);
    let accept = ["licence", "accept", &offer_id, "--lang", "zh-Hant", "--url", shared::service().url()];
    let summary = terms["summary"]["zh-Hant"].as_str().unwrap();
    let says_all = |text: &str| summary.lines().all(|line| text.lines().any(|said| said.trim_end() == line));
    assert!(summary.lines().count() > 10 && summary.contains("50"), "{summary}");
    let words = bob.run(&[&accept[..], &["--dry-run"]].concat());
    assert!(words.code == 0 && says_all(&words.stdout), "{words:?}");
    let granted = done(&bob, &["licence", "accept", &id(&offered)]);
    let licence = id(&granted);
    assert!(licence.starts_with("lic_"), "{granted}");
    refused(&bob, &["licence", "accept", &id(&offered)], 10, "already_registered");
    let again = bob.run(&accept);
    assert!(again.code == 10 && says_all(&again.stderr), "it was shown, and then refused: {again:?}");
    refused(&bob, &["licence", "accept", &model], 2, "usage");
    let list = done(&alice, &["licence", "list", "--artefact", &model, "--licensee", &bobs]);
    assert_eq!(
        (list["licences"].as_array().unwrap().len(), &list["licences"][0]["id"]),
        (1, &json!(licence)),
        "{list}"
    );
    assert_eq!(
        done(&alice, &["licence", "list", "--artefact", &model, "--status", "terminated"])["licences"],
        json!([])
    );

    // The file proves artefact and licence without a network, to somebody who only has a policy.
    let filed = done(&bob, &["licence", "file", &licence, "--ttl", "P90D", "--out", "lic.chop"]);
    assert_eq!(
        (&filed["licence_id"], &filed["standing"]["standing"]),
        (&granted["statement_id"], &json!("in_force")),
        "{filed}"
    );
    let ran = bob.run(&["licence", "file", &licence, "--url", shared::service().url()]);
    assert!(ran.code == 0 && ran.stdout.contains("chopmark/status-list/v1"), "{ran:?}");
    fs::create_dir(bob.file("model")).unwrap();
    fs::write(bob.file("model/weights.bin"), "weights that are licensed by the seat").unwrap();
    let verify = ["verify", "model", "--bundle", "lic.chop", "--offline"];
    let (code, verified) = bob.json(&verify);
    assert_eq!((code, &verified["state"]), (0, &json!("verified")), "{verified}");
    let held = &verified["licence"];
    assert_eq!(
        (&held["id"], &held["status"]["age_days"], &held["status"]["stale"]),
        (&json!(licence), &json!(0), &json!(false))
    );
    assert_eq!(
        (&held["metric"][0]["cap"], &held["standing"]["standing"]),
        (&json!("50"), &json!("in_force")),
        "{held}"
    );
    let words = bob.run(&verify).stdout;
    assert!(words.contains("in force without end, 50 seats, status of today"), "{words}");
    // Other bytes are worse than any licence; an old list says nothing; before its first day there is none.
    fs::write(bob.file("model/weights.bin"), "other weights").unwrap();
    assert_eq!(bob.json(&verify).0, 3);
    fs::write(bob.file("model/weights.bin"), "weights that are licensed by the seat").unwrap();
    let (code, stale) = bob.json(&[&verify[..], &["--on", "2099-01-01"]].concat());
    assert_eq!((code, &stale["licence"]["status"]["stale"]), (9, &json!(true)), "{stale}");
    let (code, early) = bob.json(&[&verify[..], &["--on", "2020-01-01"]].concat());
    assert_eq!((code, &early["licence"]["standing"]["standing"]), (7, &json!("not_yet")), "{early}");
    let policy = fs::read_to_string(bob.config().join("trust.toml")).unwrap();
    fs::write(
        bob.file("strict.toml"),
        policy.replace("allow_registry_asserted", "max_status_age = \"P1D\"\nallow_registry_asserted"),
    )
    .unwrap();
    let soon = ["--trust", "strict.toml", "--on"];
    let next_week = today_plus(7);
    assert_eq!(bob.json(&[&verify[..], &soon, &[next_week.as_str()]].concat()).0, 9);
    assert_eq!(bob.json(&[&verify[..], &["--on", next_week.as_str()]].concat()).0, 0);

    // Revoked, it is over for whoever has a fresh list, and for a fresh file.
    refused(&carol, &["licence", "revoke", &licence, "--reason", "breach"], 4, "not_authorised");
    refused(&alice, &["licence", "revoke", &licence, "--reason", "challenge"], 4, "not_authorised");
    done(&alice, &["licence", "suspend", &licence, "--reason", "non_payment"]);
    done(&bob, &["licence", "status-list", "--out", "suspended.txt"]);
    done(&alice, &["licence", "reinstate", &licence]);
    let revoked = done(&alice, &["licence", "revoke", &licence, "--reason", "breach"]);
    assert_eq!(revoked["status"], "terminated");
    refused(&alice, &["licence", "revoke", &licence, "--reason", "breach"], 10, "licence_not_in_force");
    assert_eq!(bob.json(&verify).0, 0, "an old file knows nothing of it");
    done(&bob, &["licence", "status-list", "--out", "fresh.txt"]);
    for (name, standing) in [("suspended.txt", "suspended"), ("fresh.txt", "terminated")] {
        let (code, document) = bob.json(&[&verify[..], &["--status-list", name]].concat());
        assert_eq!((code, &document["state"]), (7, &json!("licence_not_in_force")), "{document}");
        assert_eq!(document["licence"]["standing"]["standing"], standing);
    }
    done(&bob, &["licence", "file", &licence, "--out", "lic.chop"]);
    assert_eq!(bob.json(&verify).0, 7);
    // A list that is no list, and a list beside a bundle without a licence.
    fs::write(
        bob.file("forged.txt"),
        fs::read_to_string(bob.file("fresh.txt")).unwrap().replace("terminated", "suspended"),
    )
    .unwrap();
    assert_eq!(bob.json(&[&verify[..], &["--status-list", "forged.txt"]].concat()).0, 6);
    let plain = ["verify", "model", "--bundle", "model.chop", "--offline", "--status-list", "terms.json"];
    assert_eq!(alice.json(&plain).0, 2);
    refused(&bob, &["licence", "status-list", "--out", "model/weights.bin"], 2, "usage");
}

/// The documented way of a licence, command by command.
#[test]
fn from_terms_to_revocation_as_documented() {
    let ((alice, _), (bob, _), (carol, _)) =
        (party("Documented Alice Limited"), party("Documented Bob Limited"), party("Documented Carol Limited"));
    for home in [&alice, &bob] {
        fs::create_dir(home.file("model")).unwrap();
        fs::write(home.file("model/weights.bin"), "weights that one company has, by the seat").unwrap();
        done(home, &["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]);
    }
    let shown = done(&alice, &["licence", "show", "terms.json"]);
    for language in ["en", "zh-Hant", "zh-Hans"] {
        assert!(shown["summary"][language].as_str().unwrap().contains("50"), "{shown}");
    }
    alice.edit("terms.json", |terms| {
        terms["field"]["exclude"] = json!(["86"]);
        terms["exclusivity"] = json!({ "kind": "exclusive" });
        terms["term"].as_object_mut().unwrap().remove("renewal");
    });
    let published = done(&alice, &["licence", "publish", "terms.json"]);
    let licence_ref = published["licence_ref"].as_str().unwrap();
    let model = id(&done(&alice, &["register", "model", "--licence", licence_ref]));

    let check = ["licence", "check", "--parent", &model, "--relation", "finetune", "--terms", "terms.json"];
    let ran = bob.run(&[&check[..], &["--url", shared::service().url()]].concat());
    let line = format!("  conflict  FIELD_OF_USE   parent {model} excludes healthcare (its terms, /field)");
    assert!(ran.code == 10 && ran.stdout.lines().any(|said| said == line), "{ran:?}");

    let offer = id(&done(&alice, &["licence", "offer", "--artefact", &model, "--terms", "terms.json"]));
    assert!(offer.starts_with("off_"), "{offer}");
    let granted = done(&bob, &["licence", "accept", &offer]);
    let licence = id(&granted);
    let refusal = refused(&carol, &["licence", "accept", &offer], 10, "exclusive_overlap");
    assert_eq!(refusal["existing"], granted["statement_id"]);

    let filed = bob.run(&["licence", "file", &licence, "--ttl", "P90D", "--url", shared::service().url()]);
    assert_eq!(filed.code, 0, "{filed:?}");
    fs::write(bob.file("lic.chop"), filed.stdout).unwrap();
    let verify = ["verify", "./model", "--bundle", "lic.chop", "--offline"];
    let in_three_days = today_plus(3);
    let in_three_days = [&verify[..], &["--on", &in_three_days]].concat();
    let ran = bob.run(&in_three_days);
    let held = bob.json(&in_three_days).1["licence"].clone();
    let words = format!("in force until {}, 50 seats, status 3 days old", held["ends_on"].as_str().unwrap());
    assert!(ran.code == 0 && ran.stdout.contains(&words), "{words}: {ran:?}");
    let status = &held["status"];
    assert!(status["size"].as_u64() > granted["index"].as_u64(), "{held}");
    let words =
        format!("as of size {} of the log, signed at {}", status["size"], status["signed_at"].as_str().unwrap());
    assert!(ran.stdout.contains(&words), "{words}: {ran:?}");

    done(&alice, &["licence", "revoke", &licence, "--reason", "breach"]);
    done(&bob, &["licence", "status-list", "--out", "fresh.txt"]);
    let (code, over) = bob.json(&[&verify[..], &["--status-list", "fresh.txt"]].concat());
    assert_eq!((code, &over["licence"]["standing"]["standing"]), (7, &json!("terminated")), "{over}");
}

fn today_plus(days: u64) -> String {
    let now = crate::make::now().plus_days(u16::try_from(days).unwrap());
    chopmark_core::terms::period::Date::in_hong_kong(now).to_string()
}

#[test]
fn a_conflict_with_what_it_was_made_from_is_registered_only_visibly() {
    let ((alice, _), (bob, bobs)) = (party("Conflicting Alice Limited"), party("Conflicting Bob Limited"));
    fs::write(alice.file("base.bin"), "a base model, not for healthcare").unwrap();
    fs::write(bob.file("tuned.bin"), "a model that was tuned from it").unwrap();
    for home in [&alice, &bob] {
        done(home, &["licence", "new", "--preset", "commercial-revenue-share", "--out", "wide.json"]);
    }
    alice.edit("wide.json", |terms| terms["field"]["exclude"] = json!(["86"]));
    let base_terms = done(&alice, &["licence", "publish", "wide.json"]);
    let licence_ref = base_terms["licence_ref"].as_str().unwrap();
    let base = id(&done(&alice, &["register", "base.bin", "--licence", licence_ref]));

    let check = ["licence", "check", "--parent", &base, "--relation", "finetune", "--terms", "wide.json"];
    let url = ["--url", shared::service().url()];
    let ran = bob.run(&[&check[..], &url].concat());
    let line = format!("  conflict  FIELD_OF_USE   parent {base} excludes healthcare (its terms, /field)");
    assert!(ran.code == 10 && ran.stdout.lines().any(|said| said == line), "{ran:?}");
    let (code, document) = run(&bob, &check);
    assert_eq!((code, &document["verdict"]), (10, &json!("conflict")), "{document}");
    assert!(document["inputs"]["ancestors"].as_object().unwrap().len() == 1, "{document}");

    // The owner itself is not bound by its own terms; whoever holds a licence that permits it is not either.
    let alices = shared::service().get(&format!("/v1/artefacts/{base}")).json()["owner"].as_str().unwrap().to_owned();
    let (code, own) = run(&alice, &[&check[..6], &["--terms", "mit", "--holder", &alices]].concat());
    assert_eq!((code, &own["verdict"]), (0, &json!("compatible")), "{own}");

    let own_terms = done(&bob, &["licence", "publish", "wide.json"]);
    let own_ref = own_terms["licence_ref"].as_str().unwrap();
    let register = ["register", "tuned.bin", "--licence", own_ref, "--parent", &base, "--relation", "finetune"];
    let error = refused(&bob, &register, 10, "licence_conflict");
    assert!(error["message"].as_str().unwrap().contains("FIELD_OF_USE"), "{error}");
    let registered = done(&bob, &[&register[..], &["--accept-conflict"]].concat());
    let page = shared::service().get(&format!("/v1/artefacts/{}", id(&registered))).json();
    assert_eq!(
        (&page["claim"]["accepts_conflict"], &page["compatibility"]["verdict"]),
        (&json!(true), &json!("conflict"))
    );
    let found = page["compatibility"]["conflicts"].as_array().unwrap().iter().find(|one| one["code"] == "FIELD_OF_USE");
    assert_eq!(found.unwrap()["clause"], "/field", "{page}");

    // With a licence that permits it, nothing is in the way.
    done(&alice, &["licence", "new", "--preset", "commercial-revenue-share", "--out", "open.json"]);
    let offered = done(&alice, &["licence", "offer", "--artefact", &base, "--terms", "open.json", "--to", &bobs]);
    done(&bob, &["licence", "accept", &id(&offered)]);
    let (_, held) = run(&bob, &[&check[..], &["--holder", &bobs]].concat());
    assert!(!held["conflicts"].as_array().unwrap().iter().any(|one| one["code"] == "FIELD_OF_USE"), "{held}");
}

#[test]
fn an_exclusive_licence_keeps_others_from_making_things_of_it() {
    let ((alice, _), (bob, bobs), (carol, carols)) =
        (party("Exclusive Alice Limited"), party("Exclusive Bob Limited"), party("Excluded Carol Limited"));
    fs::write(alice.file("base.bin"), "a base model that one company may distribute").unwrap();
    let base = id(&done(&alice, &["register", "base.bin", "--licence", "mit"]));
    done(&alice, &["licence", "new", "--preset", "exclusive-territorial", "--out", "exclusive.json"]);
    let offer = ["licence", "offer", "--artefact", &base, "--terms", "exclusive.json", "--to", &bobs];
    let granted = done(&bob, &["licence", "accept", &id(&done(&alice, &offer))]);
    // The same again, to somebody else: refused, and the licence that is in the way is named.
    let offer = ["licence", "offer", "--artefact", &base, "--terms", "exclusive.json", "--to", &carols];
    let offered = id(&done(&alice, &offer));
    let refusal = refused(&carol, &["licence", "accept", &offered], 10, "exclusive_overlap");
    assert_eq!(refusal["existing"], granted["statement_id"]);
    let is_kept_out = |home: &Home, holder: &str, base: &str| {
        let check =
            ["licence", "check", "--parent", base, "--relation", "finetune", "--terms", "mit", "--holder", holder];
        let (_, verdict) = run(home, &check);
        verdict["conflicts"].as_array().unwrap().iter().any(|one| one["code"] == "EXCLUSIVITY")
    };
    assert!(is_kept_out(&carol, &carols, &base) && !is_kept_out(&bob, &bobs, &base));

    // Whoever has a sublicence is not kept out by the licence that it rests on.
    let (dave, daves) = party("Sublicensed Dave Limited");
    assert!(is_kept_out(&dave, &daves, &base));
    done(&bob, &["licence", "new", "--preset", "exclusive-territorial", "--out", "exclusive.json"]);
    bob.edit("exclusive.json", |terms| {
        terms["sublicensing"] = json!({ "permission": "none", "transferable": "none" });
    });
    let head = id(&granted);
    let offer =
        ["licence", "offer", "--artefact", &base, "--terms", "exclusive.json", "--under", &head, "--to", &daves];
    done(&dave, &["licence", "accept", &id(&done(&bob, &offer))]);
    assert!(!is_kept_out(&dave, &daves, &base) && is_kept_out(&carol, &carols, &base));

    // A suspension does not let others in.
    done(&alice, &["licence", "suspend", &head, "--reason", "non_payment"]);
    assert!(is_kept_out(&carol, &carols, &base));

    // What is exclusive from next month on is in the way of what has no end.
    fs::write(alice.file("next.bin"), "a base model that one company may distribute from next month on").unwrap();
    let next = id(&done(&alice, &["register", "next.bin", "--licence", "mit"]));
    alice.edit("exclusive.json", |terms| terms["term"]["start"] = json!(today_plus(30)));
    let offer = ["licence", "offer", "--artefact", &next, "--terms", "exclusive.json", "--to", &bobs];
    done(&bob, &["licence", "accept", &id(&done(&alice, &offer))]);
    assert!(is_kept_out(&carol, &carols, &next));
}

#[test]
fn shares_of_revenue_under_licences_that_are_held_add_up() {
    let ((alice, _), (bob, bobs)) = (party("Stacking Alice Limited"), party("Stacking Bob Limited"));
    done(&alice, &["licence", "new", "--preset", "commercial-revenue-share", "--out", "terms.json"]);
    alice.edit("terms.json", |terms| {
        let share = terms["consideration"][1].clone();
        terms["consideration"] = json!([share]);
        terms["consideration"][0]["figures"] = json!({ "rate": "0.6" });
    });
    let base = |name: &str| {
        fs::write(alice.file(name), format!("weights of {name}, not for commerce unless licensed")).unwrap();
        let base = id(&done(&alice, &["register", name, "--licence", "cc-by-nc-4.0"]));
        let offer = ["licence", "offer", "--artefact", &base, "--terms", "terms.json", "--to", &bobs];
        done(&bob, &["licence", "accept", &id(&done(&alice, &offer))]);
        base
    };
    let bases = ["one.bin", "other.bin"].map(base);
    done(&bob, &["licence", "new", "--preset", "commercial-revenue-share", "--out", "own.json"]);
    bob.edit("own.json", |terms| terms["sublicensing"]["max_depth"] = json!(1));
    let check = |parents: &[&String]| {
        let mut check = vec!["licence", "check", "--terms", "own.json", "--relation", "merge", "--holder", &bobs];
        check.extend(parents.iter().flat_map(|parent| ["--parent", parent.as_str()]));
        let (_, verdict) = run(&bob, &check);
        let conflicts = verdict["conflicts"].as_array().unwrap().clone();
        conflicts.iter().map(|one| json!([one["code"], one["about"]])).collect::<Vec<_>>()
    };
    let [one, other] = &bases;
    assert_eq!(check(&[one]), [Value::Null; 0]);
    assert_eq!(check(&[one, other]), [json!(["ROYALTY_STACK", ["120"]])]);
}

#[test]
fn a_grant_without_an_offer_is_signed_by_both_sides() {
    let ((alice, _), (bob, bobs), (carol, _)) = (
        party("Granting Both Alice Limited"),
        party("Granting Both Bob Limited"),
        party("Granting Both Carol Limited"),
    );
    fs::write(alice.file("m.bin"), "weights whose licence two companies sign").unwrap();
    let model = id(&done(&alice, &["register", "m.bin", "--licence", "mit"]));
    done(&alice, &["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]);
    let grant = [
        "licence",
        "grant",
        "--artefact",
        &model,
        "--terms",
        "terms.json",
        "--to",
        &bobs,
        "--starts-on",
        "2027-01-31",
        "--sign-only",
        "grant.json",
    ];
    let error = refused(&alice, &grant, 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("chopmark licence publish terms.json"), "{error}");
    done(&alice, &["licence", "publish", "terms.json"]);
    let error = refused(&alice, &grant[..10], 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("--sign-only"), "{error}");
    let drafted = done(&alice, &grant);
    assert_eq!((&drafted["signatures"], &drafted["missing"]), (&json!(1), &json!(1)), "{drafted}");
    refused(&alice, &["submit", "grant.json"], 4, "threshold_not_met");

    let hand = |to: &Home| fs::copy(alice.file("grant.json"), to.file("grant.json")).unwrap();
    hand(&carol);
    refused(&carol, &["sign", "grant.json", "--accept-public-record"], 4, "signer_not_listed");
    hand(&bob);
    let signed = done(&bob, &["sign", "grant.json", "--accept-public-record"]);
    let explained = signed["explained"].to_string();
    for said in ["Granting Both Alice Limited", "Granting Both Bob Limited", "2027-01-31", "50"] {
        assert!(explained.contains(said), "{said}: {explained}");
    }
    // In the language asked for.
    hand(&bob);
    let ran = bob.run(&["sign", "grant.json", "--dry-run", "--lang", "zh-Hans"]);
    let shown = done(&alice, &["licence", "show", "terms.json"]);
    let last = shown["summary"]["zh-Hans"].as_str().unwrap().lines().last().unwrap().to_owned();
    assert!(ran.code == 0 && ran.stdout.contains(&last), "{ran:?}");
    done(&bob, &["sign", "grant.json", "--accept-public-record"]);
    let entered = done(&bob, &["submit", "grant.json"]);
    assert!(id(&entered).starts_with("lic_") && entered["complete"] == true, "{entered}");
    let list = done(&bob, &["licence", "list", "--licensee", &bobs]);
    let licence = &list["licences"][0];
    assert_eq!((&licence["id"], &licence["starts_on"]), (&entered["id"], &json!("2027-01-31")), "{list}");

    // Terms that say when it starts are not contradicted.
    alice.edit("terms.json", |terms| terms["term"]["start"] = json!("2027-02-01"));
    refused(&alice, &grant, 2, "usage");
}

#[test]
fn a_sealed_fee_is_opened_by_its_parties_and_stands_nowhere_else() {
    let ((alice, _), (bob, bobs), (carol, _)) =
        (party("Sealing Alice Limited"), party("Sealing Bob Limited"), party("Sealing Carol Limited"));
    fs::write(alice.file("m.bin"), "weights for a confidential fee").unwrap();
    let model = id(&done(&alice, &["register", "m.bin", "--licence", "mit"]));
    done(&alice, &["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]);
    alice.edit("terms.json", |terms| terms["consideration"][0]["figures"]["amount"] = json!("31337.25"));
    let offer = ["licence", "offer", "--artefact", &model, "--terms", "terms.json", "--to", &bobs, "--seal", "amount"];
    let offered = done(&alice, &offer);
    let terms = offered["terms_id"].as_str().unwrap();
    assert_ne!(done(&alice, &["licence", "show", "terms.json"])["terms_id"], terms, "sealed, they are other terms");
    let shown = shared::service().get(&format!("/v1/terms/{terms}"));
    assert!(!shown.text().contains("31337"), "{}", shown.text());
    let statement = shown.json()["published_by"][0]["statement_id"].as_str().unwrap().to_owned();
    let entry = shared::service().get(&format!("/v1/statements/{statement}"));
    assert!(!entry.text().contains("31337") && entry.json()["kind"] == "terms", "{}", entry.text());

    let disclose = ["disclose", &statement, "--field", "/consideration/0/amount", "--out", "fee.chop"];
    for home in [&alice, &bob] {
        let disclosed = done(home, &disclose);
        assert_eq!(disclosed["value"], "31337.25", "{disclosed}");
    }
    let (code, refusal) = run(&carol, &disclose);
    assert_eq!(code, 5, "what is not hers is not there: {refusal}");
    let checked = done(&bob, &["disclose", "--check", "fee.chop"]);
    assert_eq!((&checked["value"], &checked["field"]), (&json!("31337.25"), &json!("/consideration/0/amount")));
    // What has to be paid is shown to whoever is going to pay it, and to nobody else.
    let accept =
        |home: &Home, offer: &str| done(home, &["licence", "accept", offer, "--dry-run"])["agreed"].to_string();
    assert!(accept(&bob, &id(&offered)).contains("31,337.25"), "{}", accept(&bob, &id(&offered)));
    let to_anybody = done(&alice, &[&offer[..6], &offer[8..]].concat());
    let unread = accept(&carol, &id(&to_anybody));
    assert!(!unread.contains("31,337.25") && unread.contains("ask the licensor"), "{unread}");
    done(&bob, &["licence", "accept", &id(&offered)]);
    // What is sealed already can't be sealed again, and what costs nothing has no fee.
    done(&alice, &["licence", "new", "--preset", "permissive", "--out", "free.json"]);
    refused(
        &alice,
        &["licence", "offer", "--artefact", &model, "--terms", "free.json", "--seal", "amount"],
        2,
        "usage",
    );
}

//! `chopmark search`: the command line finds what the interface finds, over as many pages as it takes.

use std::fs;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::party::{Identifier, Scheme};
use serde_json::Value;

use crate::find::artefact;
use crate::harness::Home;
use crate::make::{Author, english, manifest, small_manifest};
use crate::shared::{self, author, enter};
use crate::verify::closed_port;

fn search(home: &Home, arguments: &[&str]) -> (i32, Value) {
    home.json(&[&["search", "--url", shared::service().url()], arguments].concat())
}

#[track_caller]
fn found(home: &Home, arguments: &[&str], resource: &str) -> Vec<String> {
    let (code, document) = search(home, arguments);
    assert_eq!(code, 0, "{arguments:?}: {document}");
    let id = if resource == "parties" { "party_id" } else { "artefact_id" };
    document[resource].as_array().unwrap().iter().map(|row| row[id].as_str().unwrap().to_owned()).collect()
}

/// A filter that the interface gets and the command line does not is noticed here.
#[test]
fn no_filter_of_the_interface_is_without_a_flag() {
    let help = Home::new().run(&["search", "--help"]).stdout;
    let document: Value = serde_json::from_str(&chopmark_api::openapi_json()).unwrap();
    for path in ["/v1/artefacts", "/v1/parties"] {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let names: Vec<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"since"), "{names:?}");
        // Words stand by themselves, and pages follow each other.
        for name in names.into_iter().filter(|name| !["q", "cursor"].contains(name)) {
            assert!(help.contains(&format!("--{name} <")), "{path} takes {name}, and there is no --{name}: {help}");
        }
    }
}

#[test]
fn every_filter_of_the_interface_finds_what_it_should() {
    let (service, home) = (shared::service(), Home::new());
    let (registry, log_key) = shared::registry(service);
    let mut names = english("Searchable Zhuhai Studio");
    names.zh_hant = Some("可搜尋珠海工作室".to_owned());
    let brn = Identifier { scheme: Scheme::HkBrn, value: "76543210".to_owned() };
    let (owner, party) = Author::identified(&registry, "searchable owner", (names, vec![brn]), 1, 1);
    enter(service, &party, &log_key);
    let files: [(&str, &[u8]); 2] = [("w.bin", b"searchable weights"), ("README", b"searchable readme")];
    let whole = manifest(&files);
    let one = artefact(&owner, "Searchablone", &whole, |claim| {
        claim.kind = serde_json::from_value("dataset".into()).unwrap();
        claim.residency_zone = serde_json::from_value("CN-GBA".into()).unwrap();
        claim.author_jurisdiction = chopmark_core::code::Jurisdiction::new("MO").unwrap();
        claim.licence = chopmark_core::licence::DeclaredLicence::parse("zlib").unwrap();
    });
    let two = artefact(&owner, "Searchabltwo", &small_manifest("searchable two"), |_| {});
    let [first, second] = [&one, &two].map(|entry| {
        enter(service, entry, &log_key);
        entry.statement.id.to_hex()
    });
    fs::create_dir(home.file("model")).unwrap();
    for (name, content) in files {
        fs::write(home.file("model").join(name), content).unwrap();
    }
    let (owner_id, shown) = (owner.party.to_hex(), owner.party.shown("pty").to_string());
    let digest = Sha256Digest::of(files[0].1).to_hex();
    let both = [first.clone(), second.clone()];
    let (only, none): (&[String], &[String]) = (&both[..1], &[]);
    for (arguments, expected) in [
        (["searchablone"].as_slice(), only),
        (&["searchablone", "zhuhai"], only),
        (&["可搜寻珠海"], &both),
        (&["searchablone", "nowhere"], none),
        (&["--owner", &owner_id], &both),
        (&["--owner", &shown, "--kind", "dataset"], only),
        (&["--owner", &owner_id, "--zone", "CN-GBA"], only),
        (&["--owner", &owner_id, "--jurisdiction", "MO"], only),
        (&["--owner", &owner_id, "--licence", "Zlib"], only),
        (&["--owner", &owner_id, "--since", "2999-01-01"], none),
        (&["--owner", &owner_id, "--since", "2020-01-01"], &both),
        (&["--digest", &digest], only),
        (&["--digest", &format!("sha256:{digest}")], only),
        (&["--file", "model/w.bin"], only),
        (&["--file", "model"], only),
    ] {
        assert_eq!(found(&home, arguments, "artefacts"), expected, "{arguments:?}");
    }
    for arguments in [
        ["--parties", "zhuhai"].as_slice(),
        &["--parties", "珠海工作室", "--jurisdiction", "HK"],
        &["--parties", "--brn", "76543210"],
        &["--parties", "zhuhai", "--brn", "76543210", "--since", "2020-01-01"],
    ] {
        assert_eq!(found(&home, arguments, "parties"), std::slice::from_ref(&owner_id), "{arguments:?}");
    }
    assert_eq!(found(&home, &["--parties", "zhuhai", "--jurisdiction", "SG"], "parties"), none);
    assert_eq!(found(&home, &["--parties", "zhuhai", "--brn", "76543211"], "parties"), none);

    let ran = home.run(&["search", "searchablone", "--url", service.url()]);
    let line = ran.stdout.lines().next().unwrap();
    for words in [one.statement.id.shown("art").to_string().as_str(), "Searchablone 1", "dataset", "Zlib"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(ran.stdout.lines().last().unwrap().starts_with("1 artefact found in the first "), "{}", ran.stdout);
    let ran = home.run(&["search", "--parties", "zhuhai", "--url", service.url()]);
    assert!(ran.stdout.contains("Searchable Zhuhai Studio  HK  self-declared"), "{}", ran.stdout);

    for (arguments, exit, code) in [
        (["--digest", "xyz"].as_slice(), 2, "bad_parameter"),
        (&["!?"], 2, "bad_parameter"),
        (&["--since", "yesterday"], 2, "usage"),
        (&["--owner", "nobody"], 2, "usage"),
        (&["--brn", "76543210"], 2, "usage"),
        (&["--parties", "--brn", "7654"], 2, "bad_parameter"),
        (&["--owner", "pty_aaaaaaaaaaaaaaaaaaaa"], 5, "not_found"),
        (&["--file", "missing"], 2, "not_found"),
        (&["--url", &closed_port()], 8, "unreachable"),
    ] {
        let (found, document) =
            home.json(&[&["search"], arguments, &["--url", service.url()][..usize::from(exit != 8) * 2]].concat());
        assert_eq!((found, document["error"]["code"].as_str()), (exit, Some(code)), "{arguments:?}: {document}");
    }
}

#[test]
fn a_search_goes_on_over_pages_until_its_limit() {
    let (service, home) = (shared::service(), Home::new());
    let (_, log_key) = shared::registry(service);
    let owner = author(service, "paginated owner");
    let all: Vec<String> = (0..105)
        .map(|number| {
            let submission = owner.artefact(&format!("paginated {number}"));
            enter(service, &submission, &log_key);
            submission.statement.id.to_hex()
        })
        .collect();
    assert_eq!(found(&home, &["paginated", "--limit", "1000"], "artefacts"), all);
    assert_eq!(found(&home, &["paginated", "--limit", "103"], "artefacts"), all[..103]);
    assert_eq!(found(&home, &["paginated"], "artefacts"), all[..20], "unless more are asked for");
    let (_, document) = search(&home, &["paginated", "--limit", "7"]);
    assert_eq!(document["more"], true);
    assert!(document["applied_size"].as_u64().unwrap() > 105);
    let (_, document) = search(&home, &["paginated", "--limit", "106"]);
    assert_eq!(document["more"], false);
}

/// However many parties a page has, there are as many queries: what they say about each other stays apart.
#[test]
fn a_page_of_parties_says_of_each_what_its_own_page_says() {
    let service = shared::service();
    let parties: Vec<_> = (0..5).map(|number| author(service, &format!("Paged Party Number {number}"))).collect();
    let list = service.get("/v1/parties?q=paged%20party&limit=100").json();
    let rows = list["parties"].as_array().unwrap();
    assert_eq!(rows.len(), parties.len(), "{list}");
    for (row, party) in rows.iter().zip(&parties) {
        assert_eq!(row["party_id"], party.party.to_hex());
        assert_eq!(*row, service.get(&format!("/v1/parties/{}", party.party)).json());
        assert_eq!(row["keys"].as_array().unwrap().len(), 1);
    }
}

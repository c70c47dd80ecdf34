//! The interface and its description: the committed document is the one this version makes, and it tells the truth.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::licensing::licensed;
use crate::shared;

/// Every route there is, by hand: a handler that is added without its description vanishes from the document silently.
const ROUTES: [&str; 45] = [
    "get /checkpoint",
    "get /docs",
    "get /docs/style.css",
    "get /healthz",
    "get /openapi.json",
    "get /readyz",
    "get /tile/{path}",
    "get /v1/accesses",
    "get /v1/accesses/checkpoint",
    "get /v1/accesses/inclusion/{size}/{index}",
    "get /v1/accesses/consistency/{old}/{new}",
    "get /v1/artefacts",
    "get /v1/artefacts/{id}",
    "get /v1/artefacts/{id}/ancestry",
    "get /v1/artefacts/{id}/licences",
    "get /v1/artefacts/{id}/lineage",
    "get /v1/documents/{sha256}",
    "get /v1/licences",
    "get /v1/licences/{id}",
    "get /v1/licences/{id}/file",
    "get /v1/offers",
    "get /v1/offers/{id}",
    "get /v1/parties",
    "get /v1/parties/{id}",
    "get /v1/payments",
    "get /v1/registry",
    "get /v1/reports/ip-expenditure/summary",
    "get /v1/reports/{id}",
    "get /v1/reports/{id}/export",
    "get /v1/reports/{id}/export/signature",
    "get /v1/reports/{id}/lines",
    "get /v1/reports/{id}/lines/{n}/evidence",
    "get /v1/statements/{id}",
    "get /v1/statements/{id}/attestations",
    "get /v1/statements/{id}/bundle",
    "get /v1/statements/{id}/endorsements",
    "get /v1/statements/{id}/openings",
    "get /v1/statements/{id}/receipt",
    "get /v1/statements/{id}/receipt.tlog-proof",
    "get /v1/status-list",
    "get /v1/terms/{id}",
    "post /v1/challenges",
    "post /v1/reports/ip-expenditure",
    "post /v1/statements",
    "post /v1/tokens",
];

fn document() -> Value {
    serde_json::from_str(&chopmark_api::openapi_json()).unwrap()
}

#[test]
fn the_committed_document_is_the_one_this_version_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/chopmark.v1.json");
    let committed = fs::read_to_string(path).unwrap();
    assert!(
        committed == chopmark_api::openapi_json(),
        "openapi/chopmark.v1.json is not of this version; write it anew with \
         `cargo run -p chopmark-api --example openapi > openapi/chopmark.v1.json`"
    );
    assert!(document()["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn routes_and_described_paths_are_the_same() {
    let document = document();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        // Actix writes the pattern of a parameter into the path.
        .map(|operation| operation.replace("{path:.*}", "{path}"))
        .collect();
    assert_eq!(described, ROUTES.map(str::to_owned).into());
    // The attributes in the source, counted: none of them lacks its description.
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src/routes");
    let listed = |directory: &Path| fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = listed(&sources).collect();
    let mut attributes = 0;
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(listed(&file));
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let is_route = |line: &&str| {
            ["#[get(", "#[post(", "#[put(", "#[delete(", "#[patch("].iter().any(|start| line.starts_with(start))
        };
        attributes += text.lines().filter(is_route).count();
    }
    assert_eq!(attributes, ROUTES.len());
}

#[test]
fn every_described_path_answers_and_nothing_else_does() {
    let service = shared::service();
    let author = shared::author(service, "openapi");
    let artefact = author.artefact("openapi");
    let answer = service.post(&artefact.to_request());
    assert_eq!(answer.status, 201);
    let (artefact_id, party) = (artefact.statement.id.to_hex(), author.party.to_hex());
    let manifest = artefact.statement.subject.to_hex();
    let licensed = licensed(service, "openapi");
    let document = document();
    let mut answered = 0;
    for route in ROUTES {
        let (method, path) = route.split_once(' ').unwrap();
        let of_document = document["paths"].as_object().unwrap();
        let described =
            &of_document.iter().find(|(key, _)| key.replace("{path:.*}", "{path}") == path).unwrap().1[method];
        if ["sealed", "reports"].contains(&described["tags"][0].as_str().unwrap()) {
            // Needs a token, or makes one: `sealed::matrix` asks for these.
            continue;
        }
        let id = match path {
            _ if path.contains("parties") => &party,
            _ if path.contains("/v1/licences/") => &licensed.licence.to_hex(),
            _ if path.contains("/v1/offers/") => &licensed.offer.to_hex(),
            _ if path.contains("/v1/terms/") => &licensed.terms.to_hex(),
            _ => &artefact_id,
        };
        let filled = path.replace("{id}", id).replace("{sha256}", &manifest).replace("{path}", "0/000.p/2");
        let filled = if path == "/v1/artefacts" { format!("{filled}?digest={manifest}") } else { filled };
        let answer = if method == "post" { service.post(&artefact.to_request()) } else { service.get(&filled) };
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
        // The answer has a media type that the document names for this status.
        let content = described["responses"]["200"]["content"].as_object().unwrap();
        let media_type = answer.header("content-type").unwrap().split(';').next().unwrap();
        assert!(content.contains_key(media_type), "{route}: {media_type} is not described");
        // Only what its path names for ever may be kept: a proof or a list is of one moment (TrustAsia 2026).
        let cache = answer.header("cache-control").unwrap_or_else(|| panic!("{route}: nothing said about caches"));
        let expected = match path {
            "/tile/{path}" | "/v1/documents/{sha256}" => "public, max-age=31536000, immutable",
            "/checkpoint" => "public, max-age=1",
            "/v1/status-list" => "public, max-age=60",
            "/healthz" | "/readyz" | "/v1/licences/{id}/file" => "no-store",
            _ if path.contains("/receipt") || path.contains("/bundle") || method == "post" => "no-store",
            _ => "no-cache",
        };
        assert_eq!(cache, expected, "{route}");
        answered += 1;
    }
    println!("{answered} of {} described operations answer", ROUTES.len());
    assert_eq!(service.get("/openapi.json").text(), chopmark_api::openapi_json());
    for path in
        ["/", "/v1", "/v1/", "/v2/statements", "/v1/statement", "/v1/statements/x/y/z", "/metrics", "/.git/config"]
    {
        let answer = service.get(path);
        assert!(matches!(answer.status, 404 | 405), "{path}: {}", answer.status);
        answer.problem();
    }
}

/// Every member of an answer is described, and every required one is there.
#[test]
fn answers_have_the_described_members() {
    let service = shared::service();
    let author = shared::author(service, "described members");
    let artefact = author.artefact("described members");
    let (id, party) = (artefact.statement.id, author.party);
    let document = document();
    let created = service.post(&artefact.to_request());
    let schema = |name: &str| &document["components"]["schemas"][name];
    for (name, value) in [
        ("Receipt", created.json()),
        ("Receipt", service.get(&format!("/v1/statements/{id}/receipt")).json()),
        ("StatementView", service.get(&format!("/v1/statements/{id}")).json()),
        ("ArtefactView", service.get(&format!("/v1/artefacts/{id}")).json()),
        ("ArtefactList", service.get(&format!("/v1/artefacts?digest={}", artefact.statement.subject)).json()),
        ("PartyView", service.get(&format!("/v1/parties/{party}")).json()),
        ("RegistryView", service.get("/v1/registry").json()),
        ("Readiness", service.get("/readyz").json()),
        ("Problem", service.get(&format!("/v1/statements/{}", "00".repeat(32))).json()),
    ] {
        let described = schema(name)["properties"].as_object().unwrap_or_else(|| panic!("no schema {name}"));
        for member in value.as_object().unwrap().keys() {
            assert!(described.contains_key(member), "{name}: {member} is not described");
        }
        for required in schema(name)["required"].as_array().unwrap() {
            assert!(value.get(required.as_str().unwrap()).is_some(), "{name}: {required} is missing");
        }
    }
}

#[test]
fn things_are_found_by_their_short_ids_and_by_the_digest_of_any_file() {
    let service = shared::service();
    let author = shared::author(service, "found");
    let artefact = author.artefact("found by digest");
    assert_eq!(service.post(&artefact.to_request()).status, 201);
    let (id, party) = (artefact.statement.id, author.party);
    let content = b"found by digest";
    let file = chopmark_core::digest::Sha256Digest::of(content).to_hex();
    let tree = chopmark_core::digest::Blake3Digest::of(content).to_hex();
    for digest in [file, tree, artefact.statement.subject.to_hex()] {
        let found = service.get(&format!("/v1/artefacts?digest={digest}")).json();
        assert_eq!(found["artefacts"][0]["artefact_id"], id.to_hex(), "{digest}: {found}");
    }
    let none = service.get(&format!("/v1/artefacts?digest={}", "00".repeat(32)));
    assert_eq!((none.status, none.json()["artefacts"].as_array().unwrap().len()), (200, 0));
    assert_eq!(service.get(&format!("/v1/artefacts/{}", id.shown("art"))).json()["artefact_id"], id.to_hex());
    assert_eq!(service.get(&format!("/v1/parties/{}", party.shown("pty"))).json()["party_id"], party.to_hex());
    for path in [
        "/v1/artefacts?digest=x",
        "/v1/artefacts?digest=&digest=",
        "/v1/artefacts?other=1",
        "/v1/artefacts/x",
        "/v1/parties/art_'--",
        "/v1/statements/..%2f..",
        "/v1/documents/xyz",
        "/v1/statements/%00",
    ] {
        let answer = service.get(path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        answer.problem();
    }
    // A party is no artefact, and an artefact no party.
    assert_eq!(service.get(&format!("/v1/artefacts/{party}")).status, 404);
    assert_eq!(service.get(&format!("/v1/parties/{id}")).status, 404);
    assert_eq!(service.get(&format!("/v1/statements/{party}/bundle")).status, 404);
}

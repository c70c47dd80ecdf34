//! Hostile queries and paths: what is no filter, cursor or id is refused with 400, what is one finds nothing, and nothing
//! that is sent reaches the database as anything but a value (threat 21).

use crate::harness::Answer;
use crate::make::english;
use crate::shared;

/// What has undone other services: SQL, NUL, encodings, templates, paths, formats, sizes.
const HOSTILE: [&str; 34] = [
    "'",
    "\"",
    "' OR '1'='1",
    "'; DROP TABLE log.entry; --",
    "1); DELETE FROM view.party; --",
    "' UNION SELECT * FROM pg_shadow --",
    "\\'; SELECT pg_sleep(10); --",
    "$$; SELECT 1; $$",
    "E'\\\\x41'",
    "%' AND 1=CAST((SELECT version()) AS int) --",
    "{1,2}",
    "ARRAY['a']",
    "NULL",
    "\0",
    "a\0b",
    "\u{202e}",
    "\u{feff}",
    "\u{10ffff}",
    "\r\nSet-Cookie: a=b",
    "\u{1b}[31m",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "-1",
    "0",
    "1e309",
    "NaN",
    "18446744073709551616",
    "9223372036854775808.9223372036854775807",
    "18446744073709551615.0",
    "林氏 OR 林氏",
    "%s%n%x",
];

/// Percent-encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

/// Refused as a bad parameter, or answered with an empty list.
fn is_harmless(answer: &Answer, list: &str) -> bool {
    match answer.status {
        400 => answer.problem()["code"] == "bad_parameter",
        200 => answer.json()[list].as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}

#[test]
fn hostile_filters_find_nothing_and_break_nothing() {
    let service = shared::service();
    let author = shared::author(service, "asked with malice");
    assert_eq!(service.post(&author.artefact("asked with malice").to_request()).status, 201);
    let long = "x".repeat(4_000);
    let hostile: Vec<_> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    let mut asked = 0;
    for (path, list, names) in [
        (
            "/v1/artefacts",
            "artefacts",
            &["digest", "q", "owner", "kind", "licence", "jurisdiction", "zone", "since", "cursor", "limit"][..],
        ),
        ("/v1/parties", "parties", &["q", "jurisdiction", "brn", "since", "cursor", "limit"]),
    ] {
        for name in names {
            for value in &hostile {
                let query = format!("{path}?{name}={}", encoded(value));
                let answer = service.get(&query);
                // Words are words, and some may be somebody's.
                let is_query = answer.status == 200 && *name == "q";
                assert!(is_harmless(&answer, list) || is_query, "{query}: {} {}", answer.status, answer.text());
                asked += 1;
            }
            // Twice, without a value, with a name that is no filter, with bytes that are not UTF-8.
            for query in [
                format!("{path}?{name}=a&{name}=b"),
                format!("{path}?{name}"),
                format!("{path}?{name}="),
                format!("{path}?{name}[]=a"),
                format!("{path}?{name}[$ne]=a"),
                format!("{path}?{name}=%FF%FE"),
                format!("{path}?{name}=%"),
                format!("{path}?{name}=%zz"),
                format!("{path}?;{name}=a"),
            ] {
                let answer = service.get(&query);
                // An empty query has no words, and then everything fits.
                let is_all = answer.status == 200 && *name == "q";
                assert!(is_harmless(&answer, list) || is_all, "{query}: {} {}", answer.status, answer.text());
                asked += 1;
            }
        }
    }
    println!("{asked} hostile filters refused or empty");
    assert!(asked > 500);
}

#[test]
fn hostile_names_in_paths_are_refused() {
    let service = shared::service();
    let mut asked = 0;
    for path in [
        "/v1/artefacts/",
        "/v1/parties/",
        "/v1/statements/",
        "/v1/documents/",
        "/tile/",
        "/tile/0/",
        "/tile/entries/",
        "/tile/0/000.p/",
    ] {
        for value in HOSTILE {
            for suffix in ["", "/receipt", "/bundle"] {
                let named = format!("{path}{}{suffix}", encoded(value));
                let answer = service.get(&named);
                assert!(matches!(answer.status, 400 | 404), "{named}: {} {}", answer.status, answer.text());
                answer.problem();
                asked += 1;
            }
        }
        for raw in ["%FF", "%", "%00", "%2F", "..", "%2e%2e", ".%2e/", "x?y", "a;b"] {
            let answer = service.get(&format!("{path}{raw}"));
            assert!(matches!(answer.status, 400 | 404 | 405), "{path}{raw}: {} {}", answer.status, answer.text());
            answer.problem();
            asked += 1;
        }
    }
    println!("{asked} hostile paths refused");
    // Everything is still there, and a party that is named like an attack is found by its name.
    let (reference, log_key) = shared::registry(service);
    let (_, party) =
        crate::make::Author::named(&reference, "bobby", english("Robert'); DROP TABLE view.party;--"), 1, 1);
    shared::enter(service, &party, &log_key);
    let found = service.get(&format!("/v1/parties?q={}", encoded("Robert'); DROP TABLE view.party;--"))).json();
    assert_eq!(found["parties"][0]["party_id"], party.statement.id.to_hex());
}

//! An offer from one terminal to another: whoever makes it is told its id, whoever wants it finds it and reads its terms.

use std::fs;

use serde_json::json;

use crate::harness::Home;
use crate::shared::{self, done, refused};

/// What a command prints for people, when it ends well.
fn said(home: &Home, arguments: &[&str]) -> String {
    let ran = home.run(&[arguments, &["--url", shared::service().url()]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

/// The first word that begins with this.
fn named(text: &str, prefix: &str) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter == ',');
    words.into_iter().find(|word| word.starts_with(prefix) && !word.ends_with('…')).expect(text).to_owned()
}

#[test]
fn what_is_entered_is_named_and_what_is_offered_is_found() {
    let (alice, bob) = (Home::new(), Home::new());
    let party = |home: &Home, name: &str| {
        assert_eq!(home.json(&["key", "new"]).0, 0);
        done(home, &["party", "register", "--name-en", name, "--jurisdiction", "HK"])["party_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    party(&alice, "Offering Alice Limited");
    let bobs = party(&bob, "Searching Bob Limited");
    fs::create_dir(alice.file("model")).unwrap();
    fs::write(alice.file("model/weights.bin"), "weights that are offered").unwrap();
    done(&alice, &["licence", "new", "--preset", "evaluation-only", "--out", "terms.json"]);
    let model = done(&alice, &["register", "model", "--licence", "mit", "--out", "model.chop"])["id"]
        .as_str()
        .unwrap()
        .to_owned();

    // The line that suggests what to do next has the id in it, and so can be passed on as it stands.
    let offered = said(&alice, &["licence", "offer", "--artefact", &model, "--terms", "terms.json"]);
    let (offer, terms) = (named(&offered, "off_"), named(&offered, "trm_"));
    assert!(offered.contains(&format!("chopmark licence accept {offer}")), "{offered}");

    let found = said(&bob, &["licence", "offers", "--artefact", &model]);
    assert_eq!(
        (named(&found, "off_"), named(&found, "trm_"), named(&found, "art_")),
        (offer.clone(), terms.clone(), model.clone())
    );
    let listed = done(&bob, &["licence", "offers", "--artefact", &model]);
    assert_eq!((&listed["offers"][0]["id"], &listed["next"]), (&json!(offer), &json!(null)), "{listed}");
    let read = done(&bob, &["licence", "show", &terms]);
    assert_eq!(
        (&read["id"], &read["terms"]),
        (&json!(terms), &done(&alice, &["licence", "show", "terms.json"])["terms"])
    );
    assert_eq!(done(&bob, &["licence", "show", read["terms_id"].as_str().unwrap()])["id"], terms);
    let absent = format!("trm_{}", "a".repeat(20));
    refused(&bob, &["licence", "show", &absent], 5, "not_registered");
    refused(&bob, &["licence", "show", "trm.json"], 2, "usage");

    let accepted = said(&bob, &["licence", "accept", &offer]);
    let licence = named(&accepted, "lic_");
    assert!(accepted.contains(&format!("chopmark licence file {licence} --out")), "{accepted}");
    // Accepted or not, it may be accepted by others until it ends.
    assert_eq!(done(&bob, &["licence", "offers", "--artefact", &model, "--all"])["offers"], listed["offers"]);
    assert_eq!(done(&bob, &["licence", "offers", "--licensee", &bobs])["offers"], json!([]));
}

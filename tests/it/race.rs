//! A race for one file: a thousand parties register the same bytes at once.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::submission::Submission;
use serde_json::{Value, json};

use crate::harness::{Service, place};
use crate::make::{Author, manifest};
use crate::repeat::at_once;
use crate::shared::{self, check_receipt};

/// Parties that race.
const PARTIES: usize = 1_000;

/// Most conflicts that one artefact shows.
const SHOWN: usize = 100;

/// Every artefact that holds this digest, page after page, once searches have caught up with the log.
fn holders(service: &Service, digest: &Sha256Digest, size: u64) -> Vec<Value> {
    let begun = Instant::now();
    let (mut all, mut path) = (Vec::new(), format!("/v1/artefacts?digest={digest}&limit=100"));
    loop {
        let list = service.get(&path).json();
        if list["applied_size"].as_u64().unwrap() < size {
            assert!(begun.elapsed() < Duration::from_mins(1), "searches do not catch up: {list}");
            thread::sleep(Duration::from_millis(50));
            continue;
        }
        all.extend(list["artefacts"].as_array().unwrap().iter().cloned());
        let Some(next) = list["next"].as_str() else { return all };
        path = format!("/v1/artefacts?digest={digest}&limit=100&cursor={next}");
    }
}

#[test]
fn of_a_thousand_racing_registrations_one_is_first_and_none_is_lost() {
    let place = place();
    let service = Service::start(place.path());
    let (reference, log_key) = shared::registry(&service);
    let racers: Vec<_> = (0..PARTIES).map(|number| Author::new(&reference, &format!("racer {number}"), 1, 1)).collect();
    let parties: Vec<_> = racers.iter().map(|(_, party)| party.to_request()).collect();
    let entered = at_once(&service, &parties, |_, answer| answer.status);
    assert!(entered.iter().all(|status| *status == 201), "{entered:?}");

    let weights = b"the weights that everybody wants to have been first with";
    let submissions: Vec<_> = racers
        .iter()
        .enumerate()
        .map(|(number, (author, _))| {
            // A file of their own beside it: the conflict is about the file, not the manifest.
            let readme = format!("mine, says {number}");
            let manifest = manifest(&[("model.bin", weights), ("README.md", readme.as_bytes())]);
            let payload = author.payload(&format!("race {number}"), "1", &manifest);
            author.sign(payload, vec![manifest.to_canonical_bytes()])
        })
        .collect();
    let requests: Vec<_> = submissions.iter().map(Submission::to_request).collect();
    // Each receipt is proved at its index as it comes.
    let indices = at_once(&service, &requests, |number, answer| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        check_receipt(&answer, &submissions[number].entry, &log_key).0
    });

    let mut expected: BTreeMap<u64, String> = BTreeMap::new();
    for (index, submission) in indices.iter().zip(&submissions) {
        expected.insert(*index, submission.statement.id.to_hex());
    }
    assert_eq!(expected.len(), PARTIES, "two have one index");
    let (first_index, first) = expected.first_key_value().unwrap();
    let size = shared::size(&service);
    assert_eq!(size, u64::try_from(2 * PARTIES).unwrap() + 2, "two founding entries, parties, artefacts: {size}");

    let found = holders(&service, &Sha256Digest::of(weights), size);
    let listed: Vec<_> = found.iter().map(|artefact| artefact["artefact_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, expected.values().cloned().collect::<Vec<_>>(), "all of them, in the order of the log");
    let [winner, others @ ..] = found.as_slice() else { panic!("nothing found") };
    for other in others {
        let flags = other["conflicts"].as_array().unwrap();
        assert_eq!(flags.len(), 1, "{other}");
        assert_eq!((&flags[0]["artefact_id"], &flags[0]["index"]), (&json!(first), &json!(first_index)), "{other}");
        assert_eq!((&flags[0]["order"], &flags[0]["files"]), (&json!("earlier"), &json!(1)), "{other}");
    }
    let flags = winner["conflicts"].as_array().unwrap();
    let later: Vec<_> = expected.iter().skip(1).take(SHOWN).collect();
    assert_eq!(flags.len(), SHOWN);
    for (flag, (index, id)) in flags.iter().zip(later) {
        let shown = (&flag["artefact_id"], &flag["index"], &flag["order"]);
        assert_eq!(shown, (&json!(id), &json!(index), &json!("later")));
    }
    service.stop();
}

//! The same statement again, one after another and at the same time: one entry, one answer, nothing lost.

use std::collections::BTreeSet;
use std::thread;

use chopmark_core::bundle::Bundle;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::{
    Dtype, ExclusionProfile, FileEntry, FilePath, MANIFEST_SIZE_BYTES_MAX, Manifest, TensorEntry, WeightFormat,
    WeightIndex,
};
use chopmark_core::statement::Envelope;
use chopmark_core::submission::Submission;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::harness::{Service, place};
use crate::make::{Author, english, manifest, small_manifest};
use crate::shared::{self, check_receipt};

/// Sends every request at once, from as many threads as are useful, and returns the answers in order.
pub fn at_once<T: Send>(
    service: &Service,
    requests: &[Vec<u8>],
    read: impl Fn(usize, crate::harness::Answer) -> T + Sync,
) -> Vec<T> {
    const THREADS: usize = 32;
    let share = requests.len().div_ceil(THREADS);
    thread::scope(|scope| {
        let parts: Vec<_> = requests
            .chunks(share)
            .enumerate()
            .map(|(part, requests)| {
                let read = &read;
                scope.spawn(move || {
                    let indices = part * share..;
                    indices.zip(requests).map(|(index, body)| read(index, service.post(body))).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

#[test]
fn the_same_statement_again_is_the_same_entry() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let author = shared::author(service, "again");
    let submission = author.artefact("again");
    let first = service.post(&submission.to_request());
    assert_eq!(first.status, 201, "{}", first.text());
    let (index, _) = check_receipt(&first, &submission.entry, &log_key);
    assert_eq!(first.json()["signatures_differ"], false);

    // The same, and the same in another spelling: members in another order, the other base64, white space.
    let [signature] = submission.envelope.signatures() else { panic!("one signature") };
    let document = submission.documents.values().next().unwrap();
    let respelt = format!(
        "\n {{\"documents\": [\"{}\"], \"envelope\": {{\"signatures\": [{{\"sig\": \"{}\", \"keyid\": \"{}\"}}], \
         \"payload\": \"{}\", \"payloadType\": \"application/vnd.in-toto+json\"}}}}",
        BASE64.encode(document),
        BASE64URL_NOPAD.encode(&signature.signature),
        signature.key_id,
        BASE64URL_NOPAD.encode(submission.envelope.payload())
    );
    let without_document = json!({"envelope": serde_json::from_slice::<Value>(&submission.entry).unwrap()}).to_string();
    for body in [submission.to_request(), respelt.into_bytes(), without_document.into_bytes()] {
        let again = service.post(&body);
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(check_receipt(&again, &submission.entry, &log_key).0, index);
        assert_eq!(again.json()["signatures_differ"], false);
        assert_eq!(again.json()["recorded_at"], first.json()["recorded_at"]);
    }
}

#[test]
fn other_signatures_on_the_same_statement_are_the_same_entry_and_say_so() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let author = shared::author_with(service, "two of three", 3, 2);
    let whole = author.artefact("two of three");
    let signed_by = |keys: &[usize]| {
        let keys: Vec<_> = keys.iter().map(|number| &author.keys[*number]).collect();
        let envelope = Envelope::sign(whole.envelope.payload().to_vec(), &keys);
        Submission::assemble(envelope, whole.documents.values().cloned().collect()).unwrap()
    };
    let stored = signed_by(&[0, 1]);
    let first = service.post(&stored.to_request());
    assert_eq!(first.status, 201, "{}", first.text());
    let (index, _) = check_receipt(&first, &stored.entry, &log_key);
    for (other, what) in [(signed_by(&[1, 2]), "others"), (whole.clone(), "more")] {
        let again = service.post(&other.to_request());
        assert_eq!(again.status, 200, "{what}: {}", again.text());
        assert_eq!(again.json()["signatures_differ"], true, "{what}");
        assert_eq!(again.header("location"), first.header("location"));
        // The receipt is of the entry that is in the log, not of the one just sent.
        assert_eq!(check_receipt(&again, &stored.entry, &log_key).0, index, "{what}");
    }
    let again = service.post(&stored.to_request());
    assert_eq!((again.status, &again.json()["signatures_differ"]), (200, &json!(false)));
    // Too few signatures are refused, known statement or not.
    let answer = service.post(&signed_by(&[2]).to_request());
    crate::admission::expect(&answer, "403 threshold_not_met payload /predicate/signers/0/threshold");

    let all = author.artefact("all three, then two");
    let first = service.post(&all.to_request());
    assert_eq!(first.status, 201);
    let fewer = Envelope::sign(all.envelope.payload().to_vec(), &[&author.keys[0], &author.keys[2]]);
    let fewer = Submission::assemble(fewer, Vec::new()).unwrap();
    let again = service.post(&fewer.to_request());
    assert_eq!((again.status, &again.json()["signatures_differ"]), (200, &json!(true)));
    check_receipt(&again, &all.entry, &log_key);
}

#[test]
fn two_hundred_at_once_make_one_entry() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let author = shared::author(service, "two hundred");
    let submission = author.artefact("two hundred");
    let requests = vec![submission.to_request(); 200];
    let answers = at_once(service, &requests, |_, answer| {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        (answer.status, check_receipt(&answer, &submission.entry, &log_key).0)
    });
    assert_eq!(answers.len(), 200);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
    assert_eq!(answers.iter().map(|(_, index)| index).collect::<BTreeSet<_>>().len(), 1);
    let rows = format!("SELECT count(*) FROM log.entry WHERE statement_id = '\\x{}'", submission.statement.id);
    assert_eq!(service.sql(&rows).unwrap(), "1");
}

/// Statements that contradict each other, all at once: one wins, whatever batch the others are in, and they name it.
#[test]
fn of_contradicting_statements_at_once_one_wins() {
    let service = shared::service();
    let author = shared::author(service, "contradicting");
    let manifest = small_manifest("contradicting");
    let signed = |change: &dyn Fn(&mut Value)| {
        let mut payload = serde_json::from_slice(&author.payload("contradicting", "1", &manifest)).unwrap();
        change(&mut payload);
        crate::admission::request(&payload, &[&author.keys[0]], &[manifest.to_canonical_bytes()])
    };
    // The same version of the same files under 50 nonces.
    let same_version: Vec<_> = (0..50_u128)
        .map(|number| signed(&|payload| payload["predicate"]["nonce"] = json!(format!("{:032x}", number + 1))))
        .collect();
    // 50 versions under the same nonce.
    let same_nonce: Vec<_> = (0..50)
        .map(|number| {
            signed(&|payload| {
                payload["predicate"]["nonce"] = json!("ff".repeat(16));
                payload["predicate"]["claim"]["version"] = json!(format!("n{number}"));
            })
        })
        .collect();
    // 50 parties with the same key.
    let same_key: Vec<_> = (0..50)
        .map(|number| {
            let name = english(&format!("one key, many names {number}"));
            Author::named(&author.registry, "one key, many names", name, 1, 1).1.to_request()
        })
        .collect();
    for (requests, code) in
        [(same_version, "already_registered"), (same_nonce, "nonce_reused"), (same_key, "key_in_use")]
    {
        let answers = at_once(service, &requests, |_, answer| (answer.status, answer.json()));
        let winners: Vec<_> = answers.iter().filter(|(status, _)| *status == 201).collect();
        let [(_, winner)] = winners.as_slice() else { panic!("{code}: {} entered", winners.len()) };
        for (status, answer) in answers.iter().filter(|(status, _)| *status != 201) {
            assert_eq!((*status, answer["code"].as_str()), (409, Some(code)), "{answer}");
            if code == "already_registered" {
                assert_eq!(answer["existing"], winner["statement_id"]);
            }
        }
    }
}

/// A manifest of one weight file with so many small tensors, named as those of experts are.
fn manifest_of_tensors(tensors: u64) -> Manifest {
    let name = |number: u64| format!("model.layers.{}.mlp.experts.{number:06}.up_proj.weight", number / 800);
    let tensors: Vec<_> = (0..tensors)
        .map(|number| TensorEntry {
            name: name(number),
            dtype: Dtype::F32,
            shape: vec![4, 4],
            begin: 100 + number * 64,
            end: 100 + (number + 1) * 64,
            blake3: Blake3Digest::of(&number.to_be_bytes()),
        })
        .collect();
    let size_bytes = tensors.last().unwrap().end;
    let index = WeightIndex {
        format: WeightFormat::Safetensors,
        header_size_bytes: 100,
        header_blake3: Blake3Digest::of(b"header"),
        alignment_bytes: None,
        tensors,
    };
    let file = FileEntry {
        path: FilePath::parse("model.safetensors").unwrap(),
        size_bytes,
        sha256: Sha256Digest::of(b"whole"),
        blake3: Some(Blake3Digest::of(b"whole")),
        weights: Some(index),
    };
    Manifest::new(ExclusionProfile::V1, vec![file]).unwrap()
}

/// The largest manifest there can be: in, out again, and proved offline.
#[test]
fn a_manifest_near_the_limit_makes_the_whole_way() {
    // Its own service: searches fall seconds behind while they take such a manifest in.
    let place = place();
    let service = &Service::start(place.path());
    let (reference, log_key) = shared::registry(service);
    let author = shared::author(service, "large");
    // As many tensors as the largest published models have, and more files than any.
    let names: Vec<_> = (0..60_000).map(|number| format!("shards/{number:06}.bin")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let mut files = manifest(&files).files().to_vec();
    files.extend(manifest_of_tensors(92_000).files().iter().cloned());
    let manifest = Manifest::new(ExclusionProfile::V1, files).unwrap();
    let document = manifest.to_canonical_bytes();
    assert!(document.len() > 26 << 20 && document.len() <= MANIFEST_SIZE_BYTES_MAX, "{}", document.len());
    let submission = author.sign(author.payload("large", "1", &manifest), vec![document.clone()]);
    let index = shared::enter(service, &submission, &log_key);
    let id = submission.statement.id;
    let last = Sha256Digest::of(names.last().unwrap().as_bytes());
    let begun = std::time::Instant::now();
    let found = loop {
        let found = service.get(&format!("/v1/artefacts?digest={last}")).json();
        if found["applied_size"].as_u64().unwrap() > index {
            break found;
        }
        assert!(begun.elapsed().as_secs() < 120, "{found}");
    };
    assert_eq!(found["artefacts"][0]["artefact_id"], id.to_hex());
    assert_eq!(service.get(&format!("/v1/documents/{}", submission.statement.subject)).body, document);

    let bundle = Bundle::parse(&service.get(&format!("/v1/statements/{id}/bundle")).body).unwrap();
    let trusted = TrustedRegistry {
        origin: reference.origin,
        log_key: log_key.to_string(),
        genesis: reference.genesis,
        allow_registry_asserted: true,
        max_status_age: None,
    };
    let proven = bundle.verify(&TrustPolicy { registries: vec![trusted] }).unwrap();
    assert_eq!((proven.index, proven.manifest.files().len()), (index, 60_001));
}

//! Finding: words in two languages and two scripts, filters, pages, and what artefacts say about each other.

mod pages;

use std::time::Duration;

use chopmark_core::artefact::{ArtefactClaim, ForeignArtefact, Parent, ParentSource, Relation};
use chopmark_core::attestation::AttestationClaim;
use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::kind::Claim;
use chopmark_core::manifest::Manifest;
use chopmark_core::statement::{Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::text::Names;
use serde_json::Value;

use crate::admission::expect;
use crate::harness::{Service, place};
use crate::make::{Author, english, manifest, small_manifest};
use crate::power::comes;
use crate::repeat::at_once;
use crate::shared::{self, author, check_receipt, enter};

/// Any claim by an author, signed.
pub fn say(author: &Author, label: &str, claim: &Claim, manifest: Option<&Manifest>) -> Submission {
    let header = author.header(Issuer::Party(author.party), author.threshold, label);
    let payload = Statement::compose(label, &header, claim).unwrap();
    author.sign(payload, manifest.map(Manifest::to_canonical_bytes).into_iter().collect())
}

/// A registration whose claim is edited first.
pub fn artefact(
    author: &Author,
    label: &str,
    manifest: &Manifest,
    edit: impl FnOnce(&mut ArtefactClaim),
) -> Submission {
    let mut claim = Author::claim(label, "1", manifest, Vec::new());
    edit(&mut claim);
    say(author, label, &Claim::Artefact(claim), Some(manifest))
}

fn ids(list: &Value) -> Vec<&str> {
    list["artefacts"].as_array().unwrap().iter().map(|found| found["artefact_id"].as_str().unwrap()).collect()
}

fn search(service: &Service, query: &str) -> Value {
    let answer = service.get(&format!("/v1/artefacts?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()
}

/// Percent-encodes a query.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

#[test]
fn words_in_either_script_and_filters_find_an_artefact() {
    let place = place();
    let service = Service::start(place.path());
    let (reference, log_key) = shared::registry(&service);
    let names = Names { en: Some("Lam Robotics".into()), zh_hant: Some("林氏機械人".into()), zh_hans: None };
    let (owner, party) = Author::named(&reference, "owner of words", names, 1, 1);
    enter(&service, &party, &log_key);
    let other = author(&service, "other");
    let first = artefact(&owner, "MiniLM-L6-v2", &small_manifest("first"), |claim| {
        claim.name.zh_hant = Some("語言模型".into());
    });
    enter(&service, &first, &log_key);
    let second = artefact(&other, "Tax tables", &small_manifest("second"), |claim| {
        claim.kind = serde_json::from_value("dataset".into()).unwrap();
        claim.residency_zone = ResidencyZone::HongKong;
        claim.licence = chopmark_core::licence::DeclaredLicence::parse("mit or apache-2.0").unwrap();
    });
    enter(&service, &second, &log_key);
    let (first, second) = (first.statement.id.to_hex(), second.statement.id.to_hex());
    let (one, two, none): (&[&str], &[&str], &[&str]) = (&[&first], &[&second], &[]);
    for (query, expected) in [
        ("q=minilm", one),
        ("q=mini", one),
        ("q=lam", one),
        (&format!("q={}", encoded("語言")), one),
        (&format!("q={}", encoded("语言")), one),
        (&format!("q={}", encoded("模")), one),
        (&format!("q={}", encoded("林氏机械人")), one),
        (&format!("q={}", encoded("言語")), none),
        ("q=minilm%20tax", none),
        ("q=tables&kind=dataset", two),
        ("q=tables&kind=model", none),
        ("licence=MIT", two),
        ("licence=Apache-2.0", &[&first, &second]),
        ("licence=apache-2.0", &[&first, &second]),
        ("licence=mit", two),
        ("licence=apache-2", none),
        ("zone=HK", two),
        ("jurisdiction=HK", &[&first, &second]),
        ("jurisdiction=SG", none),
        (&format!("owner={}", owner.party), one),
        ("since=2999-01-01T00:00:00.000Z", none),
        ("since=2020-01-01T00:00:00.000Z&kind=dataset", two),
        (&format!("digest={}", Sha256Digest::of(b"first")), one),
    ] {
        assert_eq!(ids(&search(&service, query)), expected, "{query}");
    }
    for (query, place) in [
        ("q=%21%3F", "/q"),
        ("digest=xyz", "/digest"),
        ("owner=me", "/owner"),
        ("since=yesterday", "/since"),
        ("cursor=1", "/cursor"),
        ("cursor=99999.1", "/cursor"),
        ("limit=101", "/limit"),
        ("sort=name", ""),
    ] {
        let problem =
            expect(&service.get(&format!("/v1/artefacts?{query}")), &format!("400 bad_parameter query {place}"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    let parties = service.get(&format!("/v1/parties?q={}", encoded("机械"))).json();
    assert_eq!(parties["parties"][0]["party_id"], owner.party.to_hex());
    assert_eq!(parties["parties"].as_array().unwrap().len(), 1);
    service.stop();
}

#[test]
fn pages_of_one_list_hold_every_artefact_once() {
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let owner = author(&service, "pages");
    let all: Vec<String> = (0..7)
        .map(|number| {
            let submission = owner.artefact(&format!("page {number}"));
            enter(&service, &submission, &log_key);
            submission.statement.id.to_hex()
        })
        .collect();
    let (mut seen, mut path, mut size) = (Vec::new(), "/v1/artefacts?q=page&limit=3".to_owned(), None);
    loop {
        let answer = service.get(&path);
        let list = answer.json();
        assert_eq!(*size.get_or_insert(list["applied_size"].clone()), list["applied_size"]);
        seen.extend(ids(&list).into_iter().map(str::to_owned));
        // What is entered between two pages is not part of the list.
        enter(&service, &owner.artefact(&format!("page between {}", seen.len())), &log_key);
        let Some(next) = list["next"].as_str() else { break };
        let link = answer.header("link").unwrap();
        assert_eq!(link, format!("</v1/artefacts?q=page&limit=3&cursor={next}>; rel=\"next\""));
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(seen, all);
    service.stop();
}

/// More entries than a search looks through at first: words are found by looking on, by looking further, or through the
/// index, by how frequent they are. Whichever way, every page goes on where the one before ended.
#[test]
fn frequent_middling_and_rare_words_are_found_all_over_a_longer_log() {
    const ARTEFACTS: usize = 2_000;
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let owner = author(&service, "longer log");
    let words: [(&str, usize); 3] = [("everywhere", 1), ("middling", 16), ("seldom", 400)];
    let submissions: Vec<Submission> = (0..ARTEFACTS)
        .map(|number| {
            let said = words.iter().filter(|(_, every)| number.is_multiple_of(*every)).map(|(word, _)| *word);
            owner.artefact(&format!("{} {number}", said.collect::<Vec<_>>().join(" ")))
        })
        .collect();
    let requests: Vec<_> = submissions.iter().map(Submission::to_request).collect();
    let indices = at_once(&service, &requests, |number, answer| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        check_receipt(&answer, &submissions[number].entry, &log_key).0
    });
    let size = shared::size(&service);
    let has_followed = || search(&service, "limit=1")["applied_size"] == size;
    assert!(comes(Duration::from_mins(1), has_followed), "searches do not catch up");

    for (word, every) in words {
        let mut expected: Vec<(u64, String)> = (0..ARTEFACTS)
            .step_by(every)
            .map(|number| (indices[number], submissions[number].statement.id.to_hex()))
            .collect();
        expected.sort();
        let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
        for limit in [3, 100] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            // Of the most frequent word the first pages will do.
            for _ in 0..50 {
                let list = search(&service, &format!("q={word}&limit={limit}{cursor}"));
                seen.extend(ids(&list).into_iter().map(str::to_owned));
                let Some(next) = list["next"].as_str() else {
                    assert_eq!(seen.len(), expected.len(), "{word}, {limit} at a time");
                    break;
                };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(seen, expected[..seen.len()], "{word}, {limit} at a time");
        }
    }
    service.stop();
}

#[test]
fn the_same_file_by_two_parties_is_flagged_on_both_in_order() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let [first, second] = ["flags first", "flags second"].map(|label| author(service, label));
    let weights: &[u8] = b"the weights of the flags test";
    let original = artefact(&first, "original", &manifest(&[("w.bin", weights), ("empty", b"")]), |_| {});
    let copy = artefact(&second, "copy", &manifest(&[("w.bin", weights), ("README", b"mine")]), |_| {});
    let again = artefact(&first, "again", &manifest(&[("w.bin", weights), ("CHANGES", b"two")]), |claim| {
        claim.version = "2".into();
        claim.supersedes = Some(original.statement.id);
    });
    let unrelated = artefact(&second, "unrelated", &manifest(&[("empty", b""), ("x", b"flags unrelated")]), |_| {});
    let [at, copied_at, ..] = [&original, &copy, &again, &unrelated].map(|entry| enter(service, entry, &log_key));
    let shown = |id: StatementId| service.get(&format!("/v1/artefacts/{id}")).json();
    let view = shown(original.statement.id);
    let flag = &view["conflicts"][0];
    assert_eq!((&flag["artefact_id"], &flag["order"]), (&copy.statement.id.to_hex().into(), &"later".into()), "{view}");
    assert_eq!((&flag["index"], &flag["files"], &flag["size_bytes"]), (&copied_at.into(), &1.into(), &29.into()));
    assert_eq!(view["superseded_by"], serde_json::json!([again.statement.id.to_hex()]));
    let view = shown(copy.statement.id);
    let flag = &view["conflicts"][0];
    assert_eq!((&flag["index"], &flag["order"]), (&at.into(), &"earlier".into()), "{view}");
    assert_eq!(shown(again.statement.id)["conflicts"], serde_json::json!([]), "one's own files are no conflict");
    assert_eq!(shown(unrelated.statement.id)["conflicts"], serde_json::json!([]), "an empty file is nobody's");

    let foreign = artefact(&second, "not mine", &small_manifest("not mine"), |claim| {
        claim.supersedes = Some(original.statement.id);
    });
    expect(&service.post(&foreign.to_request()), "403 not_authorised payload /predicate/claim/supersedes");
    let unknown = artefact(&second, "of nothing", &small_manifest("of nothing"), |claim| {
        claim.supersedes = Some(StatementId::of(b"nothing"));
    });
    expect(&service.post(&unknown.to_request()), "422 unknown_artefact payload /predicate/claim/supersedes");
}

#[test]
fn parents_by_id_by_digest_and_elsewhere() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let owner = author(service, "parents in three ways");
    let parent = owner.artefact("a parent by id");
    enter(service, &parent, &log_key);
    let with = |label: &str, source: ParentSource| {
        artefact(&owner, label, &small_manifest(label), |claim| {
            claim.parents = vec![Parent { relation: Relation::Finetune, source }];
        })
    };
    let elsewhere = ForeignArtefact { origin: "other.example/log".into(), artefact: StatementId::of(b"there") };
    for (label, source, spelled) in [
        ("by id", ParentSource::Artefact(parent.statement.id), "artefact"),
        ("by digest", ParentSource::Digest(Sha256Digest::of(b"a parent by id")), "digest"),
        ("by digest of nothing yet", ParentSource::Digest(Sha256Digest::of(b"unseen")), "digest"),
        ("elsewhere", ParentSource::Foreign(elsewhere), "foreign"),
    ] {
        let child = with(label, source);
        enter(service, &child, &log_key);
        let view = service.get(&format!("/v1/artefacts/{}", child.statement.id)).json();
        assert!(!view["claim"]["parents"][0][spelled].is_null(), "{view}");
    }
    let unknown = with("of nobody", ParentSource::Artefact(StatementId::of(b"nobody")));
    let expected = "422 unknown_parent payload /predicate/claim/parents/0/artefact";
    expect(&service.post(&unknown.to_request()), expected);
}

#[test]
fn attestations_and_endorsements_are_the_word_of_who_signs_them() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let [owner, verifier] = ["attested", "verifier"].map(|label| author(service, label));
    let registered = owner.artefact("attested bytes");
    enter(service, &registered, &log_key);
    let matching = |artefact, manifest| {
        let (zone, tool) = (ResidencyZone::HongKong, "chopmark 0.1.0".to_owned());
        Claim::Attestation(AttestationClaim::BytesMatch { artefact, manifest, zone, tool })
    };
    let digest = small_manifest("attested bytes").digest();
    enter(service, &say(&verifier, "attest", &matching(registered.statement.id, digest), None), &log_key);
    let refused = |label: &str, claim: Claim, expected: &str| {
        expect(&service.post(&say(&verifier, label, &claim, None).to_request()), expected);
    };
    let other = matching(registered.statement.id, Sha256Digest::of(b"other"));
    refused("attest other", other, "422 document_invalid payload /predicate/claim/bytes_match/manifest");
    let unknown = matching(StatementId::of(b"none"), digest);
    refused("attest none", unknown, "422 unknown_artefact payload /predicate/claim/bytes_match/artefact");
    let identified = AttestationClaim::PartyVerified { party: owner.party, identifiers: Vec::new() };
    refused("not the operator", Claim::Attestation(identified), "403 not_authorised payload /predicate/issuer");

    let endorse = |statement| Claim::Endorsement(EndorsementClaim { statement });
    let too = say(&verifier, "endorse", &endorse(registered.statement.id), None);
    enter(service, &too, &log_key);
    let again = endorse(registered.statement.id);
    refused("endorse again", again, "409 already_registered payload /predicate/claim/statement");
    refused("endorse own", endorse(too.statement.id), "403 not_authorised payload /predicate/claim/statement");
    let unknown = endorse(StatementId::of(b"none"));
    refused("endorse none", unknown, "422 unknown_statement payload /predicate/claim/statement");
}

#[test]
fn parties_whose_names_look_alike_say_so() {
    let service = shared::service();
    let (reference, log_key) = shared::registry(service);
    let party = |label: &str, name: &str| {
        let (author, party) = Author::named(&reference, label, english(name), 1, 1);
        enter(service, &party, &log_key);
        author.party
    };
    // The second is spelled with a Cyrillic letter.
    let (one, other) = (party("alike 1", "Lenovation Alike"), party("alike 2", "Lеnovation Alike"));
    for (shown, named) in [(one, other), (other, one)] {
        let view = service.get(&format!("/v1/parties/{shown}")).json();
        assert_eq!(view["look_alikes"], serde_json::json!([named.to_hex()]));
    }
}

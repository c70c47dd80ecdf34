//! Lineage: diamonds, leaves, circles and crowds, over HTTP and as a tree on the command line.

use std::collections::BTreeSet;

use chopmark_core::artefact::{ForeignArtefact, Parent, ParentSource, Relation};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::statement::StatementId;
use serde_json::Value;

use crate::admission::expect;
use crate::find::artefact;
use crate::harness::Home;
use crate::make::{Author, small_manifest};
use crate::shared::{self, author, enter};

/// Registers an artefact made from others.
fn made(owner: &Author, label: &str, parents: Vec<(Relation, ParentSource)>) -> StatementId {
    let (service, (_, log_key)) = (shared::service(), shared::registry(shared::service()));
    let submission = artefact(owner, label, &small_manifest(label), |claim| {
        claim.parents = parents.into_iter().map(|(relation, source)| Parent { relation, source }).collect();
    });
    enter(service, &submission, &log_key);
    submission.statement.id
}

fn from(relation: Relation, parent: StatementId) -> (Relation, ParentSource) {
    (relation, ParentSource::Artefact(parent))
}

fn lineage(id: StatementId, query: &str) -> Value {
    let answer = shared::service().get(&format!("/v1/artefacts/{id}/lineage?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()
}

/// Ids of the nodes with their distances.
fn nodes(lineage: &Value) -> Vec<(String, Option<u64>, Option<u64>)> {
    let nodes = lineage["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| (node["artefact_id"].as_str().unwrap().to_owned(), node["up"].as_u64(), node["down"].as_u64()))
        .collect()
}

#[test]
fn a_family_is_shown_up_and_down_each_member_once() {
    let service = shared::service();
    let owner = author(service, "a family");
    let base = made(&owner, "family base", vec![]);
    let left = made(&owner, "family left", vec![from(Relation::Finetune, base)]);
    let elsewhere = ForeignArtefact { origin: "other.example/log".into(), artefact: StatementId::of(b"there") };
    let unknown = Sha256Digest::of(b"family, registered by nobody");
    let right = made(
        &owner,
        "family right",
        vec![
            from(Relation::Adapter, base),
            (Relation::Derived, ParentSource::Foreign(elsewhere)),
            (Relation::Derived, ParentSource::Digest(unknown)),
        ],
    );
    // Two ways lead from the merge to the base, one of them shorter.
    let merge = made(
        &owner,
        "family merge",
        vec![from(Relation::Merge, left), from(Relation::Merge, right), from(Relation::Derived, base)],
    );
    let small = made(&owner, "family small", vec![from(Relation::Quantized, merge)]);

    let view = lineage(small, "direction=up");
    let [base_id, left_id, right_id, merge_id, small_id] = [base, left, right, merge, small].map(|id| id.to_hex());
    assert_eq!(
        nodes(&view),
        [
            (small_id.clone(), Some(0), Some(0)),
            (merge_id.clone(), Some(1), None),
            (base_id.clone(), Some(2), None),
            (left_id.clone(), Some(2), None),
            (right_id.clone(), Some(2), None),
        ]
    );
    let edges = view["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 8, "{view}");
    let leaves: Vec<_> = edges.iter().filter(|edge| edge["parent"].is_null()).collect();
    assert_eq!(leaves[0]["foreign"]["origin"], "other.example/log", "{view}");
    assert_eq!((&leaves[1]["digest"], leaves.len()), (&unknown.to_hex().into(), 2), "{view}");
    assert_eq!(view["truncated"], false);
    assert_eq!((&view["direction"], &view["depth"]), (&"up".into(), &4.into()));

    let view = lineage(base, "direction=down&depth=1");
    let down: BTreeSet<String> = nodes(&view).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(down, [base_id.clone(), left_id.clone(), right_id.clone(), merge_id.clone()].into(), "one step");
    assert_eq!(nodes(&lineage(base, "direction=down")).len(), 5);
    let both = lineage(left, "direction=both&depth=1");
    assert_eq!(nodes(&both), [(left_id, Some(0), Some(0)), (base_id, Some(1), None), (merge_id, None, Some(1)),]);
    assert_eq!(both["edges"].as_array().unwrap().len(), 2, "{both}");

    let path = format!("/v1/artefacts/{}/lineage", small.shown("art"));
    for (query, place) in
        [("direction=sideways", "/direction"), ("depth=0", "/depth"), ("depth=17", "/depth"), ("x=1", "")]
    {
        expect(&service.get(&format!("{path}?{query}")), &format!("400 bad_parameter query {place}"));
    }
    expect(&service.get(&format!("/v1/artefacts/{}/lineage", owner.party)), "404 not_found path ");
    assert_eq!(service.get(&path).json()["artefact_id"], small_id);

    let home = Home::new();
    let ran = home.run(&["lineage", &small.to_hex(), "--up", "--url", service.url()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let starts = [
        "art_",
        "made from:",
        "  quantized: art_",
        "    merge: art_",
        "      finetune: art_",
        "    merge: art_",
        "      adapter: art_",
        "      derived: ",
        "      derived: sha256:",
        "    derived: art_",
        "4 registered relatives",
    ];
    assert_eq!(lines.len(), starts.len(), "{}", ran.stdout);
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{start:?}: {}", ran.stdout);
    }
    assert_eq!(
        ran.stdout.matches("(see below)").count(),
        2,
        "the base is drawn once, where it is nearest: {}",
        ran.stdout
    );
    let (code, document) = home.json(&["lineage", &base.to_hex(), "--down", "--depth", "2", "--url", service.url()]);
    assert_eq!((code, document["nodes"].as_array().unwrap().len()), (0, 5), "{document}");
    assert_eq!(home.json(&["lineage", "nonsense", "--url", service.url()]).0, 2);
    assert_eq!(home.json(&["lineage", &"00".repeat(32), "--url", service.url()]).0, 5);
}

#[test]
fn a_circle_of_digests_ends() {
    let owner = author(shared::service(), "a circle");
    let later = Sha256Digest::of(b"circle second");
    let first = made(&owner, "circle first", vec![(Relation::Derived, ParentSource::Digest(later))]);
    let alone = lineage(first, "");
    assert_eq!((nodes(&alone).len(), &alone["edges"][0]["digest"]), (1, &later.to_hex().into()), "{alone}");
    let second = made(&owner, "circle second", vec![from(Relation::Derived, first)]);
    for (id, other) in [(first, second), (second, first)] {
        let view = lineage(id, "depth=16");
        assert_eq!(nodes(&view), [(id.to_hex(), Some(0), Some(0)), (other.to_hex(), Some(1), Some(1))], "{view}");
        assert_eq!((view["edges"].as_array().unwrap().len(), &view["truncated"]), (2, &false.into()));
        let resolved = view["edges"].as_array().unwrap().iter().find(|edge| !edge["digest"].is_null()).unwrap();
        assert_eq!((&resolved["parent"], &resolved["digest"]), (&second.to_hex().into(), &later.to_hex().into()));
    }
    let ran = Home::new().run(&["lineage", &first.to_hex(), "--url", shared::service().url()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches("(see above)").count(), 2, "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 8, "{}", ran.stdout);
}

#[test]
fn a_crowd_is_cut_and_says_so_and_what_was_superseded_says_by_what() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let owner = author(service, "a crowd");
    let base = made(&owner, "crowd base", vec![]);
    let next = artefact(&owner, "crowd base, next", &small_manifest("crowd base, next"), |claim| {
        claim.supersedes = Some(base);
        claim.parents = vec![Parent { relation: Relation::Derived, source: ParentSource::Artefact(base) }];
    });
    enter(service, &next, &log_key);
    for number in 0..249 {
        made(&owner, &format!("crowd member {number}"), vec![from(Relation::Finetune, base)]);
    }
    let view = lineage(base, "direction=down&depth=16");
    assert_eq!((nodes(&view).len(), &view["truncated"]), (250, &true.into()));
    let ids: BTreeSet<String> = nodes(&view).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), 250, "each once");
    for edge in view["edges"].as_array().unwrap() {
        assert!(ids.contains(edge["child"].as_str().unwrap()) && ids.contains(edge["parent"].as_str().unwrap()));
    }
    let superseded = &view["nodes"][0];
    assert_eq!(superseded["superseded_by"], serde_json::json!([next.statement.id.to_hex()]));
    let later = &view["nodes"][1];
    assert_eq!(
        (&later["artefact_id"], &later["supersedes"]),
        (&next.statement.id.to_hex().into(), &base.to_hex().into())
    );
    let ran = Home::new().run(&["lineage", &base.to_hex(), "--down", "--url", service.url()]);
    assert!(ran.stdout.contains("[superseded]"), "{}", ran.stdout);
    assert!(ran.stdout.lines().last().unwrap().ends_with("more than one answer holds"), "{}", ran.stdout);
}

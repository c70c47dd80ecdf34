//! Verdicts through the real binary: each result state with its exit code, and what the JSON names.

use std::fs;

use chopmark_core::artefact::{ForeignArtefact, PARENTS_MAX, Parent, ParentSource, Relation};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::statement::StatementId;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::find::artefact;
use crate::harness::{Home, Ran};
use crate::make::small_manifest;
use crate::register::{Registered, copy_of, registered};
use crate::shared::{self, author, enter};

fn verify(path: &str, bundle: &str, more: &[&str]) -> (i32, Value) {
    let arguments = ["verify", path, "--bundle", bundle, "--offline"];
    registered().home.json(&[&arguments, more].concat())
}

#[track_caller]
fn assert_verdict(verdict: &(i32, Value), code: i32, state: &str) {
    assert_eq!((verdict.0, verdict.1["state"].as_str()), (code, Some(state)), "{}", verdict.1);
}

/// The tensor that lies at a byte of a safetensors file, read by hand.
fn tensor_at(file: &[u8], position: usize) -> String {
    let length = usize::try_from(u64::from_le_bytes(*file.first_chunk().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let at = u64::try_from(position - 8 - length).unwrap();
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let holds = |tensor: &Value| {
        let bound = |index: usize| tensor["data_offsets"][index].as_u64().unwrap();
        (bound(0)..bound(1)).contains(&at)
    };
    tensors.filter(|(_, tensor)| holds(tensor)).map(|(name, _)| name.clone()).next().unwrap()
}

#[test]
fn one_changed_byte_names_the_file_and_the_tensor() {
    let home = &registered().home;
    let tampered = home.file("tampered");
    copy_of(&home.file("model"), &tampered);
    let weights = tampered.join("model.safetensors");
    let honest = fs::read(&weights).unwrap();
    for position in [honest.len() / 2, honest.len() - 1, honest.len() / 3] {
        let mut changed = honest.clone();
        changed[position] ^= 0x80;
        fs::write(&weights, &changed).unwrap();
        let verdict = verify("tampered", "model.chop", &[]);
        assert_verdict(&verdict, 3, "bytes_differ");
        let listed = verdict.1["difference"]["changed"].as_array().unwrap();
        let [only] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!(only["path"], "model.safetensors");
        assert_eq!(only["expected"]["sha256"], Sha256Digest::of(&honest).to_hex());
        assert_eq!(only["actual"]["sha256"], Sha256Digest::of(&changed).to_hex());
        assert_eq!(only["header_changed"], false);
        let tensors: Vec<_> = only["tensors"].as_array().unwrap().iter().map(|tensor| tensor["name"].clone()).collect();
        assert_eq!(tensors, [json!(tensor_at(&honest, position))]);
        let name = tensor_at(&honest, position);
        let words = home.run(&["verify", "tampered", "--bundle", "model.chop", "--offline"]);
        assert!(
            words.code == 3 && words.stdout.contains("model.safetensors") && words.stdout.contains(&name),
            "{words:?}"
        );
        assert!(words.stdout.lines().any(|line| line.starts_with("BYTES DIFFER: ")), "{words:?}");
    }
    // A byte of the header: metadata counts too, although no tensor changed. The header still has to parse.
    let mut changed = honest.clone();
    let space = changed.iter().position(|byte| *byte == b'{').unwrap();
    let format = changed.windows(4).position(|window| window == b"\"pt\"").unwrap_or(space);
    changed[format + 1] = b'P';
    fs::write(&weights, &changed).unwrap();
    let verdict = verify("tampered", "model.chop", &[]);
    assert_verdict(&verdict, 3, "bytes_differ");
    let change = &verdict.1["difference"]["changed"][0];
    assert_eq!((&change["header_changed"], &change["tensors"]), (&json!(true), &json!([])), "{change}");
    // Cut short: no longer a weight file, and said so.
    fs::write(&weights, &honest[..honest.len() - 1]).unwrap();
    let verdict = verify("tampered", "model.chop", &[]);
    assert_verdict(&verdict, 3, "bytes_differ");
    assert!(verdict.1["difference"]["changed"][0]["found_unreadable"].is_string(), "{}", verdict.1);
    fs::write(&weights, &honest).unwrap();
    assert_verdict(&verify("tampered", "model.chop", &[]), 0, "verified");

    // Other files, missing ones and extra ones.
    fs::write(tampered.join("config.json"), "{}").unwrap();
    fs::remove_file(tampered.join("vocab.txt")).unwrap();
    fs::write(tampered.join("modeling.py"), "import os").unwrap();
    let verdict = verify("tampered", "model.chop", &["--allow-extra"]);
    assert_verdict(&verdict, 3, "bytes_differ");
    let difference = &verdict.1["difference"];
    assert_eq!(difference["changed"][0]["path"], "config.json");
    assert_eq!((&difference["missing"], &difference["extra"]), (&json!(["vocab.txt"]), &json!(["modeling.py"])));
}

#[test]
fn an_extra_file_is_a_difference_unless_allowed() {
    let home = &registered().home;
    let extra = home.file("extra");
    copy_of(&home.file("model"), &extra);
    fs::write(extra.join("1_Pooling/loader.py"), "import os").unwrap();
    let verdict = verify("extra", "model.chop", &[]);
    assert_verdict(&verdict, 3, "bytes_differ");
    assert_eq!(verdict.1["difference"]["extra"], json!(["1_Pooling/loader.py"]));
    let verdict = verify("extra", "model.chop", &["--allow-extra"]);
    assert_verdict(&verdict, 0, "verified");
    assert_eq!(verdict.1["difference"]["extra"], json!(["1_Pooling/loader.py"]), "allowed, and still listed");
    fs::remove_file(extra.join("1_Pooling/loader.py")).unwrap();
    // What the profile leaves out is named, and with --strict nothing may be left out.
    fs::create_dir(extra.join(".git")).unwrap();
    fs::write(extra.join(".git/config"), "x").unwrap();
    let verdict = verify("extra", "model.chop", &[]);
    assert_verdict(&verdict, 0, "verified");
    assert_eq!(verdict.1["excluded"], json!([".git"]));
    assert_verdict(&verify("extra", "model.chop", &["--strict"]), 3, "bytes_differ");
}

/// The bundle with one thing changed, written beside it.
fn changed_bundle(name: &str, change: impl FnOnce(&mut Value)) {
    let home = &registered().home;
    let mut bundle: Value = serde_json::from_slice(&fs::read(home.file("model.chop")).unwrap()).unwrap();
    change(&mut bundle);
    fs::write(home.file(name), bundle.to_string()).unwrap();
}

type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;

#[test]
fn a_changed_bundle_is_an_invalid_proof() {
    let other_letter = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        Value::from(String::from_utf8(bytes).unwrap())
    };
    // Where the n-th line of a proof begins.
    let line = |text: &str, number: usize| text.match_indices('\n').nth(number - 1).unwrap().0 + 5;
    let changes: [(&str, Change<'_>); 10] = [
        (
            "proof",
            Box::new(|bundle| {
                bundle["statement"]["proof"] = {
                    let proof = bundle["statement"]["proof"].as_str().unwrap();
                    other_letter(proof, line(proof, 2))
                }
            }),
        ),
        (
            "note",
            Box::new(|bundle| {
                // The same change in every proof, so that it is the signature that objects.
                let proof = bundle["statement"]["proof"].as_str().unwrap().to_owned();
                let note = proof.split_once("\n\n").unwrap().1.to_owned();
                let forged = other_letter(&note, line(&note, 2)).as_str().unwrap().to_owned();
                *bundle = serde_json::from_str(&bundle.to_string().replace(
                    Value::from(note).to_string().trim_matches('"'),
                    Value::from(forged).to_string().trim_matches('"'),
                ))
                .unwrap();
            }),
        ),
        (
            "manifest",
            Box::new(|bundle| {
                let manifest = BASE64.decode(bundle["documents"][0].as_str().unwrap().as_bytes()).unwrap();
                let text = String::from_utf8(manifest).unwrap().replacen("vocab.txt", "vocab.txu", 1);
                bundle["documents"][0] = BASE64.encode(text.as_bytes()).into();
            }),
        ),
        (
            "signer key",
            Box::new(|bundle| {
                // Another key in the party's own statement: the attacker's public key in place of the owner's.
                let envelope = &mut bundle["key_chains"][0]["entries"][0]["envelope"];
                let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
                let mut payload: Value = serde_json::from_slice(&payload).unwrap();
                let key = chopmark_core::key::PublicKey::from(&crate::make::key("attacker"));
                payload["predicate"]["claim"]["root_keys"]["keys"][0] = key.to_string().into();
                envelope["payload"] = BASE64.encode(payload.to_string().as_bytes()).into();
            }),
        ),
        (
            "signature",
            Box::new(|bundle| {
                let signature = &mut bundle["statement"]["envelope"]["signatures"][0]["sig"];
                *signature = other_letter(signature.as_str().unwrap(), 3);
            }),
        ),
        (
            "key id",
            Box::new(|bundle| {
                bundle["statement"]["envelope"]["signatures"][0]["keyid"] = "00".repeat(32).into();
            }),
        ),
        ("genesis", Box::new(|bundle| bundle["registry"]["genesis"] = "00".repeat(32).into())),
        ("no key chain", Box::new(|bundle| bundle["key_chains"] = json!([]))),
        ("no document", Box::new(|bundle| bundle["documents"] = json!([]))),
        ("unknown member", Box::new(|bundle| bundle["trust"] = json!("me"))),
    ];
    for (what, change) in changes {
        changed_bundle("changed.chop", change);
        let verdict = verify("model", "changed.chop", &[]);
        assert_verdict(&verdict, 6, "proof_invalid");
        assert!(
            verdict.1["message"].as_str().unwrap().len() > 10 && verdict.1["artefact"].is_null(),
            "{what}: {}",
            verdict.1
        );
        assert_eq!(verdict.1["error"]["code"], "bundle_invalid", "{what}: {}", verdict.1);
    }
    fs::write(registered().home.file("changed.chop"), "not a bundle").unwrap();
    assert_verdict(&verify("model", "changed.chop", &[]), 6, "proof_invalid");
}

#[test]
fn without_trust_there_is_no_verdict() {
    let Registered { home, answer, .. } = registered();
    let stranger = Home::inside(&home.file("stranger"));
    let (model, bundle) = (home.file("model"), home.file("model.chop"));
    let verify = |more: &[&str]| {
        let arguments = ["verify", model.to_str().unwrap(), "--bundle", bundle.to_str().unwrap(), "--offline"];
        stranger.json(&[&arguments, more].concat())
    };
    let verdict = verify(&[]);
    assert_verdict(&verdict, 9, "could_not_check");
    assert_eq!(verdict.1["error"]["code"], "no_trust");

    // A policy file of the verifier's own, right and wrong.
    let registry = &answer["registry"];
    let text = |name: &str| registry[name].as_str().unwrap();
    let policy = |origin: &str, log_key: &str, genesis: &str, more: &str| {
        let path = stranger.file("policy.toml");
        let toml =
            format!("[[registry]]\norigin = \"{origin}\"\nlog_key = \"{log_key}\"\ngenesis = \"{genesis}\"\n{more}");
        fs::write(path, toml).unwrap();
        verify(&["--trust", "policy.toml"])
    };
    let (origin, log_key, genesis) = (text("origin"), text("log_key"), text("genesis"));
    assert_verdict(&policy(origin, log_key, genesis, ""), 0, "verified");
    assert_verdict(&policy(origin, log_key, &"00".repeat(32), ""), 6, "proof_invalid");
    let other_key = chopmark_core::ledger::note::NoteSigner::new(origin, crate::make::key("attacker")).unwrap();
    assert_verdict(&policy(origin, &other_key.verifier_key().to_string(), genesis, ""), 6, "proof_invalid");
    assert_verdict(&policy(origin, log_key, genesis, "allow_registry_asserted = false\n"), 9, "could_not_check");
    // A key whose id is that of another name is a mistake in the file.
    let misnamed = other_key.verifier_key().to_string().replace(origin, "a.example");
    assert_verdict(&policy("a.example", &misnamed, genesis, ""), 2, "could_not_check");
    let other = chopmark_core::ledger::note::NoteSigner::new("a.example", crate::make::key("attacker")).unwrap();
    assert_verdict(&policy("a.example", &other.verifier_key().to_string(), genesis, ""), 9, "could_not_check");

    // Trust that comes with the thing it would vouch for is the sender's, not the verifier's.
    let parcel = stranger.file("parcel");
    copy_of(&home.file("model"), &parcel);
    let toml = format!("[[registry]]\norigin = \"{origin}\"\nlog_key = \"{log_key}\"\ngenesis = \"{genesis}\"\n");
    fs::write(parcel.join("policy.toml"), toml).unwrap();
    fs::write(parcel.join("chopmark.toml"), "trust = \"policy.toml\"\n").unwrap();
    let mut command = stranger.command(&["verify", ".", "--bundle", bundle.to_str().unwrap(), "--offline", "--json"]);
    let ran = Ran::of(command.current_dir(&parcel).output().unwrap());
    assert_eq!((ran.code, &ran.document()["error"]["code"]), (9, &json!("no_trust")), "{ran:?}");
}

#[test]
fn the_service_is_asked_by_digest_and_has_to_prove_what_it_says() {
    let Registered { home, answer, url, .. } = registered();
    let verdict = home.json(&["verify", "model", "--url", url]);
    assert_verdict(&verdict, 0, "verified");
    assert_eq!(verdict.1["artefact"]["artefact_id"], answer["artefact_id"]);

    fs::create_dir_all(home.file("unknown")).unwrap();
    fs::write(home.file("unknown/weights.bin"), "never registered").unwrap();
    let verdict = home.json(&["verify", "unknown", "--url", url]);
    assert_verdict(&verdict, 5, "not_registered");

    let closed = closed_port();
    for arguments in
        [["verify", "model", "--url", &closed].as_slice(), &["register", "model", "--licence", "mit", "--url", &closed]]
    {
        let (code, failure) = home.json(arguments);
        assert_eq!((code, failure["error"]["code"].as_str()), (8, Some("unreachable")), "{failure}");
    }
}

/// Whoever registers the same bytes over and over, each time with as much beside them as fits, hides nobody's registration.
#[test]
fn fat_registrations_of_the_same_bytes_are_in_nobodys_way() {
    const FAT: u32 = 99;
    let (service, home) = (shared::service(), registered().another_home());
    let (_, log_key) = shared::registry(service);
    let whole = small_manifest("fattened");
    let first = artefact(&author(service, "owner of the lean"), "The lean one", &whole, |_| {});
    enter(service, &first, &log_key);
    let origin = "\u{20000}".repeat(145);
    let parents: Vec<_> = (0..PARENTS_MAX)
        .map(|number| {
            let foreign = ForeignArtefact { origin: origin.clone(), artefact: StatementId::of(&number.to_be_bytes()) };
            Parent { relation: Relation::Derived, source: ParentSource::Foreign(foreign) }
        })
        .collect();
    let other = author(service, "owner of the fat");
    for number in 0..FAT {
        let fat = artefact(&other, &format!("Fat {number}"), &whole, |claim| {
            claim.version = number.to_string();
            claim.parents.clone_from(&parents);
        });
        enter(service, &fat, &log_key);
    }
    let digest = whole.digest();
    let page = service.get(&format!("/v1/artefacts?digest={digest}"));
    assert!(page.text().len() > 4 << 20, "{} bytes are no attack", page.text().len());

    fs::create_dir(home.file("fattened")).unwrap();
    fs::write(home.file("fattened/weights.bin"), "fattened").unwrap();
    let verdict = home.json(&["verify", "fattened", "--url", service.url()]);
    assert_verdict(&verdict, 0, "verified");
    assert_eq!(verdict.1["artefact"]["artefact_id"], first.statement.id.to_hex());
    // By a file that all of them share, too.
    fs::write(home.file("fattened/more.bin"), "more").unwrap();
    let verdict = home.json(&["verify", "fattened", "--url", service.url()]);
    assert_verdict(&verdict, 3, "bytes_differ");
    assert_eq!(verdict.1["artefact"]["artefact_id"], first.statement.id.to_hex());
    let (code, found) = home.json(&["search", "--digest", &digest.to_hex(), "--limit", "100", "--url", service.url()]);
    assert_eq!((code, found["artefacts"].as_array().map(Vec::len)), (0, Some(100)), "{}", found["error"]);
    fs::write(home.file("child.bin"), "made from the lean one").unwrap();
    let parent = format!("sha256:{digest}");
    let child = ["register", "child.bin", "--licence", "apache-2.0", "--parent", &parent, "--relation", "finetune"];
    let (code, answer) = home.json(&[&child[..], &["--accept-public-record", "--url", service.url()]].concat());
    assert_eq!(code, 0, "{answer}");
}

/// Trusted on first contact, and held to it: another registry at the same address, or of the same name, gets nothing.
#[test]
fn a_pinned_registry_is_not_replaced() {
    let Registered { home, answer, url, .. } = registered();
    let origin = answer["registry"]["origin"].as_str().unwrap();
    let pins = fs::read_to_string(home.config().join("trust.toml")).unwrap();
    let model = home.file("model");
    for (what, more) in [("another registry", [].as_slice()), ("the same name", &["--origin", origin])] {
        let place = crate::harness::place();
        let other = crate::harness::Service::try_start(place.path(), "data", more).unwrap();
        let victim = Home::new();
        fs::create_dir_all(victim.config()).unwrap();
        fs::write(victim.config().join("trust.toml"), pins.replace(url.as_str(), other.url())).unwrap();
        fs::copy(home.config().join("key"), victim.config().join("key")).unwrap();
        let party = ["party", "register", "--name-en", "A", "--jurisdiction", "HK", "--url", other.url()];
        let register = ["register", model.to_str().unwrap(), "--licence", "mit", "--url", other.url()];
        for arguments in [party.as_slice(), &register] {
            let (code, refused) = victim.json(arguments);
            assert_eq!((code, refused["error"]["code"].as_str()), (6, Some("registry_changed")), "{what}: {refused}");
        }
        let verdict = victim.json(&["verify", model.to_str().unwrap(), "--url", other.url()]);
        let expected = if more.is_empty() { (9, "could_not_check") } else { (6, "proof_invalid") };
        assert_verdict(&verdict, expected.0, expected.1);
        assert_eq!(shared::size(&other), 2, "{what}: something was sent");
        other.stop();
    }
}

/// An address of this machine where nothing listens.
pub fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn what_cannot_be_measured_has_a_name() {
    let home = &registered().home;
    let at = |name: &str| home.file(name);
    let hash = |name: &str| {
        let (code, failure) = home.json(&["hash", name]);
        (code, failure["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let fresh = |name: &str| fs::create_dir_all(at(name)).unwrap();
    let header = |json: &str| {
        let mut bytes = u64::try_from(json.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes
    };
    fresh("link");
    std::os::unix::fs::symlink("/etc/passwd", at("link/weights.bin")).unwrap();
    fresh("loop");
    std::os::unix::fs::symlink("..", at("loop/up")).unwrap();
    fresh("fifo");
    let made = std::process::Command::new("mkfifo").arg(at("fifo/pipe")).status().unwrap();
    assert!(made.success());
    fresh("socket");
    let _socket = std::os::unix::net::UnixListener::bind(at("socket/s")).unwrap();
    fresh("empty");
    fresh("huge");
    let sparse = fs::File::create(at("huge/weights.bin")).unwrap();
    let is_huge = sparse.set_len((8 << 40) + 1).is_ok();
    for (name, content) in [
        ("h-length", u64::MAX.to_le_bytes().to_vec()),
        ("h-short", vec![1, 2, 3]),
        ("h-past-end", header(r#"{"t":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#)),
        ("h-json", header("{")),
        ("h-twice", [header(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#), vec![0]].concat()),
        ("h-overlap", [header(r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#), vec![0; 3]].concat()),
        ("h-hole", [header(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#), vec![0; 3]].concat()),
        ("h-shape", header(r#"{"t":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#)),
    ] {
        fresh(name);
        fs::write(at(&format!("{name}/model.safetensors")), content).unwrap();
        let (code, error) = hash(name);
        assert_eq!(code, 9, "{name}: {error}");
        assert!(!error.is_empty() && error != "internal", "{name}: {error}");
        // Not registered either: what is malformed is never signed.
        let register = ["register", name, "--licence", "mit", "--url", &registered().url];
        assert_eq!(home.json(&register).0, 9, "{name}");
    }
    for (name, code, error) in [
        ("link", 9, "symbolic_link"),
        ("loop", 9, "symbolic_link"),
        ("fifo", 9, "not_regular_file"),
        ("socket", 9, "not_regular_file"),
        ("/dev/zero", 9, "not_regular_file"),
        ("empty", 9, "no_files"),
        ("nothing-here", 2, "not_found"),
    ] {
        assert_eq!(hash(name), (code, error.to_owned()), "{name}");
    }
    if is_huge {
        assert_eq!(hash("huge"), (9, "file_too_large".to_owned()));
    }
    // Verifying such a thing is an answer too, with the same name.
    let verdict = verify("fifo", "model.chop", &[]);
    assert_verdict(&verdict, 9, "could_not_check");
    assert_eq!(verdict.1["error"]["code"], "not_regular_file");
}

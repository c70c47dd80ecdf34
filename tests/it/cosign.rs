//! Signatures collected by hand: statements that nobody can sign alone, passed from machine to machine as files.

mod sealed;

use std::fs;

use data_encoding::BASE64;
use serde_json::Value;

use crate::harness::Home;
use crate::shared;

/// A machine with one key of its own, and nothing of the others' settings.
struct Machine {
    home: Home,
    key: Value,
}

impl Machine {
    fn new() -> Self {
        let home = Home::new();
        let (code, key) = home.json(&["key", "new"]);
        assert_eq!(code, 0, "{key}");
        Self { home, key }
    }

    fn id(&self) -> &str {
        self.key["key_id"].as_str().unwrap()
    }

    fn public(&self) -> &str {
        self.key["public_key"].as_str().unwrap()
    }

    /// Runs a command that needs the service.
    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        shared::run(&self.home, arguments)
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Value {
        shared::done(&self.home, arguments)
    }

    /// Signs a file, without any network.
    #[track_caller]
    fn sign(&self, file: &str) -> Value {
        let (code, document) = self.home.json(&["sign", file, "--accept-public-record", "--url", "http://127.0.0.1:9"]);
        assert_eq!(code, 0, "{document}");
        document
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], exit: i32, code: &str) -> String {
        shared::refused(&self.home, arguments, exit, code)["message"].as_str().unwrap().to_owned()
    }

    /// Carries a file to another machine.
    fn hand(&self, file: &str, to: &Self) {
        fs::copy(self.home.file(file), to.home.file(file)).unwrap();
    }
}

/// Three machines whose keys are the root keys of one party, two of which must sign.
fn two_of_three(name: &str) -> ([Machine; 3], String) {
    let machines = [Machine::new(), Machine::new(), Machine::new()];
    let [a, b, c] = &machines;
    let made = a.done(&[
        "party",
        "register",
        "--name-en",
        name,
        "--jurisdiction",
        "HK",
        "--threshold",
        "2",
        "--root-key",
        b.public(),
        "--root-key",
        c.public(),
        "--sign-only",
        "party.json",
    ]);
    assert_eq!((&made["signatures"], &made["missing"], &made["complete"]), (&1.into(), &2.into(), &false.into()));
    a.refuses(&["submit", "party.json"], 4, "threshold_not_met");
    a.hand("party.json", b);
    assert_eq!(b.sign("party.json")["missing"], 1);
    b.hand("party.json", c);
    let last = c.sign("party.json");
    assert_eq!((&last["missing"], &last["complete"]), (&0.into(), &true.into()));
    let entered = c.done(&["submit", "party.json", "--party-file", "party.toml"]);
    c.hand("party.json", a);
    let again = a.done(&["submit", "party.json", "--party-file", "party.toml"]);
    assert_eq!(again["index"], entered["index"], "sending it again is harmless");
    a.hand("party.toml", b);
    let party = entered["party_id"].as_str().unwrap().to_owned();
    let shown = shared::service().get(&format!("/v1/parties/{party}")).json();
    assert_eq!((&shown["threshold"], shown["keys"].as_array().unwrap().len()), (&2.into(), 3));
    (machines, party)
}

fn model(machine: &Machine, content: &str) {
    fs::create_dir_all(machine.home.file("model")).unwrap();
    fs::write(machine.home.file("model/weights.bin"), content).unwrap();
}

fn edit(machine: &Machine, from: &str, to: &str, change: impl FnOnce(&mut Value)) {
    let mut file: Value = serde_json::from_slice(&fs::read(machine.home.file(from)).unwrap()).unwrap();
    change(&mut file);
    fs::write(machine.home.file(to), file.to_string()).unwrap();
}

#[test]
fn two_of_three_machines_register_a_model() {
    let ([a, b, c], _) = two_of_three("Cosigners Two Of Three Limited");
    model(&a, a.id());
    let register = ["register", "model", "--licence", "mit", "--name-en", "Jointly"];
    let message = a.refuses(&register, 4, "threshold_not_met");
    assert!(message.contains("--sign-only"), "{message}");
    let made = a.done(&[&register[..], &["--sign-only", "model.json"]].concat());
    assert_eq!((&made["signatures"], &made["missing"]), (&1.into(), &1.into()));
    assert_eq!(made["unsigned_keys"].as_array().unwrap().len(), 2, "either of the others may sign: {made}");
    assert_eq!(a.home.pending(), 0, "nothing is on its way");
    let id = made["statement_id"].as_str().unwrap();
    assert_eq!(shared::service().get(&format!("/v1/statements/{id}")).status, 404);
    // An existing file is left as it is.
    a.refuses(&[&register[..], &["--sign-only", "model.json"]].concat(), 2, "usage");

    a.hand("model.json", &b);
    let before = fs::read(b.home.file("model.json")).unwrap();
    let shown = b.home.run(&["sign", "model.json", "--dry-run"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in [
        "Cosigners Two Of Three Limited (self-declared)",
        "this model is registered as ours",
        "Jointly (en)",
        "hashed again here",
        "1 there, 2 needed, of 3 keys",
        "valid until",
        "has not met the registry",
        "DRY RUN",
    ] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    assert_eq!(fs::read(b.home.file("model.json")).unwrap(), before, "a dry run changes nothing");
    // Off a terminal nobody is asked, and nothing is signed by default.
    b.refuses(&["sign", "model.json"], 2, "consent_needed");
    assert_eq!(b.sign("model.json")["complete"], true);
    assert_eq!(
        fs::read_dir(b.home.work())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.') })
            .count(),
        0,
        "no temporary file is left"
    );

    let entered = b.done(&["submit", "model.json", "--out", "model.chop"]);
    assert_eq!(entered["statement_id"], made["statement_id"], "the id was known before the signatures");
    b.hand("model.chop", &a);
    assert_eq!(a.run(&["verify", "model", "--bundle", "model.chop", "--offline"]).0, 0);

    // Signed apart, put together when sent. The third machine signs as well: more than needed is fine.
    let made = a.done(&[&register[..], &["--version", "2", "--sign-only", "apart.json"]].concat());
    for other in [&b, &c] {
        a.hand("apart.json", other);
        other.sign("apart.json");
    }
    fs::copy(b.home.file("apart.json"), a.home.file("b.json")).unwrap();
    fs::copy(c.home.file("apart.json"), a.home.file("c.json")).unwrap();
    let entered = a.done(&["submit", "apart.json", "b.json", "c.json"]);
    assert_eq!((&entered["signatures"], &entered["statement_id"]), (&3.into(), &made["statement_id"]));
    assert_eq!(a.run(&["verify", "model", "--bundle", "apart.chop", "--offline"]).0, 0);
    a.refuses(&["submit", "apart.json", "model.json"], 2, "usage");
}

#[test]
fn key_events_are_cosigned_and_so_is_their_revocation() {
    let ([a, b, c], party) = two_of_three("Cosigned Keys Limited");
    let machine = Machine::new();
    // Which two sign has to be said: every key that a key event lists must sign it.
    let add = ["key", "add", machine.public(), "--role", "signing"];
    a.refuses(&add, 2, "usage");
    let message = a.refuses(&[&add[..], &["--sign-only", "add.json"]].concat(), 2, "usage");
    assert!(message.contains(b.id()) && message.contains(c.id()), "{message}");
    a.refuses(&[&add[..], &["--sign-only", "add.json", "--cosigner", machine.id()]].concat(), 4, "not_authorised");
    let made = a.done(&[&add[..], &["--sign-only", "add.json", "--cosigner", b.id()]].concat());
    assert_eq!(made["missing"], 2, "the second root key and the new key: {made}");
    a.hand("add.json", &c);
    c.refuses(&["sign", "add.json", "--accept-public-record"], 4, "signer_not_listed");
    a.hand("add.json", &b);
    b.sign("add.json");
    b.hand("add.json", &machine);
    assert_eq!(machine.sign("add.json")["complete"], true);
    let entered = machine.done(&["submit", "add.json"]);
    assert_eq!(entered["party_id"], party.as_str());

    // The new key signs alone, from its own machine; submitting remembered the party there.
    model(&machine, machine.id());
    machine.done(&["register", "model", "--licence", "mit", "--out", "by-machine.chop"]);
    assert_eq!(machine.run(&["verify", "model", "--bundle", "by-machine.chop", "--offline"]).0, 0);

    // The key of the first machine is stolen: the other two replace it.
    let fresh = Machine::new();
    let rotate = ["key", "rotate", a.id(), fresh.public(), "--party", "party.toml", "--sign-only", "rotate.json"];
    let made = b.done(&rotate);
    assert_eq!(made["missing"], 2, "the key that goes is not asked: {made}");
    assert!(!made["unsigned_keys"].as_array().unwrap().contains(&a.id().into()));
    b.hand("rotate.json", &c);
    c.sign("rotate.json");
    c.hand("rotate.json", &fresh);
    fresh.sign("rotate.json");
    fresh.done(&["submit", "rotate.json"]);
    model(&a, "stolen");
    a.refuses(&["register", "model", "--licence", "mit", "--sign-only", "stolen.json"], 4, "not_authorised");
    // The same two revoke the signing key; a statement it signed before stays proved.
    let revoke = ["key", "revoke", machine.id(), "--reason", "retired", "--party", "party.toml"];
    b.done(&[&revoke[..], &["--sign-only", "revoke.json", "--cosigner", fresh.id()]].concat());
    b.hand("revoke.json", &fresh);
    fresh.sign("revoke.json");
    fresh.done(&["submit", "revoke.json"]);
    assert_eq!(machine.run(&["register", "model", "--licence", "mit", "--version", "2"]).0, 4);
    assert_eq!(machine.run(&["verify", "model", "--bundle", "by-machine.chop", "--offline"]).0, 0);
    let shown = shared::service().get(&format!("/v1/parties/{party}")).json();
    assert_eq!(shown["key_seq"], 3);
}

#[test]
fn what_does_not_hold_is_not_signed() {
    let ([a, b, _], _) = two_of_three("Cosigning Refusals Limited");
    model(&a, a.id());
    a.done(&["register", "model", "--licence", "mit", "--sign-only", "s.json"]);
    let sign = |file: &'static str| ["sign", file, "--accept-public-record"];
    let stranger = Machine::new();
    a.hand("s.json", &stranger);
    stranger.refuses(&sign("s.json"), 4, "signer_not_listed");
    a.refuses(&sign("s.json"), 2, "already_signed");
    b.refuses(&sign("missing.json"), 2, "usage");
    a.hand("s.json", &b);

    // Another payload under the same signatures, a signature that is somebody else's, a document that is another.
    edit(&b, "s.json", "payload.json", |file| {
        let payload = BASE64.decode(file["envelope"]["payload"].as_str().unwrap().as_bytes()).unwrap();
        let payload = String::from_utf8(payload).unwrap().replace("\"mit\"", "\"isc\"").replace("\"MIT\"", "\"ISC\"");
        assert!(payload.contains("ISC"), "{payload}");
        file["envelope"]["payload"] = BASE64.encode(payload.as_bytes()).into();
    });
    b.refuses(&sign("payload.json"), 6, "signature_invalid");
    edit(&b, "s.json", "signature.json", |file| {
        file["envelope"]["signatures"][0]["keyid"] = b.id().into();
    });
    b.refuses(&sign("signature.json"), 6, "signature_invalid");
    edit(&b, "s.json", "keys.json", |file| file["keys"] = Value::Array(Vec::new()));
    b.refuses(&sign("keys.json"), 6, "proof_invalid");
    edit(&b, "s.json", "document.json", |file| {
        let manifest = BASE64.decode(file["documents"][0].as_str().unwrap().as_bytes()).unwrap();
        let manifest = String::from_utf8(manifest).unwrap().replace("weights.bin", "weights.bim");
        file["documents"][0] = BASE64.encode(manifest.as_bytes()).into();
    });
    b.refuses(&sign("document.json"), 2, "document_unreferenced");
    edit(&b, "s.json", "bare.json", |file| file["documents"] = Value::Array(Vec::new()));
    b.refuses(&sign("bare.json"), 2, "document_missing");

    // What this version does not know to the last member is not signed.
    edit(&b, "s.json", "member.json", |file| file["extra"] = 1.into());
    b.refuses(&sign("member.json"), 2, "statement_malformed");
    edit(&b, "s.json", "schema.json", |file| file["schema"] = "chopmark.statement/v2".into());
    b.refuses(&sign("schema.json"), 2, "statement_malformed");
    edit(&b, "s.json", "kind.json", |file| {
        let payload = BASE64.decode(file["envelope"]["payload"].as_str().unwrap().as_bytes()).unwrap();
        let payload = String::from_utf8(payload).unwrap().replace("predicate:artefact:v1", "predicate:artefact:v2");
        file["envelope"]["payload"] = BASE64.encode(payload.as_bytes()).into();
    });
    b.refuses(&sign("kind.json"), 2, "invalid_statement");
    fs::write(b.home.file("text.json"), "sign here").unwrap();
    b.refuses(&sign("text.json"), 2, "statement_malformed");

    // A registry that only calls itself the one this user knows.
    b.done(&["key", "new", "--out", "own.key"]);
    b.done(&["party", "register", "--name-en", "Cosigner B Alone", "--jurisdiction", "HK", "--key", "own.key"]);
    assert_eq!(b.home.json(&["sign", "s.json", "--dry-run"]).0, 0, "the registry is known, and the same");
    let pins = b.home.config().join("trust.toml");
    let text = fs::read_to_string(&pins).unwrap();
    let genesis = text.split("genesis = \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(&pins, text.replace(genesis, &"00".repeat(32))).unwrap();
    b.refuses(&sign("s.json"), 6, "registry_changed");
    fs::write(&pins, text).unwrap();

    let first = b.sign("s.json");
    assert_eq!(first["complete"], true);
    b.refuses(&sign("s.json"), 2, "already_signed");
    // For another service, and then for this one.
    let elsewhere = crate::verify::closed_port();
    assert_eq!(b.home.json(&["submit", "s.json", "--url", &elsewhere]).0, 8);
    let dry = b.done(&["submit", "s.json", "--dry-run"]);
    assert_eq!(dry["dry_run"], true);
    b.done(&["submit", "s.json"]);
}

#[test]
fn an_expired_statement_is_not_signed() {
    use chopmark_core::kind::Claim;
    use chopmark_core::statement::{Envelope, Issuer, Statement};

    use crate::make::{Author, small_manifest};

    let (registry, _) = shared::registry(shared::service());
    let (author, _) = Author::new(&registry, "long expired", 2, 2);
    let manifest = small_manifest("long expired");
    let mut header = author.header(Issuer::Party(author.party), 2, "long expired");
    header.issued_at = "2020-01-01T00:00:00.000Z".parse().unwrap();
    header.not_after = "2020-01-02T00:00:00.000Z".parse().unwrap();
    let claim = Claim::Artefact(Author::claim("long expired", "1", &manifest, Vec::new()));
    let payload = Statement::compose("long expired", &header, &claim).unwrap();
    let envelope = Envelope::sign(payload, &[&author.keys[0]]).to_bytes();
    let keys: Vec<String> =
        author.keys.iter().map(|key| chopmark_core::key::PublicKey::from(key).to_string()).collect();
    let file = serde_json::json!({
        "schema": "chopmark.statement/v1",
        "envelope": serde_json::from_slice::<Value>(&envelope).unwrap(),
        "documents": [BASE64.encode(&manifest.to_canonical_bytes())],
        "keys": keys,
        "statements": [],
    });
    let machine = Machine::new();
    fs::write(machine.home.file("old.json"), file.to_string()).unwrap();
    let seed = BASE64.encode(author.keys[1].as_bytes());
    fs::write(machine.home.file("second.key"), format!("chopmark-key-v1 {seed}\n")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(machine.home.file("second.key"), private).unwrap();
    machine.refuses(&["sign", "old.json", "--key", "second.key", "--accept-public-record"], 2, "expired");
}

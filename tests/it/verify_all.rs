//! Hundreds of models in one batch: each is judged as it would be by itself, and a broken one stops no other.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chopmark_core::bundle::Bundle;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Home, Ran, place, signal, wait_at_most};
use crate::make::Author;
use crate::memory::MemoryRegistry;
use crate::register::{copy_of, registered};

/// A registry in memory and a verifier who trusts it.
struct Publisher {
    registry: MemoryRegistry,
    author: Author,
    party: u64,
    home: Home,
}

impl Publisher {
    fn new() -> Self {
        let mut registry = MemoryRegistry::new("log.example/batch", "batch");
        let (author, party) = Author::new(&registry.reference, "publisher", 1, 1);
        let party = registry.append(&party);
        let home = Home::new();
        let trusted = registry.trusted();
        let policy = format!(
            "[[registry]]\norigin = \"{}\"\nlog_key = \"{}\"\ngenesis = \"{}\"\n",
            trusted.origin, trusted.log_key, trusted.genesis
        );
        fs::write(home.file("policy.toml"), policy).unwrap();
        Self { registry, author, party, home }
    }

    /// Registers what lies at `models/<name>` as it is now, and writes its bundle.
    fn register(&mut self, name: &str, bundle: &str) {
        let (code, hashed) = self.home.json(&["hash", &format!("models/{name}")]);
        assert_eq!(code, 0, "{hashed}");
        let manifest = serde_json_bytes(&hashed["manifest"]);
        let parsed = chopmark_core::manifest::Manifest::parse(&manifest).unwrap();
        let payload = self.author.payload(&name.replace('/', " "), "1", &parsed);
        let submission = self.author.sign(payload, vec![manifest]);
        let index = self.registry.append(&submission);
        let made: Bundle = self.registry.bundle(&submission, index, (self.author.party, self.party));
        fs::write(self.home.file(bundle), made.to_bytes().unwrap()).unwrap();
    }

    fn all(&self, more: &[&str]) -> (i32, Value) {
        let arguments = ["verify", "--all", "models", "--trust", "policy.toml", "--report", "r.json"];
        let (code, document) = self.home.json(&[&arguments, more].concat());
        let written: Value = serde_json::from_slice(&fs::read(self.home.file("r.json")).unwrap()).unwrap();
        assert_eq!(written, document, "the report is what --json prints");
        (code, document)
    }
}

/// A manifest out of a document, in its canonical form: members sorted, no white space.
fn serde_json_bytes(manifest: &Value) -> Vec<u8> {
    manifest.to_string().into_bytes()
}

/// A small safetensors file of two tensors, different for every label.
fn weights(label: &str) -> Vec<u8> {
    let data: Vec<u8> = label.bytes().cycle().take(3000).collect();
    let [first, second] = [(r#""F32","shape":[250]"#, "0,1000"), (r#""U8","shape":[2000]"#, "1000,3000")]
        .map(|(form, at)| format!(r#"{{"dtype":{form},"data_offsets":[{at}]}}"#));
    let json = format!(r#"{{"first":{first},"second":{second}}}"#);
    [&u64::try_from(json.len()).unwrap().to_le_bytes(), json.as_bytes(), &data].concat()
}

fn model(home: &Home, name: &str) -> PathBuf {
    let model = home.file("models").join(name);
    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("model.safetensors"), weights(name)).unwrap();
    fs::write(model.join("config.json"), format!("{{\"name\":\"{name}\"}}")).unwrap();
    model
}

/// The models of a report, by path.
fn by_path(report: &Value) -> BTreeMap<&str, &Value> {
    let models = report["models"].as_array().unwrap();
    let by_path: BTreeMap<_, _> = models.iter().map(|model| (model["path"].as_str().unwrap(), model)).collect();
    assert_eq!(by_path.len(), models.len(), "each model once");
    by_path
}

#[test]
fn a_report_takes_the_place_of_a_report_and_of_nothing_else() {
    let mut publisher = Publisher::new();
    model(&publisher.home, "m");
    publisher.register("m", "models/m.chop");
    for (name, content) in
        [("models/m/config.json", r#"{"name":"m"}"#.as_bytes()), ("models/m/model.safetensors", &weights("m"))]
    {
        let arguments = ["verify", "--all", "models", "--trust", "policy.toml", "--offline", "--report", name];
        let (code, refused) = publisher.home.json(&arguments);
        assert_eq!((code, &refused["error"]["code"]), (2, &json!("usage")), "{name}: {refused}");
        assert_eq!(fs::read(publisher.home.file(name)).unwrap(), content, "{name}");
    }
    for _ in 0..2 {
        assert_eq!(publisher.all(&["--offline"]).0, 0);
    }
}

#[test]
fn two_hundred_models_are_judged_as_each_would_be_alone() {
    let mut publisher = Publisher::new();
    let names: Vec<String> = (0..200).map(|number| format!("org-{}/model-{number:03}", number % 7)).collect();
    for (number, name) in names.iter().enumerate() {
        let path = model(&publisher.home, name);
        let last = path.file_name().unwrap().to_str().unwrap();
        // Beside the model, or in it.
        let bundle = if number % 2 == 0 { format!("models/{name}.chop") } else { format!("models/{name}/{last}.chop") };
        publisher.register(name, &bundle);
    }
    let models = publisher.home.file("models");
    let at = |number: usize| models.join(&names[number]);
    fs::write(models.join("README.md"), "our models").unwrap();
    fs::write(models.join("org-0/notes.txt"), "notes").unwrap();
    let (code, report) = publisher.all(&["--offline"]);
    assert_eq!((code, &report["complete"]), (0, &json!(true)), "{}", report["totals"]);
    assert_eq!((&report["totals"]["models"], &report["totals"]["verified"]), (&json!(200), &json!(200)));
    assert_eq!(report["files_of_no_model"], json!(["models/README.md", "models/org-0/notes.txt"]));

    // One tampered, one stale, one without its bundle, one that can't be read, one with a broken bundle, one gone.
    let mut changed = weights(&names[10]);
    let end = changed.len();
    changed[end - 1] ^= 1;
    fs::write(at(10).join("model.safetensors"), changed).unwrap();
    fs::write(at(20).join("config.json"), "{\"name\":\"a later version\"}").unwrap();
    fs::remove_file(models.join(format!("{}.chop", names[30]))).unwrap();
    let pipe = at(40).join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::write(models.join(format!("{}.chop", names[50])), "{}").unwrap();
    fs::remove_dir_all(at(60)).unwrap();
    let (code, report) = publisher.all(&["--offline"]);
    assert_eq!(code, 6, "the worst is a bundle that does not hold: {}", report["totals"]);
    let totals = json!({
        "models": 200, "verified": 194, "bytes_differ": 2, "not_registered": 0, "proof_invalid": 1,
        "licence_not_in_force": 0, "could_not_check": 1, "unknown": 1, "missing": 1, "not_tried": 0,
    });
    assert_eq!(report["totals"], totals);
    let found = by_path(&report);
    let path = |number: usize| format!("models/{}", names[number]);
    for (number, state, exit_code, code) in [
        (10, "bytes_differ", 3, None),
        (20, "bytes_differ", 3, None),
        (30, "unknown", 9, Some("no_bundle")),
        (40, "could_not_check", 9, Some("not_regular_file")),
        (50, "proof_invalid", 6, Some("bundle_invalid")),
        (60, "missing", 9, Some("not_found")),
    ] {
        let model = found[path(number).as_str()];
        assert_eq!((&model["state"], &model["exit_code"]), (&json!(state), &json!(exit_code)), "{model}");
        assert_eq!(model["error"]["code"].as_str(), code, "{model}");
    }
    let tensors = &found[path(10).as_str()]["difference"]["changed"][0]["tensors"];
    assert_eq!(tensors[0]["name"], "second", "the place is named");

    // Each says what a verification by itself says.
    for number in [0, 1, 2, 10, 20, 40, 50, 77, 199] {
        let path = path(number);
        let beside = format!("{path}.chop");
        let inside = format!("{path}/{}.chop", Path::new(&path).file_name().unwrap().to_str().unwrap());
        let bundle = if number % 2 == 0 { beside } else { inside };
        let single = ["verify", &path, "--bundle", &bundle, "--offline", "--trust", "policy.toml"];
        let (code, alone) = publisher.home.json(&single);
        let batch = found[path.as_str()];
        assert_eq!(batch["exit_code"], code, "{path}");
        let members = ["state", "message", "artefact", "difference", "claims", "excluded", "checkpoint", "error"];
        for member in members {
            assert_eq!(batch[member], alone[member], "{path}: {member}");
        }
        assert_eq!(batch["bundle"], bundle, "{path}");
    }

    // In words: a line for each, problems last and the worst at the very end.
    let words = publisher.home.run(&["verify", "--all", "models", "--trust", "policy.toml", "--offline"]);
    assert_eq!(words.code, 6);
    let lines: Vec<&str> = words.stdout.lines().collect();
    let line = |word: &str| lines.iter().position(|line| line.starts_with(word)).unwrap_or_else(|| panic!("no {word}"));
    let last_good = lines.iter().rposition(|line| line.starts_with("verified ")).unwrap();
    for problem in ["BYTES DIFFER", "UNKNOWN", "MISSING", "COULD NOT CHECK", "PROOF INVALID"] {
        assert!(line(problem) > last_good, "{problem} stands among the good ones");
    }
    assert!(line("PROOF INVALID") > line("BYTES DIFFER") && line("BYTES DIFFER") > line("UNKNOWN"));
    assert_eq!(*lines.last().unwrap(), "NOT ALL VERIFIED: 194 of 200 models below models");
    assert!(words.stdout.contains("models/README.md"));
}

#[test]
fn the_worst_exit_code_is_the_documented_one() {
    let mut publisher = Publisher::new();
    let models = publisher.home.file("models");
    model(&publisher.home, "good");
    publisher.register("good", "models/good.chop");
    assert_eq!(publisher.all(&["--offline"]).0, 0);
    model(&publisher.home, "without");
    assert_eq!(publisher.all(&["--offline"]).0, 9, "unknown is no success");
    // Extra files and what is left out follow the flags of a single verification.
    fs::write(models.join("good/loader.py"), "import os").unwrap();
    fs::remove_dir_all(models.join("without")).unwrap();
    assert_eq!(publisher.all(&["--offline"]).0, 3);
    assert_eq!(publisher.all(&["--offline", "--allow-extra"]).0, 0);
    fs::remove_file(models.join("good/loader.py")).unwrap();
    fs::create_dir(models.join("good/.git")).unwrap();
    assert_eq!(publisher.all(&["--offline"]).0, 0);
    assert_eq!(publisher.all(&["--offline", "--strict"]).0, 3);
    fs::remove_dir(models.join("good/.git")).unwrap();
    // A second bundle that proves nothing does not take back what the first one proves, and is shown.
    fs::write(models.join("good/broken.chop"), "{}").unwrap();
    let (code, report) = publisher.all(&["--offline"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["models"][0]["other_bundles"], json!([]), "the first one was enough");
    fs::copy(models.join("good.chop"), models.join("good/good-2.chop")).unwrap();
    fs::write(models.join("good.chop"), "{}").unwrap();
    let (code, report) = publisher.all(&["--offline"]);
    assert_eq!((code, &report["models"][0]["bundle"]), (0, &json!("models/good/good-2.chop")), "{report}");
    assert_eq!(report["models"][0]["other_bundles"].as_array().unwrap().len(), 2);

    let nothing = place();
    let home = &publisher.home;
    let empty = nothing.path().to_str().unwrap();
    let (code, report) = home.json(&["verify", "--all", empty, "--trust", "policy.toml", "--offline"]);
    assert_eq!((code, &report["totals"]["models"]), (9, &json!(0)), "nothing is no success");
    for refused in [
        ["verify", "--all", "nowhere", "--trust", "policy.toml", "--offline"].as_slice(),
        &["verify", "--all", "models", "--trust", "policy.toml", "--report", "no/r.json"],
        &["verify", "models/good", "--all", "models"],
        &["verify", "models/good", "--report", "r.json"],
        &["verify"],
    ] {
        assert_eq!(home.json(refused).0, 2, "{refused:?}");
    }
    // Without trust there is no verdict about any of them.
    assert_eq!(home.json(&["verify", "--all", "models", "--offline"]).0, 9);
}

#[test]
fn real_models_are_verified_by_bundle_and_by_asking_the_service() {
    let registered = registered();
    let home = registered.another_home();
    let models = home.file("models");
    copy_of(&registered.home.file("model"), &models.join("by-bundle"));
    fs::copy(registered.home.file("model.chop"), models.join("by-bundle.chop")).unwrap();
    copy_of(&registered.home.file("model"), &models.join("by-service"));
    fs::create_dir_all(models.join("never")).unwrap();
    fs::write(models.join("never/weights.bin"), "never registered at all").unwrap();
    let (code, report) = home.json(&["verify", "--all", "models", "--url", &registered.url]);
    assert_eq!(code, 5, "{}", report["totals"]);
    let found = by_path(&report);
    for path in ["models/by-bundle", "models/by-service"] {
        assert_eq!(found[path]["state"], "verified", "{}", found[path]);
        assert_eq!(found[path]["artefact"]["artefact_id"], registered.answer["artefact_id"]);
    }
    assert!(found["models/by-bundle"]["said_by_others"].is_null() && found["models/by-bundle"]["bundle"].is_string());
    assert!(found["models/by-service"]["said_by_others"].is_object());
    assert_eq!(found["models/never"]["state"], "not_registered");

    // Offline, nobody is asked; with a service that is away, the others are judged all the same.
    let (code, report) = home.json(&["verify", "--all", "models", "--offline"]);
    assert_eq!((code, &report["totals"]["verified"], &report["totals"]["unknown"]), (9, &json!(1), &json!(2)));
    let closed = crate::verify::closed_port();
    let (code, report) = home.json(&["verify", "--all", "models", "--url", &closed]);
    assert_eq!((code, &report["totals"]["verified"]), (8, &json!(1)), "{report}");
    assert_eq!(by_path(&report)["models/never"]["error"]["code"], "unreachable");
}

#[test]
fn an_interrupted_batch_leaves_a_report_that_says_so() {
    let publisher = {
        let mut publisher = Publisher::new();
        model(&publisher.home, "small");
        publisher.register("small", "models/small.chop");
        publisher
    };
    // Far more than is read before the signal: a file of holes.
    let large = publisher.home.file("models/large");
    fs::create_dir_all(&large).unwrap();
    fs::File::create(large.join("model.safetensors")).unwrap().set_len(1 << 40).unwrap();
    fs::copy(publisher.home.file("models/small.chop"), publisher.home.file("models/large.chop")).unwrap();
    let arguments = [
        "verify",
        "--all",
        "models",
        "--trust",
        "policy.toml",
        "--offline",
        "--report",
        "r.json",
        "--engine",
        "portable",
    ];
    let mut command = publisher.home.command(&arguments);
    let mut child = command
        .arg("--json")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It says how many models there are once it listens for signals.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("2 models below models") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it began");
    }
    signal(&child, Signal::INT);
    assert!(wait_at_most(&mut child, Duration::from_mins(1)).is_some(), "it does not stop");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{ran:?}");
    let report: Value = serde_json::from_slice(&fs::read(publisher.home.file("r.json")).unwrap()).unwrap();
    assert_eq!((&report["complete"], &report["exit_code"]), (&json!(false), &json!(130)));
    assert_eq!(report, ran.document());
    assert_eq!(by_path(&report)["models/large"]["state"], "not_tried");
    let left = fs::read_dir(publisher.home.work()).unwrap().count();
    assert_eq!(left, 3, "no temporary file is left");
}

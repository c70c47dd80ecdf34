//! Tests of pins and policies; files only, no service.

use chopmark_core::ledger::note::NoteSigner;
use ed25519_dalek::SigningKey;

use super::*;

fn entry(origin: &str, seed: u8, url: &str) -> PolicyEntry {
    let signer = NoteSigner::new(origin, SigningKey::from_bytes(&[seed; 32])).unwrap();
    PolicyEntry {
        origin: origin.to_owned(),
        log_key: signer.verifier_key().to_string(),
        genesis: Sha256Digest::of(&[seed]),
        max_status_age: None,
        allow_registry_asserted: true,
        urls: vec![url.to_owned()],
    }
}

#[test]
fn the_first_contact_is_taken_and_later_ones_must_agree() {
    let path = Path::new("trust.toml");
    let mut pins = PolicyFile::default();
    let met = entry("a.example/log", 1, "http://a");
    assert!(pins.meet(&met, path).unwrap());
    assert!(!pins.meet(&met, path).unwrap());

    let other_key = PolicyEntry { log_key: entry("a.example/log", 2, "").log_key, ..met.clone() };
    let other_genesis = PolicyEntry { genesis: Sha256Digest::of(b"x"), ..met.clone() };
    let other_origin = entry("b.example/log", 3, "http://a");
    for changed in [other_key, other_genesis, other_origin] {
        let refused = pins.meet(&changed, path).unwrap_err();
        assert_eq!((refused.exit, &*refused.code), (Exit::ProofInvalid, "registry_changed"));
    }
    assert_eq!(pins.registries, [met]);
}

#[test]
fn another_address_of_the_same_registry_is_added() {
    let mut pins = PolicyFile::default();
    pins.meet(&entry("a.example/log", 1, "http://a"), Path::new("t")).unwrap();
    assert!(pins.meet(&entry("a.example/log", 1, "http://b"), Path::new("t")).unwrap());
    assert_eq!(pins.registries[0].urls, ["http://a", "http://b"]);
    assert!(pins.meet(&entry("b.example/log", 2, "http://c"), Path::new("t")).unwrap());
    assert_eq!(pins.policy().registries.len(), 2);
}

#[test]
fn pins_are_a_policy_that_others_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(PINS);
    assert_eq!(read(&path).unwrap(), None);
    let mut pins = PolicyFile::default();
    pins.meet(&entry("a.example/log", 1, "http://a"), &path).unwrap();
    write_toml(&path, PINS_HEADER, &pins).unwrap();
    assert_eq!(read(&path).unwrap(), Some(pins.clone()));
    let named = NamedTrust { path: path.clone(), named_by: NamedBy::Flag };
    let trust = read_named(&named).unwrap();
    assert_eq!(trust.policy, pins.policy());
    assert_eq!(trust.source.kind(), "flag");
    assert!(trust.source.to_string().contains("--trust"));
}

#[test]
fn a_policy_file_is_strict() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.toml");
    let good = entry("a.example/log", 1, "http://a");
    let text = |key: &str| {
        format!("[[registry]]\norigin = \"a.example/log\"\nlog_key = \"{key}\"\ngenesis = \"{}\"\n", good.genesis)
    };
    std::fs::write(&path, text(&good.log_key)).unwrap();
    assert!(read(&path).unwrap().unwrap().registries[0].allow_registry_asserted);
    let other = entry("b.example/log", 1, "").log_key;
    let twice = text(&good.log_key).repeat(2);
    let unknown = text(&good.log_key) + "allow_everything = true\n";
    for bad in [text(&other), text("nonsense"), twice, unknown, "[[registry]]\n".to_owned()] {
        std::fs::write(&path, &bad).unwrap();
        assert_eq!(read(&path).unwrap_err().exit, Exit::Usage, "{bad}");
    }
    let absent = NamedTrust { path: directory.path().join("absent"), named_by: NamedBy::Flag };
    assert_eq!(read_named(&absent).unwrap_err().exit, Exit::Usage);
}

/// Every byte of a policy replaced, taken away and doubled: it is refused, or says the same when it is written again.
#[test]
fn a_damaged_policy_is_refused_or_has_one_reading() {
    let policy = PolicyFile { registries: vec![entry("a.example/log", 1, "http://a")] };
    let file = toml::to_string(&policy).unwrap();
    let (mut read, mut refused) = (0, 0);
    for place in 0..file.len() {
        for replacement in ["", "\0", "\n", "\"", "\\", "#", "[", "=", "0", "é", &file[place..=place].repeat(2)] {
            let damaged = [&file[..place], replacement, &file[place + 1..]].concat();
            let parsed = toml::from_str::<PolicyFile>(&damaged).ok();
            match parsed.filter(|parsed| parsed.policy().validate().is_ok()) {
                Some(parsed) => {
                    assert_eq!(toml::from_str::<PolicyFile>(&toml::to_string(&parsed).unwrap()).unwrap(), parsed);
                    // Whatever is read, it trusts no other key under the name that was written.
                    assert!(parsed.registries.iter().all(|registry| registry.log_key == policy.registries[0].log_key));
                    read += 1;
                }
                None => refused += 1,
            }
        }
    }
    assert!(read > 50 && refused > 1_000, "{read} {refused}");
}

#[test]
fn a_policy_that_comes_with_the_model_is_not_its_judge() {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for place in [&model, &directory.path().to_owned()] {
        std::fs::write(place.join("chopmark.toml"), "trust = \"p.toml\"\n").unwrap();
        std::fs::write(place.join("p.toml"), "").unwrap();
    }
    let named = |place: &Path| NamedTrust {
        path: place.join("p.toml"),
        named_by: NamedBy::Project(place.join("chopmark.toml")),
    };
    assert!(lies_within(&named(&model), &model));
    assert!(!lies_within(&named(directory.path()), &model));
    let by_flag = NamedTrust { named_by: NamedBy::Flag, ..named(&model) };
    assert!(!lies_within(&by_flag, &model));
}

//! Sidecars through the real binary: written when something is registered, and then damage has a place.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Home, Ran};
use crate::register::{Registered, registered};

const MIB: usize = 1 << 20;

/// Five tensors of 3 MiB each, of bytes that do not repeat.
fn weights() -> (Vec<u8>, usize) {
    let size = 3 * MIB;
    let members = (0..5).map(|index| {
        let fields = json!({ "dtype": "U8", "shape": [size], "data_offsets": [index * size, (index + 1) * size] });
        (format!("layer.{index}"), fields)
    });
    let header = Value::Object(members.collect()).to_string();
    let mut bytes = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    let header_size_bytes = bytes.len();
    bytes.extend((0..5 * size).map(|index| u8::try_from((index / 251 + index) % 256).unwrap()));
    (bytes, header_size_bytes)
}

/// A home with a model that was registered with a sidecar beside its bundle.
fn with_sidecar(label: &str) -> (Home, Vec<u8>, usize) {
    let home = registered().another_home();
    let (bytes, header_size_bytes) = weights();
    fs::create_dir(home.file("m")).unwrap();
    fs::write(home.file("m/w.safetensors"), &bytes).unwrap();
    fs::write(home.file("m/config.json"), label).unwrap();
    let Registered { url, .. } = registered();
    let register = ["register", "m", "--licence", "mit", "--url", url, "--sidecar", "m.b3tree", "--name-en", label];
    let (code, answer) = home.json(&register);
    assert_eq!((code, &answer["sidecar"]), (0, &json!("m.b3tree")), "{answer}");
    (home, bytes, header_size_bytes)
}

fn verify(home: &Home, more: &[&str]) -> (i32, Value) {
    home.json(&[&["verify", "m", "--bundle", "m.chop", "--offline"], more].concat())
}

fn damaged(answer: &Value) -> Vec<Value> {
    answer["damaged"].as_array().unwrap_or_else(|| panic!("no places: {answer}")).clone()
}

fn range(kind: &str, begin: usize, end: usize, header: bool, tensors: &[&str]) -> Value {
    json!({"file": "w.safetensors", "kind": kind, "begin": begin, "end": end, "header": header, "tensors": tensors})
}

#[test]
fn damage_is_named_by_file_tensor_and_range() {
    let (home, bytes, header_size_bytes) = with_sidecar("damage has a place");
    let (code, answer) = verify(&home, &[]);
    assert_eq!((code, &answer["damaged"], &answer["sidecar"]), (0, &json!([]), &json!("m.b3tree")), "{answer}");

    let path = home.file("m/w.safetensors");
    let size = bytes.len();
    let check = |changed: &[u8], expected: &[Value]| {
        fs::write(&path, changed).unwrap();
        let (code, answer) = verify(&home, &[]);
        assert_eq!((code, damaged(&answer).as_slice()), (3, expected), "{answer}");
        let ran = home.run(&["verify", "m", "--bundle", "m.chop", "--offline"]);
        for range in expected {
            let line = format!("bytes {} to {} (", range["begin"], range["end"]);
            assert!(ran.stdout.contains(&line), "{line}: {ran:?}");
        }
    };
    let with = |places: &[usize]| {
        let mut changed = bytes.clone();
        for place in places {
            changed[*place] ^= 1;
        }
        changed
    };
    check(&with(&[7 * MIB + 5]), &[range("differs", 7 * MIB, 8 * MIB, false, &["layer.2"])]);
    let both = [header_size_bytes + 3 * MIB - 1, header_size_bytes + 3 * MIB];
    check(&with(&both), &[range("differs", 3 * MIB, 4 * MIB, false, &["layer.0", "layer.1"])]);
    check(
        &with(&[MIB, 2 * MIB, size - 1]),
        &[range("differs", MIB, 3 * MIB, false, &["layer.0"]), range("differs", 15 * MIB, size, false, &["layer.4"])],
    );
    // The header: no tensor differs, though the names do.
    let mut renamed = bytes.clone();
    let name = renamed.windows(7).position(|window| window == b"layer.4").unwrap();
    renamed[name] = b'm';
    fs::write(&path, &renamed).unwrap();
    let first = &damaged(&verify(&home, &[]).1)[0];
    assert_eq!((&first["begin"], &first["end"], &first["header"]), (&json!(0), &json!(MIB), &json!(true)), "{first}");

    // Cut short and gone on: which tensors are gone is known from what was registered.
    let cut = 14 * MIB;
    check(&bytes[..cut], &[range("missing", cut, size, false, &["layer.4"])]);
    let longer = [bytes.as_slice(), b"more"].concat();
    fs::write(&path, &longer).unwrap();
    let (code, answer) = verify(&home, &[]);
    assert_eq!(code, 3, "{answer}");
    let last = damaged(&answer).pop().unwrap();
    assert_eq!(last, range("extra", size, size + 4, false, &[]));

    // Another file is none of the sidecar's, and a small one is one range anyway.
    fs::write(&path, &bytes).unwrap();
    fs::write(home.file("m/config.json"), "something else").unwrap();
    let small = damaged(&verify(&home, &[]).1);
    assert_eq!(small[0]["file"], "config.json");
    assert_eq!(small.iter().map(|range| range["kind"].clone()).collect::<Vec<_>>()[0], "differs");
}

#[test]
fn without_a_sidecar_or_with_a_bad_one_the_verdict_is_the_same() {
    let (home, bytes, _) = with_sidecar("bad sidecars");
    let path = home.file("m/w.safetensors");
    let mut changed = bytes.clone();
    changed[9 * MIB] ^= 1;
    fs::write(&path, &changed).unwrap();
    let sidecar = home.file("m.b3tree");
    let honest = fs::read(&sidecar).unwrap();
    fs::remove_file(&sidecar).unwrap();

    let tensors = |answer: &Value| answer["difference"]["changed"][0]["tensors"][0]["name"].clone();
    let (code, answer) = verify(&home, &[]);
    assert_eq!((code, &answer["damaged"], &answer["sidecar"]), (3, &json!(null), &json!(null)), "{answer}");
    assert_eq!(tensors(&answer), "layer.2");
    let ran = home.run(&["verify", "m", "--bundle", "m.chop", "--offline"]);
    assert!(ran.stdout.contains("layer.2") && ran.stdout.contains("--sidecar"), "{ran:?}");

    // Found by itself and damaged: said, and passed over. Named and damaged: refused before anything is read.
    let mut broken = honest.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    fs::write(&sidecar, &broken).unwrap();
    let ran = home.run(&["verify", "m", "--bundle", "m.chop", "--offline", "--json"]);
    assert_eq!((ran.code, &ran.document()["damaged"]), (3, &json!(null)), "{ran:?}");
    assert!(ran.stderr.contains("do not merge"), "{ran:?}");
    let (code, answer) = verify(&home, &["--sidecar", "m.b3tree"]);
    assert_eq!((code, answer["error"]["code"].as_str()), (9, Some("sidecar")), "{answer}");
    let (code, answer) = verify(&home, &["--sidecar", "missing.b3tree"]);
    assert_eq!((code, answer["error"]["code"].as_str()), (2, Some("sidecar")), "{answer}");

    // Of the changed bytes instead of the registered ones: it knows nothing of those, and does not pretend to.
    let (code, answer) = home.json(&["hash", "m", "--sidecar", "other.b3tree"]);
    assert_eq!((code, &answer["sidecar"]), (0, &json!("other.b3tree")), "{answer}");
    let (code, answer) = verify(&home, &["--sidecar", "other.b3tree"]);
    assert_eq!((code, &answer["damaged"]), (3, &json!([])), "{answer}");
    let ran = home.run(&["verify", "m", "--bundle", "m.chop", "--offline", "--sidecar", "other.b3tree"]);
    assert!(ran.stdout.contains("not of the registered bytes"), "{ran:?}");

    // The same bytes give the same sidecar, however they are hashed.
    fs::write(&path, &bytes).unwrap();
    for engine in ["portable", "rayon"] {
        assert_eq!(home.json(&["hash", "m", "--engine", engine, "--sidecar", "again.b3tree"]).0, 0);
        assert_eq!(fs::read(home.file("again.b3tree")).unwrap(), honest, "{engine}");
    }
}

/// Values are public knowledge about public bytes; what they must not become is part of the artefact.
#[test]
fn a_sidecar_never_becomes_part_of_the_artefact() {
    let home = Home::new();
    fs::create_dir(home.file("m")).unwrap();
    fs::write(home.file("m/w.bin"), vec![7; 3 * MIB]).unwrap();
    let hash = |more: &[&str]| -> Ran { home.run(&[&["hash", "m", "--json"], more].concat()) };
    let before = hash(&[]).document()["manifest_sha256"].clone();
    let ran = hash(&["--sidecar", "m/w.b3tree"]);
    assert_eq!((ran.code, &ran.document()["manifest_sha256"]), (0, &before), "{ran:?}");
    assert!(home.file("m/w.b3tree").is_file());
    let ran = hash(&[]);
    assert_eq!((&ran.document()["manifest_sha256"], &ran.document()["excluded"]), (&before, &json!(["w.b3tree"])));
    for name in ["m/w.values", "m/b3tree", "m/w.B3TREE"] {
        let ran = hash(&["--sidecar", name]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(!home.work().join(Path::new(name)).exists());
    }
}

//! Manifests that parse, and many that must not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn entry(path: &str, content: &[u8]) -> FileEntry {
    FileEntry {
        path: FilePath::parse(path).unwrap(),
        size_bytes: u64::try_from(content.len()).unwrap(),
        sha256: Sha256Digest::of(content),
        blake3: Some(Blake3Digest::of(content)),
        weights: None,
    }
}

fn weights_entry() -> FileEntry {
    let tensor = |name: &str, shape: Vec<u64>, begin, end| TensorEntry {
        name: name.to_owned(),
        dtype: Dtype::F32,
        shape,
        begin,
        end,
        blake3: Blake3Digest::of(name.as_bytes()),
    };
    let index = WeightIndex {
        format: WeightFormat::Safetensors,
        header_size_bytes: 100,
        header_blake3: Blake3Digest::of(b"header"),
        alignment_bytes: None,
        tensors: vec![tensor("a", vec![2], 100, 108), tensor("b", vec![], 108, 112)],
    };
    FileEntry { size_bytes: 112, weights: Some(index), ..entry("m.safetensors", b"whole") }
}

fn manifest() -> Manifest {
    Manifest::new(ExclusionProfile::V1, vec![weights_entry(), entry("a/b.json", b"{}"), entry("README.md", b"")])
        .unwrap()
}

/// The document with one edit, in canonical form again.
fn edited(edit: impl FnOnce(&mut Value)) -> Result<Manifest, StrictError> {
    let mut value: Value = serde_json::from_slice(&manifest().to_canonical_bytes()).unwrap();
    edit(&mut value);
    Manifest::parse(&serde_json_canonicalizer::to_vec(&value).unwrap())
}

fn pointer_of(edit: impl FnOnce(&mut Value)) -> String {
    edited(edit).unwrap_err().pointer
}

#[test]
fn canonical_bytes_are_pinned() {
    let manifest = Manifest::new(ExclusionProfile::None, vec![entry("模型 \"x\".bin", b"abc")]).unwrap();
    let expected = concat!(
        r#"{"exclusions":"none","files":[{"blake3":"6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85","#,
        r#""path":"模型 \"x\".bin","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
        r#""size_bytes":3}],"schema":"chopmark.manifest/v1"}"#
    );
    assert_eq!(String::from_utf8(manifest.to_canonical_bytes()).unwrap(), expected);
    assert_eq!(manifest.digest(), Sha256Digest::of(expected.as_bytes()));
}

/// Members stand in the order of their names everywhere, or this fails.
#[test]
fn what_serde_writes_is_canonical() {
    let mut gguf = weights_entry();
    gguf.path = FilePath::parse("\"é模.gguf").unwrap();
    let index = gguf.weights.as_mut().unwrap();
    (index.format, index.alignment_bytes) = (WeightFormat::Gguf, Some(4));
    index.tensors[0].name = (0..0x80_u8).map(char::from).chain("é\u{2028}模\u{1f600}".chars()).collect();
    let image = ImageIdentity {
        media_type: serde_json::from_str("\"application/vnd.oci.image.index.v1+json\"").unwrap(),
        name: serde_json::from_str("\"registry.example/a\"").unwrap(),
        platforms: vec!["linux/amd64".to_owned()],
        sha256: Sha256Digest::of(b"image"),
    };
    let bare = FileEntry { blake3: None, ..entry("z", b"z") };
    let files = vec![weights_entry(), gguf, entry("\"é模\u{1f600}", b"a"), bare];
    let manifest = Manifest { exclusions: ExclusionProfile::V1, files, image: Some(image), schema: Schema::V1 };
    let canonical = serde_json_canonicalizer::to_vec(&manifest).unwrap();
    assert_eq!(String::from_utf8(manifest.to_canonical_bytes()), String::from_utf8(canonical));
}

#[test]
fn what_is_written_parses_to_the_same() {
    let manifest = manifest();
    let bytes = manifest.to_canonical_bytes();
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    let paths: Vec<_> = manifest.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["README.md", "a/b.json", "m.safetensors"]);
    assert_eq!(manifest.file(&FilePath::parse("a/b.json").unwrap()).unwrap().size_bytes, 2);
    assert_eq!(manifest.file(&FilePath::parse("a").unwrap()), None);
    assert_eq!(manifest.only_file(), None);
    assert_eq!(manifest.size_bytes(), 114);
}

#[test]
fn every_broken_rule_is_pointed_at() {
    assert_eq!(pointer_of(|v| v["schema"] = json!("chopmark.manifest/v2")), "/schema");
    assert_eq!(pointer_of(|v| v["exclusions"] = json!("chopmark-exclude/v9")), "/exclusions");
    assert_eq!(pointer_of(|v| v["more"] = json!(1)), "/more");
    assert_eq!(pointer_of(|v| v["files"] = json!([])), "/files");
    assert_eq!(pointer_of(|v| v["files"][0]["size_bytes"] = json!(1.5)), "/files/0/size_bytes");
    assert_eq!(pointer_of(|v| v["files"][0]["size_bytes"] = json!(-1)), "/files/0/size_bytes");
    assert_eq!(pointer_of(|v| v["files"][0]["size_bytes"] = json!("1")), "/files/0/size_bytes");
    assert_eq!(pointer_of(|v| v["files"][0]["path"] = json!("../x")), "/files/0/path");
    assert_eq!(pointer_of(|v| v["files"][0]["path"] = json!("z")), "/files/1/path");
    assert_eq!(pointer_of(|v| v["files"][0]["path"] = json!("a")), "/files/1/path");
    assert_eq!(pointer_of(|v| v["files"][0]["path"] = json!("a/b.json")), "/files/1/path");
    assert_eq!(pointer_of(|v| v["files"][0]["path"] = json!(".git/HEAD")), "/files/0/path");
    assert_eq!(pointer_of(|v| v["files"][0]["sha256"] = json!("AB")), "/files/0/sha256");
    assert_eq!(pointer_of(|v| v["files"][0]["extra"] = json!(0)), "/files/0/extra");
    assert_eq!(pointer_of(|v| v["files"][0]["weights"] = v["files"][2]["weights"].clone()), "/files/0/weights");
    assert_eq!(pointer_of(|v| v["files"][0]["weights"] = json!(null)), "");
    let weights = "/files/2/weights";
    assert_eq!(pointer_of(|v| v["files"][2]["weights"]["format"] = json!("bin")), format!("{weights}/format"));
    assert_eq!(
        pointer_of(|v| v["files"][2]["weights"]["header_size_bytes"] = json!(7)),
        format!("{weights}/header_size_bytes")
    );
    assert_eq!(
        pointer_of(|v| v["files"][2]["weights"]["header_size_bytes"] = json!(113)),
        format!("{weights}/header_size_bytes")
    );
    assert_eq!(pointer_of(|v| v["files"][2]["weights"]["header_size_bytes"] = json!(99)), format!("{weights}/tensors"));
    assert_eq!(pointer_of(|v| v["files"][2]["size_bytes"] = json!(113)), format!("{weights}/tensors"));
    let tensor = |member: &'static str, value: Value| {
        pointer_of(move |v| v["files"][2]["weights"]["tensors"][1][member] = value)
    };
    assert_eq!(tensor("name", json!("a")), format!("{weights}/tensors/1/name"));
    assert_eq!(tensor("name", json!("")), format!("{weights}/tensors/1/name"));
    assert_eq!(tensor("dtype", json!("F99")), format!("{weights}/tensors/1/dtype"));
    assert_eq!(tensor("dtype", json!("F16")), format!("{weights}/tensors/1"));
    assert_eq!(tensor("shape", json!([INTEGER_MAX + 1])), format!("{weights}/tensors/1/shape"));
    assert_eq!(tensor("shape", json!([INTEGER_MAX, INTEGER_MAX])), format!("{weights}/tensors/1"));
    assert_eq!(tensor("begin", json!(104)), format!("{weights}/tensors/1"));
    assert_eq!(tensor("begin", json!(90)), format!("{weights}/tensors/1"));
}

#[test]
fn gguf_tensors_are_aligned_and_of_its_own_types() {
    let tensor = |name: &str, dtype, shape: Vec<u64>, begin, end| TensorEntry {
        name: name.to_owned(),
        dtype,
        shape,
        begin,
        end,
        blake3: Blake3Digest::of(name.as_bytes()),
    };
    let index = WeightIndex {
        format: WeightFormat::Gguf,
        header_size_bytes: 64,
        header_blake3: Blake3Digest::of(b"header"),
        alignment_bytes: Some(32),
        tensors: vec![tensor("a", Dtype::Q8_0, vec![1, 32], 64, 98), tensor("b", Dtype::F32, vec![1], 128, 132)],
    };
    let file = FileEntry { size_bytes: 160, weights: Some(index), ..entry("m.gguf", b"whole") };
    let manifest = |edit: fn(&mut FileEntry, &mut WeightIndex)| {
        let mut file = file.clone();
        let mut index = file.weights.take().unwrap();
        edit(&mut file, &mut index);
        let file = FileEntry { weights: Some(index), ..file };
        Manifest::new(ExclusionProfile::None, vec![file]).map_err(|error| error.pointer)
    };
    let honest = manifest(|_, _| ()).unwrap();
    assert_eq!(Manifest::parse(&honest.to_canonical_bytes()).unwrap(), honest);
    assert!(manifest(|file, _| file.size_bytes = 132).is_ok(), "the last padding may be missing");
    let weights = |rest: &str| Err(format!("/files/0/weights{rest}"));
    assert_eq!(manifest(|file, _| file.size_bytes = 161), weights("/tensors"));
    assert_eq!(manifest(|file, _| file.path = FilePath::parse("m.safetensors").unwrap()), weights(""));
    assert_eq!(manifest(|_, index| index.format = WeightFormat::Safetensors), weights(""));
    assert_eq!(manifest(|_, index| index.alignment_bytes = None), weights("/alignment_bytes"));
    assert_eq!(manifest(|_, index| index.alignment_bytes = Some(0)), weights("/alignment_bytes"));
    assert_eq!(manifest(|_, index| index.alignment_bytes = Some(1 << 17)), weights("/alignment_bytes"));
    assert_eq!(manifest(|_, index| index.alignment_bytes = Some(16)), weights("/tensors"));
    assert_eq!(manifest(|_, index| index.header_size_bytes = 23), weights("/header_size_bytes"));
    assert_eq!(manifest(|_, index| index.tensors[1].dtype = Dtype::U32), weights("/tensors/1/dtype"));
    assert_eq!(manifest(|_, index| index.tensors[0].shape = vec![32, 1]), weights("/tensors/0"));

    let mut value: Value = serde_json::from_slice(&honest.to_canonical_bytes()).unwrap();
    value["files"][0]["weights"]["alignment_bytes"] = Value::Null;
    let refused = Manifest::parse(&serde_json_canonicalizer::to_vec(&value).unwrap()).unwrap_err();
    assert_eq!(refused.pointer, "/files/0/weights/alignment_bytes", "null is not another spelling of absence");
    assert_eq!(
        pointer_of(|v| v["files"][2]["weights"]["alignment_bytes"] = json!(1)),
        "/files/2/weights/alignment_bytes"
    );
    assert_eq!(
        pointer_of(|v| v["files"][2]["weights"]["tensors"][0]["dtype"] = json!("Q8_0")),
        "/files/2/weights/tensors/0/dtype"
    );
}

/// A manifest of an image whose own manifest is `{…}` with one configuration and one layer.
fn image() -> Manifest {
    let digest = |content: &[u8]| format!("sha256:{}", Sha256Digest::of(content));
    let document = json!({
        "schemaVersion": 2,
        "config": { "mediaType": "c", "digest": digest(b"{}"), "size": 2 },
        "layers": [{ "mediaType": "l", "digest": digest(b"layer"), "size": 5 }],
    });
    let tree = ImageTree::new(document.to_string().as_bytes()).unwrap();
    Manifest::of_image(ImageName::parse("registry.example/lam/chat").unwrap(), &tree).unwrap()
}

#[test]
fn an_image_is_known_by_sha256_alone_and_nothing_else_is() {
    let honest = image();
    assert_eq!(Manifest::parse(&honest.to_canonical_bytes()).unwrap(), honest);
    assert_eq!(honest.files().len(), 3);
    let root = honest.image().unwrap().sha256;
    let text = String::from_utf8(honest.to_canonical_bytes()).unwrap();
    let image = format!(
        "\"image\":{{\"media_type\":\"application/vnd.oci.image.manifest.v1+json\",\"name\":\"registry.example/lam/chat\",\
         \"sha256\":\"{root}\"}},\"schema\":\"chopmark.manifest/v1\"}}"
    );
    assert!(text.ends_with(&image) && !text.contains("blake3"), "{text}");
    let broken = |edit: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&honest.to_canonical_bytes()).unwrap();
        edit(&mut value);
        Manifest::parse(&serde_json_canonicalizer::to_vec(&value).unwrap()).unwrap_err().pointer
    };
    let digest = "ab".repeat(32);
    assert_eq!(broken(&|v| v["files"][0]["blake3"] = digest.clone().into()), "/files/0/blake3");
    assert_eq!(broken(&|v| v["files"][0]["sha256"] = digest.clone().into()), "/files/0/path");
    assert_eq!(broken(&|v| v["files"][0]["path"] = "blobs/sha256/x".into()), "/files/0/path");
    assert_eq!(broken(&|v| v["exclusions"] = "chopmark-exclude/v1".into()), "/exclusions");
    assert_eq!(broken(&|v| v["image"]["sha256"] = digest.clone().into()), "/image/sha256");
    assert_eq!(broken(&|v| v["image"]["name"] = "alpine".into()), "/image/name");
    assert_eq!(broken(&|v| v["image"]["tag"] = "1".into()), "/image/tag");
    assert_eq!(broken(&|v| v["image"]["media_type"] = "text/html".into()), "/image/media_type");
    assert_eq!(broken(&|v| v["image"]["platforms"] = json!(["linux/amd64"])), "/image/platforms");
    let index = |platforms: Value| {
        broken(&|v| {
            v["image"]["media_type"] = "application/vnd.oci.image.index.v1+json".into();
            v["image"]["platforms"] = platforms.clone();
        })
    };
    assert_eq!(index(json!(["linux/arm64", "linux/amd64"])), "/image/platforms/1");
    assert_eq!(index(json!(["linux"])), "/image/platforms/0");
    assert_eq!(index(json!([])), "", "an empty list is not another spelling of none");
    // Without an image every file has both digests, and `null` is not another way to say so.
    assert_eq!(broken(&|v| drop(v.as_object_mut().unwrap().remove("image"))), "/files/0/blake3");
    assert_eq!(broken(&|v| v["image"] = Value::Null), "/image");
    assert_eq!(pointer_of(|v| drop(v["files"][0].as_object_mut().unwrap().remove("blake3"))), "/files/0/blake3");
    assert_eq!(pointer_of(|v| v["files"][0]["blake3"] = Value::Null), "/files/0/blake3");
}

#[test]
fn only_the_canonical_form_parses() {
    let text = String::from_utf8(manifest().to_canonical_bytes()).unwrap();
    let respelled = [
        format!("{text}\n"),
        format!(" {text}"),
        text.replacen("\":", "\": ", 1),
        text.replacen("README", "\\u0052EADME", 1),
        text.replacen("\"size_bytes\":0", "\"size_bytes\":0,\"size_bytes\":0", 1),
        text.replacen("\"schema\":", "\"schema\":\"chopmark.manifest/v1\",\"schema\":", 1),
        text.replacen("\"size_bytes\":2}", "\"size_bytes\":2.0}", 1),
        text.replacen("\"size_bytes\":2}", "\"size_bytes\":2e0}", 1),
        text.replacen("\"size_bytes\":2}", "\"size_bytes\":02}", 1),
    ];
    for respelling in respelled {
        assert_ne!(respelling, text);
        Manifest::parse(respelling.as_bytes()).expect_err(&respelling);
    }
}

#[test]
fn sizes_end_at_the_last_exact_integer() {
    let with = |size_bytes| {
        Manifest::new(ExclusionProfile::None, vec![FileEntry { size_bytes, ..entry("a", b"") }])
            .map(|manifest| String::from_utf8(manifest.to_canonical_bytes()).unwrap())
    };
    assert!(with(INTEGER_MAX).unwrap().contains(":9007199254740991}"));
    assert_eq!(with(INTEGER_MAX + 1).unwrap_err().pointer, "/files/0/size_bytes");
}

#[test]
fn limits_hold() {
    assert_eq!(Manifest::parse(&vec![b' '; MANIFEST_SIZE_BYTES_MAX + 1]).unwrap_err().pointer, "");
    let files = (0..=FILES_MAX).map(|index| entry(&format!("f{index}"), b"")).collect();
    assert_eq!(Manifest::new(ExclusionProfile::None, files).unwrap_err().pointer, "/files");
    assert!(Manifest::parse("[".repeat(1_000_000).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(&bytes);
    }

    #[test]
    fn one_changed_byte_never_parses_to_the_same(at: proptest::sample::Index, flip in 1u8..) {
        let mut bytes = manifest().to_canonical_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Manifest::parse(&bytes) {
            prop_assert_ne!(other, manifest());
        }
    }
}

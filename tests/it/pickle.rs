//! Pickles are hashed and never loaded: one that would leave a file behind is registered and verified, and leaves
//! none.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::register::registered;

/// Writes pickles that create `$1/harmed` when they are loaded: bare in every protocol, and as `torch.save` packs
/// them.
const MALICE: &str = r#"
import io, os, pickle, sys, zipfile
directory = sys.argv[1]
class Harm:
    def __reduce__(self):
        return (os.system, ("touch '%s/harmed'" % directory,))
model = os.path.join(directory, "model")
os.makedirs(model)
for protocol in range(6):
    with open("%s/protocol-%d.bin" % (model, protocol), "wb") as file:
        pickle.dump(Harm(), file, protocol)
both = ["archive/data.pkl", "archive/version"]
for name, members in {"torch.pt": both, "late.pth": both[::-1]}.items():
    with zipfile.ZipFile(os.path.join(model, name), "w") as archive:
        for member in members:
            archive.writestr(member, pickle.dumps(Harm(), 2) if member.endswith(".pkl") else "3\n" * 5000)
with open(os.path.join(model, "old.ckpt"), "wb") as file:
    pickle.dump(0x1950a86a20f9469cfc6c, file, 2)
    pickle.dump(Harm(), file, 2)
    file.write(b"\0" * 100)
with open(os.path.join(model, "plain.bin"), "wb") as file:
    file.write(b"just bytes")
"#;

fn notes(document: &Value) -> Vec<&str> {
    let notes = document["notes"].as_array().unwrap_or_else(|| panic!("no notes: {document}"));
    for note in notes {
        assert_eq!(note["code"], "pickle");
        let message = note["message"].as_str().unwrap();
        assert!(message.contains("runs whatever code") && message.contains("safetensors"), "{message}");
    }
    notes.iter().map(|note| note["path"].as_str().unwrap()).collect()
}

#[test]
fn a_malicious_pickle_is_bytes_with_a_note() {
    let home = registered().another_home();
    let url = &registered().url;
    let made = Command::new("python3").args(["-c", MALICE]).arg(home.work()).output();
    let made = made.expect("python3 is needed to write a pickle");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let harmed = home.file("harmed");
    let expected = [
        "late.pth",
        "old.ckpt",
        "protocol-0.bin",
        "protocol-1.bin",
        "protocol-2.bin",
        "protocol-3.bin",
        "protocol-4.bin",
        "protocol-5.bin",
        "torch.pt",
    ];

    let (code, hashed) = home.json(&["hash", "model"]);
    assert_eq!(code, 0, "{hashed}");
    assert_eq!(notes(&hashed), expected);
    let files = hashed["manifest"]["files"].as_array().unwrap();
    assert!(files.len() == 10 && files.iter().all(|file| file["weights"].is_null()), "hashed as bytes: {hashed}");
    let words = home.run(&["hash", "model"]);
    assert!(words.stdout.contains("Python pickle") && words.stdout.contains("torch.pt"), "{words:?}");
    let list = home.run(&["hash", "model", "--format", "sha256sum"]);
    assert!(list.stderr.contains("torch.pt: a Python pickle") && !list.stdout.contains("Python"), "{list:?}");

    let register =
        ["register", "model", "--licence", "mit", "--version", "pickle", "--url", url, "--accept-public-record"];
    let (code, answer) = home.json(&register);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(notes(&answer), expected);
    let verify = ["verify", "model", "--bundle", "model.chop", "--offline"];
    let (code, verdict) = home.json(&verify);
    assert_eq!((code, &verdict["state"]), (0, &json!("verified")), "{verdict}");
    assert_eq!(notes(&verdict), expected);
    assert!(home.run(&verify).stdout.contains("Python pickle"));
    let attest = ["attest", "model", "--bundle", "model.chop", "--zone", "HK", "--url", url, "--accept-public-record"];
    let (code, said) = home.json(&attest);
    assert_eq!(code, 0, "{said}");
    assert_eq!(notes(&said), expected);

    // A changed byte is a difference as in any other file, and nothing was ever loaded.
    let path = home.file("model/torch.pt");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (code, verdict) = home.json(&verify);
    assert_eq!((code, &verdict["difference"]["changed"][0]["path"]), (3, &json!("torch.pt")), "{verdict}");
    assert!(!harmed.exists(), "a pickle was loaded");

    // That it would have been seen: Python loads one of them.
    let loaded = Command::new("python3")
        .args(["-c", "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"])
        .arg(home.file("model/protocol-4.bin"))
        .output()
        .unwrap();
    assert!(loaded.status.success() && Path::new(&harmed).exists(), "the pickle does no harm at all");
}

#[test]
fn safetensors_and_gguf_have_no_note() {
    let (code, hashed) = registered().home.json(&["hash", "model"]);
    assert_eq!(code, 0);
    assert_eq!(hashed["notes"], json!([]));
}

//! `hash` that is cut short goes on where it was: nothing before that place is read again, and nothing that changed since
//! is believed.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Home, Ran, signal, wait_at_most};

/// So large that hashing takes seconds, and nothing on the disk.
pub const SIZE_BYTES: u64 = 2 << 30;

/// Waits until a file has been left alone for longer than time stamps are coarse: only then is it remembered.
pub fn settle(path: &Path) {
    let changed = || {
        let found = fs::metadata(path).unwrap();
        let seconds = found.ctime().max(found.mtime());
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap() + 1)
    };
    while changed().elapsed().is_ok_and(|age| age < Duration::from_secs(2)) || changed().elapsed().is_err() {
        thread::sleep(Duration::from_millis(50));
    }
}

/// A sparse file with some bytes here and there.
pub fn sparse(path: &Path, size_bytes: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size_bytes).unwrap();
    for place in 0..8 {
        file.write_all_at(b"here and there", size_bytes / 8 * place).unwrap();
    }
}

/// Starts to hash, and signals once it is under way; how it ended.
pub fn stopped(home: &Home, arguments: &[&str], with: Signal) -> Ran {
    let mut command = home.command(&[arguments, &["--json"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("\"phase\":\"hashing\"") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended before it began to hash: {said}");
    }
    // Long enough to come to the middle; what is claimed holds wherever it comes to.
    thread::sleep(Duration::from_millis(400));
    signal(&child, with);
    let status = wait_at_most(&mut child, Duration::from_secs(30)).expect("it does not stop");
    stderr.read_to_string(&mut said).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    Ran { code: status.code().unwrap_or(-1), stdout, stderr: said }
}

fn checkpoints(home: &Home) -> Vec<PathBuf> {
    let directory = home.work().parent().unwrap().join("state/chopmark/checkpoints");
    fs::read_dir(directory).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
}

fn digests(answer: &Value) -> Vec<(String, String)> {
    let files = answer["manifest"]["files"].as_array().unwrap();
    let text = |file: &Value, name: &str| file[name].as_str().unwrap().to_owned();
    files.iter().map(|file| (text(file, "sha256"), text(file, "blake3"))).collect()
}

/// `hash` without anything to recall.
fn whole(home: &Home, path: &str) -> Value {
    let (code, answer) = home.json(&["hash", path, "--quiet"]);
    assert_eq!(
        (code, &answer["recalled"]["files"], &answer["recalled"]["parts"]),
        (0, &json!(0), &json!(0)),
        "{answer}"
    );
    assert_eq!(answer["read_size_bytes"], answer["content_size_bytes"]);
    answer
}

#[test]
fn what_ctrl_c_leaves_is_gone_on_with_and_not_read_again() {
    let home = Home::new();
    fs::create_dir(home.file("model")).unwrap();
    fs::write(home.file("model/config.json"), "{}").unwrap();
    sparse(&home.file("model/weights.bin"), SIZE_BYTES);
    settle(&home.file("model/weights.bin"));

    let ran = stopped(&home, &["hash", "model"], Signal::INT);
    let error = &ran.document()["error"];
    assert_eq!((ran.code, error["code"].as_str()), (130, Some("interrupted")), "{ran:?}");
    assert!(error["message"].as_str().unwrap().contains("--resume"), "{error}");
    let [checkpoint]: [PathBuf; 1] = checkpoints(&home).try_into().unwrap();
    let modes =
        [checkpoint.as_path(), checkpoint.parent().unwrap()].map(|path| fs::metadata(path).unwrap().mode() & 0o777);
    assert_eq!(modes, [0o600, 0o700]);

    // A second stop, in the middle of going on.
    let ran = stopped(&home, &["hash", "model", "--resume", "--engine", "portable"], Signal::INT);
    assert_eq!(ran.code, 130, "{ran:?}");
    assert_eq!(checkpoints(&home), core::slice::from_ref(&checkpoint));
    let kept = fs::read(&checkpoint).unwrap();
    let text = String::from_utf8(kept.clone()).unwrap();
    let offset = text.split_once("\"offset_bytes\":").unwrap().1;
    let offset: u64 = offset[..offset.find(|letter: char| !letter.is_ascii_digit()).unwrap()].parse().unwrap();
    assert!(offset > 0 && offset < SIZE_BYTES && offset.is_multiple_of(1 << 20), "{offset}");

    let (code, answer) = home.json(&["hash", "model", "--resume", "--quiet"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(answer["recalled"]["parts"], 1, "{answer}");
    assert_eq!(answer["recalled"]["changed"], json!([]));
    let small = if answer["recalled"]["files"] == 1 { 0 } else { 2 };
    assert_eq!(answer["read_size_bytes"], SIZE_BYTES - offset + small, "bytes before {offset} were read again");
    assert!(checkpoints(&home).is_empty(), "what is done is forgotten");

    let expected = digests(&whole(&home, "model"));
    assert_eq!(digests(&answer), expected);

    // A checkpoint that was changed is none, and says nothing wrong.
    for change in
        [text.replacen("\"offset_bytes\":", "\"offset_bytes\":1", 1), text.replacen("sha256\":\"", "sha256\":\"0", 1)]
    {
        assert_ne!(change, text);
        fs::write(&checkpoint, change).unwrap();
        let (code, answer) = home.json(&["hash", "model", "--resume", "--quiet"]);
        assert_eq!(
            (code, &answer["recalled"]["parts"], digests(&answer)),
            (0, &json!(0), expected.clone()),
            "{answer}"
        );
        assert_eq!(answer["read_size_bytes"], SIZE_BYTES + 2);
    }

    // The file is another one now, with the same size and the same modification time.
    fs::write(&checkpoint, &kept).unwrap();
    let weights = home.file("model/weights.bin");
    let modified = fs::metadata(&weights).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&weights).unwrap();
    file.write_all_at(b"!", 100).unwrap();
    file.set_modified(modified).unwrap();
    let (code, answer) = home.json(&["hash", "model", "--resume"]);
    assert_eq!((code, &answer["recalled"]["changed"]), (0, &json!(["weights.bin"])), "{answer}");
    assert_eq!(answer["recalled"]["parts"], 0);
    assert_ne!(digests(&answer), expected);
    assert_eq!(digests(&answer), digests(&whole(&home, "model")));
}

/// Starts to hash, and kills it outright once it has left a checkpoint; up to where that is, in bytes.
fn killed(home: &Home, arguments: &[&str]) -> u64 {
    let mut child = home.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint =
        || checkpoints(home).into_iter().find(|path| path.extension().is_some_and(|ending| ending == "json"));
    while checkpoint().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it left a checkpoint: {arguments:?}");
        thread::sleep(Duration::from_millis(20));
    }
    signal(&child, Signal::KILL);
    wait_at_most(&mut child, Duration::from_secs(30)).expect("it does not stop");
    let text = fs::read_to_string(checkpoint().unwrap()).unwrap();
    let document: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    document["part"][0]["offset_bytes"].as_u64().unwrap()
}

/// Killed outright, it leaves what it knew a moment before: nothing wrong, and the rest is all that is read.
#[test]
fn what_is_killed_is_gone_on_with() {
    let home = Home::new();
    sparse(&home.file("weights.bin"), SIZE_BYTES);
    settle(&home.file("weights.bin"));
    // Slow enough that it takes several times as long as a checkpoint takes to come.
    let offset = killed(&home, &["hash", "weights.bin", "--engine", "portable"]);
    let (code, answer) = home.json(&["hash", "weights.bin", "--resume", "--quiet"]);
    assert_eq!((code, &answer["recalled"]["parts"]), (0, &json!(1)), "{answer}");
    assert_eq!(answer["read_size_bytes"], SIZE_BYTES - offset);
    let whole = whole(&home, "weights.bin");
    assert_eq!(digests(&answer), digests(&whole));

    // Other digests than a manifest's as well; the chain and the tree both go on.
    let digests = ["--digest", "sha256,fsverity", "--quiet"];
    let offset = killed(&home, &[&["hash", "weights.bin", "--engine", "portable"], digests.as_slice()].concat());
    let (code, answer) = home.json(&[&["hash", "weights.bin", "--resume"], digests.as_slice()].concat());
    assert_eq!((code, &answer["read_size_bytes"]), (0, &json!(SIZE_BYTES - offset)), "{answer}");
    assert_eq!(answer["digests"][0]["sha256"], whole["manifest"]["files"][0]["sha256"]);
    let fresh = home.json(&[&["hash", "weights.bin"], digests.as_slice()].concat()).1;
    assert_eq!(answer["digests"], fresh["digests"]);

    // And lists.
    let offset = killed(&home, &["hash", "weights.bin", "--engine", "portable", "--format", "b3sum"]);
    let list = home.run(&["hash", "weights.bin", "--format", "b3sum", "--resume"]);
    assert!(offset > 0 && list.stderr.contains("went on within 1 file"), "{list:?}");
    assert_eq!(list.stdout, format!("{}  weights.bin\n", whole["manifest"]["files"][0]["blake3"].as_str().unwrap()));
}

/// Of a weight file, the header and the tensor that was being read are read again, and nothing else.
#[test]
fn tensors_that_were_whole_stay_whole() {
    let home = Home::new();
    let (tensors, tensor_size_bytes) = (32_u64, 64_u64 << 20);
    let members = (0..tensors).map(|index| {
        let (begin, end) = (index * tensor_size_bytes, (index + 1) * tensor_size_bytes);
        let fields = json!({ "dtype": "U8", "shape": [tensor_size_bytes], "data_offsets": [begin, end] });
        (format!("t{index:03}"), fields)
    });
    let header = Value::Object(members.collect()).to_string();
    let path = home.file("m.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&u64::try_from(header.len()).unwrap().to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let header_size_bytes = 8 + u64::try_from(header.len()).unwrap();
    file.set_len(header_size_bytes + tensors * tensor_size_bytes).unwrap();
    for index in 0..tensors {
        file.write_all_at(&index.to_le_bytes(), header_size_bytes + index * tensor_size_bytes + 5).unwrap();
    }
    drop(file);
    settle(&path);

    assert_eq!(stopped(&home, &["hash", "m.safetensors"], Signal::INT).code, 130);
    let [checkpoint]: [PathBuf; 1] = checkpoints(&home).try_into().unwrap();
    let text = fs::read_to_string(checkpoint).unwrap();
    let document: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let part = &document["part"][0];
    let offset = part["offset_bytes"].as_u64().unwrap();
    let done = u64::try_from(part["tensors"].as_array().unwrap().len()).unwrap();
    assert_eq!(done, (offset - header_size_bytes) / tensor_size_bytes);

    let (code, answer) = home.json(&["hash", "m.safetensors", "--resume", "--quiet"]);
    assert_eq!(code, 0, "{answer}");
    let again = offset - done * tensor_size_bytes;
    let rest = header_size_bytes + tensors * tensor_size_bytes - offset;
    assert_eq!(answer["read_size_bytes"], again + rest);
    let expected = whole(&home, "m.safetensors");
    assert_eq!(answer["manifest"], expected["manifest"]);
}

#[test]
fn going_on_with_nothing_starts_at_the_beginning_and_says_so() {
    let home = Home::new();
    fs::write(home.file("f"), "f").unwrap();
    let ran = home.run(&["hash", "f", "--resume"]);
    assert!(ran.code == 0 && ran.stderr.contains("there is no checkpoint of f"), "{ran:?}");
    for other in [["--digest", "sha256"], ["--format", "b3sum"]] {
        let ran = home.run(&[&["hash", "f", "--resume"], other.as_slice()].concat());
        assert!(ran.code == 0 && ran.stderr.contains("there is no checkpoint of f"), "{ran:?}");
    }
    // Where nothing can be remembered, hashing goes on as ever, and going on is refused.
    let state = home.work().parent().unwrap().join("state");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "not a directory").unwrap();
    assert_eq!(home.run(&["hash", "f"]).code, 0);
    assert_eq!(home.run(&["hash", "f", "--resume"]).code, 1);
    fs::remove_file(&state).unwrap();
    assert_eq!(home.run(&["hash", "f", "--resume"]).code, 0);
    let key = state.join("chopmark/seal.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = home.run(&["hash", "f", "--resume"]);
    assert!(ran.code == 1 && ran.stderr.contains("seal.key"), "{ran:?}");
}

/// What a program that reads along is told: one event a line, each with all members.
#[test]
fn progress_is_told_in_events() {
    let home = Home::new();
    let size_bytes = 5 << 20;
    fs::write(home.file("f"), vec![1; size_bytes]).unwrap();
    let ran = home.run(&["hash", "f", "--json"]);
    let events: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, last] = events.as_slice() else { panic!("{ran:?}") };
    for event in [first, last] {
        assert_eq!((&event["event"], &event["files"]), (&json!("progress"), &json!(1)), "{event}");
        assert_eq!(event["total_size_bytes"], size_bytes);
        assert!(event["elapsed_ms"].is_u64() && event["bytes_per_second"].is_u64(), "{event}");
    }
    let of = |event: &Value| ["phase", "done_size_bytes", "read_size_bytes", "left_ms"].map(|name| event[name].clone());
    assert_eq!(of(first), [json!("hashing"), json!(0), json!(0), json!(null)]);
    assert_eq!(of(last), [json!("hashed"), json!(size_bytes), json!(size_bytes), json!(0)]);
    assert_eq!(home.run(&["hash", "f", "--json", "--quiet"]).stderr, "");
}

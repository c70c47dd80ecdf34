//! Files that are truncated while they are read, at two hundred places that follow from a seed, or change in other ways, and
//! how much memory reading takes.
//!
//! The real binary reads; the moment of a change is chosen by how many bytes it has read, which Linux counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use serde_json::Value;

use crate::harness::{Home, Ran, is_soak};
use crate::make::Random;

/// How often a file is truncated.
const TRUNCATIONS: usize = 200;
/// How often it is changed in another way.
const OTHER_CHANGES: usize = 60;
/// Changes that come while the file is read, and not before or after, at least.
const NOTICED_MIN: usize = 130;

/// Size of the file that changes: a few windows of every engine.
const SIZE_BYTES: u64 = 24 << 20;

/// What is done to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Cut,
    Empty,
    Longer,
    InPlace,
    Gone,
}

/// Waits until a process has read so many bytes, or has ended.
fn wait_until_read(child: &mut Child, size_bytes: u64) {
    let counts = format!("/proc/{}/io", child.id());
    let has_read = || {
        let counts = fs::read_to_string(&counts).ok()?;
        counts.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse::<u64>().ok()
    };
    while child.try_wait().unwrap().is_none() && has_read().is_some_and(|read| read < size_bytes) {
        std::hint::spin_loop();
    }
}

/// Writes the file as it is before each round: old, so that coarse clocks of file systems see every change.
fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
}

fn change(random: &mut Random, path: &Path, change: Change) {
    let file = File::options().write(true).open(path).unwrap();
    match change {
        Change::Cut => file.set_len(random.next() % SIZE_BYTES).unwrap(),
        Change::Empty => file.set_len(0).unwrap(),
        Change::Longer => file.set_len(SIZE_BYTES + 1 + random.next() % SIZE_BYTES).unwrap(),
        Change::InPlace => file.write_all_at(b"!", random.next() % SIZE_BYTES).unwrap(),
        Change::Gone => fs::remove_file(path).unwrap(),
    }
}

/// The digests of a file's content.
fn digests(content: &[u8]) -> (String, String) {
    (Sha256Digest::of(content).to_hex(), Blake3Digest::of(content).to_hex())
}

#[cfg(target_os = "linux")]
#[test]
fn two_hundred_truncations_while_hashing_are_named_or_came_too_late() {
    const CUTS: [Change; 2] = [Change::Cut, Change::Empty];
    const OTHERS: [Change; 3] = [Change::Longer, Change::InPlace, Change::Gone];
    let home = Home::new();
    fs::create_dir(home.file("model")).unwrap();
    fs::write(home.file("model/config.json"), "{}").unwrap();
    let victim = home.file("model/weights.bin");
    let content: Vec<u8> = (0..=250_u8).cycle().take(usize::try_from(SIZE_BYTES).unwrap()).collect();
    let before = digests(&content);
    let mut random = Random::new(0x7E57);
    let mut ends: BTreeMap<(Change, &str), usize> = BTreeMap::new();
    let cuts = (0..TRUNCATIONS).map(|round| CUTS[round / 2 % CUTS.len()]);
    let others = (0..OTHER_CHANGES).map(|round| OTHERS[round / 2 % OTHERS.len()]);
    for (round, kind) in cuts.chain(others).enumerate() {
        write(&victim, &content);
        let engine = ["rayon", "portable"][round % 2];
        let mut command = home.command(&["hash", "model", "--quiet", "--json", "--engine", engine]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Anywhere from before the first byte to after the last; what the process reads to start is little beside it.
        let at = random.next() % (SIZE_BYTES + SIZE_BYTES / 8);
        wait_until_read(&mut child, at);
        change(&mut random, &victim, kind);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!(ran.stderr.is_empty(), "round {round}, {kind:?} at {at}: {ran:?}");
        let document = ran.document();
        let end = match ran.code {
            0 => {
                // The change came before the file was opened or after it was closed: then the digests are those of
                // either.
                let file = |path: &str| {
                    let files = document["manifest"]["files"].as_array().unwrap();
                    files.iter().find(|file| file["path"] == path).cloned()
                };
                match file("weights.bin") {
                    Some(file) => {
                        let text = |name: &str| file[name].as_str().unwrap().to_owned();
                        let found = (text("sha256"), text("blake3"));
                        let is_after = || fs::read(&victim).is_ok_and(|after| digests(&after) == found);
                        assert!(found == before || is_after(), "round {round}, {kind:?} at {at}: {document}");
                    }
                    None => assert_eq!(kind, Change::Gone, "round {round}: {document}"),
                }
                "not noticed, rightly"
            }
            3 => {
                let error = &document["error"];
                assert_eq!(error["code"], "file_changed", "round {round}: {document}");
                assert!(error["message"].as_str().unwrap().contains("weights.bin"), "{document}");
                "file_changed"
            }
            code => panic!("round {round}, {kind:?} at {at}: exit code {code}: {ran:?}"),
        };
        *ends.entry((kind, end)).or_default() += 1;
    }
    println!("{ends:?}");
    let changed: usize = ends.iter().filter(|((_, end), _)| *end == "file_changed").map(|(_, count)| count).sum();
    assert!(changed > NOTICED_MIN, "few changes came while the file was read: {ends:?}");
    for kind in CUTS.into_iter().chain(OTHERS) {
        assert!(ends.contains_key(&(kind, "file_changed")), "{kind:?} was never noticed: {ends:?}");
    }
}

/// Runs a program and prints its exit code and the most memory it held, in KiB.
const MEASURE: &str = r"
import os, sys
quiet = os.open(os.devnull, os.O_WRONLY)
streams = [(os.POSIX_SPAWN_DUP2, quiet, 1), (os.POSIX_SPAWN_DUP2, quiet, 2)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=streams)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
";

/// The most memory that hashing something holds, in bytes.
fn peak_bytes(home: &Home, arguments: &[&str]) -> u64 {
    let prepared = home.command(&[&["hash", "--json"], arguments].concat());
    let mut command = Command::new("python3");
    command.args(["-c", MEASURE]).arg(prepared.get_program()).args(prepared.get_args()).current_dir(home.work());
    // What it remembers belongs to this home.
    for (name, value) in prepared.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("python3 is needed to measure memory");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = text.split_whitespace().map(|word| word.parse::<u64>().unwrap());
    assert_eq!(words.next(), Some(0), "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    words.next().unwrap() << 10
}

fn sparse(home: &Home, name: &str, size_bytes: u64) {
    File::create(home.file(name)).unwrap().set_len(size_bytes).unwrap();
}

/// What `gpu-verify/src/job.rs` states for the windows of the largest machine, a header, and the program itself.
const BOUND_BYTES: u64 = (64 * 2 + 32 + 64) << 20;

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_size_of_a_file() {
    let home = Home::new();
    sparse(&home, "small.bin", 64 << 20);
    sparse(&home, "large.bin", 2 << 30);
    for engine in ["rayon", "portable"] {
        let small = peak_bytes(&home, &["small.bin", "--engine", engine]);
        let large = peak_bytes(&home, &["large.bin", "--engine", engine]);
        println!("{engine}: 64 MiB {} MiB, 2 GiB {} MiB", small >> 20, large >> 20);
        assert!(large < small + (16 << 20), "{engine}: {small} bytes for 64 MiB, {large} bytes for 2 GiB");
        assert!(large < BOUND_BYTES, "{engine}: {large} bytes");
    }
    if is_soak() {
        sparse(&home, "huge.bin", 100 << 30);
        let huge = peak_bytes(&home, &["huge.bin", "--engine", "rayon"]);
        println!("rayon: 100 GiB {} MiB", huge >> 20);
        assert!(huge < BOUND_BYTES, "{huge} bytes");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_for_ten_thousand_files_is_that_of_their_entries() {
    let home = Home::new();
    let make = |name: &str, files: usize| {
        for number in 0..files {
            let directory = home.file(name).join(format!("{:02}", number % 100));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("{number:05}.bin")), number.to_le_bytes()).unwrap();
        }
    };
    make("few", 100);
    make("many", 10_000);
    for engine in ["rayon", "portable"] {
        let few = peak_bytes(&home, &["few", "--engine", engine]);
        let many = peak_bytes(&home, &["many", "--engine", engine]);
        println!("{engine}: 100 files {} MiB, 10,000 files {} MiB", few >> 20, many >> 20);
        // An entry as the manifest writes it takes some 250 bytes; in memory, listed, and in JSON three times, some
        // kilobytes.
        assert!(
            many < few + (64 << 20) && many < BOUND_BYTES,
            "{engine}: {few} bytes for 100 files, {many} for 10,000"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn verifying_names_the_change_as_well() {
    let registered = crate::register::registered();
    let home = registered.another_home();
    crate::register::copy_of(&registered.home.file("model"), &home.file("model"));
    let bundle = registered.home.file("model.chop");
    let weights = home.file("model/model.safetensors");
    let size_bytes = fs::metadata(&weights).unwrap().len();
    let mut random = Random::new(0xBEEF);
    let mut noticed = 0;
    for round in 0..6 {
        fs::copy(registered.home.file("model/model.safetensors"), &weights).unwrap();
        let old = File::options().write(true).open(&weights).unwrap();
        old.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
        let mut command = home.command(&["verify", "model", "--offline", "--quiet", "--json", "--bundle"]);
        let mut child = command.arg(&bundle).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The bundle is read first; the weights are by far the most of what follows.
        let at = size_bytes / 8 + random.next() % (size_bytes / 3);
        wait_until_read(&mut child, at);
        old.set_len(random.next() % size_bytes).unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        let document: Value = ran.document();
        if ran.code == 0 {
            // It had read everything before the change; then it verified what was registered.
            assert_eq!(document["state"], "verified", "round {round}: {document}");
            continue;
        }
        noticed += 1;
        assert_eq!((ran.code, document["state"].as_str()), (3, Some("bytes_differ")), "round {round}: {document}");
        let is_named = document["error"]["code"] == "file_changed"
            || document["difference"]["changed"][0]["path"] == "model.safetensors";
        assert!(is_named, "round {round}: {document}");
    }
    assert!(noticed > 0, "no change came in time");
}

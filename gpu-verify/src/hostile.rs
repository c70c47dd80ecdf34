//! Whole measurements: honest directories, and everything a hostile one can hold.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::{ExclusionProfile, FilePath, Manifest};
use chopmark_core::verify::compare;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::digests::DigestSelection;
use crate::error::{FILE_SIZE_BYTES_MAX, MeasureError};
use crate::hasher::Hasher;
use crate::measure::{MeasureOptions, Measured, Purpose, measure};
use crate::portable::Portable;
use crate::progress::{Progress, Silent};
use crate::rayon::Rayon;

static RUNNING: AtomicBool = AtomicBool::new(false);

fn options(purpose: Purpose) -> MeasureOptions<'static> {
    MeasureOptions {
        exclusions: ExclusionProfile::V1,
        purpose,
        file_name: None,
        revision: None,
        digests: DigestSelection::MANIFEST,
        keep_subtrees: false,
        memory: None,
        interrupted: &RUNNING,
    }
}

fn register(path: &Path) -> Result<Measured, MeasureError> {
    measure(path, &options(Purpose::Register), &Silent, &Portable)
}

/// The code of the error, which must name `named` and say so in one line.
fn code_of(result: Result<Measured, MeasureError>, named: &str) -> &'static str {
    let error = result.expect_err(named);
    assert!(error.to_string().contains(named), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.code()
}

fn engines(rayon: &Rayon) -> [&dyn Hasher; 2] {
    [&Portable, rayon]
}

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("config.json"), "{}").unwrap();
    (directory, path)
}

fn safetensors(json: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = u64::try_from(json.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// Three tensors; the middle one lies across the windows of every engine.
fn large_weights() -> Vec<u8> {
    let (first, second, third) = (1000, 9 << 20, 77);
    let json = format!(
        r#"{{"__metadata__":{{"format":"pt"}},"first":{{"dtype":"F32","shape":[250],"data_offsets":[0,{first}]}},"second":{{"dtype":"BF16","shape":[9,524288],"data_offsets":[{first},{}]}},"third":{{"dtype":"U8","shape":[77],"data_offsets":[{},{}]}}}}"#,
        first + second,
        first + second,
        first + second + third
    );
    let data: Vec<u8> = (0..=250).cycle().take(first + second + third).collect();
    safetensors(&json, &data)
}

#[test]
fn a_directory_is_measured_alike_by_every_engine() {
    let (_keep, path) = directory();
    fs::create_dir_all(path.join("1_Pooling")).unwrap();
    fs::create_dir_all(path.join(".git/objects")).unwrap();
    fs::create_dir_all(path.join("empty")).unwrap();
    fs::write(path.join("1_Pooling/config.json"), "").unwrap();
    fs::write(path.join(".git/objects/x"), "left out").unwrap();
    fs::write(path.join("model.chop"), "left out").unwrap();
    let weights = large_weights();
    fs::write(path.join("model.safetensors"), &weights).unwrap();

    let measured = register(&path).unwrap();
    let paths: Vec<_> = measured.manifest.files().iter().map(|file| file.path.to_string()).collect();
    assert_eq!(paths, ["1_Pooling/config.json", "config.json", "model.safetensors"]);
    let excluded: Vec<_> = measured.excluded.iter().map(ToString::to_string).collect();
    assert_eq!(excluded, [".git", "model.chop"]);
    for file in measured.manifest.files() {
        let content = fs::read(path.join(file.path.as_str())).unwrap();
        assert_eq!(file.sha256, Sha256Digest::of(&content), "{}", file.path);
        assert_eq!(file.blake3, Some(Blake3Digest::of(&content)), "{}", file.path);
    }
    let index = measured.manifest.files()[2].weights.as_ref().unwrap();
    assert_eq!(index.header_blake3, Blake3Digest::of(&weights[..usize::try_from(index.header_size_bytes).unwrap()]));
    assert_eq!(index.tensors.len(), 3);
    for tensor in &index.tensors {
        let bytes = &weights[usize::try_from(tensor.begin).unwrap()..usize::try_from(tensor.end).unwrap()];
        assert_eq!(tensor.blake3, Blake3Digest::of(bytes), "{}", tensor.name);
    }
    assert_eq!(Manifest::parse(&measured.manifest.to_canonical_bytes()).unwrap(), measured.manifest);
    for threads in [1, 3] {
        let rayon = Rayon::new(threads).unwrap();
        let other = measure(&path, &options(Purpose::Register), &Silent, &rayon).unwrap();
        assert_eq!(other.manifest, measured.manifest);
    }
}

#[test]
fn one_changed_byte_names_its_file_and_exactly_its_tensor() {
    let (_keep, path) = directory();
    let weights = large_weights();
    fs::write(path.join("model.safetensors"), &weights).unwrap();
    let registered = register(&path).unwrap().manifest;
    for (index, tensor) in registered.files()[1].weights.clone().unwrap().tensors.into_iter().enumerate() {
        for at in [tensor.begin, tensor.end - 1] {
            let mut tampered = weights.clone();
            tampered[usize::try_from(at).unwrap()] ^= 1;
            fs::write(path.join("model.safetensors"), &tampered).unwrap();
            let rayon = Rayon::new(2).unwrap();
            let found = measure(&path, &options(Purpose::Verify), &Silent, &rayon).unwrap();
            let difference = compare(&registered, &found.manifest, &found.unreadable);
            assert_eq!(difference.changed.len(), 1);
            assert_eq!(difference.changed[0].path.as_str(), "model.safetensors");
            let names: Vec<_> = difference.changed[0].tensors.iter().map(|change| &*change.name).collect();
            assert_eq!(names, [["first", "second", "third"][index]]);
            assert!(!difference.changed[0].header_changed);
        }
    }
}

#[test]
fn a_changed_header_is_the_headers_change() {
    let (_keep, path) = directory();
    let file = path.join("model.safetensors");
    fs::write(&file, large_weights()).unwrap();
    let registered = register(&path).unwrap().manifest;
    let text = large_weights();
    let at = text.windows(4).position(|window| window == b"\"pt\"").unwrap();
    let mut tampered = text;
    tampered[at + 1] = b'q';
    fs::write(&file, &tampered).unwrap();
    let found = measure(&path, &options(Purpose::Verify), &Silent, &Portable).unwrap();
    let difference = compare(&registered, &found.manifest, &found.unreadable);
    assert!(difference.changed[0].header_changed);
    assert_eq!(difference.changed[0].tensors, []);
}

#[test]
fn malformed_weights_stop_a_registration_and_are_noted_by_a_verification() {
    let (_keep, path) = directory();
    let file = path.join("model.safetensors");
    let whole = large_weights();
    fs::write(&file, &whole).unwrap();
    let registered = register(&path).unwrap().manifest;
    let bomb = format!("{{\"a\":{}", "[".repeat(1_000_000));
    let cases: [(Vec<u8>, &str); 7] = [
        (Vec::new(), "header_truncated"),
        (b"1234567".to_vec(), "header_truncated"),
        (u64::MAX.to_le_bytes().to_vec(), "header_too_large"),
        (1000u64.to_le_bytes().to_vec(), "header_past_end"),
        (whole[..whole.len() - 1].to_vec(), "tensor_past_end"),
        ([whole.as_slice(), b"x"].concat(), "trailing_bytes"),
        (safetensors(&bomb, b""), "header_not_object"),
    ];
    for (content, code) in cases {
        fs::write(&file, &content).unwrap();
        assert_eq!(code_of(register(&path), "model.safetensors"), code);
        let found = measure(&path, &options(Purpose::Verify), &Silent, &Portable).unwrap();
        assert_eq!(found.unreadable.len(), 1);
        let difference = compare(&registered, &found.manifest, &found.unreadable);
        let change = &difference.changed[0];
        assert!(change.found_unreadable.as_ref().unwrap().starts_with(code), "{change:?}");
        assert_eq!(change.actual.sha256, Sha256Digest::of(&content));
    }
}

#[test]
fn a_single_file_counts_whatever_its_name_and_can_be_called_by_another() {
    let (_keep, path) = directory();
    let file = path.join("release.chop");
    fs::write(&file, "archive").unwrap();
    let measured = register(&file).unwrap();
    assert_eq!(measured.manifest.exclusions(), ExclusionProfile::None);
    assert_eq!(measured.manifest.only_file().unwrap().path.as_str(), "release.chop");

    fs::write(path.join("w.safetensors"), large_weights()).unwrap();
    fs::write(path.join("renamed.bin"), large_weights()).unwrap();
    let registered = register(&path.join("w.safetensors")).unwrap().manifest;
    let name = &registered.only_file().unwrap().path;
    let options = MeasureOptions { file_name: Some(name), ..options(Purpose::Verify) };
    let found = measure(&path.join("renamed.bin"), &options, &Silent, &Portable).unwrap();
    assert!(compare(&registered, &found.manifest, &found.unreadable).is_empty());
}

#[test]
fn links_are_refused_wherever_they_point() {
    for target in ["config.json", "..", "loop", "/etc/passwd", "nowhere"] {
        let (_keep, path) = directory();
        symlink(target, path.join("loop")).unwrap();
        assert_eq!(code_of(register(&path), "loop"), "symbolic_link", "{target}");
        if target != ".." {
            assert_eq!(code_of(register(&path.join("loop")), "loop"), "symbolic_link", "{target}");
        }
    }
}

#[test]
fn the_directory_itself_may_be_reached_through_a_link() {
    let (keep, path) = directory();
    symlink(&path, keep.path().join("link")).unwrap();
    assert_eq!(register(&keep.path().join("link")).unwrap().manifest, register(&path).unwrap().manifest);
}

#[test]
fn what_has_no_fixed_bytes_is_named_and_refused_at_once() {
    let (_keep, path) = directory();
    let pipe = path.join("pipe.safetensors");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(code_of(register(&path), "FIFO"), "not_regular_file");
    assert_eq!(code_of(register(&pipe), "pipe.safetensors"), "not_regular_file");
    fs::remove_file(&pipe).unwrap();
    let _listener = UnixListener::bind(path.join("socket")).unwrap();
    assert_eq!(code_of(register(&path), "a socket"), "not_regular_file");
    assert_eq!(code_of(register(Path::new("/dev/zero")), "a character device"), "not_regular_file");
}

#[test]
fn a_pipe_put_in_place_of_a_listed_file_does_not_hang() {
    struct Swap(PathBuf);
    impl Progress for Swap {
        fn file(&self, _path: &str) {
            fs::remove_file(&self.0).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, &self.0, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        }
    }
    let (_keep, path) = directory();
    let result = measure(&path, &options(Purpose::Register), &Swap(path.join("config.json")), &Portable);
    assert_eq!(code_of(result, "config.json"), "not_regular_file");
}

#[test]
fn a_sparse_file_of_absurd_size_is_refused_at_once() {
    let (_keep, path) = directory();
    let file = File::create(path.join("sparse.bin")).unwrap();
    // As large as this file system takes: 8 EiB on tmpfs, XFS and btrfs, 16 TiB on ext4.
    let sizes = [(1 << 63) - 1, (1 << 63) - 4096, (1 << 44) - 4096, FILE_SIZE_BYTES_MAX + 1];
    assert!(sizes.into_iter().any(|size| file.set_len(size).is_ok()), "no file system for this test");
    assert_eq!(code_of(register(&path), "sparse.bin"), "file_too_large");
    assert_eq!(code_of(register(&path.join("sparse.bin")), "sparse.bin"), "file_too_large");
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_error_is_reported() {
    // Reading address 0 of one's own memory fails with EIO, for root as well.
    assert_eq!(code_of(register(Path::new("/proc/self/mem")), "/proc/self/mem"), "unreadable");
}

#[test]
fn a_file_without_permission_is_unreadable() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_keep, path) = directory();
    let file = path.join("config.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&file).is_err() {
        assert_eq!(code_of(register(&path), "config.json"), "unreadable");
    } else {
        // Root reads everything; that the file is then measured is the right answer.
        assert!(register(&path).is_ok());
    }
}

#[test]
fn missing_and_empty_places_are_named() {
    let (_keep, path) = directory();
    assert_eq!(code_of(register(&path.join("absent")), "absent"), "not_found");
    assert_eq!(code_of(register(&path.join("absent/deeper")), "absent"), "not_found");
    fs::remove_file(path.join("config.json")).unwrap();
    assert_eq!(code_of(register(&path), "model"), "no_files");
    let found = measure(&path, &options(Purpose::Verify), &Silent, &Portable).unwrap();
    assert_eq!(found.manifest.files(), []);
}

#[test]
fn names_that_cannot_stand_in_a_manifest_are_refused() {
    let cases: [(&[u8], &str); 4] = [
        (b"bad-\xff", "file_name_not_utf8"),
        ("e\u{301}".as_bytes(), "file_name"),
        ("txt\u{202e}exe".as_bytes(), "file_name"),
        (b"back\\slash", "file_name"),
    ];
    for (name, code) in cases {
        let (_keep, path) = directory();
        // File systems that refuse or normalise such names cannot hold the attack either.
        let name = std::ffi::OsStr::from_bytes(name);
        if fs::write(path.join(name), "").is_err()
            || !fs::read_dir(&path).unwrap().any(|e| e.unwrap().file_name() == name)
        {
            continue;
        }
        assert_eq!(code_of(register(&path), "model"), code, "{name:?}");
    }
}

#[test]
fn a_deep_directory_is_refused_and_not_followed_for_ever() {
    let (_keep, path) = directory();
    let deep = path.join(vec!["d"; 100].join("/"));
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(code_of(register(&path), "segments"), "file_name");
}

/// Does something to a file when its first window has been read.
struct Meddle<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Progress for Meddle<F> {
    fn bytes(&self, _size_bytes: u64) {
        if let Some(meddle) = self.0.lock().unwrap().take() {
            meddle();
        }
    }
}

type MeddleWith = fn(&mut File);

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let meddlers: [(&str, MeddleWith); 3] = [
        ("shorter", |file| file.set_len(10).unwrap()),
        ("longer", |file| file.set_len(100 << 20).unwrap()),
        ("size or time", |file| file.write_all(b"other bytes").unwrap()),
    ];
    let rayon = Rayon::new(2).unwrap();
    for (how, meddle) in meddlers {
        for engine in engines(&rayon) {
            let (_keep, path) = directory();
            let path = path.join("weights.bin");
            fs::write(&path, vec![7; engine.window_size_bytes() * 4 + 1]).unwrap();
            let mut file = File::options().write(true).open(&path).unwrap();
            // Clocks of file systems are coarse: a change is seen when the file was old before.
            file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
            let progress = Meddle(Mutex::new(Some(move || meddle(&mut file))));
            let result = measure(&path, &options(Purpose::Verify), &progress, engine);
            assert_eq!(code_of(result, how), "file_changed");
        }
    }
}

#[test]
fn a_file_that_vanishes_is_a_change() {
    struct Remove(PathBuf);
    impl Progress for Remove {
        fn file(&self, _path: &str) {
            fs::remove_file(&self.0).unwrap();
        }
    }
    let (_keep, path) = directory();
    let result = measure(&path, &options(Purpose::Verify), &Remove(path.join("config.json")), &Portable);
    assert_eq!(code_of(result, "vanished"), "file_changed");
}

#[test]
fn an_interruption_stops_between_windows() {
    struct Stop<'a>(&'a AtomicBool);
    impl Progress for Stop<'_> {
        fn bytes(&self, _size_bytes: u64) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (_keep, path) = directory();
    for index in 0..20 {
        fs::write(path.join(format!("{index}.bin")), vec![1; 3 << 20]).unwrap();
    }
    let rayon = Rayon::new(2).unwrap();
    for engine in engines(&rayon) {
        let interrupted = AtomicBool::new(false);
        let options = MeasureOptions { interrupted: &interrupted, ..options(Purpose::Register) };
        assert_eq!(code_of(measure(&path, &options, &Stop(&interrupted), engine), "interrupted"), "interrupted");
        assert_eq!(code_of(measure(&path, &options, &Silent, engine), "interrupted"), "interrupted");
    }
}

#[test]
fn an_error_in_one_file_is_what_is_reported_not_the_stop_of_the_others() {
    let (_keep, path) = directory();
    for index in 0..20 {
        fs::write(path.join(format!("{index}.bin")), vec![1; 1 << 20]).unwrap();
    }
    fs::write(path.join("bad.safetensors"), "1234567").unwrap();
    let rayon = Rayon::new(4).unwrap();
    for _ in 0..10 {
        let result = measure(&path, &options(Purpose::Register), &Silent, &rayon);
        assert_eq!(code_of(result, "bad.safetensors"), "header_truncated");
    }
}

#[test]
fn progress_adds_up_to_what_was_announced() {
    #[derive(Default)]
    struct Count {
        announced: AtomicU64,
        read: AtomicU64,
        files: AtomicU64,
    }
    impl Progress for Count {
        fn total(&self, files: u64, size_bytes: u64) {
            assert_eq!(files, 2);
            self.announced.store(size_bytes, Ordering::Relaxed);
        }
        fn file(&self, _path: &str) {
            self.files.fetch_add(1, Ordering::Relaxed);
        }
        fn bytes(&self, size_bytes: u64) {
            self.read.fetch_add(size_bytes, Ordering::Relaxed);
        }
    }
    let (_keep, path) = directory();
    fs::write(path.join("model.safetensors"), large_weights()).unwrap();
    let count = Count::default();
    measure(&path, &options(Purpose::Register), &count, &Rayon::new(2).unwrap()).unwrap();
    let read = count.read.into_inner();
    assert_eq!(read, count.announced.into_inner());
    assert_eq!(read, crate::size_bytes(&large_weights()) + 2);
    assert_eq!(count.files.into_inner(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_as_weights_never_panic(
        declared in prop_oneof![any::<u64>(), 0u64..64],
        rest in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let (_keep, path) = directory();
        let content = [declared.to_le_bytes().as_slice(), &rest].concat();
        fs::write(path.join("w.safetensors"), &content).unwrap();
        let found = measure(&path, &options(Purpose::Verify), &Silent, &Portable).unwrap();
        let file = found.manifest.file(&FilePath::parse("w.safetensors").unwrap()).unwrap();
        prop_assert_eq!(file.sha256, Sha256Digest::of(&content));
        prop_assert_eq!(file.weights.is_none(), found.unreadable.len() == 1);
        prop_assert_eq!(register(&path).is_err(), file.weights.is_none());
    }
}

//! Python pickles, recognised and never loaded: what a `PyTorch` checkpoint usually is, and what runs code when it is
//! opened.
//!
//! Such a file is hashed as the bytes it is; whoever measures it is told. Formats: Python's `pickletools` (protocols
//! 0 to 5); `torch.save`, a ZIP archive with a `data.pkl` in it since 1.6, plain pickles before.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use chopmark_core::manifest::FilePath;

use crate::open::Root;
use crate::walk::Listed;

/// Endings of names under which pickles are published.
const ENDINGS: [&str; 6] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];
/// Endings that say it all: whatever opens such a file unpickles it.
const CERTAIN_ENDINGS: [&str; 2] = [".pkl", ".pickle"];

/// Bytes at the start of a file that are looked at: the longest name of the first member of an archive is far below.
const HEAD_SIZE_BYTES: u64 = 4096;
/// Bytes at the end of an archive in which its directory is looked for: some ten thousand members.
const TAIL_SIZE_BYTES: u64 = 1 << 20;

/// Signature and fixed size of a ZIP member's own header (PKWARE `APPNOTE.TXT`, 4.3.7), and where the length of its
/// name is.
const MEMBER: (&[u8; 4], usize, usize) = (b"PK\x03\x04", 30, 26);
/// The same of its header in the archive's directory (4.3.12).
const LISTED_MEMBER: (&[u8; 4], usize, usize) = (b"PK\x01\x02", 46, 28);

/// Something to know about a file that is no fault of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNote {
    /// The file.
    pub path: FilePath,
    /// What there is to know.
    pub kind: FileNoteKind,
}

/// What there is to know about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNoteKind {
    /// It is a Python pickle, or an archive with one in it.
    Pickle,
}

impl FileNoteKind {
    /// Stable name for scripts.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pickle => "pickle",
        }
    }

    /// What it means and what to do.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Pickle => {
                "a Python pickle, which runs whatever code it holds when it is loaded; it was hashed as bytes and never \
                 loaded, so its tensors are not known one by one. Convert it to safetensors, or load it only where \
                 nothing can be harmed (torch.load with weights_only=True refuses most code)"
            }
        }
    }
}

/// What there is to know about files that turned out to be pickles, in the order of paths.
pub(crate) fn notes(pickles: impl IntoIterator<Item = FilePath>) -> Vec<FileNote> {
    let mut notes: Vec<_> = pickles.into_iter().map(|path| FileNote { path, kind: FileNoteKind::Pickle }).collect();
    notes.sort_by(|a, b| a.path.cmp(&b.path));
    notes
}

/// Opens and looks at those of the files whose names may be those of pickles.
pub(crate) fn find(root: &Root, files: &[Listed]) -> Vec<FilePath> {
    let open = |listed: &Listed| root.open_file(&listed.below).map(File::from);
    let is_pickle = |listed: &&Listed| match named(&listed.path) {
        Named::Certainly => true,
        Named::Perhaps => open(listed).is_ok_and(|file| of_file(&listed.path, &file)),
        Named::Otherwise => false,
    };
    files.iter().filter(is_pickle).map(|listed| listed.path.clone()).collect()
}

/// Whether an open file is a pickle. One that can't be looked at is none: reading it for its digests says why.
pub(crate) fn of_file(path: &FilePath, file: &File) -> bool {
    let looked = || {
        let found = file.metadata()?;
        // Anything else may wait for ever when it is read.
        if !found.is_file() {
            return Ok(false);
        }
        is_pickle(found.len(), |offset_bytes, size_bytes| {
            let mut bytes = vec![0; usize::try_from(size_bytes).unwrap_or_default()];
            file.read_exact_at(&mut bytes, offset_bytes).map(|()| Cow::Owned(bytes))
        })
    };
    match named(path) {
        Named::Certainly => true,
        Named::Perhaps => looked().unwrap_or(false),
        Named::Otherwise => false,
    }
}

/// Whether a file of these bytes is a pickle.
pub(crate) fn of_bytes(path: &FilePath, bytes: &[u8]) -> bool {
    match named(path) {
        Named::Certainly => true,
        Named::Perhaps => is_pickle(crate::size_bytes(bytes), |offset_bytes, size_bytes| {
            let part = |at| usize::try_from(at).unwrap_or(usize::MAX);
            let (start, end) = (part(offset_bytes), part(offset_bytes.saturating_add(size_bytes)));
            Ok(Cow::Borrowed(bytes.get(start..end).unwrap_or_default()))
        })
        .unwrap_or(false),
        Named::Otherwise => false,
    }
}

/// What a name says.
enum Named {
    Certainly,
    Perhaps,
    Otherwise,
}

fn named(path: &FilePath) -> Named {
    let name = path.file_name().as_bytes();
    let ends_in = |endings: &[&str]| {
        endings.iter().any(|ending| {
            let start = name.len().saturating_sub(ending.len());
            name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
        })
    };
    if ends_in(&CERTAIN_ENDINGS) {
        Named::Certainly
    } else if ends_in(&ENDINGS) {
        Named::Perhaps
    } else {
        Named::Otherwise
    }
}

/// Whether a file is a pickle or an archive of one, from its first and last bytes.
fn is_pickle<'a>(size_bytes: u64, read_at: impl Fn(u64, u64) -> io::Result<Cow<'a, [u8]>>) -> io::Result<bool> {
    let head = read_at(0, HEAD_SIZE_BYTES.min(size_bytes))?;
    if head.starts_with(MEMBER.0) {
        let tail_size_bytes = TAIL_SIZE_BYTES.min(size_bytes);
        return Ok(member_name(&head, MEMBER).is_some_and(is_pickle_name)
            || lists_a_pickle(&read_at(size_bytes.saturating_sub(tail_size_bytes), tail_size_bytes)?));
    }
    let last = read_at(size_bytes.saturating_sub(1), 1.min(size_bytes))?;
    Ok(is_bare_pickle(&head, last.first().copied()))
}

/// A binary pickle begins with its protocol; one of the text protocols with an opcode and its argument, and every
/// pickle ends with the opcode `STOP`. The old `torch.save` wrote several pickles and then tensors, so that its end
/// says nothing.
fn is_bare_pickle(head: &[u8], last: Option<u8>) -> bool {
    match head {
        [0x80, 2..=5, ..] => true,
        // GLOBAL, which names what will be called, or MARK before a first object.
        [b'c', rest @ ..] => names_a_global(rest),
        [b'(', b'c', rest @ ..] => names_a_global(rest) && last == Some(b'.'),
        [b'(', b'l' | b'd' | b't' | b'i' | b'S' | b'I' | b'V', ..] => last == Some(b'.'),
        _ => false,
    }
}

/// Two lines that could be a module and a name in it.
fn names_a_global(rest: &[u8]) -> bool {
    let is_word = |line: &[u8]| {
        !line.is_empty() && line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let (module, name, after) = (lines.next(), lines.next(), lines.next());
    module.is_some_and(is_word) && name.is_some_and(is_word) && after.is_some()
}

/// The name in a header of a ZIP member that `bytes` begin with.
fn member_name<'a>(bytes: &'a [u8], (signature, fixed, length_at): (&[u8; 4], usize, usize)) -> Option<&'a [u8]> {
    if !bytes.starts_with(signature) {
        return None;
    }
    let length = u16::from_le_bytes(*bytes.get(length_at..)?.first_chunk()?);
    bytes.get(fixed..)?.get(..usize::from(length))
}

fn is_pickle_name(name: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(b".pkl")
}

/// Whether a piece of a ZIP archive's directory lists a pickle. Headers are found by their signature, so that large
/// archives and those with something behind them are no exceptions.
fn lists_a_pickle(tail: &[u8]) -> bool {
    let places = tail.windows(4).enumerate().filter(|(_, bytes)| bytes == LISTED_MEMBER.0);
    places.filter_map(|(at, _)| member_name(tail.get(at..)?, LISTED_MEMBER)).any(is_pickle_name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::walk::list_directory;

    fn local(name: &[u8]) -> Vec<u8> {
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        [MEMBER.0.as_slice(), &[0; 22], &length, &[0; 2], name].concat()
    }

    fn listed(name: &[u8]) -> Vec<u8> {
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        [LISTED_MEMBER.0.as_slice(), &[0; 24], &length, &[0; 16], name].concat()
    }

    #[test]
    fn pickles_are_told_by_their_bytes() {
        // What Python 3.11 writes for a class that calls os.system when it is loaded, in every protocol.
        let call: [&[u8]; 6] = [
            b"cposix\nsystem\np0\n(Vtrue\np1\ntp2\nRp3\n.",
            b"cposix\nsystem\nq\x00(X\x04\x00\x00\x00trueq\x01tq\x02Rq\x03.",
            b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.",
            b"\x80\x03cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.",
            b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
            b"\x80\x05\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
        ];
        for bytes in call {
            assert!(is_bare_pickle(bytes, bytes.last().copied()), "{bytes:?}");
        }
        for bytes in [b"(lp0\nI1\na.".as_slice(), b"(dp0\n.", b"(cposix\nsystem\nS'true'\no."] {
            assert!(is_bare_pickle(bytes, bytes.last().copied()), "{bytes:?}");
        }
        for bytes in [
            b"".as_slice(),
            b"\x80",
            b"\x80\x01.",
            b"\x80\x06.",
            b"GGUF",
            b"compiled\n",
            b"c\n\n.",
            b"(list of things)",
            b"PK\x03\x04",
            &[0; 64],
        ] {
            assert!(!is_bare_pickle(bytes, bytes.last().copied()), "{bytes:?}");
        }
    }

    #[test]
    fn archives_are_told_by_their_members() {
        assert_eq!(member_name(&local(b"archive/data.pkl"), MEMBER), Some(b"archive/data.pkl".as_slice()));
        assert_eq!(member_name(&local(b"x")[..30], MEMBER), None, "cut short");
        assert_eq!(member_name(b"PK\x03\x04", MEMBER), None);
        assert!(lists_a_pickle(&[listed(b"archive/data/0"), listed(b"archive/data.pkl"), vec![0; 22]].concat()));
        assert!(!lists_a_pickle(&[listed(b"archive/data/0"), listed(b"readme.txt"), vec![0; 22]].concat()));
        let lying = [LISTED_MEMBER.0.as_slice(), &[0xff; 42]].concat();
        assert!(!lists_a_pickle(&lying), "a length past the end");
    }

    #[test]
    fn files_are_noted_by_name_and_content() {
        let directory = tempfile::tempdir().unwrap();
        let zip = [local(b"archive/version"), vec![7; 100], listed(b"archive/version"), listed(b"archive/data.pkl")];
        let old = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
        for (name, content) in [
            ("a.pkl", b"anything".as_slice()),
            ("B.PT", &zip.concat()),
            ("c.bin", old),
            ("d.bin", b"plain bytes"),
            ("e.safetensors", old),
            ("f.ckpt", b""),
            ("g.pth", &local(b"model.onnx")),
        ] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let root = Root::open(directory.path()).unwrap();
        let profile = chopmark_core::manifest::ExclusionProfile::V1;
        let files = list_directory(&root, None, profile, &|| false).unwrap().files;
        let found = notes(find(&root, &files));
        let paths: Vec<_> = found.iter().map(|note| note.path.as_str()).collect();
        assert_eq!(paths, ["B.PT", "a.pkl", "c.bin"]);
        // However the bytes come, they are the same.
        for listed in &files {
            let (path, place) = (&listed.path, directory.path().join(&listed.below));
            let is_pickle = of_file(path, &File::open(&place).unwrap());
            assert_eq!(of_bytes(path, &fs::read(&place).unwrap()), is_pickle, "{path}");
            assert_eq!(is_pickle, paths.contains(&path.as_str()), "{path}");
        }
        fs::remove_file(directory.path().join("c.bin")).unwrap();
        let pipe = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join("c.bin"), pipe).unwrap();
        assert_eq!(find(&root, &files).len(), 2, "a pipe in its place is not waited for");
    }
}

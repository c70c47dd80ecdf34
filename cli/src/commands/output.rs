//! Files that a run writes in place of an older one: one of the same sort, and nothing else that somebody would miss.
//!
//! What a command reads is among what it must not replace: a list given as its own report, weights as their own digests.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::exit::Failure;

/// How much of a file is looked at, in bytes: the first row of a report, with a path of any length.
const START_BYTES: u64 = 64 << 10;

/// A member of every document and of every row of a report, and of nothing that is read; inside a string its quotation marks
/// would be escaped.
const MEMBER: &[u8] = b"\"exit_code\":";

/// Length of the digests in lists for other programs, in hexadecimal digits.
const DIGEST_CHARACTERS: usize = 64;

/// Checks, before slow work begins, that a document or a report may be written to `path`.
///
/// # Errors
/// A usage failure when something else is there.
pub(super) fn check_document(path: &Path) -> Result<(), Failure> {
    check(path, "a document that this command has written", |start| {
        start.starts_with(b"{") && start.windows(MEMBER.len()).any(|bytes| bytes == MEMBER)
    })
}

/// Checks, before slow work begins, that a list of digests may be written to `path`.
///
/// # Errors
/// A usage failure when something else is there.
pub(super) fn check_digests(path: &Path) -> Result<(), Failure> {
    check(path, "a list of digests", |start| {
        let start = start.strip_prefix(b"\\").unwrap_or(start);
        start.split_at_checked(DIGEST_CHARACTERS).is_some_and(|(digest, rest)| {
            digest.iter().all(u8::is_ascii_hexdigit) && (rest.starts_with(b"  ") || rest.starts_with(b" *"))
        })
    })
}

fn check(path: &Path, what: &str, is_one: impl Fn(&[u8]) -> bool) -> Result<(), Failure> {
    let refuse = |reason: &str| Failure::usage(format!("{} {reason}; choose another file", path.display()));
    match fs::metadata(path) {
        // A file that is missing is made; a directory that is missing is noticed then.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(refuse(&format!("can't be looked at ({error})"))),
        Ok(found) if !found.is_file() => return Err(refuse("is no regular file")),
        Ok(_) => {}
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(START_BYTES).read_to_end(&mut start));
    match read {
        Ok(_) if start.is_empty() || is_one(&start) => Ok(()),
        _ => Err(refuse(&format!("exists and is not {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::printer;

    #[test]
    fn only_what_is_of_the_same_sort_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let replaceable = |content: &str| {
            fs::write(&path, content).unwrap();
            (check_document(&path).is_ok(), check_digests(&path).is_ok())
        };
        assert!(check_document(&path).is_ok() && check_digests(&path).is_ok(), "nothing is there");
        let digest = "ab".repeat(32);
        let document = printer::document(Some("hash"), Exit::Done, serde_json::json!({ "files": 1 }));
        for (content, expected) in [
            ("", (true, true)),
            (document.as_str(), (true, false)),
            ("{\"row\":1,\"exit_code\":0}\n{\"totals\":{},\"exit_code\":0}\n", (true, false)),
            (&format!("{digest}  model/weights.bin\n"), (false, true)),
            (&format!("\\{digest}  odd\\nname\n"), (false, true)),
            (&format!("{digest} *weights.bin\n"), (false, true)),
            ("my thesis", (false, false)),
            (&digest, (false, false)),
            ("{\"path\":\"a\",\"licence\":\"mit\"}\n", (false, false)),
            ("{\"path\":\"\\\"exit_code\\\":\",\"licence\":\"mit\"}\n", (false, false)),
            ("document,amount\n1,2\n", (false, false)),
        ] {
            assert_eq!(replaceable(content), expected, "{content}");
        }
        assert_eq!(check_document(directory.path()).unwrap_err().exit, Exit::Usage);
        assert_eq!(check_document(Path::new("/dev/null")).unwrap_err().exit, Exit::Usage);
    }
}

//! Signing keys as files, one Ed25519 seed each, readable by their owner alone.
//!
//! The format is text: comment lines start with `#`, blank lines are ignored, and exactly one line reads
//! `chopmark-key-v1 <32-byte seed of RFC 8032 in padded base64>`. What comments say of the public half is not believed.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chopmark_core::base64;
use chopmark_core::key::{KeyId, PublicKey};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// First word of the line that holds the seed.
const FORMAT: &str = "chopmark-key-v1";

/// Largest key file, in bytes: the seed's line and ample comments.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// What stands for the file of a key that is in the environment itself.
const IN_ENVIRONMENT: &str = "CHOPMARK_KEY";

/// A signing key and the file it is from. The secret is wiped from memory when dropped.
pub(crate) struct Key {
    /// The file.
    pub(crate) path: PathBuf,
    secret: SigningKey,
}

impl Key {
    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn generate(path: PathBuf) -> Result<Self, Failure> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)
            .map_err(|error| Failure::internal(format!("the operating system gives no randomness: {error}")))?;
        Ok(Self { path, secret: SigningKey::from_bytes(&seed) })
    }

    /// Reads a key file; or the key itself, where a CI system hands its secret over in `CHOPMARK_KEY`.
    ///
    /// # Errors
    /// An authorisation failure naming the file: absent, open to others, or not a key. The secret is never shown.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        if let Some(line) = path.to_str().filter(|text| text.starts_with(FORMAT) && text.contains(' ')) {
            let secret = parse(line).map_err(|reason| {
                Failure::new(Exit::NotAuthorised, "key_malformed", format!("the key in {IN_ENVIRONMENT} {reason}"))
            })?;
            return Ok(Self { path: PathBuf::from(IN_ENVIRONMENT), secret });
        }
        let refuse = |code: &'static str, reason: String| {
            Failure::new(Exit::NotAuthorised, code, format!("the key file {}: {reason}", path.display()))
        };
        let unreadable = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => refuse("no_key", "does not exist; make a key with `chopmark key new`".to_owned()),
            _ => refuse("key_unreadable", error.to_string()),
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            let reason = format!("others can read it; close it with `chmod 600 {}`", path.display());
            return Err(refuse("key_permissions", reason));
        }
        // Room for the whole file from the start: growing would leave copies of the secret behind.
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or_default() + 1));
        file.by_ref().take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        let secret = parse(&text).map_err(|reason| refuse("key_malformed", reason.to_owned()))?;
        Ok(Self { path: path.to_owned(), secret })
    }

    /// The file's content.
    pub(crate) fn render(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(BASE64.encode(self.secret.as_bytes()));
        Zeroizing::new(format!(
            "# Chopmark signing key. Secret: whoever reads it can sign for you.\n\
             # Keep a copy in a safe place, and keep it out of version control.\n\
             # key id:     {}\n\
             # public key: {}\n\
             {FORMAT} {}\n",
            self.id(),
            self.public(),
            *seed
        ))
    }

    /// The id statements name it by.
    pub(crate) fn id(&self) -> KeyId {
        self.public().id()
    }

    /// The public half.
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from(&self.secret)
    }

    /// The secret half, for signing.
    pub(crate) fn secret(&self) -> &SigningKey {
        &self.secret
    }
}

/// Reads the text of a key file.
fn parse(text: &str) -> Result<SigningKey, &'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err("must hold exactly one line that is not a comment");
    };
    let seed = line
        .strip_prefix(FORMAT)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or("is not a chopmark-key-v1 file; make one with `chopmark key new`")?;
    let decoded = base64::decode(&BASE64, seed).map(Zeroizing::new);
    let seed = decoded.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
    seed.map(|seed| SigningKey::from_bytes(&seed)).ok_or("its seed is not 32 bytes in padded base64")
}

/// Reads key files, ascending by key id as statements list them.
///
/// # Errors
/// An authorisation failure when one can't be used or there is none; a usage failure when a key is given twice.
pub(crate) fn load_all(paths: &[PathBuf]) -> Result<Vec<Key>, Failure> {
    let mut keys = paths.iter().map(|path| Key::load(path)).collect::<Result<Vec<_>, _>>()?;
    keys.sort_by_key(Key::id);
    if let Some([first, second]) = keys.array_windows().find(|[first, second]| first.id() == second.id()) {
        let (first, second) = (first.path.display(), second.path.display());
        return Err(Failure::usage(format!("{first} and {second} hold the same key; give each key once")));
    }
    if keys.is_empty() {
        let message = "no key file is named and there is no home directory to look in; give --key FILE";
        return Err(Failure::new(Exit::NotAuthorised, "no_key", message));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{self, Access};

    #[test]
    fn a_key_in_the_environment_is_read_and_never_shown() {
        let key = Key::generate(PathBuf::new()).unwrap();
        let text = key.render();
        let line = text.lines().last().unwrap();
        let read = Key::load(Path::new(line)).unwrap();
        assert_eq!((read.id(), read.path.as_path()), (key.id(), Path::new("CHOPMARK_KEY")));
        let failure = Key::load(Path::new(&line[..line.len() - 2])).err().unwrap();
        assert_eq!(failure.code, "key_malformed");
        assert!(!failure.message.contains(&line[20..40]), "{}", failure.message);
    }

    #[test]
    fn a_written_key_reads_back_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = Key::generate(path.clone()).unwrap();
        files::create(&path, key.render().as_bytes(), Access::Private).unwrap();
        let read = Key::load(&path).unwrap();
        assert_eq!(read.secret().as_bytes(), key.secret().as_bytes());
        assert!(key.render().contains(&key.id().to_string()));
        assert_ne!(Key::generate(path).unwrap().id(), key.id());
    }

    #[test]
    fn a_known_seed_gives_its_known_public_key() {
        // RFC 8032, section 7.1, test 1.
        let key = parse("chopmark-key-v1 nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n").unwrap();
        assert_eq!(PublicKey::from(&key).to_string(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }

    #[test]
    fn what_is_not_exactly_one_key_is_refused() {
        let good = "chopmark-key-v1 nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
        assert!(parse(&format!("# c\n\n  {good}  \r\n")).is_ok());
        for bad in [
            "",
            "# only a comment",
            &format!("{good}\n{good}"),
            "chopmark-key-v2 nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
            "chopmark-key-v1nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
            "chopmark-key-v1 nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "chopmark-key-v1 nWGxnQ==",
            "chopmark-key-v1 nWGxne/9WmC6hEr0kuwsxA==RElxWl7MmkZcDusAxyuf2A==",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    /// Every byte of a key file replaced, taken away and doubled.
    #[test]
    fn a_damaged_key_file_is_refused_or_has_one_reading() {
        let file = Key::generate(PathBuf::from("key")).unwrap().render().as_bytes().to_vec();
        let mut read = 0;
        for place in 0..file.len() {
            let (before, after) = file.split_at(place);
            let replacements: [&[u8]; 10] =
                [b"", b"\0", b"\n", b"#", b" ", b"=", b"A", b"\xff", &[file[place]; 2], b"\r\n"];
            for replacement in replacements {
                let damaged = [before, replacement, &after[1..]].concat();
                let Ok(text) = String::from_utf8(damaged) else { continue };
                if let Ok(secret) = parse(&text) {
                    let mut lines =
                        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                    let spelled = format!("{FORMAT} {}", BASE64.encode(secret.as_bytes()));
                    assert_eq!(lines.next(), Some(spelled.as_str()));
                    read += 1;
                }
            }
        }
        // Comments may say anything.
        assert!(read > 500, "{read}");
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert_eq!(Key::load(&path).err().unwrap().code, "no_key");
        let key = Key::generate(path.clone()).unwrap();
        files::create(&path, key.render().as_bytes(), Access::Private).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Key::load(&path).err().unwrap();
        assert_eq!((refused.exit, &*refused.code), (Exit::NotAuthorised, "key_permissions"));
    }

    #[test]
    fn keys_are_sorted_and_given_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for name in ["a", "b", "c"] {
            let key = Key::generate(directory.path().join(name)).unwrap();
            files::create(&key.path, key.render().as_bytes(), Access::Private).unwrap();
            paths.push(key.path.clone());
        }
        assert!(load_all(&paths).unwrap().is_sorted_by(|a, b| a.id() < b.id()));
        paths.push(paths[0].clone());
        assert_eq!(load_all(&paths).err().unwrap().exit, Exit::Usage);
        assert_eq!(load_all(&[]).err().unwrap().code, "no_key");
    }
}

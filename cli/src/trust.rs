//! Whom this user trusts: a policy file that somebody named, or else the registries pinned when first met.
//!
//! One format for both: the trust policy of `chopmark_core::trust` in TOML, where a registry may also list the
//! addresses it was met at. Pinning on first use believes the first answer; every later one must agree with it.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::statement::RegistryRef;
use chopmark_core::terms::period::Duration;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use serde::{Deserialize, Serialize};

use crate::client::{Client, RegistryDescription};
use crate::config::{Directories, NamedBy, NamedTrust, Settings};
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::Printer;

/// Name of the file of pins in the user's configuration directory.
const PINS: &str = "trust.toml";

/// Largest policy file, in bytes: thousands of registries.
const FILE_BYTES_MAX: usize = 1 << 20;

/// First lines of the file of pins.
const PINS_HEADER: &str = "\
# Registries this user has met, pinned on first contact. Give a copy to others as a trust policy (--trust FILE).
# Remove a registry only when its operator tells you, over another channel, that its log key or genesis changed.

";

/// A trust policy as a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default, rename = "registry")]
    registries: Vec<PolicyEntry>,
}

/// One registry in a policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyEntry {
    origin: String,
    log_key: String,
    genesis: Sha256Digest,
    #[serde(default = "allowed")]
    allow_registry_asserted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_status_age: Option<Duration>,
    /// Addresses it was met at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
}

fn allowed() -> bool {
    true
}

/// Whom to trust, and why.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// The registries.
    pub(crate) policy: TrustPolicy,
    /// Where that is written.
    pub(crate) source: Source,
}

/// Where trust comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A policy file that somebody named.
    Named(NamedTrust),
    /// The user's pins.
    Pins(PathBuf),
}

impl Source {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Named(named) => &named.path,
            Self::Pins(path) => path,
        }
    }

    /// One word for JSON documents.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Named(NamedTrust { named_by: NamedBy::Flag, .. }) => "flag",
            Self::Named(NamedTrust { named_by: NamedBy::Environment, .. }) => "environment",
            Self::Named(NamedTrust { named_by: NamedBy::Project(_) | NamedBy::User(_), .. }) => "config",
            Self::Pins(_) => "pinned",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())?;
        match self {
            Self::Named(NamedTrust { named_by: NamedBy::Flag, .. }) => write!(f, " (named by --trust)"),
            Self::Named(NamedTrust { named_by: NamedBy::Environment, .. }) => write!(f, " (named by CHOPMARK_TRUST)"),
            Self::Named(NamedTrust { named_by: NamedBy::Project(by) | NamedBy::User(by), .. }) => {
                write!(f, " (named by {})", by.display())
            }
            Self::Pins(_) => write!(f, " (pinned on first contact)"),
        }
    }
}

impl Trust {
    /// Whom to trust when judging the bytes at `subject`.
    ///
    /// # Errors
    /// `could_not_check` when nobody is trusted; a usage failure when the policy file can't be read.
    pub(crate) fn for_verifying(settings: &Settings, subject: &Path, printer: &Printer) -> Result<Self, Failure> {
        match &settings.trust {
            Some(named) if lies_within(named, subject) => printer.note(format!(
                "ignoring the trust policy {}: it lies inside what is being verified",
                named.path.display()
            )),
            Some(named) => return read_named(named),
            None => {}
        }
        let path = pins_path(&settings.directories)?;
        let pins = read(&path)?.unwrap_or_default();
        if pins.registries.is_empty() {
            let message = "no registry is trusted here: name one with --trust FILE, or register something first \
                           (a bundle never supplies its own trust)";
            return Err(Failure::new(Exit::CouldNotCheck, "no_trust", message));
        }
        Ok(Self { policy: pins.policy(), source: Source::Pins(path) })
    }

    /// Where a registry that a statement names is known from, if it is.
    ///
    /// # Errors
    /// A proof failure when another registry is known by its name; `could_not_check` when a policy that somebody named
    /// does not list it; a usage failure when the policy can't be read.
    pub(crate) fn known(settings: &Settings, registry: &RegistryRef) -> Result<Option<Source>, Failure> {
        let trust = if let Some(named) = &settings.trust {
            read_named(named)?
        } else {
            let path = pins_path(&settings.directories)?;
            Self { policy: read(&path)?.unwrap_or_default().policy(), source: Source::Pins(path) }
        };
        let origin = &registry.origin;
        match (trust.policy.registry(origin), &trust.source) {
            (Some(known), source) if known.genesis == registry.genesis => Ok(Some(source.clone())),
            (Some(_), source) => {
                let message = format!(
                    "the statement is for a registry that calls itself {origin}, but its genesis is not the one in {source}"
                );
                Err(Failure::new(Exit::ProofInvalid, "registry_changed", message))
            }
            (None, Source::Pins(_)) => Ok(None),
            (None, source @ Source::Named(_)) => {
                let message = format!("the statement is for the registry {origin}, which {source} does not trust");
                Err(Failure::new(Exit::CouldNotCheck, "no_trust", message))
            }
        }
    }

    /// Checks that the registry at the other end is one of those trusted.
    ///
    /// # Errors
    /// A proof failure when it is not the one known by its name; `could_not_check` when it is not known.
    pub(crate) fn check(&self, client: &Client, description: &RegistryDescription) -> Result<(), Failure> {
        match self.policy.registry(&description.origin) {
            Some(known) => agree(known, description, self.source.path()),
            None => Err(Failure::new(
                Exit::CouldNotCheck,
                "no_trust",
                format!(
                    "{} is the registry {}, which {} does not trust",
                    client.url(),
                    description.origin,
                    self.source
                ),
            )),
        }
    }
}

/// A registry that statements may be signed for.
#[derive(Debug)]
pub(crate) struct Contact {
    /// Its name in signed bytes.
    pub(crate) registry: RegistryRef,
    /// What its checkpoints are verified with.
    pub(crate) log_key: VerifierKey,
    /// The trust that its bundles are verified under.
    pub(crate) trust: Trust,
    /// Present on first contact.
    new_pin: Option<PolicyEntry>,
}

impl Contact {
    /// Meets the registry at the other end of `client`.
    ///
    /// # Errors
    /// A proof failure when it is not the registry known by this name or address.
    pub(crate) fn meet(settings: &Settings, client: &Client) -> Result<Self, Failure> {
        let description = client.registry()?;
        let entry = PolicyEntry {
            origin: description.origin.clone(),
            log_key: description.log_key.clone(),
            genesis: description.genesis,
            allow_registry_asserted: true,
            max_status_age: None,
            urls: vec![client.url().to_owned()],
        };
        let log_key = entry.trusted().verifier_key().map_err(Failure::proof)?;
        let (trust, new_pin) = if let Some(named) = &settings.trust {
            let trust = read_named(named)?;
            trust.check(client, &description)?;
            (trust, None)
        } else {
            let path = pins_path(&settings.directories)?;
            let mut pins = read(&path)?.unwrap_or_default();
            let is_new = pins.meet(&entry, &path)?;
            (Trust { policy: pins.policy(), source: Source::Pins(path) }, is_new.then_some(entry))
        };
        let registry = RegistryRef { origin: description.origin, genesis: description.genesis };
        Ok(Self { registry, log_key, trust, new_pin })
    }

    /// Remembers the registry, if this is the first contact at this address, and says so.
    ///
    /// # Errors
    /// When the pins can't be written, or another process has meanwhile met another registry here.
    pub(crate) fn pin(&self, directories: &Directories, printer: &Printer) -> Result<(), Failure> {
        let Some(entry) = &self.new_pin else { return Ok(()) };
        let path = self.trust.source.path();
        let _lock = lock(directories.config()?)?;
        let mut pins = read(path)?.unwrap_or_default();
        let is_known = pins.policy().registry(&entry.origin).is_some();
        pins.meet(entry, path)?;
        write_toml(path, PINS_HEADER, &pins)?;
        let PolicyEntry { origin, log_key, genesis, urls, .. } = entry;
        let (urls, path) = (urls.join(", "), path.display());
        printer.note(if is_known {
            format!("the registry {origin} is the one known, at another address; added {urls} in {path}")
        } else {
            format!(
                "first contact with {urls}: pinned the registry {origin} in {path}\n  log key {log_key}\n  genesis \
                 {genesis}\n  every later answer must agree with these; compare them with what its operator publishes"
            )
        });
        Ok(())
    }
}

impl PolicyFile {
    fn policy(&self) -> TrustPolicy {
        TrustPolicy { registries: self.registries.iter().map(PolicyEntry::trusted).collect() }
    }

    /// Takes a registry in; whether anything is new about it.
    fn meet(&mut self, met: &PolicyEntry, path: &Path) -> Result<bool, Failure> {
        let is_elsewhere =
            |known: &&PolicyEntry| known.origin != met.origin && met.urls.iter().any(|url| known.urls.contains(url));
        if let Some(known) = self.registries.iter().find(is_elsewhere) {
            let urls = met.urls.join(", ");
            return Err(Failure::new(
                Exit::ProofInvalid,
                "registry_changed",
                format!(
                    "{urls} was the registry {} and is now {}; if you expected another one there, remove {urls} from \
                     the urls of {} in {}",
                    known.origin,
                    met.origin,
                    known.origin,
                    path.display()
                ),
            ));
        }
        if let Some(known) = self.registries.iter_mut().find(|known| known.origin == met.origin) {
            let description = RegistryDescription {
                origin: met.origin.clone(),
                genesis: met.genesis,
                log_key: met.log_key.clone(),
                operator: None,
            };
            agree(&known.trusted(), &description, path)?;
            let before = known.urls.len();
            let new: Vec<String> = met.urls.iter().filter(|url| !known.urls.contains(url)).cloned().collect();
            known.urls.extend(new);
            return Ok(known.urls.len() > before);
        }
        self.registries.push(met.clone());
        Ok(true)
    }
}

impl PolicyEntry {
    fn trusted(&self) -> TrustedRegistry {
        TrustedRegistry {
            origin: self.origin.clone(),
            log_key: self.log_key.clone(),
            genesis: self.genesis,
            allow_registry_asserted: self.allow_registry_asserted,
            max_status_age: self.max_status_age,
        }
    }
}

fn agree(known: &TrustedRegistry, description: &RegistryDescription, path: &Path) -> Result<(), Failure> {
    for (what, is_same) in
        [("log key", known.log_key == description.log_key), ("genesis", known.genesis == description.genesis)]
    {
        if !is_same {
            return Err(Failure::new(
                Exit::ProofInvalid,
                "registry_changed",
                format!(
                    "the {what} of {} is not the one in {}: this is not the registry known by that name; ask its \
                     operator over another channel before you trust it",
                    description.origin,
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Whether a policy named by a settings file in the working directory comes with the thing it would vouch for.
fn lies_within(named: &NamedTrust, subject: &Path) -> bool {
    let NamedBy::Project(by) = &named.named_by else { return false };
    let Ok(subject) = subject.canonicalize() else { return false };
    [by, &named.path].into_iter().any(|path| path.canonicalize().is_ok_and(|path| path.starts_with(&subject)))
}

fn pins_path(directories: &Directories) -> Result<PathBuf, Failure> {
    Ok(directories.config()?.join(PINS))
}

fn read_named(named: &NamedTrust) -> Result<Trust, Failure> {
    let Some(file) = read(&named.path)? else {
        return Err(Failure::usage(format!("the trust policy {} does not exist", named.path.display())));
    };
    Ok(Trust { policy: file.policy(), source: Source::Named(named.clone()) })
}

/// Reads a policy file, if it is there.
fn read(path: &Path) -> Result<Option<PolicyFile>, Failure> {
    let file: Option<PolicyFile> = read_toml(path, FILE_BYTES_MAX)?;
    if let Some(file) = &file {
        let reason = |reason| Failure::usage(format!("in the trust policy {}: {reason}", path.display()));
        file.policy().validate().map_err(reason)?;
    }
    Ok(file)
}

/// Reads a TOML file of the user, if it is there.
///
/// # Errors
/// A usage failure naming the file.
pub(crate) fn read_toml<T: for<'de> Deserialize<'de>>(path: &Path, limit_bytes: usize) -> Result<Option<T>, Failure> {
    let refuse = |reason: &dyn fmt::Display| Failure::usage(format!("cannot read {}: {reason}", path.display()));
    let bytes = match files::read(path, limit_bytes) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(refuse(&error)),
    };
    let text = String::from_utf8(bytes).map_err(|error| refuse(&error))?;
    toml::from_str(&text).map(Some).map_err(|error| refuse(&error))
}

/// Writes a TOML file of the user.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn write_toml<T: Serialize>(path: &Path, header: &str, value: &T) -> Result<(), Failure> {
    let text = toml::to_string(value).map_err(|error| Failure::internal(format!("cannot write TOML: {error}")))?;
    files::replace(path, format!("{header}{text}").as_bytes(), Access::Private)
        .map_err(|error| Failure::file("write", path, &error))
}

/// Keeps other processes of this user from changing the same files until dropped.
///
/// # Errors
/// When the directory can't be made or locked.
pub(crate) fn lock(directory: &Path) -> Result<std::fs::File, Failure> {
    let path = directory.join(".lock");
    let open = || {
        files::create_directory(directory)?;
        let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|error| Failure::file("lock", &path, &error))
}

#[cfg(test)]
mod tests;

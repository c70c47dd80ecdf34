//! Settings, each from the first place that gives it: flag, environment, `./chopmark.toml`, the user's file, default.
//!
//! The environment is handed in as a function, so that precedence can be tested without touching the process.

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::arguments::GlobalArguments;
use crate::exit::Failure;
use crate::files;

/// Where the service listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8420";

/// Name of the settings file in the working directory.
const PROJECT_FILE: &str = "chopmark.toml";

/// Name of the settings file in the user's configuration directory.
const USER_FILE: &str = "config.toml";

/// Largest settings file, in bytes; a real one has four lines.
const FILE_BYTES_MAX: usize = 64 << 10;

/// Reads one environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What a client command runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Address of the service.
    pub(crate) url: String,
    /// Key files; the default one when none was named.
    pub(crate) keys: Vec<PathBuf>,
    /// The party to act for, as given.
    pub(crate) party: Option<String>,
    /// A trust policy that was named, and where.
    pub(crate) trust: Option<NamedTrust>,
    /// Whether tokens, logins and openings may go to another machine over plain HTTP.
    pub(crate) plain_http: bool,
    /// Where the user's files are.
    pub(crate) directories: Directories,
}

/// A trust policy file that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedTrust {
    /// The policy file.
    pub(crate) path: PathBuf,
    /// Who named it.
    pub(crate) named_by: NamedBy,
}

/// Who named a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// `--trust`.
    Flag,
    /// `CHOPMARK_TRUST`.
    Environment,
    /// The settings file in the working directory.
    Project(PathBuf),
    /// The user's own settings file.
    User(PathBuf),
}

/// Settings that only some commands have as flags.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// `--party`.
    pub(crate) party: Option<String>,
    /// `--trust`.
    pub(crate) trust: Option<PathBuf>,
}

/// The user's directories (XDG Base Directory Specification 0.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directories {
    config: Option<PathBuf>,
    state: Option<PathBuf>,
    cache: Option<PathBuf>,
}

/// Settings as one place gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Layer {
    url: Option<String>,
    keys: Vec<PathBuf>,
    party: Option<String>,
    trust: Option<NamedTrust>,
}

/// A settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    url: Option<String>,
    key: Option<OneOrMore>,
    party: Option<String>,
    trust: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(PathBuf),
    More(Vec<PathBuf>),
}

impl Settings {
    /// The settings of this process.
    ///
    /// # Errors
    /// A usage failure naming the settings file that can't be read.
    pub(crate) fn load(arguments: &GlobalArguments, overrides: Overrides) -> Result<Self, Failure> {
        let environment = |name: &str| env::var_os(name);
        let directories = Directories::of(&environment);
        let project = read_layer(Path::new(PROJECT_FILE), NamedBy::Project)?;
        let user = match &directories.config {
            Some(directory) => read_layer(&directory.join(USER_FILE), NamedBy::User)?,
            None => Layer::default(),
        };
        let flags = Layer {
            url: arguments.url.clone(),
            keys: arguments.keys.clone(),
            party: overrides.party,
            trust: overrides.trust.map(|path| NamedTrust { path, named_by: NamedBy::Flag }),
        };
        let merged = Self::merge(vec![flags, Layer::of(&environment), project, user], directories);
        // Never from a file that lies about in a directory: it is the user who knows the network.
        Ok(Self { plain_http: arguments.plain_http, ..merged })
    }

    /// Takes each setting from the first layer that has it.
    fn merge(layers: Vec<Layer>, directories: Directories) -> Self {
        let mut merged = Layer::default();
        for layer in layers {
            merged.url = merged.url.or(layer.url);
            merged.party = merged.party.or(layer.party);
            merged.trust = merged.trust.or(layer.trust);
            if merged.keys.is_empty() {
                merged.keys = layer.keys;
            }
        }
        if merged.keys.is_empty() {
            merged.keys.extend(directories.default_key());
        }
        Self {
            url: merged.url.unwrap_or_else(|| DEFAULT_URL.to_owned()),
            keys: merged.keys,
            party: merged.party,
            trust: merged.trust,
            plain_http: false,
            directories,
        }
    }
}

impl Layer {
    fn of(environment: Environment<'_>) -> Self {
        // An empty variable is the usual way to unset one for a single command.
        let get = |name| environment(name).filter(|value| !value.is_empty());
        let text = |name| get(name).and_then(|value| value.into_string().ok());
        Self {
            url: text("CHOPMARK_URL"),
            keys: get("CHOPMARK_KEY").map(|value| env::split_paths(&value).collect()).unwrap_or_default(),
            party: text("CHOPMARK_PARTY"),
            trust: get("CHOPMARK_TRUST").map(|path| NamedTrust { path: path.into(), named_by: NamedBy::Environment }),
        }
    }
}

/// Reads a settings file; its relative paths are relative to where it is. A file that is not there says nothing.
fn read_layer(path: &Path, named_by: fn(PathBuf) -> NamedBy) -> Result<Layer, Failure> {
    let bytes = match files::read(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Layer::default());
        }
        Err(error) => return Err(Failure::usage(format!("cannot read the settings {}: {error}", path.display()))),
    };
    let text = String::from_utf8_lossy(&bytes);
    let file: SettingsFile = toml::from_str(&text)
        .map_err(|error| Failure::usage(format!("in the settings {}: {error}", path.display())))?;
    let here = path.parent().unwrap_or(Path::new(""));
    let keys = match file.key {
        None => Vec::new(),
        Some(OneOrMore::One(key)) => vec![key],
        Some(OneOrMore::More(keys)) => keys,
    };
    Ok(Layer {
        url: file.url,
        keys: keys.into_iter().map(|key| here.join(key)).collect(),
        party: file.party,
        trust: file.trust.map(|trust| NamedTrust { path: here.join(trust), named_by: named_by(path.to_owned()) }),
    })
}

impl Directories {
    /// From the environment. Relative paths are ignored, as the specification asks.
    pub(crate) fn of(environment: Environment<'_>) -> Self {
        let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let place = |variable, below: &str| {
            absolute(variable).or_else(|| home.as_ref().map(|home| home.join(below))).map(|base| base.join("chopmark"))
        };
        Self {
            config: place("XDG_CONFIG_HOME", ".config"),
            state: place("XDG_STATE_HOME", ".local/state"),
            cache: place("XDG_CACHE_HOME", ".cache"),
        }
    }

    /// The directory of settings, keys, pins and parties.
    ///
    /// # Errors
    /// When the environment names no home.
    pub(crate) fn config(&self) -> Result<&Path, Failure> {
        self.config.as_deref().ok_or_else(|| Failure::usage("set HOME or XDG_CONFIG_HOME to an absolute path"))
    }

    /// The directory of statements on their way, and of what a stopped run had found out.
    ///
    /// # Errors
    /// When the environment names no home.
    pub(crate) fn state(&self) -> Result<&Path, Failure> {
        self.state.as_deref().ok_or_else(|| Failure::usage("set HOME or XDG_STATE_HOME to an absolute path"))
    }

    /// The directory of what is remembered to save work.
    ///
    /// # Errors
    /// When the environment names no home.
    pub(crate) fn cache(&self) -> Result<&Path, Failure> {
        self.cache.as_deref().ok_or_else(|| Failure::usage("set HOME or XDG_CACHE_HOME to an absolute path"))
    }

    /// Where `key new` writes and everything else looks, unless told otherwise.
    pub(crate) fn default_key(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|directory| directory.join("key"))
    }
}

/// Whether the environment gives the consent that `--accept-public-record` gives.
pub(crate) fn environment_consents() -> bool {
    env::var_os("CHOPMARK_ACCEPT_PUBLIC_RECORD").is_some_and(|value| value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str) -> Layer {
        Layer {
            url: Some(format!("http://{name}")),
            keys: vec![name.into()],
            party: Some(name.into()),
            trust: Some(NamedTrust { path: name.into(), named_by: NamedBy::Flag }),
        }
    }

    #[test]
    fn the_first_layer_that_says_something_wins() {
        let layers = ["flag", "environment", "project", "user"].map(layer);
        for first in 0..layers.len() {
            let mut given = vec![Layer::default(); first];
            given.extend_from_slice(&layers[first..]);
            let settings = Settings::merge(given, Directories::default());
            let name = layers[first].party.clone().unwrap();
            assert_eq!(settings.url, format!("http://{name}"));
            assert_eq!(settings.keys, [PathBuf::from(&name)]);
            assert_eq!(settings.trust.unwrap().path, Path::new(&name));
            assert_eq!(settings.party, Some(name));
        }
    }

    #[test]
    fn layers_complete_each_other_and_end_in_defaults() {
        let flags = Layer { url: Some("http://flag".into()), ..Layer::default() };
        let user = Layer { party: Some("user".into()), ..Layer::default() };
        let settings = Settings::merge(vec![flags, user], Directories::default());
        assert_eq!((settings.url.as_str(), settings.party.as_deref()), ("http://flag", Some("user")));

        let directories = Directories::of(&|name| (name == "HOME").then(|| "/home/a".into()));
        let settings = Settings::merge(Vec::new(), directories);
        assert_eq!(settings.url, DEFAULT_URL);
        assert_eq!(settings.keys, [PathBuf::from("/home/a/.config/chopmark/key")]);
        assert_eq!(settings.trust, None);
    }

    #[test]
    fn the_environment_is_read_and_empty_values_say_nothing() {
        let layer = Layer::of(&|name| match name {
            "CHOPMARK_KEY" => Some("/a:/b".into()),
            "CHOPMARK_TRUST" => Some("p.toml".into()),
            "CHOPMARK_URL" | "CHOPMARK_PARTY" => Some("".into()),
            _ => None,
        });
        assert_eq!(layer.keys, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(layer.trust.unwrap().named_by, NamedBy::Environment);
        assert_eq!((layer.url, layer.party), (None, None));
    }

    #[test]
    fn directories_follow_the_specification() {
        let directories = Directories::of(&|name| match name {
            "XDG_CONFIG_HOME" => Some("/c".into()),
            "XDG_STATE_HOME" => Some("relative".into()),
            "HOME" => Some("/h".into()),
            _ => None,
        });
        assert_eq!(directories.config().unwrap(), Path::new("/c/chopmark"));
        assert_eq!(directories.state().unwrap(), Path::new("/h/.local/state/chopmark"));
        assert!(Directories::of(&|_| None).config().is_err());
    }

    #[test]
    fn damaged_settings_are_read_or_refused() {
        let seed = b"url = \"http://x\"\nkey = [\"k\", \"/abs\"]\nparty = \"pty_x\"\ntrust = \"t.toml\"\n".to_vec();
        crate::damage::feed("settings", 5_000, &[seed], 600, |bytes| {
            toml::from_str::<SettingsFile>(&String::from_utf8_lossy(bytes)).is_ok()
        });
    }

    #[test]
    fn a_settings_file_is_strict_and_its_paths_are_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chopmark.toml");
        assert_eq!(read_layer(&path, NamedBy::Project).unwrap(), Layer::default());
        std::fs::write(&path, "url = \"http://x\"\nkey = [\"k\", \"/abs\"]\ntrust = \"t.toml\"\n").unwrap();
        let layer = read_layer(&path, NamedBy::Project).unwrap();
        assert_eq!(layer.keys, [directory.path().join("k"), PathBuf::from("/abs")]);
        let trust = layer.trust.unwrap();
        assert_eq!(trust.path, directory.path().join("t.toml"));
        assert_eq!(trust.named_by, NamedBy::Project(path.clone()));
        for bad in ["ulr = \"http://x\"", "url = 3", "url = "] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(read_layer(&path, NamedBy::User).unwrap_err().exit, crate::exit::Exit::Usage, "{bad}");
        }
    }
}
